//! Requests that are on their way when software forbids them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mmu::address::{Access, PhysAddr, VirtAddr};
use pcie::{Ats, Msi, PageGroupResponse, PageRequest, Pasid, RequestOutcome, SourceId};

use super::{Configured, Endpoint};
use crate::bus::Width;
use crate::interrupt::{Level, Pin, Wire};
use crate::pci::ConfigSpace;
use crate::pci::capability::express;
use crate::pci::config::{Identity, command, header};
use crate::rig::Seen;
use crate::upstream::{Atomic, DmaFault, Port, Upstream};

/// Memory whose reads take until somebody lets them go.
#[derive(Clone, Default)]
struct Slow {
    is_reading: Arc<AtomicBool>,
    goes: Arc<AtomicBool>,
    is_reset: Arc<AtomicBool>,
}

impl Upstream for Slow {
    fn port(&self, _: SourceId) -> Box<dyn Port> {
        Box::new(self.clone())
    }

    fn send(&self, _: SourceId, _: Msi) {}
}

impl Port for Slow {
    fn read(&mut self, _: Option<Pasid>, _: VirtAddr, _: &mut [u8]) -> Result<(), DmaFault> {
        self.is_reading.store(true, Ordering::SeqCst);
        until(|| self.goes.load(Ordering::SeqCst));
        Ok(())
    }

    fn write(&mut self, _: Option<Pasid>, _: VirtAddr, _: &[u8]) -> Result<(), DmaFault> {
        Ok(())
    }

    fn atomic(&mut self, _: Option<Pasid>, _: VirtAddr, _: Atomic) -> Result<u64, DmaFault> {
        Ok(0)
    }

    fn hold(&mut self, address: VirtAddr, _: Access) -> Result<PhysAddr, DmaFault> {
        Err(DmaFault::Unsupported { address, len_bytes: 0 })
    }

    fn release(&mut self) {}

    fn set_ats(&mut self, _: Ats) {}

    fn reset(&mut self) {
        self.is_reset.store(true, Ordering::SeqCst);
    }

    fn drop_responses(&mut self) {}

    fn request_page(&mut self, request: PageRequest) -> Result<RequestOutcome, DmaFault> {
        Err(DmaFault::Unsupported { address: request.address, len_bytes: 0 })
    }

    fn next_response(&mut self) -> Option<PageGroupResponse> {
        None
    }
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// A bus master that can be reset, and the levels of its line.
fn endpoint(slow: &Slow) -> (Endpoint, Arc<Seen>) {
    let config = ConfigSpace::new(Identity { vendor: 1, device: 2, class: [0; 3], revision: 0 });
    let seen = Arc::new(Seen::default());
    let line = Wire::new(seen.clone(), Pin(17)).line();
    let config = config.with_interrupt_pin().with(&express::integrated_endpoint());
    let endpoint = Endpoint::new(SourceId(8), config, Arc::new(slow.clone()), line);
    endpoint.configure(header::COMMAND, Width::Word, command::BUS_MASTER.into());
    (endpoint, seen)
}

/// Where the control register of the capability lies, and its bit that resets.
const DEVICE_CONTROL: u16 = 0x48;
const INITIATE: u64 = 1 << 15;

#[test]
fn a_reset_waits_for_what_is_in_flight_and_takes_what_is_kept() {
    let slow = Slow::default();
    let (endpoint, _seen) = endpoint(&slow);
    thread::scope(|scope| {
        let reads = scope.spawn(|| endpoint.read(None, VirtAddr(0), &mut [0]));
        until(|| slow.is_reading.load(Ordering::SeqCst));
        let resets = scope.spawn(|| endpoint.configure(DEVICE_CONTROL, Width::Word, INITIATE));
        until(|| endpoint.config().command() == 0);
        assert!(!slow.is_reset.load(Ordering::SeqCst), "a request is in flight");
        slow.goes.store(true, Ordering::SeqCst);
        assert_eq!(reads.join().unwrap(), Ok(()));
        assert_eq!(resets.join().unwrap(), Configured::Reset);
    });
    assert!(slow.is_reset.load(Ordering::SeqCst));
}

#[test]
fn what_a_device_asks_for_until_it_knows_of_its_reset_reaches_nobody() {
    let (endpoint, seen) = endpoint(&Slow::default());
    endpoint.raise();
    endpoint.configure(DEVICE_CONTROL, Width::Word, INITIATE);
    assert_eq!(*seen.levels.lock(), [Level::High, Level::Low]);
    endpoint.raise();
    endpoint.end_reset();
    assert_eq!(*seen.levels.lock(), [Level::High, Level::Low]);
    assert_eq!(endpoint.config().get16(header::STATUS) & 1 << 3, 0);
    endpoint.raise();
    assert_eq!(*seen.levels.lock(), [Level::High, Level::Low, Level::High]);
}

#[test]
fn a_write_that_takes_bus_mastering_away_ends_when_no_request_is_in_flight_or_may_begin() {
    let slow = Slow::default();
    let (endpoint, _seen) = endpoint(&slow);
    let read = || endpoint.read(None, VirtAddr(0), &mut [0]);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let first = scope.spawn(read);
        until(|| slow.is_reading.load(Ordering::SeqCst));
        let second = scope.spawn(read);
        // Long enough for it to come as far as it may.
        thread::sleep(Duration::from_millis(20));
        scope.spawn(|| {
            endpoint.configure(header::COMMAND, Width::Word, 0);
            is_over.store(true, Ordering::SeqCst);
        });
        until(|| endpoint.config().command() == 0);
        assert!(!is_over.load(Ordering::SeqCst), "a request is in flight");
        slow.goes.store(true, Ordering::SeqCst);
        assert_eq!(first.join().unwrap(), Ok(()));
        assert_eq!(second.join().unwrap(), Err(DmaFault::NotBusMaster));
    });
}
