//! What a port does between a look at a route and a use of it, step by step: no test can hit these moments from outside.

use mmu::address::{Access, PhysAddr};

use crate::stale::watch::{Patience, Place, StaleOptions, Use, Watching};
use crate::vtd::options::VtdOptions;
use crate::vtd::port::memo::Memos;
use crate::vtd::port::walk::Walk;
use crate::vtd::port::{Ats, Port, Request};
use crate::vtd::route::Requester;
use crate::vtd::tests::driver::invalidations;
use crate::vtd::tests::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE, load};
use crate::vtd::walk::identity;

const READ: Request = Request { pasid: None, address: PAGE, access: Access::Read };

#[test]
fn a_walk_whose_route_ended_before_its_tickets_fills_nothing() {
    let mut driver = Driver::legacy();
    let old = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, old, PAGE, 1);
    let mut port = driver.port();
    let mut memos = Memos::new(&port.wiring.device);
    let memo = memos.find(&driver.unit, None).unwrap().clone();

    let new = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, new, PAGE, 2);
    driver.invalidate(&[invalidations::all_contexts(), invalidations::all()]);
    let section = port.iotlb.enter();
    let mut walk = Walk::begin(&driver.unit, &section, &memo);
    assert!(walk.is_overtaken());
    walk.finish(&READ).unwrap();
    drop(section);

    assert_eq!(load(&mut port), Ok(2), "not what the old route led to");
}

#[test]
fn a_walk_with_a_current_route_fills() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    let mut memos = Memos::new(&port.wiring.device);
    let memo = memos.find(&driver.unit, None).unwrap().clone();
    let section = port.iotlb.enter();
    let mut walk = Walk::begin(&driver.unit, &section, &memo);
    assert!(!walk.is_overtaken());
    let found = walk.finish(&READ).unwrap();
    drop(section);
    assert_eq!(driver.unit.iotlb.contains(memo.tag(Ats::Disabled).unwrap(), PAGE), Some(found));
}

#[test]
fn a_use_that_an_invalidation_overtook_is_not_reported() {
    let stale = StaleOptions { watching: Watching::EveryUse, patience: Patience::FirstUse };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let memo = port.wiring.memos.find(&driver.unit, None).unwrap().clone();
    let tag = memo.tag(Ats::Disabled).unwrap();
    let hit = driver.unit.iotlb.contains(tag, PAGE).unwrap();
    let requester = Requester { source: SOURCE, pasid: None };
    let used = Use {
        requester,
        request: &READ,
        place: Place::Iotlb(tag),
        hit,
        route: &memo.trail,
        stages: memo.space.stages,
    };

    driver.map(SECOND_STAGE, table, PAGE, 2);
    driver.submit(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    driver.unit.check_use(&used);
    assert_eq!(driver.unit.take_stale_uses(), [], "the wait would have drained it");
}

/// A device whose context entry was read, and then led elsewhere.
fn misled() -> (Driver, Port) {
    let stale = StaleOptions { watching: Watching::EveryUse, patience: Patience::FirstUse };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let other = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, other, PAGE, 2);
    driver.invalidate(&[invalidations::domain(DOMAIN)]);
    (driver, port)
}

/// Walks, lets something happen, and then looks at the use that the walk was for.
fn reports_after_a_walk(driver: &mut Driver, port: &mut Port, happens: impl FnOnce(&mut Driver)) -> usize {
    let memo = port.wiring.memos.find(&driver.unit, None).unwrap().clone();
    let section = port.iotlb.enter();
    let mut walk = Walk::begin(&driver.unit, &section, &memo);
    let hit = walk.finish(&READ).unwrap();
    let place = walk.place().unwrap();
    happens(driver);
    let requester = Requester { source: SOURCE, pasid: None };
    let (route, stages) = (&memo.trail, memo.space.stages);
    driver.unit.check_use(&Use { requester, request: &READ, place, hit, route, stages });
    drop(section);
    driver.unit.take_stale_uses().len()
}

#[test]
fn a_walk_is_a_use_of_what_was_cached_before_it() {
    let (mut driver, mut port) = misled();
    assert_eq!(reports_after_a_walk(&mut driver, &mut port, |_| ()), 1);
}

