//! The life of an engine.

use std::sync::Arc;

use iommu::sva::port::DmaPort;
use iommu::sva::{SvaDriver, SvaOptions};
use mmu::address::{VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::area::{Backing, Merging};
use mmu::cpu::Cpu;
use mmu::frame::Frames;
use mmu::trace::Unobserved;
use pcie::Pasid;

use super::{DmaEngine, Progress, Work};

const PAGE: VirtAddr = VirtAddr(0x4000_0000);

fn machine() -> (Arc<AddressSpace>, Arc<SvaDriver>) {
    let frames = Frames::new(4 << 20).unwrap();
    let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), SpaceOptions::default()).unwrap();
    space.map(VirtRange::page(PAGE), Backing::PrivateAnonymous, Merging::Off).unwrap();
    let driver = SvaDriver::new(frames, SvaOptions::default()).unwrap();
    driver.bind(Pasid::new(1).unwrap(), &space).unwrap();
    (space, driver)
}

fn port(driver: &Arc<SvaDriver>) -> DmaPort {
    let device = driver.attach(0, 64).unwrap();
    DmaPort::new(driver, device, Pasid::new(1).unwrap(), Arc::new(Unobserved))
}

/// Counts up in memory, up to a number.
struct CountTo(u64);

impl Work for CountTo {
    fn proceed(&mut self, port: &mut DmaPort) -> Progress {
        let value = port.read(PAGE).unwrap().value;
        if value == self.0 {
            return Progress::Done;
        }
        port.write(PAGE, value + 1).unwrap();
        if value.is_multiple_of(2) { Progress::Busy } else { Progress::Idle }
    }
}

struct Forever;

impl Work for Forever {
    fn proceed(&mut self, port: &mut DmaPort) -> Progress {
        port.read(PAGE).unwrap();
        Progress::Busy
    }
}

struct Panics;

impl Work for Panics {
    fn proceed(&mut self, _: &mut DmaPort) -> Progress {
        panic!("on purpose");
    }
}

#[test]
fn an_engine_works_through_its_port_until_it_is_done() {
    let (space, driver) = machine();
    let engine = DmaEngine::start(0, port(&driver), CountTo(100)).unwrap();
    let mut cpu = Cpu::new(0, space);
    while cpu.load(PAGE).unwrap().value < 100 {
        std::thread::yield_now();
    }
    assert_eq!(engine.join().unwrap().0, 100);
}

#[test]
fn an_engine_stops_when_asked_and_when_dropped() {
    let (_space, driver) = machine();
    DmaEngine::start(0, port(&driver), Forever).unwrap().join().unwrap();
    drop(DmaEngine::start(1, port(&driver), Forever).unwrap());
    driver.unbind(Pasid::new(1).unwrap());
}

#[test]
fn work_that_panics_is_an_error_that_names_the_engine() {
    let (_space, driver) = machine();
    let engine = DmaEngine::start(7, port(&driver), Panics).unwrap();
    let error = loop {
        std::thread::yield_now();
        if engine.is_finished() {
            break engine.join().err().unwrap();
        }
    };
    assert_eq!(error.to_string(), "DMA engine 7 broke down: its work panicked");
}
