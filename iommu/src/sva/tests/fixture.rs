//! An address space of eight pages, bound; a CPU; a device.

use std::sync::Arc;

use mmu::address::{PAGE_SIZE, VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::area::{Backing, Merging};
use mmu::cpu::Cpu;
use mmu::frame::Frames;
use mmu::trace::Unobserved;
use pcie::{PageRequest, Pasid, Wants};

use crate::sva::port::DmaPort;
use crate::sva::{SvaDriver, SvaOptions};

pub(in crate::sva) const PAGE: VirtAddr = VirtAddr(0x4000_0000);
pub(in crate::sva) const PAGES: u64 = 8;
/// Entries of a device's TLB.
pub(in crate::sva) const DEVICE_TLB: usize = 64;

pub(in crate::sva) struct Fixture {
    pub(in crate::sva) driver: Arc<SvaDriver>,
    pub(in crate::sva) space: Arc<AddressSpace>,
    pub(in crate::sva) cpu: Cpu,
    pub(in crate::sva) port: DmaPort,
}

pub(in crate::sva) fn pasid() -> Pasid {
    Pasid::new(5).unwrap()
}

pub(in crate::sva) fn page(number: u64) -> VirtAddr {
    PAGE.offset(number * PAGE_SIZE)
}

pub(in crate::sva) fn space(frames: &Arc<Frames>, number: u16, options: SpaceOptions) -> Arc<AddressSpace> {
    let space = AddressSpace::new(Arc::clone(frames), SpaceId(number), options).unwrap();
    space.map(VirtRange::pages(PAGE, PAGES), Backing::PrivateAnonymous, Merging::Off).unwrap();
    space
}

/// The port of device `number`, with a TLB of so many entries.
pub(in crate::sva) fn port(driver: &Arc<SvaDriver>, number: u16, tlb: usize, pasid: Pasid) -> DmaPort {
    let device = driver.attach(number, tlb).unwrap();
    DmaPort::new(driver, device, pasid, Arc::new(Unobserved))
}

pub(in crate::sva) fn fixture_with(options: SvaOptions, of_space: SpaceOptions, tlb: usize) -> Fixture {
    let frames = Frames::new(8 << 20).unwrap();
    let space = space(&frames, 1, of_space);
    let driver = SvaDriver::new(frames, options).unwrap();
    driver.bind(pasid(), &space).unwrap();
    let port = port(&driver, 0, tlb, pasid());
    Fixture { cpu: Cpu::new(0, Arc::clone(&space)), driver, space, port }
}

pub(in crate::sva) fn fixture() -> Fixture {
    fixture_with(SvaOptions::default(), SpaceOptions::default(), 0)
}

/// One whose device has a TLB.
pub(in crate::sva) fn ahead(options: SvaOptions) -> Fixture {
    fixture_with(options, SpaceOptions::default(), DEVICE_TLB)
}

impl Fixture {
    pub(in crate::sva) fn is_cached(&self, page: VirtAddr) -> bool {
        self.port.cached(page).is_some()
    }

    pub(in crate::sva) fn invalidate(&self, page: VirtAddr) {
        self.space.notifiers().invalidate_secondary(VirtRange::page(page));
    }
}

/// A request for a page that a device wants to store to.
pub(in crate::sva) fn request(address: VirtAddr, group: u16, last: bool) -> PageRequest {
    PageRequest {
        source: crate::spec::id::SourceId(0),
        pasid: Some(pasid()),
        address,
        wants: Wants { write: true, ..Wants::default() },
        group,
        last,
        private_data: None,
    }
}
