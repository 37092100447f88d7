//! Which cached context entries an invalidation takes, and in which mode one is used.

use pcie::SourceId;

use super::driver::{DOMAIN, Driver, OTHER_DOMAIN, PAGE, SECOND_STAGE, SOURCE, Words, load};
use crate::spec::fault::FaultReason;
use crate::spec::id::DomainId;
use crate::vtd::Width;

fn of_domain(domain: DomainId) -> Words {
    [0x21 | u64::from(domain.0) << 16, 0, 0, 0]
}

fn of_device(source: SourceId, function_mask: u64) -> Words {
    [0x31 | u64::from(source.0) << 32 | function_mask << 48, 0, 0, 0]
}

/// Whether a cached context entry of [`SOURCE`], which is gone from memory, still counts behind `invalidation`.
fn survives(open: fn() -> Driver, invalidation: Words) -> bool {
    let mut driver = open();
    let mut port = driver.port();
    assert_eq!(load(&mut port), Ok(1));
    let place = driver.context_place(SOURCE);
    driver.memory.store(place, 0);
    assert_eq!(load(&mut port), Ok(1), "it is cached");
    driver.invalidate(&[invalidation]);
    load(&mut port).is_ok()
}

fn legacy() -> Driver {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    driver
}

fn scalable() -> Driver {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.second_stage(directory, 0, DOMAIN);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    driver
}

#[test]
fn a_context_entry_goes_with_its_domain() {
    assert!(!survives(legacy, of_domain(DOMAIN)));
    assert!(survives(legacy, of_domain(OTHER_DOMAIN)));
}

#[test]
fn in_scalable_mode_it_has_no_domain_and_goes_with_any() {
    for domain in [DOMAIN, OTHER_DOMAIN, DomainId(0)] {
        assert!(!survives(scalable, of_domain(domain)), "{domain:?}");
    }
}

#[test]
fn of_the_functions_number_the_mask_leaves_out_the_highest_bits() {
    for (mask, ignored) in [(0, 0), (1, 0b100), (2, 0b110), (3, 0b111)] {
        for function in 0..8 {
            let seen = survives(legacy, of_device(SourceId(SOURCE.0 ^ function), mask));
            assert_eq!(seen, function & !ignored != 0, "FM {mask}, function {function}");
        }
    }
    assert!(survives(legacy, of_device(SourceId(SOURCE.0 ^ 8), 3)), "another device");
}

#[test]
fn an_entry_that_was_read_in_one_mode_is_none_in_the_other() {
    let mut driver = legacy();
    let mut port = driver.port();
    load(&mut port).unwrap();
    let root = driver.frame();
    driver.unit.write(0x20, Width::Bits64, root.0 | 1 << 10);
    driver.command_once(1 << 30);
    assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::ScalableRootNotPresent);
}
