//! Between the reading of an entry and its marking: no test can hit this moment from outside.

use mmu::address::Access;
use mmu::pte::Pte;
use pcie::Requester;

use super::{Goal, Stop};
use crate::vtd::route::{Reach, Stages};
use crate::vtd::table_cache::TableCache;
use crate::vtd::tests::driver::{DOMAIN, Driver, FIRST_STAGE, PAGE, SOURCE, pasid};
use crate::vtd::trail::Recorder;
use crate::vtd::walk::Walker;

/// What the leaf says when the walk ends, if `change` is made of it before the walk marks it, and how the walk ends.
fn marked_after(change: fn(u64) -> u64) -> (u64, Result<bool, ()>) {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let place = driver.place(FIRST_STAGE, table, PAGE, 1);
    let requester = Requester { source: SOURCE, pasid: Some(pasid(5)) };
    let route = driver.unit.route(requester, Reach::Caches, Recorder::OFF).unwrap();
    let Stages::First(stage) = route.stages else { panic!("{:?}", route.stages) };
    let goal = Goal { stage, nest: None, tag: None, second_tag: None, address: PAGE, access: Access::Write };
    let paging = TableCache::new(0);
    let mut walker = Walker::begin(&driver.memory, &paging, Reach::Caches, Recorder::OFF);
    let Ok(leaf) = walker.descend(&goal, 0) else { panic!("the page is mapped") };
    driver.memory.store(place, change(driver.memory.load(place)));
    let end = match walker.finish(&goal, &leaf) {
        Ok(found) => Ok(found.dirty),
        Err(Stop::Overtaken) => Err(()),
        Err(Stop::Fault(reason)) => panic!("{reason:?}"),
    };
    (driver.memory.load(place), end)
}

#[test]
fn a_leaf_that_changed_since_it_was_read_is_not_marked_and_not_used() {
    let unchanged = |word| word;
    assert_eq!(marked_after(unchanged).1, Ok(true));
    let elsewhere: fn(u64) -> u64 = |word| word ^ 0x1000;
    let gone: fn(u64) -> u64 = |_| 0;
    // Somebody else has marked it: D is not set yet.
    let read: fn(u64) -> u64 = |word| word | Pte::ACCESSED;
    for change in [elsewhere, gone, read] {
        let (word, end) = marked_after(change);
        assert_eq!(word & Pte::DIRTY, 0, "{word:#x} was not read");
        assert_eq!(end, Err(()), "the walk starts over");
    }
}
