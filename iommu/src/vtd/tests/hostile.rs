//! Whatever a guest writes is data: no panic, no work without end.

use std::sync::{Arc, Weak};

use mmu::address::{Access, PhysAddr};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;

use super::driver::{Driver, SOURCE};
use crate::spec::interrupt::Msi;
use crate::vtd::interrupts::MsiSink;
use crate::vtd::options::VtdOptions;
use crate::vtd::port::Request;
use crate::vtd::{Vtd, Width};

#[test]
fn a_table_that_contains_itself_ends_the_walk() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, super::driver::DOMAIN, 0);
    for index in 0..512 {
        driver.memory.store(table.offset(index * 8), table.0 | 3);
    }
    let request = Request { pasid: None, address: super::driver::PAGE, access: Access::Read };
    assert_eq!(driver.port().translate(request).unwrap().address().pfn(), table.pfn());
}

#[test]
fn one_doorbell_passes_the_ring_once() {
    let driver = Driver::legacy();
    let queue = driver.read(0x90) & !0xfff;
    for place in (0..0x1000).step_by(16) {
        driver.memory.store(PhysAddr(queue + place), 0x11);
    }
    driver.unit.write(0x88, Width::Bits64, 0xff0);
    assert_eq!(driver.read(0x80), 0xff0);
}

/// Pulls the unit's plug at the first interrupt.
#[derive(Default)]
struct Plug(Mutex<Weak<Vtd>>);

impl MsiSink for Plug {
    fn send(&self, _: Msi) {
        self.0.lock().upgrade().unwrap().power_off();
    }
}

#[test]
fn a_queue_that_runs_when_the_machine_ends_stops_before_its_next_descriptor() {
    const QUEUE: PhysAddr = PhysAddr(0x1000);
    const STATUS: PhysAddr = PhysAddr(0x2000);
    let memory = Arc::new(PhysicalMemory::new(1 << 20).unwrap());
    let plug = Arc::<Plug>::default();
    let unit = Vtd::new(Arc::clone(&memory), VtdOptions::default(), Arc::clone(&plug) as Arc<dyn MsiSink>);
    *plug.0.lock() = Arc::downgrade(&unit);
    let interrupts = [5 | 1 << 4, 0];
    let writes_status = [5 | 1 << 5 | 1 << 32, STATUS.0];
    for (index, word) in interrupts.into_iter().chain(writes_status).enumerate() {
        memory.store(QUEUE.offset(8 * index as u64), word);
    }
    unit.write(0xa8, Width::Bits32, 0xfee0_1000);
    unit.write(0xa0, Width::Bits32, 0);
    unit.write(0x90, Width::Bits64, QUEUE.0);
    unit.write(0x18, Width::Bits32, 1 << 26);
    unit.write(0x88, Width::Bits64, 0x20);
    assert_eq!((unit.read(0x80, Width::Bits64), memory.load(STATUS)), (0x10, 0), "the first was under way");
    unit.release_queue();
    assert_eq!(
        (unit.read(0x80, Width::Bits64), memory.load(STATUS)),
        (0x10, 0),
        "and nothing brings it back"
    );
}
