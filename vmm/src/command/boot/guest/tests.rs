//! Guests by name: their devices, what they need of the unit, what they are told.

use guest_images::guest::GUESTS;

use super::super::unit;
use super::{devices, parse, payload};
use crate::machine::options::IommuKind;

#[test]
fn the_devices_of_every_guest_exist() {
    for guest in GUESTS {
        assert_eq!(devices(guest).map(|devices| devices.len()), Ok(guest.devices.len()), "{}", guest.name);
    }
}

#[test]
fn what_a_guest_needs_of_the_unit_exists() {
    for guest in GUESTS {
        let words = unit::parse("vtd").and_then(|words| words.on_top_of(guest.unit));
        assert!(words.is_ok(), "{}: {words:?}", guest.name);
    }
}

#[test]
fn a_driver_is_told_its_program_and_the_caches() {
    let told =
        |name| payload(parse(name).unwrap(), IommuKind::default(), None, Vec::new(), "more").command_line;
    assert!(told("vtd-test").starts_with("run=vtd-test iotlb=1024 paging=256 "), "{}", told("vtd-test"));
    assert!(told("vtd-test").ends_with(" device-tlb=64 more"));
    assert!(told("vtd-driver").starts_with("run=workload iotlb="), "{}", told("vtd-driver"));
    assert!(told("vtd-bug-no-wait").starts_with("run=workload rounds=1 bug=no-wait iotlb="));
    let detached = told("vtd-bug-context-cache-forgotten");
    assert!(detached.starts_with("run=detach rounds=1 bug=context-cache-forgotten iotlb="), "{detached}");
    assert_eq!(told("hello"), "more");
    assert!(parse("nobody").unwrap_err().contains("there is hello, echo"));
}
