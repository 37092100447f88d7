//! The IOTLB and the paging-structure caches: what stays, what goes, and when it has gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mmu::address::{Access, PAGE_SIZE, VirtAddr};
use pcie::Request;

use super::driver::invalidations::{self, IH};
use super::driver::{
    DOMAIN, Driver, FIRST_STAGE, Format, OTHER_DOMAIN, PAGE, SECOND_STAGE, SOURCE, Words, load, load_at,
    pasid, store,
};
use crate::spec::fault::FaultReason;
use crate::spec::id::DomainId;
use crate::vtd::Width;
use crate::vtd::options::{CacheSizes, CachingMode, VtdOptions};
use crate::vtd::port::Port;

/// A driver whose device has one page mapped, read and changed behind the unit's back: its port is stale.
struct Stale {
    driver: Driver,
    port: Port,
}

fn legacy() -> Stale {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    stale(driver, SECOND_STAGE, table)
}

fn scalable_second() -> Stale {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.second_stage(directory, 0, DOMAIN);
    stale(driver, SECOND_STAGE, table)
}

fn scalable_first() -> Stale {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 0, DOMAIN);
    stale(driver, FIRST_STAGE, table)
}

fn stale(mut driver: Driver, format: Format, table: mmu::address::PhysAddr) -> Stale {
    driver.map(format, table, PAGE, 1);
    let mut port = driver.port();
    assert_eq!(load(&mut port), Ok(1));
    driver.map(format, table, PAGE, 2);
    assert_eq!(load(&mut port), Ok(1), "really cached");
    Stale { driver, port }
}

impl Stale {
    fn after(mut self, descriptor: Words) -> u64 {
        self.driver.invalidate(&[descriptor]);
        load(&mut self.port).unwrap()
    }
}

const KINDS: [fn() -> Stale; 3] = [legacy, scalable_second, scalable_first];

#[test]
fn rule_01_global_domain_and_page_invalidations_end_staleness_in_every_mode() {
    let neighbour = VirtAddr(PAGE.0 ^ PAGE_SIZE);
    for kind in KINDS {
        assert_eq!(kind().after(invalidations::all()), 2);
        assert_eq!(kind().after(invalidations::domain(DOMAIN)), 2);
        assert_eq!(kind().after(invalidations::domain(OTHER_DOMAIN)), 1, "another domain's");
        assert_eq!(kind().after(invalidations::pages(DOMAIN, PAGE, 0)), 2);
        assert_eq!(kind().after(invalidations::pages(OTHER_DOMAIN, PAGE, 0)), 1, "another domain's");
        assert_eq!(kind().after(invalidations::pages(DOMAIN, PAGE, IH)), 2, "a leaf goes with the hint too");
        assert_eq!(
            kind().after(invalidations::pages(DOMAIN, neighbour, 1)),
            2,
            "its span of two holds the page"
        );
    }
}

#[test]
fn rule_01_a_page_invalidation_leaves_other_second_stage_pages_and_takes_the_first_stage_whole() {
    let elsewhere = PAGE.offset(16 * PAGE_SIZE);
    assert_eq!(legacy().after(invalidations::pages(DOMAIN, elsewhere, 0)), 1);
    assert_eq!(scalable_second().after(invalidations::pages(DOMAIN, elsewhere, 2)), 1);
    assert_eq!(scalable_first().after(invalidations::pages(DOMAIN, elsewhere, 0)), 2);
}

#[test]
fn rule_01_a_span_beyond_the_limit_of_single_pages_is_exact_too() {
    let far = VirtAddr(0x8000_0000);
    assert_eq!(legacy().after(invalidations::pages(DOMAIN, PAGE, 18)), 2);
    assert_eq!(legacy().after(invalidations::pages(DOMAIN, far, 18)), 1);
}

