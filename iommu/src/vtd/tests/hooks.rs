//! What hardware may do by itself, when somebody chooses: evict, prefetch, begin and end, hit.

use mmu::address::{Access, PhysAddr};
use pcie::SourceId;

use super::driver::invalidations;
use super::driver::{DOMAIN, Driver, FIRST_STAGE, PAGE, SOURCE, load_at, pasid};
use crate::spec::context::LegacyContext;
use crate::spec::paging::SecondStageLevels;
use crate::vtd::port::{Overtaken, Port, Request};
use crate::vtd::{Requester, SpaceKey, StageKind};

const REQUEST: Request = Request { pasid: None, address: PAGE, access: Access::Read };

fn request() -> Request {
    Request { pasid: Some(pasid(5)), ..REQUEST }
}

fn space() -> SpaceKey {
    SpaceKey { domain: DOMAIN, pasid: Some(pasid(5)), stage: StageKind::First }
}

fn requester() -> Requester {
    Requester { source: SOURCE, pasid: Some(pasid(5)) }
}

/// PASID 5 with a table that maps the page to a frame with 1.
fn mapped(port: impl FnOnce(&Driver) -> Port) -> (Driver, Port, PhysAddr, PhysAddr) {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let port = port(&driver);
    (driver, port, directory, table)
}

/// What the device reads without anybody walking.
fn hit(port: &mut Port) -> Option<u64> {
    Some(port.hit(request(), space())?.load())
}

#[test]
fn an_evicted_translation_is_walked_for_again() {
    let (mut driver, mut port, _, table) = mapped(Driver::port);
    assert_eq!(load_at(&mut port, request().pasid, PAGE), Ok(1));
    driver.map(FIRST_STAGE, table, PAGE, 2);
    assert_eq!(load_at(&mut port, request().pasid, PAGE), Ok(1), "nothing was evicted");
    driver.unit.evict_iotlb(space(), PAGE);
    assert_eq!(driver.unit.iotlb_entry(space(), PAGE), None);
    assert_eq!(load_at(&mut port, request().pasid, PAGE), Ok(2));
}

#[test]
fn an_evicted_paging_entry_is_read_again() {
    let (mut driver, mut port, _, table) = mapped(Driver::port);
    port.prefetch(request()).unwrap();
    let old = driver.unit.paging_entry(space(), PAGE).unwrap();
    let upper = driver.place(FIRST_STAGE, table, PAGE, 2);
    driver.memory.store(upper, 0);
    driver.map(FIRST_STAGE, table, PAGE, 2);
    driver.unit.evict_iotlb(space(), PAGE);
    port.prefetch(request()).unwrap();
    assert_eq!((hit(&mut port), driver.unit.paging_entry(space(), PAGE)), (Some(1), Some(old)));
    driver.unit.evict_iotlb(space(), PAGE);
    driver.unit.evict_paging(space(), PAGE, 1);
    assert_eq!(driver.unit.paging_entry(space(), PAGE), None);
    port.prefetch(request()).unwrap();
    assert_eq!(hit(&mut port), Some(2));
}

#[test]
fn an_evicted_pasid_entry_is_read_again() {
    let (mut driver, mut port, directory, _) = mapped(Driver::port);
    port.read_entries(request()).unwrap();
    let old = driver.unit.pasid_entry(requester()).unwrap();
    driver.first_stage(directory, 5, DOMAIN);
    port.read_entries(request()).unwrap();
    assert_eq!(driver.unit.pasid_entry(requester()), Some(old), "it is cached");
    driver.unit.evict_pasid(requester());
    assert_eq!(driver.unit.pasid_entry(requester()), None);
    port.read_entries(request()).unwrap();
    assert_ne!(driver.unit.pasid_entry(requester()).unwrap(), old);
}

#[test]
fn a_prefetch_fills_the_iotlb_and_not_the_device_tlb() {
    let (driver, mut port, ..) = mapped(Driver::ats_port);
    port.prefetch(request()).unwrap();
    assert!(driver.unit.iotlb_entry(space(), PAGE).is_some());
    assert_eq!((port.device_tlb_entry(request().pasid, PAGE), hit(&mut port)), (None, None));
    let answer = port.begin_completion(request().pasid, space(), PAGE).unwrap();
    assert!(port.end_completion(&answer, Overtaken::Dropped));
    assert_eq!(hit(&mut port), Some(1));
    port.evict_device_tlb(request().pasid, PAGE);
    assert_eq!(hit(&mut port), None);
}

