//! What a port does between a look at a route and a use of it, step by step: no test can hit these moments from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mmu::address::{Access, PhysAddr};
use mmu::trace::{Agent, Event, Observer, Unobserved};
use pcie::{Ats, PageRequest, Request, Requester, SourceId, Wants};

use crate::spec::descriptor::{ContextScope, PasidScope};
use crate::vtd::Vtd;
use crate::vtd::options::{Judging, StaleOptions, VtdOptions, Watching};
use crate::vtd::port::Port;
use crate::vtd::port::memo::Memos;
use crate::vtd::port::walk::Walk;
use crate::vtd::tests::driver::invalidations;
use crate::vtd::tests::driver::{
    DOMAIN, Driver, FIRST_STAGE, PAGE, SECOND_STAGE, SOURCE, load, load_at, pasid,
};
use crate::vtd::walk::identity;
use crate::vtd::witness::{HeldIn, Use, Used};

const SIBLING: SourceId = SourceId(SOURCE.0 ^ 1);
const READ: Request = Request { pasid: None, address: PAGE, access: Access::Read };

#[test]
fn a_walk_whose_route_ended_before_its_tickets_fills_nothing() {
    let mut driver = Driver::legacy();
    let old = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, old, PAGE, 1);
    let mut port = driver.port();
    let mut memos = Memos::new(&port.wiring.device);
    let memo = memos.find(&driver.unit, None).unwrap().clone();

    let new = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, new, PAGE, 2);
    driver.invalidate(&[invalidations::all_contexts(), invalidations::all()]);
    let section = port.iotlb.enter();
    let mut walk = Walk::begin(&driver.unit, &section, &memo);
    assert!(walk.is_overtaken());
    walk.finish(&READ).unwrap();
    drop(section);

    assert_eq!(load(&mut port), Ok(2), "not what the old route led to");
}

#[test]
fn a_route_that_ends_behind_the_tickets_is_noticed_too() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    let mut memos = Memos::new(&port.wiring.device);
    let memo = memos.find(&driver.unit, None).unwrap().clone();
    let section = port.iotlb.enter();
    let mut walk = Walk::begin(&driver.unit, &section, &memo);
    assert!(!walk.is_overtaken());
    driver.unit.invalidate_contexts(ContextScope::Global);
    assert!(walk.is_overtaken());
    let found = walk.finish(&READ).unwrap();
    assert!(walk.walked(&READ, Ok(found)).is_none(), "{found:?} is used once and kept by nobody");
    drop(section);
    assert_eq!(driver.unit.iotlb.contains(memo.tag(Ats::Disabled).unwrap(), PAGE), None);
}

/// Lets `invalidate` run up to the cache that `hold` holds, and tells whether routes are looked up again by then.
fn forgets_routes_before(
    driver: &Driver,
    hold: impl FnOnce(&dyn Fn()),
    invalidate: impl Fn(&Vtd) + Send + Sync,
) -> bool {
    let before = driver.unit.epoch();
    let (begun, forgot) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        hold(&|| {
            scope.spawn(|| {
                begun.store(true, Ordering::SeqCst);
                invalidate(&driver.unit);
            });
            while !begun.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            // It does not get further than the cache; how far it gets nobody sees, so it is given time.
            std::thread::sleep(Duration::from_millis(30));
            forgot.store(driver.unit.epoch() != before, Ordering::SeqCst);
        });
    });
    assert_ne!(driver.unit.epoch(), before, "in the end they are");
    forgot.load(Ordering::SeqCst)
}

#[test]
fn routes_are_looked_up_again_when_what_they_rest_on_is_gone_and_not_before() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    load_at(&mut driver.port(), Some(pasid(5)), PAGE).unwrap();
    let contexts = |meanwhile: &dyn Fn()| driver.unit.routes.while_contexts_are_held(meanwhile);
    let global = |unit: &Vtd| unit.invalidate_contexts(ContextScope::Global);
    assert!(!forgets_routes_before(&driver, contexts, global));
    let pasids = |meanwhile: &dyn Fn()| driver.unit.routes.while_pasids_are_held(meanwhile);
    let global = |unit: &Vtd| unit.invalidate_pasids(PasidScope::Global);
    assert!(!forgets_routes_before(&driver, pasids, global));
}