#[test]
fn rule_01_a_large_page_goes_if_it_overlaps() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    let place = driver.place(SECOND_STAGE, table, PAGE, 2);
    driver.memory.store(place, 0x20_0000 | 0x83);
    driver.memory.store(mmu::address::PhysAddr(0x20_1000), 1);
    driver.memory.store(mmu::address::PhysAddr(0x40_1000), 2);
    let mut port = driver.port();
    assert_eq!(load(&mut port), Ok(1));
    driver.memory.store(place, 0x40_0000 | 0x83);
    driver.invalidate(&[invalidations::pages(DOMAIN, PAGE.offset(0x20_0000), 0)]);
    assert_eq!(load(&mut port), Ok(1), "the next large page is not this one");
    driver.invalidate(&[invalidations::pages(DOMAIN, VirtAddr(0x403f_f000), 0)]);
    assert_eq!(load(&mut port), Ok(2), "its last 4 KiB are part of it");
}

#[test]
fn rule_02_a_pasid_invalidation_touches_that_pasid_in_that_domain_only() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let tables = [5, 6].map(|number| driver.first_stage(directory, number, DOMAIN));
    let mut port = driver.port();
    let pages = [PAGE, PAGE.offset(PAGE_SIZE)];
    for (number, table) in [5, 6].into_iter().zip(tables) {
        for page in pages {
            driver.map(FIRST_STAGE, table, page, 1);
            assert_eq!(load_at(&mut port, Some(pasid(number)), page), Ok(1));
            driver.map(FIRST_STAGE, table, page, 2);
        }
    }
    let mut seen = || {
        [(5, 0), (5, 1), (6, 0), (6, 1)]
            .map(|(number, page)| load_at(&mut port, Some(pasid(number)), pages[page]).unwrap())
    };
    driver.invalidate(&[invalidations::pasid(OTHER_DOMAIN, 5)]);
    assert_eq!(seen(), [1, 1, 1, 1], "another domain's");
    driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 5, pages[0], 0)]);
    assert_eq!(seen(), [2, 1, 1, 1]);
    driver.invalidate(&[invalidations::pasid(DOMAIN, 5)]);
    assert_eq!(seen(), [2, 2, 1, 1]);
    driver.invalidate(&[invalidations::pasid(DOMAIN, 6)]);
    assert_eq!(seen(), [2, 2, 2, 2]);
}

#[test]
fn rule_02_a_pasid_invalidation_leaves_the_second_stage() {
    assert_eq!(scalable_second().after(invalidations::pasid(DOMAIN, 0)), 1);
}

/// Points the entry of level 2 at another leaf table, in which the page maps to a frame with 2 in it.
fn relink(driver: &mut Driver, format: Format, table: mmu::address::PhysAddr) {
    let upper = driver.place(format, table, PAGE, 2);
    driver.memory.store(upper, 0);
    driver.map(format, table, PAGE, 2);
}

#[test]
fn rule_08_the_hint_keeps_paging_structures_and_without_it_they_go() {
    for first_stage in [true, false] {
        let mut driver = Driver::scalable();
        let directory = driver.attach_scalable(SOURCE);
        let (format, table) = if first_stage {
            (FIRST_STAGE, driver.first_stage(directory, 0, DOMAIN))
        } else {
            (SECOND_STAGE, driver.second_stage(directory, 0, DOMAIN))
        };
        let page = |mask| {
            if first_stage {
                invalidations::pasid_pages(DOMAIN, 0, PAGE, mask)
            } else {
                invalidations::pages(DOMAIN, PAGE, mask)
            }
        };
        driver.map(format, table, PAGE, 1);
        let mut port = driver.port();
        assert_eq!(load(&mut port), Ok(1));
        relink(&mut driver, format, table);
        driver.invalidate(&[page(IH)]);
        assert_eq!(load(&mut port), Ok(1), "walked again, through the cached upper entry");
        driver.invalidate(&[page(0)]);
        assert_eq!(load(&mut port), Ok(2));
    }
}

#[test]
fn rule_08_a_paging_structure_of_another_place_stays() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    relink(&mut driver, SECOND_STAGE, table);
    driver.invalidate(&[
        invalidations::pages(DOMAIN, PAGE, IH),
        invalidations::pages(DOMAIN, PAGE.offset(0x20_0000), 0),
    ]);
    assert_eq!(load(&mut port), Ok(1), "the invalidation without the hint was of the next 2 MiB");
}

