//! PASID entries: cached, invalidated, torn down.

use mmu::address::PAGE_SIZE;
use pcie::{PageRequest, RequestOutcome, SourceId, Wants};

use super::driver::invalidations;
use super::driver::{
    DOMAIN, Driver, FIRST_STAGE, OTHER_DOMAIN, PAGE, SECOND_STAGE, SOURCE, Words, load_at, pasid,
};
use crate::spec::fault::FaultReason;
use crate::vtd::options::{CacheSizes, VtdOptions};
use crate::vtd::port::Port;

/// A port whose PASID 5 was read through an entry that has been replaced by one to another table.
fn replaced() -> (Driver, Port) {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let old = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, old, PAGE, 1);
    let mut port = driver.port();
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(1));
    let new = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, new, PAGE, 2);
    (driver, port)
}

fn seen_after(descriptors: &[Words]) -> u64 {
    let (mut driver, mut port) = replaced();
    driver.invalidate(descriptors);
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap()
}

#[test]
fn rule_03_a_cached_pasid_entry_goes_on_leading_to_the_old_table() {
    let flush = invalidations::pasid(DOMAIN, 5);
    assert_eq!(seen_after(&[flush]), 1, "the IOTLB is filled again through the old entry");
    assert_eq!(seen_after(&[invalidations::pasid_entry(DOMAIN, 5)]), 1, "the IOTLB still has it");
    assert_eq!(seen_after(&[invalidations::pasid_entry(DOMAIN, 5), flush]), 2);
    assert_eq!(seen_after(&[invalidations::pasid_entries(DOMAIN), flush]), 2);
    assert_eq!(seen_after(&[invalidations::all_pasid_entries(), flush]), 2);
}

#[test]
fn rule_03_a_pasid_cache_invalidation_of_another_pasid_or_domain_is_none() {
    let flush = invalidations::pasid(DOMAIN, 5);
    assert_eq!(seen_after(&[invalidations::pasid_entry(DOMAIN, 6), flush]), 1);
    assert_eq!(seen_after(&[invalidations::pasid_entry(OTHER_DOMAIN, 5), flush]), 1);
    assert_eq!(seen_after(&[invalidations::pasid_entries(OTHER_DOMAIN), flush]), 1);
}

#[test]
fn rule_14_a_torn_down_pasid_leaves_nothing_behind() {
    let mut driver = Driver::scalable();
    let ring = driver.frame();
    driver.unit.write(0xd0, crate::vtd::Width::Bits64, ring.0);
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    driver.unit.hold_page_requests();
    let asked = port.request_page(PageRequest {
        source: SOURCE,
        pasid: Some(pasid(5)),
        address: PAGE,
        wants: Wants { read: true, ..Wants::default() },
        group: 1,
        last: true,
        private_data: None,
    });
    assert_eq!(asked, Ok(RequestOutcome::Accepted));
    let place = driver.pasid_place(directory, 5);
    driver.memory.store(place, 0);
    let fence = [5 | 1 << 6, 0, 0, 0];
    let mut wait = driver.wait();
    wait[0] |= 1 << 7;
    driver.submit(&[
        invalidations::pasid_entry(DOMAIN, 5),
        fence,
        invalidations::pasid(DOMAIN, 5),
        invalidations::device_pasid(SOURCE, 5),
        wait,
    ]);
    assert!(driver.waited());
    assert_eq!(driver.read(0xc8), 32, "the request that the unit still had is in the ring");
    let blocked = load_at(&mut port, Some(pasid(5)), PAGE).unwrap_err();
    assert_eq!(blocked.reason, FaultReason::PasidNotPresent);
}

#[test]
fn a_context_entry_is_cached_until_the_context_cache_is_invalidated() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    let place = driver.context_place(SOURCE);
    driver.memory.store(place, 0);
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(1));
    driver.invalidate(&[invalidations::context_of(SourceId(SOURCE.0 ^ 8))]);
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(1), "another device's");
    driver.invalidate(&[invalidations::context_of(SOURCE)]);
    let blocked = load_at(&mut port, Some(pasid(5)), PAGE).unwrap_err();
    assert_eq!(blocked.reason, FaultReason::ScalableContextNotPresent);
}

#[test]
fn a_pasid_beyond_the_directory_is_refused() {
    let mut driver = Driver::scalable();
    driver.attach_scalable(SOURCE);
    let mut port = driver.port();
    let refused = |port: &mut Port, number| load_at(port, Some(pasid(number)), PAGE).unwrap_err().reason;
    assert_eq!(refused(&mut port, 4095), FaultReason::DirectoryNotPresent);
    assert_eq!(refused(&mut port, 0), FaultReason::DirectoryNotPresent);
    let place = driver.context_place(SOURCE);
    let entry = driver.memory.load(place);
    driver.memory.store(place, entry & !(1 << 3));
    driver.invalidate(&[invalidations::all_contexts()]);
    assert_eq!(refused(&mut port, 1), FaultReason::PasidDisabled);
}

#[test]
fn a_context_entry_that_made_room_is_read_again() {
    let caches = CacheSizes { context: 1, ..CacheSizes::default() };
    let mut driver = Driver::legacy_with(VtdOptions { caches, ..VtdOptions::default() });
    let other = SourceId(SOURCE.0 ^ 8);
    for source in [SOURCE, other] {
        let table = driver.attach_legacy(source, DOMAIN, 0);
        driver.map(SECOND_STAGE, table, PAGE, 1);
    }
    let next = PAGE.offset(PAGE_SIZE);
    let mut port = driver.port();
    assert_eq!(load_at(&mut port, None, PAGE), Ok(1));
    let table = driver.attach_legacy(SOURCE, OTHER_DOMAIN, 0);
    driver.map(SECOND_STAGE, table, next, 2);
    assert!(load_at(&mut port, None, next).is_err(), "still of the old domain");
    let mut neighbour = driver.unit.port(other, 0);
    assert_eq!(load_at(&mut neighbour, None, PAGE), Ok(1));
    assert_eq!(load_at(&mut port, None, next), Ok(2), "the neighbour's entry took the only place");
}