#[test]
fn a_walk_with_a_current_route_fills() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    let mut memos = Memos::new(&port.wiring.device);
    let memo = memos.find(&driver.unit, None).unwrap().clone();
    let section = port.iotlb.enter();
    let mut walk = Walk::begin(&driver.unit, &section, &memo);
    assert!(!walk.is_overtaken());
    let found = walk.finish(&READ).unwrap();
    drop(section);
    assert_eq!(driver.unit.iotlb.contains(memo.tag(Ats::Disabled).unwrap(), PAGE), Some(found));
}

#[test]
fn a_use_that_an_invalidation_overtook_is_not_reported() {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let memo = port.wiring.memos.find(&driver.unit, None).unwrap().clone();
    let tag = memo.tag(Ats::Disabled).unwrap();
    let hit = driver.unit.iotlb.contains(tag, PAGE).unwrap();
    let requester = Requester { source: SOURCE, pasid: None };
    let used = Use {
        requester,
        request: &READ,
        held_in: HeldIn::Iotlb(tag),
        hit,
        route: &memo.trail,
        stages: memo.space.stages,
    };

    driver.map(SECOND_STAGE, table, PAGE, 2);
    driver.submit(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    driver.unit.tell_used(Used::Translation(&used));
    assert_eq!(driver.unit.take_stale_uses(), [], "the wait would have drained it");
}

/// A device whose context entry was read, and then led elsewhere.
fn misled() -> (Driver, Port) {
    misled_with(Judging::AtOnce)
}

fn misled_with(judging: Judging) -> (Driver, Port) {
    let stale = StaleOptions { watching: Watching::EveryUse, judging };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let other = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, other, PAGE, 2);
    driver.invalidate(&[invalidations::domain(DOMAIN)]);
    (driver, port)
}

/// Walks, lets something happen, and then looks at the use that the walk was for.
fn reports_after_a_walk(driver: &mut Driver, port: &mut Port, happens: impl FnOnce(&mut Driver)) -> usize {
    let memo = port.wiring.memos.find(&driver.unit, None).unwrap().clone();
    let section = port.iotlb.enter();
    let mut walk = Walk::begin(&driver.unit, &section, &memo);
    let outcome = walk.finish(&READ);
    let walked = walk.walked(&READ, outcome).unwrap();
    // So that a wait does not wait for this very thread.
    drop(section);
    happens(driver);
    driver.unit.tell_used(Used::Walk(&walked));
    driver.unit.judge_the_rest();
    driver.unit.take_stale_uses().len()
}

#[test]
fn a_walk_is_a_use_of_what_was_cached_before_it() {
    let (mut driver, mut port) = misled();
    assert_eq!(reports_after_a_walk(&mut driver, &mut port, |_| ()), 1);
}

#[test]
fn a_route_that_was_read_right_before_the_walk_was_cached_before_it() {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    port.wiring.memos.find(&driver.unit, None).unwrap();
    let other = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, other, PAGE, 2);
    assert_eq!(reports_after_a_walk(&mut driver, &mut port, |_| ()), 1);
}

#[test]
fn a_walk_that_an_invalidation_overtook_is_not_reported() {
    let (mut driver, mut port) = misled();
    let flush = |driver: &mut Driver| driver.submit(&[invalidations::all_contexts(), invalidations::all()]);
    assert_eq!(reports_after_a_walk(&mut driver, &mut port, flush), 0);
    let (mut driver, mut port) = misled_with(Judging::Late(Duration::MAX));
    let flush = |driver: &mut Driver| driver.submit(&[invalidations::all()]);
    assert_eq!(reports_after_a_walk(&mut driver, &mut port, flush), 1, "somebody else's invalidation");
    let (mut driver, mut port) = misled_with(Judging::Late(Duration::MAX));
    let flush = |driver: &mut Driver| {
        let wait = driver.wait();
        driver.submit(&[invalidations::all_contexts(), invalidations::all(), wait]);
    };
    assert_eq!(reports_after_a_walk(&mut driver, &mut port, flush), 0, "its own, which is complete");
}

