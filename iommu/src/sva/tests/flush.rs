//! What a change takes out of the caches, and when that is complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mmu::address::{Access, VirtRange};
use mmu::address_space::{SpaceId, SpaceOptions};
use mmu::port::Reached;
use mmu::pte::Pte;
use pcie::SourceId;
use steps::one_page::NOTIFY;
use steps::operation::cow;

use super::fixture::{Fixture, PAGE, PAGES, ahead, fixture, fixture_with, page, pasid};
use crate::spec::fault::FaultReason;
use crate::sva::port::DmaError;
use crate::sva::{FlushOrder, SvaOptions};
use crate::vtd::options::{CacheSizes, VtdOptions};
use crate::vtd::port::Blocked;

const TLBS: [usize; 2] = [0, 64];

fn with_tlb(tlb: usize) -> Fixture {
    fixture_with(SvaOptions::default(), SpaceOptions::default(), tlb)
}

#[test]
fn a_device_walk_sets_a_and_its_write_sets_d() {
    for mut fixture in TLBS.map(with_tlb) {
        fixture.cpu.load(PAGE).unwrap();
        assert!(!fixture.space.entry(PAGE).is_dirty(), "only read so far");
        fixture.port.read(PAGE).unwrap();
        assert!(!fixture.space.entry(PAGE).is_dirty());
        fixture.port.write(PAGE, 1).unwrap();
        assert!(fixture.space.entry(PAGE).is_dirty(), "an entry cached clean is walked again for a store");
    }
}

#[test]
fn the_caches_go_on_showing_what_nobody_invalidated() {
    for mut fixture in TLBS.map(with_tlb) {
        fixture.cpu.store(PAGE, 1).unwrap();
        fixture.port.read(PAGE).unwrap();
        let slot = fixture.space.table().slot(PAGE).unwrap();
        let entry = fixture.space.table().clear(slot);
        assert_eq!(fixture.port.read(PAGE).unwrap().value, 1, "really stale");
        fixture.invalidate(PAGE);
        assert!(fixture.port.translate(PAGE, Access::Read).is_err());
        fixture.space.table().store(slot, entry);
    }
}

#[test]
fn caches_that_are_off_are_never_stale() {
    let unit = VtdOptions { caches: CacheSizes::OFF, ..VtdOptions::default() };
    let options = SvaOptions { unit, ..SvaOptions::default() };
    let mut fixture = fixture_with(options, SpaceOptions::default(), 0);
    fixture.cpu.store(PAGE, 1).unwrap();
    fixture.port.read(PAGE).unwrap();
    assert!(!fixture.is_cached(PAGE));
    let slot = fixture.space.table().slot(PAGE).unwrap();
    let entry = fixture.space.table().clear(slot);
    assert!(fixture.port.translate(PAGE, Access::Read).is_err());
    fixture.space.table().store(slot, entry);
}

#[test]
fn an_invalidation_takes_the_range_and_leaves_the_neighbours() {
    for mut fixture in TLBS.map(with_tlb) {
        for number in 0..PAGES {
            fixture.port.write(page(number), 1).unwrap();
        }
        fixture.space.notifiers().invalidate_secondary(VirtRange::pages(page(1), 5));
        let cached = (0..PAGES).map(|number| fixture.is_cached(page(number)));
        let expected = [true, false, false, false, false, false, true, true];
        assert_eq!(cached.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_long_range_takes_the_whole_pasid() {
    for mut fixture in TLBS.map(with_tlb) {
        fixture.port.write(PAGE, 1).unwrap();
        let far = PAGE.offset(1 << 30);
        fixture.space.notifiers().invalidate_secondary(VirtRange::pages(far, 513));
        assert!(!fixture.is_cached(PAGE));
    }
}

#[test]
fn a_device_that_could_write_before_a_fork_does_not_write_into_the_child() {
    for mut fixture in TLBS.map(with_tlb) {
        fixture.port.write(PAGE, 1).unwrap();
        let child = fixture.space.fork(SpaceId(2)).unwrap();
        fixture.port.write(PAGE, 2).unwrap();
        assert_eq!(child.mapped_word(PAGE), Some(1));
        assert_eq!(fixture.space.mapped_word(PAGE), Some(2));
    }
}

/// What a device reads after a CPU broke COW, with the old translation in its caches.
fn read_after_cow(mut fixture: Fixture) -> u64 {
    fixture.cpu.store(PAGE, 1).unwrap();
    let _child = fixture.space.fork(SpaceId(2)).unwrap();
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 1);
    fixture.cpu.store(PAGE, 2).unwrap();
    fixture.port.read(PAGE).unwrap().value
}

#[test]
fn rule_05_after_the_right_order_a_device_reads_the_new_page() {
    for fixture in TLBS.map(with_tlb) {
        assert_eq!(read_after_cow(fixture), 2);
    }
}

#[test]
fn without_a_device_tlb_invalidation_the_device_stays_on_the_old_page() {
    let options = SvaOptions { flush_order: FlushOrder::IotlbOnly, ..SvaOptions::default() };
    assert_eq!(read_after_cow(ahead(options)), 1);
    assert_eq!(read_after_cow(fixture_with(options, SpaceOptions::default(), 0)), 2, "it has no TLB");
}

/// What a device reads, after a change was flushed in `order` and the device accessed between the flush's two halves.
fn read_after_access_between(flush_order: FlushOrder) -> u64 {
    let mut fixture = ahead(SvaOptions { flush_order, ..SvaOptions::default() });
    let unit = Arc::clone(fixture.driver.unit());
    fixture.cpu.store(PAGE, 1).unwrap();
    let child = fixture.space.fork(SpaceId(2)).unwrap();
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 1);
    unit.hold_queue(1);
    let cpu = &mut fixture.cpu;
    let port = &mut fixture.port;
    thread::scope(|scope| {
        let head = || crate::sva::mmio::long(&unit, crate::spec::register::Register::QUEUE_HEAD);
        let before = head();
        scope.spawn(move || cpu.store(PAGE, 2).unwrap());
        while head() == before {
            thread::yield_now();
        }
        // A device that now finds no entry would have to wait for the one who holds the lock: it only looks.
        let _looked = port.translate(PAGE, Access::Read).map(|in_flight| in_flight.load());
        port.pause();
        unit.release_queue();
    });
    let value = fixture.port.read(PAGE).unwrap().value;
    drop(child);
    value
}

#[test]
fn rule_05_a_device_tlb_that_is_emptied_first_is_filled_again_from_the_iotlb() {
    assert_eq!(read_after_access_between(FlushOrder::IotlbThenDevices), 2);
    assert_eq!(read_after_access_between(FlushOrder::DevicesThenIotlb), 1, "stale");
}

#[test]
fn an_order_without_any_notification_leaves_the_device_on_the_old_page() {
    let break_cow = cow::wp_page_copy().without_all(&[NOTIFY]);
    let options = SpaceOptions { break_cow, ..SpaceOptions::default() };
    let mut fixture = fixture_with(SvaOptions::default(), options, 0);
    fixture.cpu.store(PAGE, 1).unwrap();
    let child = fixture.space.fork(SpaceId(2)).unwrap();
    fixture.port.read(PAGE).unwrap();
    fixture.cpu.store(PAGE, 2).unwrap();
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 1, "stale");
    drop(child);
    assert_eq!(fixture.port.read(PAGE).unwrap().reached, Reached::Freed, "and then freed");
}

