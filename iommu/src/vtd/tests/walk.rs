//! The walk: sizes, depths, nesting, permissions, and what is wrong with an entry.

use mmu::address::{Access, PhysAddr, VirtAddr};
use pcie::Request;

use super::driver::{
    DOMAIN, Driver, FIRST_STAGE, Format, PAGE, SECOND_STAGE, SOURCE, load, load_at, pasid, store,
};
use crate::spec::fault::FaultReason;

fn reached(driver: &Driver, address: VirtAddr) -> u64 {
    let request = Request { pasid: None, address, access: Access::Read };
    driver.port().translate(request).unwrap().address().0
}

#[test]
fn pages_of_every_size_are_translated_in_both_stages() {
    let address = VirtAddr(0x4034_5678);
    for first in [true, false] {
        for (level, expected) in [(1, 0x4000_0678), (2, 0x4014_5678), (3, 0x4034_5678)] {
            let mut driver = Driver::scalable();
            let directory = driver.attach_scalable(SOURCE);
            let (format, table) = if first {
                (FIRST_STAGE, driver.first_stage(directory, 0, DOMAIN))
            } else {
                (SECOND_STAGE, driver.second_stage(directory, 0, DOMAIN))
            };
            let place = driver.place(format, table, address, level);
            let large = if level == 1 { 0 } else { 0x80 };
            driver.memory.store(place, 0x4000_0000 | format.leaf | large);
            assert_eq!(reached(&driver, address), expected, "{format:?}, level {level}");
            assert_eq!(reached(&driver, address), expected, "and from the cache");
        }
    }
}

#[test]
fn five_levels_and_three_levels() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 0, DOMAIN);
    let place = driver.pasid_place(directory, 0);
    let word = driver.memory.load(place.offset(16));
    driver.memory.store(place.offset(16), word | 1 << 2);
    let high = VirtAddr(0x00ab_cdef_1234_5000);
    driver.map(Format { levels: 5, ..FIRST_STAGE }, table, high, 5);
    assert_eq!(load_at(&mut driver.port(), None, high), Ok(5));

    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    let place = driver.context_place(SOURCE);
    let word = driver.memory.load(place.offset(8));
    driver.memory.store(place.offset(8), word & !7 | 1);
    driver.map(Format { levels: 3, ..SECOND_STAGE }, table, PAGE, 3);
    assert_eq!(load(&mut driver.port()), Ok(3));
    let beyond = load_at(&mut driver.port(), None, VirtAddr(1 << 39)).unwrap_err();
    assert_eq!(beyond.reason, FaultReason::BeyondWidth);
}

/// A nested translation: second-stage addresses are frames plus this.
const SHIFT: u64 = 1 << 32;

struct Nested {
    driver: Driver,
    second: PhysAddr,
    first: PhysAddr,
}

fn nested() -> Nested {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let second = driver.frame();
    let first = driver.frame();
    driver.nest(directory, 5, first.0 + SHIFT, second);
    Nested { driver, second, first }
}

impl Nested {
    /// Makes `frame` known to the second stage; `leaf` is what its entry has set.
    fn expose(&mut self, frame: PhysAddr, leaf: u64) {
        let place = self.driver.place(SECOND_STAGE, self.second, VirtAddr(frame.0 + SHIFT), 1);
        self.driver.memory.store(place, frame.0 | leaf);
    }

    /// The first-stage tables down to a page with `value` in it, all of them exposed; the page's frame.
    fn map(&mut self, value: u64) -> PhysAddr {
        let mut table = self.first;
        self.expose(table, 3);
        for level in (1..=4).rev() {
            let next = self.driver.frame();
            self.expose(next, 3);
            self.driver.memory.store(table.offset(PAGE.table_index(level) * 8), (next.0 + SHIFT) | 7);
            table = next;
        }
        self.driver.memory.store(table, value);
        table
    }
}

#[test]
fn a_nested_walk_translates_every_address_of_the_first_stage() {
    let mut nested = nested();
    nested.map(9);
    let mut port = nested.driver.port();
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(9));
    let request = Request { pasid: Some(pasid(5)), address: PAGE, access: Access::Write };
    port.translate(request).unwrap().store(8);
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(8));
}

