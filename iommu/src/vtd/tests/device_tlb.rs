//! Device TLBs: translations that a device keeps, and how they are taken from it.

mod enable;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mmu::address::{Access, PAGE_SIZE, PhysAddr};
use pcie::{Ats, Request, SourceId};

use super::driver::invalidations;
use super::driver::{DOMAIN, Driver, FIRST_STAGE, PAGE, SECOND_STAGE, SOURCE, load, load_at, pasid, store};
use crate::spec::fault::FaultReason;
use crate::vtd::Vtd;
use crate::vtd::knobs::Fault;
use crate::vtd::options::{CacheSizes, Judging, StaleOptions, VtdOptions, Watching};
use crate::vtd::port::Port;

/// A device that has read a page through its TLB, and the page's table. The page has been mapped anew since.
fn stale() -> (Driver, Port, PhysAddr) {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    assert_eq!(load(&mut port), Ok(1));
    driver.map(SECOND_STAGE, table, PAGE, 2);
    (driver, port, table)
}

#[test]
fn rule_04_a_device_tlb_outlives_iotlb_invalidations() {
    let (mut driver, mut port, _) = stale();
    driver.invalidate(&[invalidations::all()]);
    assert_eq!(load(&mut port), Ok(1), "the device asks nobody");
    driver.invalidate(&[invalidations::device_page(SOURCE, PAGE)]);
    assert_eq!(load(&mut port), Ok(2));
}

#[test]
fn rule_04_the_lowest_zero_bit_says_how_much_goes() {
    let span = |pages: u64| PAGE.0 & !(pages * PAGE_SIZE - 1) | (pages * PAGE_SIZE / 2 - PAGE_SIZE);
    for (address, seen) in
        [(span(2), 2), (span(512), 2), (PAGE.0 - 0x1000 + 0x20_0000, 1), (u64::MAX << 12, 2)]
    {
        let (mut driver, mut port, _) = stale();
        driver.invalidate(&[invalidations::all(), invalidations::device_span(SOURCE, address)]);
        assert_eq!(load(&mut port), Ok(seen), "{address:#x}");
    }
}

#[test]
fn rule_04_of_another_device_or_pasid_nothing_goes() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    let mut seen = || load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    assert_eq!(seen(), 1);
    driver.map(FIRST_STAGE, table, PAGE, 2);
    driver.invalidate(&[
        invalidations::all(),
        invalidations::device_pasid_page(SourceId(SOURCE.0 ^ 8), 5, PAGE),
        invalidations::device_pasid_page(SOURCE, 6, PAGE),
        invalidations::device_page(SOURCE, PAGE),
    ]);
    assert_eq!(seen(), 1);
    driver.invalidate(&[invalidations::device_pasid_page(SOURCE, 5, PAGE)]);
    assert_eq!(seen(), 2);
}

#[test]
fn rule_04_a_device_has_not_answered_while_it_uses_what_it_was_told_to_forget() {
    let (mut driver, mut port, _) = stale();
    let unit = std::sync::Arc::clone(&driver.unit);
    let in_flight = port.translate(Request { pasid: None, address: PAGE, access: Access::Read }).unwrap();
    let wait = driver.wait();
    driver.put(&[invalidations::all(), invalidations::device_page(SOURCE, PAGE), wait]);
    let rung = AtomicBool::new(false);
    let (tail, device) = (driver.tail(), unit.device(SOURCE).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            unit.write(0x88, crate::vtd::Width::Bits64, tail);
            rung.store(true, Ordering::SeqCst);
        });
        while device.cache().draining() == 0 {
            assert!(!rung.load(Ordering::SeqCst), "the doorbell returned without waiting");
            std::thread::yield_now();
        }
        assert!(!driver.waited());
        assert_eq!(in_flight.load(), 1);
    });
    assert!(driver.waited());
}

