//! Memory that somebody else maps, with holes: a table in one is the fault that the specification has for it, and nothing
//! else; a page in one reads as all ones.

use std::sync::Arc;

use mmu::address::{PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use pcie::Msi;
use vm_memory::{GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};

use super::driver::{
    DOMAIN, Driver, FIRST_STAGE, Format, PAGE, SECOND_STAGE, SOURCE, lent, load, load_at, pasid, store,
    theirs,
};
use crate::spec::fault::FaultReason;
use crate::vtd::interrupts::InterruptSource;
use crate::vtd::options::VtdOptions;
use crate::vtd::port::Port;
use crate::vtd::{Vtd, Width};

/// Addresses between the two regions, one behind both, and the last page that an entry can name.
const HOLES: [PhysAddr; 3] = [PhysAddr(3 << 20), PhysAddr(16 << 20), PhysAddr(0x000f_ffff_ffff_f000)];
const FSTS: u64 = 0x34;
const IQE: u64 = 1 << 4;
const PPF: u64 = 1 << 1;

fn memory() -> PhysicalMemory {
    lent(&[0..2 << 20, 6 << 20..8 << 20])
}

fn driver() -> Driver {
    Driver::over(memory(), |memory, sink| Vtd::new(memory, VtdOptions::default(), sink))
}

/// The device's request is refused for that reason, which is in the log, once; and the unit goes on.
#[track_caller]
fn refused(driver: &Driver, port: &mut Port, reason: FaultReason) {
    assert_eq!(load(port).unwrap_err().reason, reason);
    assert_eq!(driver.read_word(FSTS) & PPF, PPF, "{reason:?}");
    assert_eq!(driver.read(0x228) >> 32 & 0xff, reason as u64, "in the log");
    assert_eq!(store(port, 1).unwrap_err().reason, reason, "and for a write");
}

#[test]
fn each_table_of_legacy_mode_in_a_hole_is_its_own_fault() {
    for hole in HOLES {
        let mut driver = driver();
        driver.set_root(hole);
        let driver = driver.started();
        refused(&driver, &mut driver.port(), FaultReason::RootAccess);

        let driver = self::driver().started();
        let place = driver.root_place(SOURCE);
        driver.memory.store(place, hole.0 | 1);
        refused(&driver, &mut driver.port(), FaultReason::ContextAccess);

        for level in 1..=3 {
            let mut driver = self::driver().started();
            let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
            let place = driver.place(SECOND_STAGE, table, PAGE, level + 1);
            driver.memory.store(place, hole.0 | SECOND_STAGE.link);
            refused(&driver, &mut driver.port(), FaultReason::TableAccess);
        }
    }
}

#[test]
fn each_table_of_scalable_mode_in_a_hole_is_its_own_fault() {
    for hole in HOLES {
        let driver = driver().started_scalable();
        let place = driver.root_place(SOURCE);
        driver.memory.store(place, hole.0 | 1);
        refused(&driver, &mut driver.port(), FaultReason::ScalableContextAccess);

        let mut driver = self::driver().started_scalable();
        let place = driver.context_place(SOURCE);
        driver.memory.store(place, hole.0 | 0b11101);
        refused(&driver, &mut driver.port(), FaultReason::DirectoryAccess);

        let mut driver = self::driver().started_scalable();
        let directory = driver.attach_scalable(SOURCE);
        driver.memory.store(directory, hole.0 | 1);
        refused(&driver, &mut driver.port(), FaultReason::PasidAccess);
    }
}

#[test]
fn each_first_stage_table_in_a_hole_is_its_own_fault() {
    for hole in HOLES {
        let mut driver = driver().started_scalable();
        let directory = driver.attach_scalable(SOURCE);
        driver.first_stage(directory, 0, DOMAIN);
        let place = driver.pasid_place(directory, 0).offset(16);
        driver.memory.store(place, hole.0);
        refused(&driver, &mut driver.port(), FaultReason::FirstStageRoot);

        for level in 1..=3 {
            let mut driver = self::driver().started_scalable();
            let directory = driver.attach_scalable(SOURCE);
            let table = driver.first_stage(directory, 0, DOMAIN);
            let place = driver.place(FIRST_STAGE, table, PAGE, level + 1);
            driver.memory.store(place, hole.0 | FIRST_STAGE.link);
            refused(&driver, &mut driver.port(), FaultReason::FirstStageAccess);
        }
    }
}

#[test]
fn a_queue_in_a_hole_is_an_error_of_the_queue() {
    for hole in HOLES {
        let driver = driver().started();
        driver.unit.write(0x18, Width::Bits32, 1 << 31);
        driver.unit.write(0x90, Width::Bits64, hole.0);
        driver.unit.write(0x18, Width::Bits32, 1 << 31 | 1 << 26);
        driver.unit.write(0x88, Width::Bits64, 16);
        assert_eq!(driver.read_word(FSTS) & IQE, IQE, "{hole}");
        assert_eq!(driver.read(0x80), 0, "it stands at what it cannot read");
    }
}

#[test]
fn a_status_in_a_hole_takes_nothing_and_the_queue_goes_on() {
    for hole in HOLES {
        let mut driver = driver().started();
        driver.submit(&[[5 | 1 << 5 | 7 << 32, hole.0, 0, 0]]);
        driver.invalidate(&[]);
        assert_eq!(driver.read_word(FSTS), 0);
    }
}

#[test]
fn an_interrupt_table_in_a_hole_is_its_own_fault() {
    for hole in HOLES {
        let driver = driver().started();
        driver.unit.write(0xb8, Width::Bits64, hole.0 | 7);
        driver.command_once(1 << 24);
        driver.command_once(1 << 25);
        let message = Msi { address: 0xfee0_0010 | 3 << 5, data: 0 };
        let found = driver.unit.interrupt(InterruptSource::Function(SOURCE), message);
        assert_eq!(found, Err(FaultReason::InterruptTableAccess), "{hole}");
        assert_eq!(driver.interrupts.take(), []);
    }
}

#[test]
fn a_page_in_a_hole_is_translated_and_nothing_answers_there() {
    for hole in HOLES {
        let mut driver = driver().started();
        let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
        let place = driver.place(SECOND_STAGE, table, PAGE, 1);
        driver.memory.store(place, hole.0 | SECOND_STAGE.leaf);
        let mut port = driver.port();
        assert_eq!(load(&mut port), Ok(u64::MAX));
        assert_eq!(store(&mut port, 1), Ok(()));
        let mut bytes = [0; 16];
        port.read(None, PAGE, &mut bytes).unwrap();
        assert_eq!((bytes, driver.read_word(FSTS)), ([0xff; 16], 0));
    }
}

#[test]
fn a_page_in_another_region_is_reached_as_in_the_first() {
    for format in [SECOND_STAGE, Format { leaf: 3 | 1 << 11, ..SECOND_STAGE }] {
        let mut driver = driver().started();
        let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
        let (frame, place) = (PhysAddr(7 << 20), driver.place(format, table, PAGE, 1));
        driver.memory.store(place, frame.0 | format.leaf);
        driver.memory.store(frame, 0x1122);
        assert_eq!(load(&mut driver.port()), Ok(0x1122));
        store(&mut driver.port(), 5).unwrap();
        assert_eq!(driver.memory.load(frame), 5);
    }
}

/// A device that has read its page of PASID 5, whose table and frame lie in the second region, which can go.
struct Shrinking {
    theirs: GuestMemoryAtomic<GuestMemoryMmap>,
    driver: Driver,
    port: Port,
}

const SECOND: u64 = 6 << 20;

fn shrinking() -> Shrinking {
    let theirs = GuestMemoryAtomic::new(theirs(&[0..2 << 20, SECOND..8 << 20]));
    let memory = PhysicalMemory::lent(theirs.clone()).unwrap();
    let unit = |memory, sink| Vtd::new(memory, VtdOptions::default(), sink);
    let mut driver = Driver::over(memory, unit).started_scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    let place = driver.place(FIRST_STAGE, table, PAGE, 2);
    driver.memory.store(place, SECOND | FIRST_STAGE.link);
    let leaf = PhysAddr(SECOND).offset(PAGE.table_index(1) * 8);
    driver.memory.store(leaf, (SECOND + 0x1000) | FIRST_STAGE.leaf);
    driver.memory.store(PhysAddr(SECOND + 0x1000), 9);
    let mut port = driver.port();
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(9));
    Shrinking { theirs, driver, port }
}