#[test]
fn rule_09_a_wait_does_not_complete_while_an_access_through_the_old_translation_is_in_flight() {
    let Stale { mut driver, mut port } = legacy();
    let in_flight = port.translate(Request { pasid: None, address: PAGE, access: Access::Read }).unwrap();
    let wait = driver.wait();
    driver.put(&[invalidations::pages(DOMAIN, PAGE, 0), wait]);
    let rung = AtomicBool::new(false);
    let unit = Arc::clone(&driver.unit);
    let tail = driver.tail();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            unit.write(0x88, Width::Bits64, tail);
            rung.store(true, Ordering::SeqCst);
        });
        while unit.iotlb().draining() == 0 {
            assert!(!rung.load(Ordering::SeqCst), "the doorbell returned without waiting");
            std::thread::yield_now();
        }
        assert!(!driver.waited());
        assert_eq!(in_flight.load(), 1, "the old access still completes, and ends");
    });
    assert!(driver.waited());
    assert_eq!(load(&mut port), Ok(2));
}

#[test]
fn rule_10_without_caching_mode_nothing_absent_is_cached() {
    let mut driver = Driver::legacy();
    let mut port = driver.port();
    assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::RootNotPresent);
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::ReadNotAllowed);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    assert_eq!(load(&mut port), Ok(1), "seen at once");
}

#[test]
fn rule_10_with_caching_mode_software_flushes_what_it_maps() {
    let options = VtdOptions { caching_mode: CachingMode::AlsoAbsent, ..VtdOptions::default() };
    let mut driver = Driver::legacy_with(options);
    let place = driver.context_place(SOURCE);
    let mut port = driver.port();
    assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::ContextNotPresent);
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    assert_ne!(driver.memory.load(place), 0);
    assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::ContextNotPresent, "cached as absent");
    driver.invalidate(&[invalidations::all_contexts()]);
    assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::ReadNotAllowed);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::ReadNotAllowed, "cached as absent");
    driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    assert_eq!(load(&mut port), Ok(1));
}

#[test]
fn rule_10_with_caching_mode_an_absent_pasid_entry_is_cached_too() {
    for (caching_mode, seen) in
        [(CachingMode::PresentOnly, Ok(1)), (CachingMode::AlsoAbsent, Err(FaultReason::PasidNotPresent))]
    {
        let mut driver = Driver::scalable_with(VtdOptions { caching_mode, ..VtdOptions::default() });
        let directory = driver.attach_scalable(SOURCE);
        driver.pasid_place(directory, 5);
        let mut port = driver.port();
        let mut seen_now = || load_at(&mut port, Some(pasid(5)), PAGE).map_err(|blocked| blocked.reason);
        assert_eq!(seen_now(), Err(FaultReason::PasidNotPresent));
        let table = driver.first_stage(directory, 5, DOMAIN);
        driver.map(FIRST_STAGE, table, PAGE, 1);
        assert_eq!(seen_now(), seen, "{caching_mode:?}");
        driver.invalidate(&[invalidations::all_pasid_entries()]);
        assert_eq!(seen_now(), Ok(1));
    }
}

/// What PASID 5 sees after `descriptors`, when it was refused first, for an entry that reads `absent`, and then set up.
fn seen_behind_a_refusal(absent: u64, descriptors: &[Words]) -> Result<u64, FaultReason> {
    let options = VtdOptions { caching_mode: CachingMode::AlsoAbsent, ..VtdOptions::default() };
    let mut driver = Driver::scalable_with(options);
    let directory = driver.attach_scalable(SOURCE);
    driver.first_stage(directory, 5, DOMAIN);
    let place = driver.pasid_place(directory, 5);
    driver.memory.store(place, absent);
    let mut port = driver.port();
    let refused = load_at(&mut port, Some(pasid(5)), PAGE).map_err(|blocked| blocked.reason);
    assert!(matches!(refused, Err(FaultReason::PasidNotPresent | FaultReason::PasidInvalid)), "{refused:?}");
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    driver.invalidate(descriptors);
    load_at(&mut port, Some(pasid(5)), PAGE).map_err(|blocked| blocked.reason)
}

