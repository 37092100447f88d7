//! Translations that two devices of one domain share: whose entries changed, and who is named.

use mmu::address::PhysAddr;

use super::{EVERY_USE, options};
use crate::spec::id::SourceId;
use crate::stale::Holder;
use crate::vtd::Table;
use crate::vtd::tests::driver::invalidations;
use crate::vtd::tests::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE, load};

const OTHER: SourceId = SourceId(SOURCE.0 ^ 8);

/// Two devices of one domain, and its table, in which a page is mapped.
fn scene() -> (Driver, PhysAddr) {
    let mut driver = Driver::legacy_with(options(EVERY_USE));
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    let [own, other] = [SOURCE, OTHER].map(|source| driver.context_place(source));
    for word in [8, 0] {
        driver.memory.store(other.offset(word), driver.memory.load(own.offset(word)));
    }
    driver.map(SECOND_STAGE, table, PAGE, 1);
    (driver, table)
}

#[test]
fn a_translation_that_another_device_has_fetched_is_stale_if_the_own_way_to_it_changed() {
    let (mut driver, _) = scene();
    let [mut first, mut second] = [SOURCE, OTHER].map(|source| driver.unit.port(source, 0));
    assert_eq!((load(&mut first), load(&mut second)), (Ok(1), Ok(1)));
    let table = driver.attach_legacy(OTHER, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 2);
    assert_eq!(load(&mut first), Ok(1));
    assert_eq!(driver.unit.take_stale_uses(), [], "the way of the first is as it was");
    assert_eq!(load(&mut second), Ok(1));
    let reports = driver.unit.take_stale_uses();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.requester.source, report.holder), (OTHER, Holder::Iotlb));
    let place = driver.context_place(OTHER);
    assert_eq!((report.change.table, report.change.place), (Table::Context, place));
}

#[test]
fn a_device_that_keeps_what_another_has_fetched_is_named_itself() {
    let (mut driver, table) = scene();
    load(&mut driver.unit.port(OTHER, 0)).unwrap();
    load(&mut driver.ats_port()).unwrap();
    driver.map(SECOND_STAGE, table, PAGE, 2);
    driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    let found = driver.unit.audit();
    let named: Vec<_> = found.iter().map(|unused| (unused.requester.source, unused.holder)).collect();
    assert_eq!(named, [(SOURCE, Holder::DeviceTlb)]);
}
