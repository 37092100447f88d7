//! What ends with a change of the Enable bit, and with a reset, although no software asks for it.
//!
//! Source: PCIe 10.3.7 (implicit invalidation), 10.4 (page requests).

use std::sync::atomic::{AtomicBool, Ordering};

use mmu::address::{Access, VirtAddr};
use pcie::{Ats, PageRequest, Request, Wants};

use super::super::driver::invalidations;
use super::super::driver::{DOMAIN, Driver, FIRST_STAGE, PAGE, SECOND_STAGE, SOURCE, load, load_at, pasid};
use super::stale;
use crate::vtd::options::{Judging, StaleOptions, VtdOptions, Watching};
use crate::vtd::port::Port;

/// The Enable bit goes from 1 to 0, and to 1 again.
fn off_and_on(port: &mut Port) {
    port.set_ats(Ats::Disabled);
    port.set_ats(Ats::Enabled);
}

#[test]
fn a_device_tlb_is_empty_when_ats_is_switched_on() {
    let (mut driver, mut port, _) = stale();
    driver.invalidate(&[invalidations::all()]);
    port.set_ats(Ats::Enabled);
    assert_eq!(load(&mut port), Ok(1), "on already: nothing changes");
    off_and_on(&mut port);
    assert_eq!(load(&mut port), Ok(2));
    assert!(driver.unit.device(SOURCE).unwrap().cached(None, PAGE).is_some(), "and it is kept again");
}

#[test]
fn every_port_of_the_device_follows() {
    let (mut driver, mut port, table) = stale();
    driver.invalidate(&[invalidations::all()]);
    let mut other = driver.port();
    assert_eq!(load(&mut other), Ok(1), "through the same TLB");
    off_and_on(&mut port);
    assert_eq!(load(&mut other), Ok(2));
    port.set_ats(Ats::Disabled);
    driver.map(SECOND_STAGE, table, PAGE, 3);
    driver.invalidate(&[invalidations::all()]);
    assert_eq!(load(&mut other), Ok(3), "nothing is kept while it is off");
    assert_eq!(driver.unit.device(SOURCE).unwrap().cached(None, PAGE), None);
    port.set_ats(Ats::Enabled);
    assert_eq!(load(&mut other), Ok(3));
    assert!(driver.unit.device(SOURCE).unwrap().cached(None, PAGE).is_some(), "at once");
}

/// Whether a change waits until another thread's access through what goes has ended.
fn waits_for_access(change: fn(&mut Port)) -> bool {
    let (driver, mut port, _) = stale();
    let mut other = driver.port();
    let in_flight = other.translate(Request { pasid: None, address: PAGE, access: Access::Read }).unwrap();
    let device = driver.unit.device(SOURCE).unwrap();
    let changed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            change(&mut port);
            changed.store(true, Ordering::SeqCst);
        });
        while device.cache().draining() == 0 && !changed.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let waits = !changed.load(Ordering::SeqCst);
        assert_eq!(in_flight.load(), 1);
        waits
    })
}

#[test]
fn no_access_through_what_went_is_in_flight_when_the_bit_has_changed() {
    assert!(waits_for_access(|port| port.set_ats(Ats::Disabled)));
    assert!(waits_for_access(Port::reset));
    assert!(!waits_for_access(|port| port.set_ats(Ats::Enabled)), "it is on already");
}

#[test]
fn what_a_late_device_was_told_to_forget_is_forgotten() {
    let (mut driver, mut port, _) = stale();
    driver.unit.hold_device_tlb(SOURCE);
    let wait = driver.wait();
    driver.submit(&[invalidations::all(), invalidations::device_page(SOURCE, PAGE), wait]);
    assert!(!driver.waited());
    off_and_on(&mut port);
    assert!(driver.waited(), "nothing is owed any more");
    assert_eq!(load(&mut port), Ok(2));
    let wait = driver.wait();
    driver.submit(&[invalidations::device_page(SOURCE, PAGE), wait]);
    assert!(!driver.waited(), "it is as late as before");
}

#[test]
fn so_is_what_is_too_much_for_a_late_device_and_nothing_that_it_takes_later() {
    let (mut driver, mut port, _) = stale();
    driver.unit.hold_device_tlb(SOURCE);
    driver.submit(&[invalidations::all()]);
    for _ in 0..20 {
        driver.submit(&[invalidations::device_page(SOURCE, PAGE); 60]);
    }
    let wait = driver.wait();
    driver.submit(&[wait]);
    assert!(!driver.waited());
    off_and_on(&mut port);
    assert!(driver.waited());
    assert_eq!(load(&mut port), Ok(2));
    driver.unit.release_device_tlb(SOURCE);
    assert!(driver.unit.device(SOURCE).unwrap().cached(None, PAGE).is_some(), "nobody asked for that");
}

#[test]
fn what_is_gone_is_neither_reported_nor_listed() {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load(&mut port).unwrap();
    driver.map(SECOND_STAGE, table, PAGE, 2);
    driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    assert_eq!(driver.unit.audit().len(), 1);
    port.set_ats(Ats::Disabled);
    assert_eq!(driver.unit.audit(), [], "nobody can use it any more");
    port.set_ats(Ats::Enabled);
    assert_eq!(load(&mut port), Ok(2));
    assert_eq!(driver.unit.take_stale_uses(), []);
}

#[test]
fn a_reset_takes_translations_and_answers_that_are_on_their_way() {
    let mut driver = Driver::scalable();
    let ring = driver.frame();
    driver.unit.write(0xd0, crate::vtd::Width::Bits64, ring.0);
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    let read = |port: &mut Port| load_at(port, Some(pasid(5)), PAGE);
    assert_eq!(read(&mut port), Ok(1));
    driver.map(FIRST_STAGE, table, PAGE, 2);
    driver.invalidate(&[invalidations::all()]);
    let request = PageRequest {
        source: SOURCE,
        pasid: Some(pasid(5)),
        address: VirtAddr(0x5000),
        wants: Wants { read: true, ..Wants::default() },
        group: 3,
        last: true,
        private_data: None,
    };
    port.request_page(request).unwrap();
    driver.submit(&[[9 | 1 << 4 | u64::from(SOURCE.0) << 16 | 5 << 32, 1 << 2 | 3 << 3, 0, 0]]);
    port.reset();
    assert_eq!(port.next_response(), None);
    assert_eq!(read(&mut port), Ok(2), "and ATS is off");
    assert_eq!(driver.unit.device(SOURCE).unwrap().cached(Some(pasid(5)), PAGE), None);
}
