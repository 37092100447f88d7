//! Whatever a guest writes is data: no panic, no work without end.

use mmu::address::{Access, PhysAddr, VirtAddr};

use super::driver::{Driver, SOURCE, pasid};
use crate::spec::interrupt::Msi;
use crate::vtd::Width;
use crate::vtd::interrupts::InterruptSource;
use crate::vtd::options::{CachingMode, VtdOptions};
use crate::vtd::port::{Ats, Request};

#[test]
fn random_tables_registers_and_requests_break_nothing() {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..60 {
        let mode = if round % 2 == 0 { CachingMode::PresentOnly } else { CachingMode::AlsoAbsent };
        let options = VtdOptions { caching_mode: mode, ..VtdOptions::default() };
        let driver =
            if round % 3 == 0 { Driver::legacy_with(options) } else { Driver::scalable_with(options) };
        scribble(&driver, &mut random);
        let mut port = driver.unit.port(SOURCE, 16);
        for _ in 0..400 {
            turn(&driver, &mut port, &mut random);
        }
    }
}

/// Fills memory with words that look like entries that lead back into it.
fn scribble(driver: &Driver, random: &mut fastrand::Rng) {
    for frame in 0..64 {
        for word in 0..512 {
            let entry = random.u64(0..64) << 12 | random.u64(0..0x1000) | random.u64(0..2) << 63;
            driver.memory.store(PhysAddr(frame << 12 | word << 3), entry);
        }
    }
}

fn turn(driver: &Driver, port: &mut crate::vtd::port::Port, random: &mut fastrand::Rng) {
    let width = if random.bool() { Width::Bits32 } else { Width::Bits64 };
    let small = random.u64(..) >> random.u32(0..64);
    match random.u32(0..8) {
        0 => driver.unit.write(random.u64(0..0x300), width, small),
        1 => driver.unit.write(random.u64(0..0x30) * 8, width, small & 0xff_ffff),
        2 => driver.unit.write(0x88, Width::Bits64, small & 0x1ff0),
        3 => drop(driver.unit.read(random.u64(0..0x1010), width)),
        4 => port.set_ats(if random.bool() { Ats::Enabled } else { Ats::Disabled }),
        5 => {
            let message = Msi { address: 0xfee0_0000 | random.u64(0..1 << 20), data: random.u32(..) };
            let _answer = driver.unit.interrupt(InterruptSource::Function(SOURCE), message);
        }
        _ => {
            let with = if random.bool() { Some(pasid(random.u32(0..4096))) } else { None };
            let access = if random.bool() { Access::Read } else { Access::Write };
            let request = Request { pasid: with, address: VirtAddr(small & !7), access };
            let _answer = port.translate(request).map(|in_flight| in_flight.load());
        }
    }
}

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
