//! Whatever a guest writes is data: no panic, no work without end.

use std::sync::{Arc, Weak};

use mmu::address::{Access, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;
use pcie::{Msi, MsiSink, Request};

use super::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE, invalidations, load};
use crate::vtd::options::{CacheSizes, VtdOptions};
use crate::vtd::{Vtd, Width};

#[test]
fn a_table_that_contains_itself_ends_the_walk() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    for index in 0..512 {
        driver.memory.store(table.offset(index * 8), table.0 | 3);
    }
    let request = Request { pasid: None, address: PAGE, access: Access::Read };
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

#[test]
fn a_ring_of_wide_invalidations_costs_what_is_cached_and_not_what_could_be() {
    const RING: PhysAddr = PhysAddr(4 << 20);
    const DESCRIPTORS: u64 = 0x7fff;
    const QIE: u64 = 1 << 26;
    let options = VtdOptions { caches: CacheSizes::NEVER_EVICT, ..VtdOptions::default() };
    let mut driver = Driver::legacy_with(options);
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    assert_eq!(load(&mut port), Ok(1));
    driver.unmap(SECOND_STAGE, table, PAGE);
    let [low, high, ..] = invalidations::pages(DOMAIN, VirtAddr(0x8000_0000), 18);
    for index in 0..DESCRIPTORS {
        driver.memory.store(RING.offset(16 * index), low);
        driver.memory.store(RING.offset(16 * index + 8), high);
    }
    driver.clear_command(QIE);
    driver.unit.write(0x90, Width::Bits64, RING.0 | 7);
    driver.set_command(QIE);
    driver.unit.write(0x88, Width::Bits64, 16 * DESCRIPTORS);
    assert_eq!(driver.read(0x80), 16 * DESCRIPTORS);
    assert_eq!(load(&mut port), Ok(1), "all of them were for other pages");
}
