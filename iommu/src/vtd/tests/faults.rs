//! The fault log: records, overflow, the event, and faults that are hidden.

use mmu::address::PAGE_SIZE;
use pcie::Msi;

use super::driver::{DOMAIN, Driver, PAGE, SOURCE, load, load_at};
use crate::vtd::Width;
use crate::vtd::port::Port;

const FSTS: u64 = 0x34;
const PFO: u64 = 1;
const PPF: u64 = 2;
const RECORDS: u64 = 0x220;
const EVENT: Msi = Msi { address: 0xfee0_0000, data: 0x30 };

fn driver() -> (Driver, Port) {
    let mut driver = Driver::legacy();
    driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.write_word(0x3c, 0x30);
    driver.write_word(0x40, 0xfee0_0000);
    driver.write_word(0x38, 0);
    let port = driver.port();
    (driver, port)
}

fn clear_record(driver: &Driver, index: u64) {
    driver.write_word(RECORDS + index * 16 + 12, 1 << 31);
}

#[test]
fn a_fault_is_recorded_and_raises_the_event() {
    let (driver, mut port) = driver();
    load(&mut port).unwrap_err();
    assert_eq!(driver.read_word(FSTS), PPF);
    assert_eq!(driver.read(RECORDS), PAGE.0);
    assert_eq!(driver.read(RECORDS + 8), 3 << 62 | 6 << 32 | u64::from(SOURCE.0));
    assert_eq!(driver.interrupts.take(), [EVENT]);
    load(&mut port).unwrap_err();
    assert_eq!(driver.interrupts.take(), [], "software has not looked yet");
    assert_ne!(driver.read(RECORDS + 24) >> 63, 0, "but it is recorded");
}

#[test]
fn an_event_whose_address_is_no_interrupts_reaches_nobody() {
    let (driver, mut port) = driver();
    driver.write_word(0x40, 0x3000);
    load(&mut port).unwrap_err();
    assert_eq!(driver.interrupts.take(), []);
}

#[test]
fn pending_goes_with_the_last_record() {
    let (driver, mut port) = driver();
    load(&mut port).unwrap_err();
    load(&mut port).unwrap_err();
    clear_record(&driver, 0);
    assert_eq!(driver.read_word(FSTS), PPF | 1 << 8, "the oldest is the second");
    clear_record(&driver, 1);
    assert_eq!(driver.read_word(FSTS) & PPF, 0);
    driver.interrupts.take();
    load(&mut port).unwrap_err();
    assert_eq!(driver.interrupts.take(), [EVENT]);
}

#[test]
fn a_full_log_overflows_and_records_nothing_until_that_is_cleared() {
    let (driver, mut port) = driver();
    for page in 0..8 {
        load_at(&mut port, None, PAGE.offset(page * PAGE_SIZE)).unwrap_err();
    }
    assert_eq!(driver.read_word(FSTS) & PFO, 0);
    load(&mut port).unwrap_err();
    assert_eq!(driver.read_word(FSTS) & PFO, PFO);
    clear_record(&driver, 0);
    load(&mut port).unwrap_err();
    assert_eq!(driver.read(RECORDS + 8) >> 63, 0, "PFO still stands");
    driver.write_word(FSTS, PFO);
    load(&mut port).unwrap_err();
    assert_eq!(driver.read(RECORDS + 8) >> 63, 1);
}

#[test]
fn records_are_written_behind_those_in_use_and_not_where_there_is_room_before() {
    let (driver, mut port) = driver();
    for page in 0..6 {
        load_at(&mut port, None, PAGE.offset(page * PAGE_SIZE)).unwrap_err();
    }
    [0, 1].iter().for_each(|index| clear_record(&driver, *index));
    assert_eq!(driver.read_word(FSTS) >> 8, 2, "the oldest");
    load(&mut port).unwrap_err();
    let is_used = |index: u64| driver.read(RECORDS + index * 16 + 8) >> 63 != 0;
    let used: Vec<_> = (0..8).filter(|index| is_used(*index)).collect();
    assert_eq!(used, [2, 3, 4, 5, 6]);
}

#[test]
fn a_masked_event_waits_and_is_forgotten_when_software_looks_by_itself() {
    let (driver, mut port) = driver();
    driver.write_word(0x38, 1 << 31);
    load(&mut port).unwrap_err();
    assert_eq!(driver.interrupts.take(), []);
    assert_eq!(driver.read_word(0x38) >> 30, 3, "IM and IP");
    clear_record(&driver, 0);
    driver.write_word(0x38, 0);
    assert_eq!(driver.interrupts.take(), []);
}

#[test]
fn fpd_hides_faults() {
    let (mut driver, mut port) = driver();
    let place = driver.context_place(SOURCE);
    let entry = driver.memory.load(place);
    driver.memory.store(place, entry | 2);
    load(&mut port).unwrap_err();
    assert_eq!(driver.read_word(FSTS), 0);
    let mut scalable = Driver::scalable();
    let directory = scalable.attach_scalable(SOURCE);
    scalable.first_stage(directory, 0, DOMAIN);
    let place = scalable.pasid_place(directory, 0);
    let entry = scalable.memory.load(place);
    scalable.memory.store(place, entry | 2);
    load(&mut scalable.port()).unwrap_err();
    assert_eq!(scalable.read_word(FSTS), 0);
}

#[test]
fn fpd_of_a_directory_entry_hides_the_faults_of_all_its_pasids() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    driver.first_stage(directory, 0, DOMAIN);
    let present = driver.memory.load(directory);
    let mut port = driver.port();
    for entry in [present | 2, 2] {
        driver.memory.store(directory, entry);
        driver.invalidate(&[super::driver::invalidations::all_pasid_entries()]);
        load(&mut port).unwrap_err();
        assert_eq!(driver.read_word(FSTS), 0, "{entry:#x}");
    }
    driver.memory.store(directory, 0);
    load(&mut port).unwrap_err();
    assert_eq!(driver.read_word(FSTS), PPF);
}

#[test]
fn a_record_is_read_by_halves_too() {
    let (driver, mut port) = driver();
    load(&mut port).unwrap_err();
    assert_eq!(driver.unit.read(RECORDS + 12, Width::Bits32), 3 << 30 | 6);
}