#[test]
fn a_hit_walks_nowhere_and_needs_no_pasid_entry() {
    let (mut driver, mut port, directory, _) = mapped(Driver::port);
    assert_eq!(hit(&mut port), None);
    port.prefetch(request()).unwrap();
    let place = driver.pasid_place(directory, 5);
    driver.memory.store(place, 0);
    driver.invalidate(&[invalidations::pasid_entry(DOMAIN, 5)]);
    assert_eq!(hit(&mut port), Some(1));
    assert_eq!(driver.unit.pasid_entry(requester()), None, "nothing was read for it");
    driver.invalidate(&[invalidations::pasid(DOMAIN, 5)]);
    assert_eq!(hit(&mut port), None);
}

#[test]
fn a_walk_that_an_invalidation_overtook_fills_nothing_and_one_that_an_eviction_overtook_does() {
    let (mut driver, mut port, ..) = mapped(Driver::port);
    let walk = port.begin_walk(request()).unwrap().unwrap();
    assert_eq!(driver.unit.iotlb_entry(space(), PAGE), None, "it has not ended");
    driver.unit.evict_iotlb(space(), PAGE);
    assert!(port.walk_is_current(&walk) && port.end_walk(&walk, Overtaken::Dropped));
    assert_eq!(driver.unit.iotlb_entry(space(), PAGE), Some(walk.found()));
    let walk = port.begin_walk(request()).unwrap().unwrap();
    driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 5, PAGE, 0)]);
    assert!(!port.walk_is_current(&walk) && !port.end_walk(&walk, Overtaken::Dropped));
    assert_eq!(driver.unit.iotlb_entry(space(), PAGE), None);
    assert!(port.end_walk(&walk, Overtaken::Filled), "hardware that errs");
    assert_eq!(driver.unit.iotlb_entry(space(), PAGE), Some(walk.found()));
}

#[test]
fn a_walk_that_has_come_to_the_last_table_reads_its_leaf_there_whatever_leads_there_by_now() {
    let (mut driver, mut port, _, table) = mapped(Driver::port);
    assert!(port.reach(request()).unwrap().is_none(), "nothing was walked yet");
    port.prefetch(request()).unwrap();
    let reached = port.reach(request()).unwrap().unwrap();
    assert_eq!(Some(reached.table()), driver.unit.paging_entry(space(), PAGE));
    let upper = driver.place(FIRST_STAGE, table, PAGE, 2);
    driver.memory.store(upper, 0);
    driver.map(FIRST_STAGE, table, PAGE, 2);
    driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 5, PAGE, 0)]);
    let walk = port.go_on(&reached).unwrap().unwrap();
    assert!(port.end_walk(&walk, Overtaken::Dropped), "it has read the leaf after the invalidation");
    assert_eq!((hit(&mut port), driver.unit.paging_entry(space(), PAGE)), (Some(1), None));
    driver.memory.store(reached.table().offset(PAGE.table_index(1) * 8), 0);
    port.go_on(&reached).unwrap_err();
}

#[test]
fn a_completion_that_an_invalidation_overtook_is_dropped() {
    let (mut driver, mut port, ..) = mapped(Driver::ats_port);
    assert!(port.begin_completion(request().pasid, space(), PAGE).is_none(), "the IOTLB has nothing");
    port.prefetch(request()).unwrap();
    let answer = port.begin_completion(request().pasid, space(), PAGE).unwrap();
    driver.invalidate(&[invalidations::pasid(DOMAIN, 5)]);
    assert!(port.completion_is_current(&answer), "that was for the IOTLB");
    driver.invalidate(&[invalidations::device_pasid_page(SOURCE, 5, PAGE)]);
    assert!(!port.completion_is_current(&answer) && !port.end_completion(&answer, Overtaken::Dropped));
    assert_eq!(port.device_tlb_entry(request().pasid, PAGE), None);
}

