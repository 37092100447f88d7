//! What is looked at again with an invalidation: pages that it is for and that led somewhere, and not too many.

use std::time::Duration;

use mmu::address::{PAGE_SIZE, VirtAddr};

use super::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE, load_at};
use crate::spec::descriptor::{Descriptor, IotlbScope};
use crate::vtd::options::{Judging, StaleOptions, VtdOptions, Watching};

const ALL: Descriptor = Descriptor::Iotlb { scope: IotlbScope::Global, drains: false };

fn page(number: u64) -> VirtAddr {
    PAGE.offset(number * PAGE_SIZE)
}

/// How many of these pages are looked at again, of which the device used the translations they had, after each was moved
/// or unmapped.
fn looked_at(pages: u64, is_moved: fn(u64) -> bool) -> usize {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::Late(Duration::MAX) };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    let mut port = driver.port();
    for number in 0..pages {
        driver.map(SECOND_STAGE, table, page(number), 1);
        load_at(&mut port, None, page(number)).unwrap();
        if is_moved(number) {
            driver.map(SECOND_STAGE, table, page(number), 2);
        } else {
            driver.unmap(SECOND_STAGE, table, page(number));
        }
        assert_eq!(load_at(&mut port, None, page(number)), Ok(1));
    }
    assert_eq!(driver.unit.tally().open, pages);
    driver.unit.watch().unwrap().concerned(&ALL).len()
}

#[test]
fn a_page_that_led_nowhere_is_not_looked_at_again() {
    assert_eq!(looked_at(5, |number| number == 3), 1);
}

#[test]
fn of_many_pages_some_are_looked_at_again() {
    assert_eq!(looked_at(64, |_| true), 64);
    assert_eq!(looked_at(70, |_| true), 64, "an invalidation may name all that a guest has");
}
