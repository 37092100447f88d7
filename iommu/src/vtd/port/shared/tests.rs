//! What a shared port refuses, and what waits for what it has found.

use std::thread;

use mmu::address::{PAGE_LEN, PAGE_SIZE, PhysAddr};
use vm_memory::iommu::Error;
use vm_memory::{GuestAddress, Iommu, Permissions};

use super::KEPT;
use crate::spec::fault::FaultReason;
use crate::vtd::tests::driver::invalidations;
use crate::vtd::tests::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE};

const IOVA: GuestAddress = GuestAddress(PAGE.0);
const LEN: usize = PAGE_LEN;
const FSTS: u64 = 0x34;

/// A device that may read and write its first page, and only read its second one.
fn driver() -> (Driver, PhysAddr) {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let frame = driver.frame();
    let place = driver.place(SECOND_STAGE, table, PAGE.offset(PAGE_SIZE), 1);
    driver.memory.store(place, frame.0 | 1);
    (driver, table)
}

#[test]
fn a_range_is_found_page_by_page() {
    let (driver, _) = driver();
    let port = driver.unit.shared_port(SOURCE, 0);
    let found = port.translate(GuestAddress(PAGE.0 + 8), LEN, Permissions::Read).unwrap();
    let found: Vec<_> = found.map(|piece| (piece.base.0 % PAGE_SIZE, piece.length)).collect();
    // Adjacent frames may be one piece.
    assert_eq!(found.iter().map(|(_, len)| len).sum::<usize>(), LEN);
    assert_eq!(found[0].0, 8);
    assert_eq!(port.translate(IOVA, 0, Permissions::Read).unwrap().count(), 0);
    assert!(port.translate(IOVA, LEN, Permissions::ReadWrite).is_ok());
    assert!(port.translate(IOVA, LEN, Permissions::No).is_ok());
}

#[test]
fn what_the_tables_do_not_allow_is_refused_with_the_units_reason_and_stands_in_its_log() {
    let (driver, _) = driver();
    let port = driver.unit.shared_port(SOURCE, 0);
    let refusals = [
        (IOVA, 2 * LEN, Permissions::Write, FaultReason::WriteNotAllowed),
        (IOVA, 2 * LEN, Permissions::ReadWrite, FaultReason::WriteNotAllowed),
        (IOVA, 3 * LEN, Permissions::Read, FaultReason::ReadNotAllowed),
        (GuestAddress(0), 1, Permissions::No, FaultReason::ReadNotAllowed),
    ];
    for (place, (base, length, access, reason)) in (0_u64..).zip(refusals) {
        let refused = port.translate(base, length, access);
        let Err(Error::CannotResolve { reason: told, .. }) = refused else { panic!("{access:?}") };
        assert!(told.contains(&reason.to_string()), "{told}");
        assert_eq!(driver.read(0x228 + place * 16) >> 32 & 0xff, reason as u64);
    }
    assert_eq!(driver.read_word(FSTS), 2, "FSTS.PPF");
}

#[test]
fn a_range_around_the_end_of_all_addresses_is_refused_and_asks_nobody() {
    let (driver, _) = driver();
    let port = driver.unit.shared_port(SOURCE, 0);
    for (base, length) in [(u64::MAX, 2), (u64::MAX - 7, 9), (1, usize::MAX)] {
        let refused = port.translate(GuestAddress(base), length, Permissions::Read);
        assert!(matches!(refused, Err(Error::CannotResolve { .. })), "{base:#x}");
    }
    assert_eq!(driver.read_word(FSTS), 0);
}

#[test]
fn an_invalidation_waits_as_long_as_the_result_of_a_translation_lives_and_not_longer() {
    let (mut driver, table) = driver();
    let port = driver.unit.shared_port(SOURCE, 0);
    let iotlb = std::sync::Arc::clone(driver.unit.iotlb());
    let held = port.translate(IOVA, LEN, Permissions::Write).unwrap();
    // Others come and go meanwhile; each acknowledges for itself alone.
    assert!(port.translate(IOVA, LEN, Permissions::Write).is_ok());
    driver.unmap(SECOND_STAGE, table, PAGE);
    thread::scope(|scope| {
        let invalidation = scope.spawn(|| driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, 0)]));
        while iotlb.draining() == 0 {
            assert!(!invalidation.is_finished(), "the page was in flight");
            thread::yield_now();
        }
        assert!(port.translate(GuestAddress(PAGE.0 + PAGE_SIZE), LEN, Permissions::Read).is_ok());
        assert!(!invalidation.is_finished(), "another translation of the port ends nothing");
        drop(held);
        invalidation.join().unwrap();
    });
    assert!(port.translate(IOVA, LEN, Permissions::Write).is_err());
    driver.invalidate(&[invalidations::all()]);
}

#[test]
fn translations_at_once_are_as_many_as_one_likes_and_few_are_kept() {
    let (driver, _) = driver();
    let port = driver.unit.shared_port(SOURCE, 0);
    let all: Vec<_> = (0..2 * KEPT).map(|_| port.translate(IOVA, LEN, Permissions::Read).unwrap()).collect();
    drop(all);
    assert_eq!(port.idle.lock().len(), KEPT);
}
