//! Memory as the device sees it: each page for itself, and in flight for as long as its slice is used.

use std::sync::Arc;

use mmu::address::{Access, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;
use pcie::{Ats, Msi, PageGroupResponse, PageRequest, Pasid, RequestOutcome, SourceId};
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

use super::{Broken, View};
use crate::pci::config::Identity;
use crate::pci::{ConfigSpace, Endpoint};
use crate::rig::Rig;
use crate::upstream::{Atomic, DmaFault, Port, Upstream};

/// What was asked of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Hold(u64, Access),
    Release,
}

/// Pages in reverse: page n of the device is page 15 - n of memory. Page 3 may only be read.
#[derive(Clone, Default)]
struct Reversed(Arc<Mutex<Vec<Asked>>>);

impl Upstream for Reversed {
    fn port(&self, _: SourceId) -> Box<dyn Port> {
        Box::new(self.clone())
    }

    fn send(&self, _: SourceId, _: Msi) {}
}

impl Port for Reversed {
    fn read(&mut self, _: Option<Pasid>, address: VirtAddr, bytes: &mut [u8]) -> Result<(), DmaFault> {
        Err(DmaFault::Unsupported { address, len_bytes: bytes.len() })
    }

    fn write(&mut self, _: Option<Pasid>, address: VirtAddr, bytes: &[u8]) -> Result<(), DmaFault> {
        Err(DmaFault::Unsupported { address, len_bytes: bytes.len() })
    }

    fn atomic(&mut self, _: Option<Pasid>, address: VirtAddr, _: Atomic) -> Result<u64, DmaFault> {
        Err(DmaFault::Unsupported { address, len_bytes: 8 })
    }

    fn hold(&mut self, address: VirtAddr, access: Access) -> Result<PhysAddr, DmaFault> {
        let page = address.0 >> 12;
        if page > 15 || (page == 3 && access == Access::Write) {
            return Err(DmaFault::Unsupported { address, len_bytes: 0 });
        }
        self.0.lock().push(Asked::Hold(address.0, access));
        Ok(PhysAddr((15 - page) << 12 | address.0 & 0xfff))
    }

    fn release(&mut self) {
        let mut asked = self.0.lock();
        if matches!(asked.last(), Some(Asked::Hold(..))) {
            asked.push(Asked::Release);
        }
    }

    fn set_ats(&mut self, _: Ats) {}

    fn reset(&mut self) {}

    fn drop_responses(&mut self) {}

    fn request_page(&mut self, request: PageRequest) -> Result<RequestOutcome, DmaFault> {
        Err(DmaFault::Unsupported { address: request.address, len_bytes: 0 })
    }

    fn next_response(&mut self) -> Option<PageGroupResponse> {
        None
    }
}

/// A view through reversed pages, memory behind it, and what its port was asked.
fn view() -> (View, Arc<PhysicalMemory>, Reversed) {
    let reversed = Reversed::default();
    let config = ConfigSpace::new(Identity { vendor: 1, device: 2, class: [0; 3], revision: 0 });
    let own = reversed.clone();
    let rig = Rig::behind(move |_, _| Arc::new(own), config, |endpoint: Arc<Endpoint>, _| endpoint);
    (View::new(Arc::clone(&rig.endpoint), Arc::clone(&rig.memory)), Arc::clone(&rig.memory), reversed)
}

#[test]
fn bytes_go_where_each_of_their_pages_leads() {
    let (view, memory, _) = view();
    let sent: Vec<u8> = (0..0x1800_u32).map(|at| (at / 7).to_le_bytes()[0]).collect();
    view.write_buffer(0x0c00, &sent).unwrap();
    let mut found = vec![0; sent.len()];
    for (at, from, len) in [(0xfc00, 0, 0x400), (0xe000, 0x400, 0x1000), (0xd000, 0x1400, 0x400)] {
        memory.read_bytes(PhysAddr(at), &mut found[from..from + len]);
    }
    assert_eq!(found, sent);
    found.fill(0);
    view.read_buffer(0x0c00, &mut found).unwrap();
    assert_eq!(found, sent);
}

#[test]
fn one_page_at_a_time_is_in_flight_and_none_afterwards() {
    let (view, _, asked) = view();
    view.read_buffer(0x4ff0, &mut [0; 0x20]).unwrap();
    view.load::<u16>(GuestAddress(0x6002), std::sync::atomic::Ordering::Acquire).unwrap();
    let expected = [0x4ff0, 0x5000, 0x6002].map(|at| [Asked::Hold(at, Access::Read), Asked::Release]);
    assert_eq!(*asked.0.lock(), expected.concat());
}

#[test]
fn a_slice_is_in_flight_until_the_next_one_is_asked_for() {
    let (view, _, asked) = view();
    let mut slices = view.get_slices(GuestAddress(0x4ff0), 0x20, Permissions::Write).unwrap();
    slices.next().unwrap().unwrap();
    assert_eq!(*asked.0.lock(), [Asked::Hold(0x4ff0, Access::Write)]);
    slices.next().unwrap().unwrap();
    assert_eq!(asked.0.lock()[1..], [Asked::Release, Asked::Hold(0x5000, Access::Write)]);
    drop(slices);
    assert_eq!(asked.0.lock().last(), Some(&Asked::Release));
}

#[test]
fn what_is_not_there_for_the_device_is_told_once() {
    let (view, _, _) = view();
    assert!(view.read_buffer(0x3000, &mut [0; 8]).is_ok());
    assert!(matches!(view.write_buffer(0x3000, &[0; 8]), Err(Broken::Unreachable(_))));
    assert!(matches!(view.read_buffer(0xfffc, &mut [0; 8]), Err(Broken::Unreachable(_))));
    assert_eq!(view.take_fault(), None);
    assert!(view.check_range(GuestAddress(0x2000), 0x2000, Permissions::Read));
    assert!(!view.check_range(GuestAddress(0x2000), 0x2000, Permissions::Write));
}