#[test]
fn a_nested_page_may_do_what_both_stages_allow() {
    let mut nested = nested();
    let frame = nested.map(9);
    nested.expose(frame, 1);
    let mut port = nested.driver.port();
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(9));
    let request = Request { pasid: Some(pasid(5)), address: PAGE, access: Access::Write };
    assert_eq!(port.translate(request).unwrap_err().reason, FaultReason::ScalableWriteNotAllowed);
}

#[test]
fn a_first_stage_table_that_the_second_stage_protects_cannot_be_marked() {
    let mut nested = nested();
    nested.map(9);
    let root = nested.first;
    nested.expose(root, 1);
    let blocked = load_at(&mut nested.driver.port(), Some(pasid(5)), PAGE).unwrap_err();
    assert_eq!(blocked.reason, FaultReason::NestedEntryWrite);
    nested.expose(root, 0);
    let blocked = load_at(&mut nested.driver.port(), Some(pasid(5)), PAGE).unwrap_err();
    assert_eq!(blocked.reason, FaultReason::SecondStageNotPresent);
}

#[test]
fn a_first_stage_table_must_be_readable_and_in_reach_of_the_second_stage() {
    const WRITE_ONLY: u64 = 2;
    let reason =
        |nested: &Nested| load_at(&mut nested.driver.port(), Some(pasid(5)), PAGE).unwrap_err().reason;
    let mut nested = nested();
    nested.map(9);
    let root = nested.first;
    nested.expose(root, WRITE_ONLY);
    assert_eq!(reason(&nested), FaultReason::NestedRootRead);
    nested.expose(root, 3);
    let next = PhysAddr((nested.driver.memory.load(root) & !0xfff) - SHIFT);
    nested.expose(next, WRITE_ONLY);
    assert_eq!(reason(&nested), FaultReason::NestedEntryRead);
    nested.driver.memory.store(root, 1 << 50 | 7);
    assert_eq!(reason(&nested), FaultReason::NestedBeyondWidth);
}

#[test]
fn an_uppermost_table_outside_memory_is_a_fault_of_the_entry_that_names_it() {
    const OUTSIDE: u64 = 1 << 45;
    let mut legacy = Driver::legacy();
    legacy.attach_legacy(SOURCE, DOMAIN, 0);
    let place = legacy.context_place(SOURCE);
    legacy.memory.store(place, OUTSIDE | 1);
    assert_eq!(load(&mut legacy.port()).unwrap_err().reason, FaultReason::ContextInvalid);
    for (kind, offset, reason) in
        [(1 << 6, 16, FaultReason::FirstStageRoot), (2 << 6 | 2 << 2, 0, FaultReason::SecondStageRoot)]
    {
        let mut driver = Driver::scalable();
        let directory = driver.attach_scalable(SOURCE);
        let place = driver.pasid_place(directory, 0);
        driver.memory.store(place, kind | 1);
        driver.memory.store(place.offset(offset), driver.memory.load(place.offset(offset)) | OUTSIDE);
        assert_eq!(load(&mut driver.port()).unwrap_err().reason, reason);
    }
}

#[test]
fn a_domain_invalidation_by_page_reaches_a_nested_translation() {
    let mut nested = nested();
    let frame = nested.map(1);
    let mut port = nested.driver.port();
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(1));
    let moved = nested.driver.frame();
    nested.driver.memory.store(moved, 2);
    let place = nested.driver.place(SECOND_STAGE, nested.second, VirtAddr(frame.0 + SHIFT), 1);
    nested.driver.memory.store(place, moved.0 | 3);
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(1));
    let page = super::driver::invalidations::pages(DOMAIN, VirtAddr(frame.0 + SHIFT), 0);
    nested.driver.invalidate(&[page]);
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(2));
}

#[test]
fn rule_02_a_pasid_invalidation_reaches_a_nested_translation_by_its_first_stage_address() {
    use super::driver::invalidations;
    let elsewhere = PAGE.offset(0x1000);
    for (descriptor, seen) in [
        (invalidations::pasid(DOMAIN, 6), 1),
        (invalidations::pasid_pages(DOMAIN, 5, elsewhere, 0), 1),
        (invalidations::pasid_pages(DOMAIN, 5, PAGE, 0), 2),
        (invalidations::pasid(DOMAIN, 5), 2),
    ] {
        let mut nested = nested();
        let old = nested.map(1);
        let mut port = nested.driver.port();
        assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(1));
        let new = nested.map(2);
        assert_ne!(old, new);
        nested.driver.invalidate(&[descriptor]);
        assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(seen), "{descriptor:x?}");
    }
}