impl Shrinking {
    fn shrink(&self) {
        let region = GuestAddress(SECOND);
        let (less, _gone) = self.theirs.memory().remove_region(region, 2 << 20).unwrap();
        self.theirs.lock().unwrap().replace(less);
    }
}

#[test]
fn what_is_cached_of_memory_that_went_reads_as_ones_and_is_a_fault_once_it_is_invalidated() {
    let mut scene = shrinking();
    scene.shrink();
    assert_eq!(load_at(&mut scene.port, Some(pasid(5)), PAGE), Ok(u64::MAX), "the IOTLB has it still");
    assert_eq!(scene.driver.read_word(FSTS), 0);
    scene.driver.invalidate(&[super::driver::invalidations::pasid(DOMAIN, 5)]);
    let refused = load_at(&mut scene.port, Some(pasid(5)), PAGE).unwrap_err();
    assert_eq!(refused.reason, FaultReason::FirstStageAccess);
}

#[test]
fn an_access_in_flight_when_memory_goes_moves_nothing() {
    let mut scene = shrinking();
    let theirs = scene.theirs.clone();
    let request = pcie::Request { pasid: Some(pasid(5)), address: PAGE, access: mmu::address::Access::Write };
    for doing in 0..3 {
        let in_flight = scene.port.translate(request).unwrap();
        let memory = theirs.memory();
        let (less, gone) = memory.remove_region(GuestAddress(SECOND), 2 << 20).unwrap();
        theirs.lock().unwrap().replace(less.clone());
        match doing {
            0 => in_flight.store(1),
            1 => assert_eq!(in_flight.update(|word| word + 1), u64::MAX),
            _ => in_flight.write(&[1; 8]),
        }
        let whole = less.insert_region(Arc::clone(&gone)).unwrap();
        theirs.lock().unwrap().replace(whole);
        assert_eq!(load_at(&mut scene.port, Some(pasid(5)), PAGE), Ok(9), "doing {doing}");
    }
    let beyond = load_at(&mut scene.port, Some(pasid(5)), VirtAddr(1 << 50)).unwrap_err();
    assert_eq!(beyond.reason, FaultReason::NotCanonical);
}