#[test]
fn a_walk_that_an_invalidation_overtook_is_not_reported() {
    let (mut driver, mut port) = misled();
    let flush = |driver: &mut Driver| driver.submit(&[invalidations::all_contexts(), invalidations::all()]);
    assert_eq!(reports_after_a_walk(&mut driver, &mut port, flush), 0);
}

#[test]
fn what_a_walk_read_itself_was_no_use_of_anything_cached() {
    let stale = StaleOptions { watching: Watching::EveryUse, patience: Patience::FirstUse };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    let remap = |driver: &mut Driver| {
        driver.map(SECOND_STAGE, table, PAGE, 2);
    };
    assert_eq!(reports_after_a_walk(&mut driver, &mut port, remap), 0);
}

#[test]
fn a_page_that_passes_is_proved_until_a_word_of_its_route_changes() {
    let stale = StaleOptions { watching: Watching::EveryUse, patience: Patience::FirstUse };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    driver.attach_legacy(SOURCE, DOMAIN, 2);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let passes = |port: &mut Port| port.wiring.quick(&port.iotlb.enter(), &READ);
    assert_eq!(passes(&mut port), Some(PhysAddr(PAGE.0)), "at a look at the words");
    driver.attach_legacy(SOURCE, DOMAIN, 0);
    assert_eq!(passes(&mut port), None, "somebody has to look closer");
}

/// Reports of a use of a route that let the page pass, if something happened between the change and the use.
fn reports_of_passing(happens: impl FnOnce(&mut Driver)) -> usize {
    let stale = StaleOptions { watching: Watching::EveryUse, patience: Patience::FirstUse };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    driver.attach_legacy(SOURCE, DOMAIN, 2);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let memo = port.wiring.memos.find(&driver.unit, None).unwrap().clone();
    driver.attach_legacy(SOURCE, DOMAIN, 0);
    happens(&mut driver);
    let requester = Requester { source: SOURCE, pasid: None };
    let (route, stages) = (&memo.trail, memo.space.stages);
    let (place, hit) = (memo.place().unwrap(), identity(PAGE));
    driver.unit.check_use(&Use { requester, request: &READ, place, hit, route, stages });
    driver.unit.take_stale_uses().len()
}

#[test]
fn a_route_that_an_invalidation_overtook_is_not_reported() {
    assert_eq!(reports_of_passing(|_| ()), 1);
    assert_eq!(reports_of_passing(|driver| driver.submit(&[invalidations::all_contexts()])), 0);
}

#[test]
fn a_translation_that_was_asked_for_before_ats_was_switched_on_is_not_kept() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    let tag = port.wiring.device.tags().of(None).unwrap();
    let ticket = port.device_tlb.enter().begin_fill(tag);
    port.device_tlb.pause();
    port.set_ats(Ats::Disabled);
    port.set_ats(Ats::Enabled);
    assert!(!port.device_tlb.enter().fill(ticket, PAGE, identity(PAGE)), "the answer is late");
    let section = port.device_tlb.enter();
    assert!(section.fill(section.begin_fill(tag), PAGE, identity(PAGE)));
}

#[test]
fn what_came_in_while_ats_was_being_switched_off_is_used_by_nobody() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load(&mut port).unwrap();
    assert!(port.wiring.quick(&port.device_tlb.enter(), &READ).is_some());
    driver.port().set_ats(Ats::Disabled);
    // The answer to a port that asked before the bit changed and was still waited for.
    let tag = port.wiring.device.tags().of(None).unwrap();
    let section = port.device_tlb.enter();
    assert!(section.fill(section.begin_fill(tag), PAGE, identity(PAGE)));
    drop(section);
    assert_eq!(port.wiring.quick(&port.device_tlb.enter(), &READ), None);
    assert_eq!(load(&mut port), Ok(1));
}

#[test]
fn a_device_that_translates_ahead_leaves_the_iotlb_after_a_miss() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load(&mut port).unwrap();
    assert!(port.iotlb.is_paused(), "the IOTLB's drains need not ask about it");
    assert!(!port.device_tlb.is_paused());
}
