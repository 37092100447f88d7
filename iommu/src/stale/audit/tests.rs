//! What is cached in vain is found, what is used in vain is reported instead.

use mmu::address::{PAGE_SIZE, PhysAddr};
use pcie::{Ats, Requester, SourceId};

use crate::stale::Holder;
use crate::stale::watch::{Judging, StaleOptions, Watching};
use crate::vtd::Table;
use crate::vtd::options::VtdOptions;
use crate::vtd::port::Port;
use crate::vtd::tests::driver::invalidations;
use crate::vtd::tests::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE, load, load_at};

fn scene(open: impl Fn(&Driver) -> Port) -> (Driver, Port, PhysAddr) {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = open(&driver);
    load(&mut port).unwrap();
    assert_eq!(driver.unit.audit(), []);
    (driver, port, table)
}

#[test]
fn a_translation_that_outlived_its_page_is_found_until_it_is_invalidated() {
    let (mut driver, _port, table) = scene(Driver::port);
    driver.unmap(SECOND_STAGE, table, PAGE);
    let found = driver.unit.audit();
    let [unused] = &found[..] else { panic!("{found:?}") };
    assert_eq!(unused.requester, Requester { source: SOURCE, pasid: None });
    assert_eq!((unused.page, unused.holder), (PAGE, Holder::Iotlb));
    assert_eq!(unused.change.table, Table::SecondStage { level: 1 });
    assert!(unused.now.is_err());
    assert_eq!(driver.unit.stale_use_count(), 0, "nobody used it");
    driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    assert_eq!(driver.unit.audit(), []);
}

#[test]
fn what_was_used_is_reported_and_not_found_again() {
    let (mut driver, mut port, table) = scene(Driver::port);
    driver.map(SECOND_STAGE, table, PAGE, 2);
    load(&mut port).unwrap();
    assert_eq!(driver.unit.take_stale_uses().len(), 1);
    assert_eq!(driver.unit.audit(), []);
}

#[test]
fn a_page_that_has_become_read_only_is_found() {
    let (mut driver, _port, table) = scene(Driver::port);
    let place = driver.place(SECOND_STAGE, table, PAGE, 1);
    let entry = driver.memory.load(place);
    driver.memory.store(place, entry | 1 << 52);
    assert_eq!(driver.unit.audit(), [], "a bit for software");
    driver.memory.store(place, entry & !2);
    assert_eq!(driver.unit.audit().len(), 1);
}

#[test]
fn what_the_device_holds_is_found_too() {
    let (mut driver, _port, table) = scene(Driver::ats_port);
    driver.map(SECOND_STAGE, table, PAGE, 2);
    driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    let found = driver.unit.audit();
    assert_eq!(found.iter().map(|unused| unused.holder).collect::<Vec<_>>(), [Holder::DeviceTlb]);
}

#[test]
fn it_is_told_by_address_in_text_and_as_json() {
    let (mut driver, mut port, table) = scene(Driver::port);
    let next = PAGE.offset(PAGE_SIZE);
    driver.map(SECOND_STAGE, table, next, 1);
    load_at(&mut port, None, next).unwrap();
    driver.unmap(SECOND_STAGE, table, PAGE);
    driver.unmap(SECOND_STAGE, table, next);
    let found = driver.unit.audit();
    assert_eq!(found.iter().map(|unused| unused.page).collect::<Vec<_>>(), [PAGE, next]);
    let text = found[0].to_string();
    assert!(text.starts_with("0x40201000 of 00:03.0 in the IOTLB: 4K page 0x"), "{text}");
    let value: serde_json::Value = serde_json::from_str(&found[0].to_json()).unwrap();
    assert_eq!((&value["event"], &value["kind"]), (&"stale-entry".into(), &"unused".into()));
    assert_eq!(value["now"], serde_json::Value::Null);
}

#[test]
fn a_device_that_keeps_what_another_has_fetched_is_named_itself() {
    let other = SourceId(SOURCE.0 ^ 8);
    let (mut driver, _port, table) = scene(|driver| driver.unit.port(SOURCE, 0));
    let [own, place] = [SOURCE, other].map(|source| driver.context_place(source));
    for word in [8, 0] {
        driver.memory.store(place.offset(word), driver.memory.load(own.offset(word)));
    }
    let mut port = driver.unit.port(other, 64);
    port.set_ats(Ats::Enabled);
    load(&mut port).unwrap();
    driver.map(SECOND_STAGE, table, PAGE, 2);
    driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    let found = driver.unit.audit();
    let named: Vec<_> = found.iter().map(|unused| (unused.requester.source, unused.holder)).collect();
    assert_eq!(named, [(other, Holder::DeviceTlb)]);
}