#[test]
fn first_stage_faults_have_their_reasons() {
    let reason = |prepare: fn(&mut Driver, PhysAddr)| {
        let mut driver = Driver::scalable();
        let directory = driver.attach_scalable(SOURCE);
        let table = driver.first_stage(directory, 0, DOMAIN);
        driver.map(FIRST_STAGE, table, PAGE, 1);
        prepare(&mut driver, table);
        store(&mut driver.port(), 1).unwrap_err().reason
    };
    assert_eq!(reason(|d, t| edit(d, t, 1, |_| 0)), FaultReason::FirstStageNotPresent);
    assert_eq!(reason(|d, t| edit(d, t, 1, |e| e & !4)), FaultReason::NotUser);
    assert_eq!(reason(|d, t| edit(d, t, 3, |e| e & !4)), FaultReason::NotUser, "on every level");
    assert_eq!(reason(|d, t| edit(d, t, 1, |e| e & !2)), FaultReason::ScalableWriteNotAllowed);
    assert_eq!(reason(|d, t| edit(d, t, 4, |e| e | 0x80)), FaultReason::FirstStageReserved);
    assert_eq!(reason(|d, t| edit(d, t, 2, |_| 0x2000 | 0x87)), FaultReason::FirstStageReserved);
    assert_eq!(reason(|d, t| edit(d, t, 2, |_| 1 << 50 | 7)), FaultReason::FirstStageAccess);
}

fn edit(driver: &mut Driver, table: PhysAddr, level: u32, entry: fn(u64) -> u64) {
    let place = driver.place(FIRST_STAGE, table, PAGE, level);
    let word = driver.memory.load(place);
    driver.memory.store(place, entry(word));
}

#[test]
fn xd_is_ignored_whatever_the_pasid_entry_says_in_nxe() {
    for level in 1..=4 {
        for nxe in [0, 1 << 5] {
            let mut driver = Driver::scalable();
            let directory = driver.attach_scalable(SOURCE);
            let table = driver.first_stage(directory, 0, DOMAIN);
            driver.map(FIRST_STAGE, table, PAGE, 1);
            edit(&mut driver, table, level, |entry| entry | 1 << 63);
            let place = driver.pasid_place(directory, 0).offset(16);
            driver.memory.store(place, driver.memory.load(place) | nxe);
            let mut port = driver.port();
            assert_eq!(load(&mut port), Ok(1), "level {level}, NXE {nxe:#x}");
        }
    }
}

#[test]
fn second_stage_faults_have_the_reasons_of_their_mode() {
    let reasons = |entry: fn(u64) -> u64, level| {
        let mut legacy = Driver::legacy();
        let table = legacy.attach_legacy(SOURCE, DOMAIN, 0);
        legacy.map(SECOND_STAGE, table, PAGE, 1);
        edit(&mut legacy, table, level, entry);
        let mut scalable = Driver::scalable();
        let directory = scalable.attach_scalable(SOURCE);
        let table = scalable.second_stage(directory, 0, DOMAIN);
        scalable.map(SECOND_STAGE, table, PAGE, 1);
        edit(&mut scalable, table, level, entry);
        [legacy, scalable].map(|driver| store(&mut driver.port(), 1).unwrap_err().reason)
    };
    assert_eq!(reasons(|_| 0, 1), [FaultReason::WriteNotAllowed, FaultReason::SecondStageNotPresent]);
    assert_eq!(
        reasons(|entry| entry & !2, 1),
        [FaultReason::WriteNotAllowed, FaultReason::ScalableWriteNotAllowed]
    );
    assert_eq!(
        reasons(|entry| entry | 0x80, 4),
        [FaultReason::EntryReserved, FaultReason::SecondStageReserved]
    );
    assert_eq!(reasons(|_| 1 << 50 | 3, 2), [FaultReason::TableAccess, FaultReason::SecondStageAccess]);
}

#[test]
fn a_non_canonical_address_is_a_fault_of_its_own() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    driver.first_stage(directory, 0, DOMAIN);
    let blocked = load_at(&mut driver.port(), None, VirtAddr(1 << 60)).unwrap_err();
    assert_eq!(blocked.reason, FaultReason::NotCanonical);
}