#[test]
fn what_a_walk_read_itself_was_no_use_of_anything_cached() {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    let remap = |driver: &mut Driver| {
        driver.map(SECOND_STAGE, table, PAGE, 2);
    };
    assert_eq!(reports_after_a_walk(&mut driver, &mut port, remap), 0);
}

#[test]
fn a_page_that_passes_is_proved_until_a_word_of_its_route_changes() {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    driver.attach_legacy(SOURCE, DOMAIN, 2);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let passes = |port: &mut Port| {
        let Port { iotlb, wiring, .. } = port;
        let section = iotlb.enter();
        // Whichever memory the tests run over.
        wiring.quick(&section, READ).or_else(|| wiring.quick_in_lent(&section, &READ))
    };
    assert_eq!(passes(&mut port), Some(PhysAddr(PAGE.0)), "at a look at the words");
    driver.attach_legacy(SOURCE, DOMAIN, 0);
    assert_eq!(passes(&mut port), None, "somebody has to look closer");
}

/// Reports of a use of a route that let the page pass, if something happened between the change and the use.
fn reports_of_passing(happens: impl FnOnce(&mut Driver)) -> usize {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
    let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
    driver.attach_legacy(SOURCE, DOMAIN, 2);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let memo = port.wiring.memos.find(&driver.unit, None).unwrap().clone();
    driver.attach_legacy(SOURCE, DOMAIN, 0);
    happens(&mut driver);
    let requester = Requester { source: SOURCE, pasid: None };
    let (route, stages) = (&memo.trail, memo.space.stages);
    let (held_in, hit) = (memo.held_in().unwrap(), identity(PAGE));
    let used = Use { requester, request: &READ, held_in, hit, route, stages };
    driver.unit.tell_used(Used::Translation(&used));
    driver.unit.take_stale_uses().len()
}

#[test]
fn a_route_that_an_invalidation_overtook_is_not_reported() {
    assert_eq!(reports_of_passing(|_| ()), 1);
    assert_eq!(reports_of_passing(|driver| driver.submit(&[invalidations::all_contexts()])), 0);
}

#[test]
fn a_translation_that_was_asked_for_before_ats_was_switched_on_is_not_kept() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    let tag = port.wiring.device.tags().of(None).unwrap();
    let ticket = port.device_tlb.enter().begin_fill(tag);
    port.device_tlb.pause();
    port.set_ats(Ats::Disabled);
    port.set_ats(Ats::Enabled);
    assert!(!port.device_tlb.enter().fill(ticket, PAGE, identity(PAGE)), "the answer is late");
    let section = port.device_tlb.enter();
    assert!(section.fill(section.begin_fill(tag), PAGE, identity(PAGE)));
}

#[test]
fn what_came_in_while_ats_was_being_switched_off_is_used_by_nobody() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load(&mut port).unwrap();
    assert!(port.wiring.quick(&port.device_tlb.enter(), READ).is_some());
    driver.port().set_ats(Ats::Disabled);
    // The answer to a port that asked before the bit changed and was still waited for.
    let tag = port.wiring.device.tags().of(None).unwrap();
    let section = port.device_tlb.enter();
    assert!(section.fill(section.begin_fill(tag), PAGE, identity(PAGE)));
    drop(section);
    assert_eq!(port.wiring.quick(&port.device_tlb.enter(), READ), None);
    assert_eq!(load(&mut port), Ok(1));
}

#[test]
fn a_device_that_translates_ahead_leaves_the_iotlb_after_a_miss() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load(&mut port).unwrap();
    assert!(port.iotlb.is_paused(), "the IOTLB's drains need not ask about it");
    assert!(!port.device_tlb.is_paused());
}