#[test]
fn an_invalidation_does_not_return_while_a_dma_through_the_old_translation_is_in_flight() {
    for mut fixture in TLBS.map(with_tlb) {
        fixture.cpu.store(PAGE, 1).unwrap();
        fixture.port.read(PAGE).unwrap();
        let space = &fixture.space;
        let in_flight = fixture.port.translate(PAGE, Access::Read).unwrap();
        let returned = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                space.notifiers().invalidate_secondary(VirtRange::page(PAGE));
                returned.store(true, Ordering::SeqCst);
            });
            for _ in 0..1000 {
                thread::yield_now();
            }
            assert!(!returned.load(Ordering::SeqCst), "it returned without waiting");
            assert_eq!(in_flight.load().value, 1, "the old access still completes, and ends");
        });
        assert!(returned.load(Ordering::SeqCst));
        assert!(fixture.port.cached(PAGE).is_none());
    }
}

#[test]
fn a_device_that_answers_late_is_waited_for_and_one_that_times_out_is_told_again() {
    let mut fixture = ahead(SvaOptions::default());
    let unit = Arc::clone(fixture.driver.unit());
    fixture.cpu.store(PAGE, 1).unwrap();
    fixture.port.read(PAGE).unwrap();
    unit.hold_device_tlb(SourceId(0));
    let returned = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            fixture.space.notifiers().invalidate_secondary(VirtRange::page(PAGE));
            returned.store(true, Ordering::SeqCst);
        });
        for round in 0..3 {
            for _ in 0..1000 {
                thread::yield_now();
            }
            assert!(!returned.load(Ordering::SeqCst), "round {round}");
            unit.time_out_device_tlb(SourceId(0));
        }
        unit.release_device_tlb(SourceId(0));
    });
    assert!(!fixture.is_cached(PAGE));
}

#[test]
fn a_broken_table_is_an_error_and_not_an_endless_page_request() {
    let mut fixture = fixture();
    fixture.port.write(PAGE, 1).unwrap();
    let top = fixture.space.table().root().table.address();
    let memory = Arc::clone(fixture.driver.frames().memory());
    let linked = memory.swap(top, 0x000f_ffff_ffff_f000 | Pte::PRESENT | Pte::USER | Pte::WRITE);
    fixture.invalidate(PAGE);
    let requests = fixture.port.page_requests();
    let refused = fixture.port.read(PAGE).unwrap_err();
    let blocked = DmaError::Blocked(Blocked { reason: FaultReason::FirstStageAccess, ..blocked_of(refused) });
    assert_eq!(refused, blocked);
    assert_eq!(fixture.port.page_requests(), requests);
    memory.store(top, linked);
}

fn blocked_of(error: DmaError) -> Blocked {
    match error {
        DmaError::Blocked(blocked) => blocked,
        refused @ DmaError::Refused { .. } => panic!("{refused}"),
    }
}

#[test]
fn the_queue_goes_round_and_takes_more_than_it_has_room_for() {
    let fixture = fixture();
    for number in 1..=40 {
        fixture.driver.attach(number, 64).unwrap();
    }
    for _ in 0..50 {
        fixture.space.notifiers().invalidate_secondary(VirtRange::pages(page(1), 509));
    }
    fixture.driver.unbind(pasid());
}