#[test]
fn rule_10_an_entry_that_leads_to_a_fault_goes_with_the_reserved_domain_and_not_with_the_one_in_it() {
    let flush = invalidations::pasid(DOMAIN, 5);
    // P is clear, and the domain still stands in the entry; or P is set, and the kind of translation is none.
    for (absent, reason) in [(0, FaultReason::PasidNotPresent), (1 | 7 << 6, FaultReason::PasidInvalid)] {
        let seen = |entries| seen_behind_a_refusal(absent, &[entries, flush]);
        assert_eq!(seen(invalidations::pasid_entry(DOMAIN, 5)), Err(reason));
        assert_eq!(seen(invalidations::pasid_entries(DOMAIN)), Err(reason));
        assert_eq!(seen(invalidations::pasid_entry(DomainId::RESERVED, 6)), Err(reason), "another PASID");
        assert_eq!(seen(invalidations::pasid_entry(DomainId::RESERVED, 5)), Ok(1));
        assert_eq!(seen(invalidations::pasid_entries(DomainId::RESERVED)), Ok(1));
        assert_eq!(seen(invalidations::all_pasid_entries()), Ok(1));
    }
}

#[test]
fn rule_10_a_context_entry_that_leads_to_a_fault_goes_with_the_reserved_domain() {
    for (domain, seen) in [(DOMAIN, Err(FaultReason::ContextNotPresent)), (DomainId::RESERVED, Ok(1))] {
        let options = VtdOptions { caching_mode: CachingMode::AlsoAbsent, ..VtdOptions::default() };
        let mut driver = Driver::legacy_with(options);
        let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
        driver.map(SECOND_STAGE, table, PAGE, 1);
        let place = driver.context_place(SOURCE);
        let present = driver.memory.load(place);
        driver.memory.store(place, present & !1);
        let mut port = driver.port();
        assert_eq!(load(&mut port).unwrap_err().reason, FaultReason::ContextNotPresent);
        driver.memory.store(place, present);
        driver.invalidate(&[[1 | 2 << 4 | u64::from(domain.0) << 16, 0, 0, 0]]);
        assert_eq!(load(&mut port).map_err(|blocked| blocked.reason), seen, "{domain}");
    }
}

#[test]
fn rule_10_a_fault_of_a_first_stage_is_cached_by_nobody() {
    let options = VtdOptions { caching_mode: CachingMode::AlsoAbsent, ..VtdOptions::default() };
    let mut driver = Driver::scalable_with(options);
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    let mut port = driver.port();
    let mut seen = || load_at(&mut port, Some(pasid(5)), PAGE).map_err(|blocked| blocked.reason);
    assert_eq!(seen(), Err(FaultReason::FirstStageNotPresent));
    driver.map(FIRST_STAGE, table, PAGE, 1);
    assert_eq!(seen(), Ok(1), "nothing was invalidated, and nothing had to be");
}

#[test]
fn rule_11_a_device_asks_again_before_it_gives_up_on_a_permission() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    let frame = driver.map(Format { leaf: 1, ..SECOND_STAGE }, table, PAGE, 1);
    let mut port = driver.ats_port();
    assert_eq!(load(&mut port), Ok(1));
    assert_eq!(store(&mut port, 9).unwrap_err().reason, FaultReason::WriteNotAllowed);
    let place = driver.place(SECOND_STAGE, table, PAGE, 1);
    driver.memory.store(place, frame.0 | 3);
    assert_eq!(store(&mut port, 9), Ok(()), "past its own TLB and past the IOTLB");
}