#[test]
fn a_stale_use_is_excused_when_the_device_has_answered_and_not_before() {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::Late(Duration::MAX) };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load(&mut port).unwrap();
    driver.map(SECOND_STAGE, table, PAGE, 2);
    let in_flight = port.translate(Request { pasid: None, address: PAGE, access: Access::Read }).unwrap();
    let wait = driver.wait();
    driver.put(&[invalidations::all(), invalidations::device_page(SOURCE, PAGE), wait]);
    let rung = AtomicBool::new(false);
    let (tail, device) = (driver.tail(), driver.unit.device(SOURCE).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            driver.unit.write(0x88, crate::vtd::Width::Bits64, tail);
            rung.store(true, Ordering::SeqCst);
        });
        while device.cache().draining() == 0 {
            assert!(!rung.load(Ordering::SeqCst), "the doorbell returned without waiting");
            std::thread::yield_now();
        }
        assert_eq!(driver.unit.tally().open, 1);
        assert_eq!(in_flight.load(), 1);
    });
    assert_eq!((driver.unit.tally().open, driver.unit.tally().dropped), (0, 1));
}

#[test]
fn rule_04_a_wait_is_not_complete_before_a_late_device_answers() {
    let (mut driver, mut port, _) = stale();
    driver.unit.hold_device_tlb(SOURCE);
    let wait = driver.wait();
    driver.submit(&[invalidations::all(), invalidations::device_page(SOURCE, PAGE), wait]);
    assert!(!driver.waited());
    assert_eq!(load(&mut port), Ok(1), "it still uses what it has");
    driver.unit.release_device_tlb(SOURCE);
    assert!(driver.waited());
    assert_eq!(load(&mut port), Ok(2));
}

/// IOTLB and device TLB are invalidated in one batch, and the device reads after each descriptor.
fn seen_at_the_end(fault: Option<Fault>) -> u64 {
    let (mut driver, mut port, _) = stale();
    if let Some(fault) = fault {
        driver.unit.break_queue(fault);
    }
    driver.unit.hold_queue(0);
    let wait = driver.wait();
    driver.submit(&[invalidations::pages(DOMAIN, PAGE, 0), invalidations::device_page(SOURCE, PAGE), wait]);
    for _ in 0..3 {
        driver.unit.hold_queue(1);
        load(&mut port).unwrap();
    }
    assert!(driver.waited());
    load(&mut port).unwrap()
}

#[test]
fn rule_05_the_device_tlb_is_not_invalidated_before_the_iotlb_invalidations_ahead_of_it() {
    assert_eq!(seen_at_the_end(None), 2);
    assert_eq!(seen_at_the_end(Some(Fault::Postpone { nth: 1 })), 1, "refilled from the stale IOTLB");
    assert_eq!(seen_at_the_end(Some(Fault::Drop { nth: 1 })), 1);
    assert_eq!(seen_at_the_end(Some(Fault::Drop { nth: 2 })), 1);
}

#[test]
fn rule_16_a_translated_request_bypasses_the_iotlb_and_is_checked_against_the_context_entry() {
    let (mut driver, mut port, table) = stale();
    driver.unmap(SECOND_STAGE, table, PAGE);
    driver.invalidate(&[invalidations::all()]);
    assert_eq!(load(&mut port), Ok(1), "not translated again");
    let place = driver.context_place(SOURCE);
    let entry = driver.memory.load(place);
    driver.memory.store(place, entry & !0b1100);
    driver.invalidate(&[invalidations::all_contexts()]);
    assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::DeviceTlbBlocked);
    assert_eq!(driver.read(0x228) >> 60 & 3, 2, "recorded as a translated request");
}

#[test]
fn rule_16_in_scalable_mode_dte_decides() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 0, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let place = driver.context_place(SOURCE);
    let entry = driver.memory.load(place);
    driver.memory.store(place, entry & !(1 << 2));
    let mut port = driver.ats_port();
    assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::DeviceTlbDisabled);
}

#[test]
fn a_device_that_asks_ahead_for_what_is_not_there_causes_no_fault() {
    let (mut driver, mut port, table) = stale();
    driver.unmap(SECOND_STAGE, table, PAGE.offset(PAGE_SIZE));
    let blocked = load_at(&mut port, None, PAGE.offset(PAGE_SIZE)).unwrap_err();
    assert_eq!(blocked.reason, FaultReason::ReadNotAllowed);
    assert_eq!(driver.read_word(0x34), 0);
}