#[test]
fn a_completion_that_was_walked_for_leaves_nothing_in_the_iotlb() {
    let (driver, mut port, ..) = mapped(Driver::ats_port);
    let answer = port.begin_walked_completion(request()).unwrap().unwrap();
    assert_eq!((hit(&mut port), driver.unit.iotlb_entry(space(), PAGE)), (None, None));
    assert!(port.end_completion(&answer, Overtaken::Dropped));
    assert_eq!((hit(&mut port), driver.unit.iotlb_entry(space(), PAGE)), (Some(1), None));
}

#[test]
fn an_entry_that_is_read_word_by_word_is_cached_as_it_was_read() {
    let (mut driver, mut port, directory, _) = mapped(Driver::port);
    let place = driver.pasid_place(directory, 5);
    let old = [0, 8, 16].map(|offset| driver.memory.load(place.offset(offset)));
    let mut part = port.begin_pasid_entry(request()).unwrap();
    assert_eq!(part.words(), [None; 3], "nothing of it is read");
    assert!(port.read_words(&mut part, 0..1));
    assert!(!port.end_entry(&part), "it is not read whole");
    assert_eq!(driver.unit.pasid_entry(requester()), None);
    driver.first_stage(directory, 5, DOMAIN);
    let new = driver.memory.load(place.offset(16));
    driver.memory.store(place, 0);
    assert!(port.read_words(&mut part, 0..3));
    assert_eq!(part.words(), [Some(old[0]), Some(old[1]), Some(new)], "what was read is not read again");
    assert!(port.end_entry(&part));
    assert_eq!(driver.unit.pasid_entry(requester()).map(|entry| entry.0), Some([old[0], old[1], new]));
}

#[test]
fn an_entry_of_which_a_part_was_read_before_an_invalidation_is_not_cached() {
    let (mut driver, mut port, ..) = mapped(Driver::port);
    let mut part = port.begin_pasid_entry(request()).unwrap();
    assert!(port.read_words(&mut part, 0..3) && port.entry_is_current(&part));
    driver.unit.evict_pasid(requester());
    assert!(port.entry_is_current(&part), "an eviction is no invalidation");
    driver.invalidate(&[invalidations::pasid_entry(DOMAIN, 5)]);
    assert!(!port.entry_is_current(&part) && !port.end_entry(&part));
    assert_eq!(driver.unit.pasid_entry(requester()), None);
    port.read_entries(request()).unwrap();
    assert!(!port.end_entry(&part), "another read has filled the same");
    assert!(port.begin_pasid_entry(REQUEST).is_err(), "without a PASID there is no entry of one");
}

#[test]
fn a_context_entry_that_is_read_word_by_word_is_cached_as_it_was_read_and_for_its_function_alone() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    let place = driver.context_place(SOURCE);
    let old = [0, 8].map(|offset| driver.memory.load(place.offset(offset)));
    assert_eq!(LegacyContext(old).second_stage(), table);
    let made = LegacyContext::of(table, SecondStageLevels::Four, DOMAIN).0;
    assert_eq!(made, [old[0] | 1 << 2, old[1]], "with a device TLB");
    assert!(LegacyContext(made).without_faults().hides_faults() && !LegacyContext(made).hides_faults());
    let mut port = driver.port();
    let mut part = port.begin_context_entry(REQUEST).unwrap();
    assert!(port.read_words(&mut part, 1..2));
    assert_eq!(part.words(), [None, Some(old[1])]);
    assert!(!port.end_entry(&part), "it is not read whole");
    driver.memory.store(place.offset(8), 0);
    assert!(port.read_words(&mut part, 0..2) && port.end_entry(&part));
    assert_eq!(
        driver.unit.context_entry(SOURCE),
        Some(LegacyContext(old)),
        "what was read is not read again"
    );
    assert_eq!(driver.unit.context_entry(SourceId(SOURCE.0 + 1)), None);
    driver.unit.evict_context(SOURCE);
    assert!(driver.unit.context_entry(SOURCE).is_none() && port.entry_is_current(&part));
    driver.invalidate(&[invalidations::context_of(SOURCE)]);
    assert!(!port.entry_is_current(&part) && !port.end_entry(&part));
    let mut torn = port.begin_context_entry(REQUEST).unwrap();
    assert!(port.read_words(&mut torn, 0..2));
    assert!(!port.end_entry(&torn), "no depth: the entry serves nobody");
    assert!(port.begin_pasid_entry(request()).is_err(), "no PASIDs in legacy mode");
}