#[test]
fn rule_11_a_cached_permission_that_does_not_suffice_is_looked_up_before_a_fault() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    let read_only = Format { leaf: 1, ..SECOND_STAGE };
    let frame = driver.map(read_only, table, PAGE, 1);
    let mut port = driver.port();
    assert_eq!(load(&mut port), Ok(1));
    assert_eq!(store(&mut port, 9).unwrap_err().reason, FaultReason::WriteNotAllowed);
    let place = driver.place(SECOND_STAGE, table, PAGE, 1);
    driver.memory.store(place, frame.0 | 3);
    assert_eq!(store(&mut port, 9), Ok(()), "without any invalidation");
    assert_eq!(load(&mut port), Ok(9));
}

#[test]
fn rule_12_the_first_stage_sets_a_on_a_walk_and_d_on_the_first_write() {
    const A: u64 = 1 << 5;
    const D: u64 = 1 << 6;
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 0, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let places: Vec<_> = (1..=4).map(|level| driver.place(FIRST_STAGE, table, PAGE, level)).collect();
    let marks = || places.iter().map(|place| driver.memory.load(*place) & (A | D)).collect::<Vec<_>>();
    let mut port = driver.port();
    assert_eq!(marks(), [0, 0, 0, 0]);
    load(&mut port).unwrap();
    assert_eq!(marks(), [A, A, A, A]);
    store(&mut port, 2).unwrap();
    assert_eq!(marks(), [A | D, A, A, A], "a clean entry in the IOTLB is walked again for a write");
}

#[test]
fn a_cache_that_is_off_is_never_stale() {
    let options = VtdOptions { caches: CacheSizes::OFF, ..VtdOptions::default() };
    let mut driver = Driver::scalable_with(options);
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 0, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    assert_eq!(load(&mut port), Ok(1));
    driver.map(FIRST_STAGE, table, PAGE, 2);
    assert_eq!(load(&mut port), Ok(2));
    let other = driver.first_stage(directory, 0, DOMAIN);
    driver.map(FIRST_STAGE, other, PAGE, 3);
    assert_eq!(load(&mut port), Ok(3), "another table in the PASID entry");
}

#[test]
fn a_domain_invalidation_takes_its_pasids_too() {
    assert_eq!(scalable_first().after(invalidations::domain(DOMAIN)), 2);
}

#[test]
fn the_registers_invalidate_without_the_queue() {
    let Stale { driver, mut port } = legacy();
    let page = 3 << 60 | 3 << 48 | u64::from(DOMAIN.0) << 32 | 1 << 63;
    driver.unit.write(0xf0, Width::Bits64, PAGE.0 + 0x1000);
    driver.unit.write(0xf8, Width::Bits64, page);
    assert_eq!(load(&mut port), Ok(1), "another page");
    driver.write_word(0xf0, PAGE.0 & 0xffff_f000);
    driver.write_word(0xf4, 0);
    driver.write_word(0xf8, 0);
    driver.write_word(0xfc, page >> 32);
    assert_eq!(load(&mut port), Ok(2));
    let answer = driver.read(0xf8);
    assert_eq!((answer >> 63, answer >> 57 & 3), (0, 3), "done, by pages");
}

#[test]
fn the_register_waits_for_accesses_in_flight_if_it_is_asked_to_drain() {
    const GLOBAL: u64 = 1 << 63 | 1 << 60;
    for drains in [1 << 48, 1 << 49, 3 << 48] {
        let mut driver = Driver::legacy();
        let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
        driver.map(SECOND_STAGE, table, PAGE, 1);
        let mut port = driver.port();
        let in_flight = port.translate(Request { pasid: None, address: PAGE, access: Access::Read }).unwrap();
        let unit = Arc::clone(&driver.unit);
        let written = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                unit.write(0xf8, Width::Bits64, GLOBAL | drains);
                written.store(true, Ordering::SeqCst);
            });
            while unit.iotlb().draining() == 0 {
                assert!(!written.load(Ordering::SeqCst), "it did not wait");
                std::thread::yield_now();
            }
            assert_eq!(driver.read(0xf8) >> 63, 1, "it is not done");
            assert_eq!(in_flight.load(), 1);
        });
        assert_eq!(driver.read(0xf8) >> 63, 0);
    }
}