#[test]
fn a_page_request_is_in_flight_until_it_lies_in_the_ring() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    let request = PageRequest {
        source: SOURCE,
        pasid: Some(pasid(5)),
        address: PAGE,
        wants: Wants { read: true, ..Wants::default() },
        group: 3,
        last: true,
        private_data: None,
    };
    let unit = Arc::clone(&driver.unit);
    let device = unit.device(SOURCE).unwrap();
    let drained = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // The unit takes no request while this is held.
        let requests = unit.requests.lock();
        scope.spawn(|| port.request_page(request).unwrap());
        while device.cached(Some(pasid(5)), PAGE).is_some() {
            std::thread::yield_now();
        }
        // It has been admitted: it has forgotten the page that it asks for.
        scope.spawn(|| {
            unit.iotlb().drain();
            drained.store(true, Ordering::SeqCst);
        });
        while unit.iotlb().draining() == 0 && !drained.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        assert!(!drained.load(Ordering::SeqCst), "whoever drains would not find it in the ring");
        drop(requests);
    });
    assert_eq!(driver.read(0xc8), 32);
}

/// Makes a device forget everything whenever a walk has found something.
struct Forgetful(Arc<Vtd>);

impl Observer for Forgetful {
    fn record(&self, _: Event) {
        let device = self.0.device(SOURCE).unwrap();
        device.cache().invalidate_all();
    }
}

#[test]
fn what_a_device_was_told_to_forget_while_it_asked_it_does_not_keep() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    port.observe(Agent::Device(0), Arc::new(Forgetful(Arc::clone(&driver.unit))));
    load(&mut port).unwrap();
    assert_eq!(port.cached(None, PAGE), None, "the answer was on its way");
    port.observe(Agent::Device(0), Arc::new(Unobserved));
    load(&mut port).unwrap();
    assert_ne!(port.cached(None, PAGE), None);
}

/// A device with a first stage for each of these PASIDs, in which [`PAGE`] holds their number.
fn processes(driver: &mut Driver, numbers: &[u32]) {
    let directory = driver.attach_scalable(SOURCE);
    for number in numbers {
        let table = driver.first_stage(directory, *number, DOMAIN);
        driver.map(FIRST_STAGE, table, PAGE, u64::from(*number) + 100);
    }
}

fn read(port: &mut Port, number: Option<u32>) -> u64 {
    load_at(port, number.map(pasid), PAGE).unwrap()
}

#[test]
fn processes_whose_routes_are_kept_in_one_place_do_not_get_each_others_pages() {
    let mut driver = Driver::scalable();
    processes(&mut driver, &[0, 5, 8, 13]);
    for mut port in [driver.port(), driver.ats_port()] {
        for _ in 0..3 {
            for (number, seen) in
                [(Some(5), 105), (Some(13), 113), (None, 100), (Some(8), 108), (Some(0), 100)]
            {
                assert_eq!(read(&mut port, number), seen);
            }
        }
    }
}

#[test]
fn what_is_known_of_a_route_is_not_used_in_the_other_cache() {
    let mut driver = Driver::scalable();
    processes(&mut driver, &[0, 5, 6]);
    // So that the unit and the device number the processes in different ways.
    let [own, other] = [SOURCE, SIBLING].map(|source| driver.context_place(source));
    driver.memory.store(other, driver.memory.load(own));
    read(&mut driver.unit.port(SIBLING, 0), None);
    let mut port = driver.unit.port(SOURCE, 64);
    for _ in 0..2 {
        assert_eq!(read(&mut port, Some(5)), 105);
        port.set_ats(Ats::Enabled);
        assert_eq!((read(&mut port, Some(6)), read(&mut port, Some(5))), (106, 105));
        port.set_ats(Ats::Disabled);
        assert_eq!((read(&mut port, Some(6)), read(&mut port, Some(5))), (106, 105));
    }
}
