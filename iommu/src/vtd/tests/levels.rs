//! What every level of a walk has a say in: R/W of each entry of the second stage, R/W and U/S of each of the first.

use mmu::address::{Access, PAGE_SIZE, PhysAddr, VirtAddr};
use pcie::Request;

use super::driver::{DOMAIN, Driver, FIRST_STAGE, Format, PAGE, SECOND_STAGE, SOURCE, pasid};
use crate::vtd::port::Port;

const READ: u64 = 1;
const WRITE: u64 = 2;
const PASID: u32 = 5;
/// Below the same table of every level.
const NEIGHBOUR: VirtAddr = PAGE.offset(PAGE_SIZE);
/// First-stage tables and pages lie there for a nested walk: second-stage addresses are frames plus this.
const SHIFT: u64 = 1 << 32;

/// Whether the device may read and write a page.
fn allowed(port: &mut Port, with: bool, address: VirtAddr) -> [bool; 2] {
    let pasid = with.then(|| pasid(PASID));
    [Access::Read, Access::Write]
        .map(|access| port.translate(Request { pasid, address, access }).map(|_in_flight| ()).is_ok())
}

/// Takes `bits` away from the entry of `level` for [`PAGE`]. What is allowed then: of a walk from the root, and of one
/// that begins at the lowest table, which the neighbour's walk has left in the cache.
fn without(bits: u64, level: u32, with: bool, open: fn() -> (Driver, Format, PhysAddr)) -> [[bool; 2]; 2] {
    let (mut driver, format, table) = open();
    let place = driver.place(format, table, PAGE, level);
    driver.memory.store(place, driver.memory.load(place) & !bits);
    let from_root = allowed(&mut driver.port(), with, PAGE);
    let (mut driver, format, table) = open();
    let place = driver.place(format, table, PAGE, level);
    driver.memory.store(place, driver.memory.load(place) & !bits);
    let mut port = driver.port();
    allowed(&mut port, with, NEIGHBOUR);
    [from_root, allowed(&mut port, with, PAGE)]
}

fn map_both(driver: &mut Driver, format: Format, table: PhysAddr) {
    for page in [PAGE, NEIGHBOUR] {
        driver.map(format, table, page, 1);
    }
}

fn legacy() -> (Driver, Format, PhysAddr) {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    map_both(&mut driver, SECOND_STAGE, table);
    (driver, SECOND_STAGE, table)
}

fn second_stage() -> (Driver, Format, PhysAddr) {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.second_stage(directory, PASID, DOMAIN);
    map_both(&mut driver, SECOND_STAGE, table);
    (driver, SECOND_STAGE, table)
}

fn first_stage() -> (Driver, Format, PhysAddr) {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, PASID, DOMAIN);
    map_both(&mut driver, FIRST_STAGE, table);
    (driver, FIRST_STAGE, table)
}

/// The second stage of a nested walk. The first stage maps the pages to the same numbers plus [`SHIFT`]; its own tables
/// lie in another gigabyte of second-stage addresses than the pages do.
fn nested() -> (Driver, Format, PhysAddr) {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let [second, first] = [driver.frame(), driver.frame()];
    driver.nest(directory, PASID, SHIFT + first.0, second);
    let expose = |driver: &mut Driver, from: u64, frame: PhysAddr| {
        let place = driver.place(SECOND_STAGE, second, VirtAddr(from), 1);
        driver.memory.store(place, frame.0 | 3);
    };
    expose(&mut driver, SHIFT + first.0, first);
    let mut table = first;
    for level in (2..=4).rev() {
        let next = driver.frame();
        expose(&mut driver, SHIFT + next.0, next);
        driver.memory.store(table.offset(PAGE.table_index(level) * 8), (SHIFT + next.0) | 7);
        table = next;
    }
    for page in [PAGE, NEIGHBOUR] {
        let frame = driver.frame();
        expose(&mut driver, page.0, frame);
        driver.memory.store(table.offset(page.table_index(1) * 8), page.0 | 7);
    }
    (driver, SECOND_STAGE, second)
}

#[test]
fn a_second_stage_page_may_do_what_every_entry_above_it_allows() {
    for level in 1..=4 {
        for (with, open) in [(false, legacy as fn() -> _), (true, second_stage)] {
            assert_eq!(without(0, level, with, open), [[true, true]; 2]);
            assert_eq!(without(WRITE, level, with, open), [[true, false]; 2], "level {level} without W");
            assert_eq!(without(READ, level, with, open), [[false, true]; 2], "level {level} without R");
        }
    }
}

#[test]
fn so_may_a_nested_page() {
    assert_eq!(without(0, 1, true, nested), [[true, true]; 2]);
    // Of the entries that lead to the pages and not to the first stage's tables.
    for level in 1..=3 {
        assert_eq!(without(WRITE, level, true, nested), [[true, false]; 2], "level {level} without W");
    }
}

#[test]
fn a_first_stage_page_may_do_what_every_entry_above_it_allows() {
    for level in 1..=4 {
        assert_eq!(without(0, level, true, first_stage), [[true, true]; 2]);
        assert_eq!(without(2, level, true, first_stage), [[true, false]; 2], "level {level} without R/W");
        assert_eq!(without(4, level, true, first_stage), [[false, false]; 2], "level {level} without U/S");
    }
}

#[test]
fn two_entries_that_allow_different_things_allow_nothing() {
    for (open, with) in [(legacy as fn() -> _, false), (second_stage, true)] {
        let (mut driver, format, table): (Driver, Format, PhysAddr) = open();
        for (level, bit) in [(3, WRITE), (1, READ)] {
            let place = driver.place(format, table, PAGE, level);
            driver.memory.store(place, driver.memory.load(place) & !bit);
        }
        assert_eq!(allowed(&mut driver.port(), with, PAGE), [false, false]);
    }
}

#[test]
fn a_refusal_that_is_cached_is_one_of_its_access_only() {
    use crate::vtd::options::{CachingMode, VtdOptions};
    let options = VtdOptions { caching_mode: CachingMode::AlsoAbsent, ..VtdOptions::default() };
    for (bit, may) in [(WRITE, [true, false]), (READ, [false, true])] {
        let mut driver = Driver::legacy_with(options);
        let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
        driver.map(SECOND_STAGE, table, PAGE, 1);
        let place = driver.place(SECOND_STAGE, table, PAGE, 1);
        driver.memory.store(place, driver.memory.load(place) & !bit);
        let mut port = driver.port();
        for _ in 0..2 {
            let mut seen = [Access::Write, Access::Read].map(|access| {
                port.translate(Request { pasid: None, address: PAGE, access }).map(|_in_flight| ()).is_ok()
            });
            seen.reverse();
            assert_eq!(seen, may);
        }
    }
}
