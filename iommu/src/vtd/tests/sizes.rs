//! Large pages: what bits they may have set, and how far a translation reaches that two stages make.

use mmu::address::{Access, PAGE_SIZE, PhysAddr, VirtAddr};
use pcie::Request;

use super::driver::{DOMAIN, Driver, FIRST_STAGE, Format, PAGE, SECOND_STAGE, SOURCE, load_at, pasid};
use crate::spec::fault::FaultReason;

const LARGE: u64 = 0x80;
const LARGE_BYTES: u64 = 2 << 20;
/// Page attributes, in a large page of the first stage.
const PAT: u64 = 1 << 12;
/// Snooping, in a leaf of the second stage.
const SNOOP: u64 = 1 << 11;

/// What a read of [`PAGE`] reaches if the entry of `level` is `entry`, beside what every entry has set.
fn reached(format: Format, level: u32, entry: u64) -> Result<u64, FaultReason> {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = if format == FIRST_STAGE {
        driver.first_stage(directory, 5, DOMAIN)
    } else {
        driver.second_stage(directory, 5, DOMAIN)
    };
    let place = driver.place(format, table, PAGE, level);
    driver.memory.store(place, entry | format.leaf);
    let mut port = driver.port();
    let request = Request { pasid: Some(pasid(5)), address: PAGE, access: Access::Read };
    let found = port.translate(request).map(|in_flight| in_flight.address().0);
    found.map_err(|blocked| blocked.reason)
}

#[test]
fn bit_12_of_a_large_first_stage_page_is_no_address() {
    let inside = PAGE.0 % LARGE_BYTES;
    assert_eq!(reached(FIRST_STAGE, 2, 0x20_0000 | LARGE), Ok(0x20_0000 + inside));
    assert_eq!(reached(FIRST_STAGE, 2, 0x20_0000 | LARGE | PAT), Ok(0x20_0000 + inside));
    assert_eq!(reached(FIRST_STAGE, 3, LARGE | PAT), Ok(PAGE.0 % (1 << 30)));
    for bit in 13..21 {
        let seen = reached(FIRST_STAGE, 2, LARGE | 1 << bit);
        assert_eq!(seen, Err(FaultReason::FirstStageReserved), "bit {bit}");
    }
}

#[test]
fn no_bit_inside_a_large_second_stage_page_may_be_set() {
    for (level, bits) in [(2, 12..21), (3, 12..30)] {
        for bit in bits {
            let seen = reached(SECOND_STAGE, level, LARGE | 1 << bit);
            assert_eq!(seen, Err(FaultReason::SecondStageReserved), "level {level}, bit {bit}");
        }
    }
}

#[test]
fn snooping_is_said_in_leaves_of_the_second_stage_only() {
    assert_eq!(reached(SECOND_STAGE, 1, 0x20_0000 | SNOOP), Ok(0x20_0000));
    assert_eq!(reached(SECOND_STAGE, 2, LARGE | SNOOP), Ok(PAGE.0 % LARGE_BYTES));
    for level in 2..=4 {
        let seen = reached(SECOND_STAGE, level, 0x20_0000 | SNOOP);
        assert_eq!(seen, Err(FaultReason::SecondStageReserved), "level {level}");
    }
}

/// A nested space: the first stage maps what is around [`PAGE`] one to one, by an entry of `first_level`, and the second
/// maps `pages` to where they are told, by entries of `second_level`. Its tables are where the first stage names them.
fn nested(first_level: u32, second_level: u32, pages: &[(VirtAddr, u64)]) -> Driver {
    const TABLES: u64 = 1 << 32;
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let [second, mut table] = [driver.frame(), driver.frame()];
    driver.nest(directory, 5, TABLES + table.0, second);
    let expose = |driver: &mut Driver, level, from, to: u64| {
        let place = driver.place(SECOND_STAGE, second, VirtAddr(from), level);
        driver.memory.store(place, to | 3 | if level > 1 { LARGE } else { 0 });
    };
    expose(&mut driver, 1, TABLES + table.0, table.0);
    for level in (first_level + 1..=4).rev() {
        let next = driver.frame();
        expose(&mut driver, 1, TABLES + next.0, next.0);
        driver.memory.store(table.offset(PAGE.table_index(level) * 8), (TABLES + next.0) | 7);
        table = next;
    }
    let bytes = PAGE_SIZE << (9 * (first_level - 1));
    let large = if first_level > 1 { LARGE } else { 0 };
    driver.memory.store(table.offset(PAGE.table_index(first_level) * 8), PAGE.0 & !(bytes - 1) | 7 | large);
    for (page, to) in pages {
        expose(&mut driver, second_level, page.0, *to);
    }
    driver
}

#[test]
fn a_nested_translation_reaches_as_far_as_the_smaller_of_both_pages() {
    let next = PAGE.offset(PAGE_SIZE);
    let frames = [(PAGE, 0x70_0000), (next, 0x60_0000)];
    let driver = nested(2, 1, &frames);
    let mut port = driver.port();
    for (page, frame) in frames {
        driver.memory.store(PhysAddr(frame), frame);
        assert_eq!(load_at(&mut port, Some(pasid(5)), page), Ok(frame), "each page for itself");
    }
    let driver = nested(1, 2, &[(VirtAddr(PAGE.0 & !(LARGE_BYTES - 1)), 0x40_0000)]);
    let mut port = driver.port();
    driver.memory.store(PhysAddr(0x40_0000 + PAGE.0 % LARGE_BYTES), 3);
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(3));
    assert!(load_at(&mut port, Some(pasid(5)), next).is_err(), "the first stage maps one page");
}