#[test]
fn a_translation_that_is_refused_for_good_is_recorded_as_a_translation_request() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 0, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let place = driver.place(FIRST_STAGE, table, PAGE, 2);
    let entry = driver.memory.load(place);
    let mut port = driver.ats_port();
    driver.memory.store(place, 0);
    assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::FirstStageNotPresent);
    assert_eq!(driver.read_word(0x34), 0, "it may come");
    // A large page whose frame is not aligned.
    driver.memory.store(place, entry | 0x2080);
    assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::FirstStageReserved);
    assert_eq!(driver.read(0x228) >> 60 & 3, 1, "a translation request");
    assert_eq!(driver.read(0x228) >> 32 & 0xff, 0x72);
}

#[test]
fn who_asks_ahead_in_the_name_of_nobody_is_told_so_and_no_more() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let reason = |port: &mut Port| load_at(port, Some(pasid(6)), PAGE).unwrap_err().reason;
    assert_eq!(reason(&mut driver.ats_port()), FaultReason::DirectoryNotPresent);
    assert_eq!(driver.read(0x228) >> 32, 0, "nothing is recorded");
    let mut port = driver.port();
    port.set_ats(Ats::Disabled);
    assert_eq!(reason(&mut port), FaultReason::DirectoryNotPresent);
    assert_eq!(driver.read(0x228) >> 32 & 0xff, 0x51, "without ATS it is a fault");
    driver.memory.store(directory, 0b101);
    assert_eq!(reason(&mut driver.ats_port()), FaultReason::DirectoryReserved);
    assert_eq!(driver.read(0x238) >> 32 & 0xff, 0x52, "an entry that is wrong is one with ATS, too");
}

#[test]
fn a_device_asks_again_before_its_first_write() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 0, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let place = driver.place(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load(&mut port).unwrap();
    assert_eq!(driver.memory.load(place) & 1 << 6, 0);
    store(&mut port, 2).unwrap();
    assert_ne!(driver.memory.load(place) & 1 << 6, 0);
}

#[test]
fn a_device_that_forgot_how_to_answer_forgets_everything() {
    let (mut driver, mut port, _) = stale();
    driver.unit.hold_device_tlb(SOURCE);
    let far = PAGE.offset(64 * PAGE_SIZE);
    for _ in 0..20 {
        driver.submit(&[invalidations::device_page(SOURCE, far); 60]);
    }
    let wait = driver.wait();
    driver.submit(&[invalidations::all(), wait]);
    driver.unit.release_device_tlb(SOURCE);
    assert!(driver.waited());
    assert_eq!(load(&mut port), Ok(2));
}

#[test]
fn rule_04_a_global_invalidation_takes_every_pasid_and_leaves_what_has_none() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let mut port = driver.ats_port();
    let names = [None, Some(pasid(5)), Some(pasid(6))];
    for name in names {
        let table = driver.first_stage(directory, name.map_or(0, crate::pasid::Pasid::number), DOMAIN);
        driver.map(FIRST_STAGE, table, PAGE, 1);
        assert_eq!(load_at(&mut port, name, PAGE), Ok(1));
        driver.map(FIRST_STAGE, table, PAGE, 2);
    }
    let [low, high, ..] = invalidations::device_pasid(SOURCE, 5);
    driver.invalidate(&[invalidations::all(), [low, high | 1, 0, 0]]);
    assert_eq!(names.map(|name| load_at(&mut port, name, PAGE).unwrap()), [1, 2, 2]);
}

#[test]
fn what_a_device_keeps_itself_goes_before_a_route_that_lets_pass() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 8);
    let mut port = driver.ats_port();
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(8));
    driver.pass_through(directory, 5);
    driver.invalidate(&[invalidations::pasid_entry(DOMAIN, 5), invalidations::pasid(DOMAIN, 5)]);
    for _ in 0..3 {
        assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(8), "nobody told the device");
    }
}

#[test]
fn who_admits_a_device_hears_of_a_host_without_room_and_decides_the_size_of_its_tlb() {
    let driver = Driver::legacy();
    assert!(driver.unit.admit(SOURCE, usize::MAX / 4).is_err());
    assert!(driver.unit.admit(SOURCE, 3).is_ok());
    assert!(driver.unit.admit(SOURCE, usize::MAX / 4).is_ok(), "it has one");
    let _port = driver.unit.port(SOURCE, usize::MAX / 4);
    let caches = CacheSizes { iotlb: usize::MAX / 4, ..CacheSizes::default() };
    let options = VtdOptions { caches, ..VtdOptions::default() };
    assert!(Vtd::try_new(driver.memory, options, driver.interrupts).is_err());
}
