//! Binding, unbinding, release.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mmu::address::{Access, VirtAddr};
use mmu::address_space::{SpaceId, SpaceOptions};
use mmu::table::Levels;
use mmu::trace::{Event, Observer};
use pcie::{Ats, PASID_COUNT, Pasid, ResponseCode};
use steps::program::Line;

use super::fixture::{Fixture, PAGE, PAGES, ahead, fixture, fixture_with, page, pasid, port, request, space};
use crate::spec::fault::FaultReason;
use crate::sva::port::DmaError;
use crate::sva::{BindError, SvaOptions};
use crate::vtd::port::Blocked;

fn reason<T: std::fmt::Debug>(refused: Result<T, DmaError>) -> FaultReason {
    match refused.unwrap_err() {
        DmaError::Blocked(Blocked { reason, .. }) => reason,
        refused @ DmaError::Refused { .. } => panic!("{refused} is an answer, and none was expected"),
    }
}

#[test]
fn a_device_reads_what_a_cpu_wrote_and_the_other_way_round() {
    for tlb in [0, 64] {
        let mut fixture = fixture_with(SvaOptions::default(), SpaceOptions::default(), tlb);
        fixture.cpu.store(PAGE, 3).unwrap();
        assert_eq!(fixture.port.read(PAGE).unwrap().value, 3);
        fixture.port.write(PAGE.offset(8), 4).unwrap();
        assert_eq!(fixture.cpu.load(PAGE.offset(8)).unwrap().value, 4);
    }
}

#[test]
fn a_table_of_five_levels_is_walked_through_five() {
    let options = SpaceOptions { levels: Levels::Five, ..SpaceOptions::default() };
    let mut fixture = fixture_with(SvaOptions::default(), options, 0);
    fixture.cpu.store(PAGE, 3).unwrap();
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 3);
}

#[test]
fn two_pasids_do_not_see_each_others_pages() {
    let mut fixture = fixture();
    let other = space(fixture.driver.frames(), 2, SpaceOptions::default());
    // The same PASID table, and another.
    for number in [6, 4000] {
        let second = Pasid::new(number).unwrap();
        fixture.driver.bind(second, &other).unwrap();
        let mut port = port(&fixture.driver, 1, 0, second);
        fixture.port.write(PAGE, 1).unwrap();
        port.write(PAGE, 2).unwrap();
        assert_eq!(fixture.port.read(PAGE).unwrap().value, 1);
        fixture.invalidate(PAGE);
        assert!(!fixture.is_cached(PAGE));
        assert!(port.cached(PAGE).is_some());
    }
}

#[test]
fn a_pasid_is_bound_once_and_must_exist() {
    let fixture = fixture();
    assert_eq!(fixture.driver.bind(pasid(), &fixture.space), Err(BindError::AlreadyBound(pasid())));
    let zero = Pasid::new(0).unwrap();
    assert_eq!(fixture.driver.bind(zero, &fixture.space), Err(BindError::Reserved(zero)));
    assert!(Pasid::new(PASID_COUNT).unwrap_err().to_string().contains("give one below"));
}

#[test]
fn an_unbound_pasid_is_refused_at_once() {
    for tlb in [0, 64] {
        let mut fixture = fixture_with(SvaOptions::default(), SpaceOptions::default(), tlb);
        fixture.port.write(PAGE, 1).unwrap();
        fixture.driver.unbind(pasid());
        assert_eq!(
            fixture.port.translate(PAGE, Access::Read).unwrap_err().reason,
            FaultReason::PasidNotPresent
        );
        assert_eq!(reason(fixture.port.read(PAGE)), FaultReason::PasidNotPresent);
        assert!(!fixture.is_cached(PAGE));
        fixture.driver.bind(pasid(), &fixture.space).unwrap();
        assert_eq!(fixture.port.read(PAGE).unwrap().value, 1);
    }
}

#[test]
fn a_pasid_that_is_bound_anew_shows_nothing_of_its_former_address_space() {
    for tlb in [0, 64] {
        let mut fixture = fixture_with(SvaOptions::default(), SpaceOptions::default(), tlb);
        fixture.port.write(PAGE, 1).unwrap();
        let other = space(fixture.driver.frames(), 2, SpaceOptions::default());
        fixture.driver.unbind(pasid());
        fixture.driver.bind(pasid(), &other).unwrap();
        assert_eq!(fixture.port.read(PAGE).unwrap().value, 0);
    }
}

#[test]
fn the_end_of_an_address_space_ends_its_dma_and_is_no_fault_to_record() {
    let Fixture { driver, space, cpu, mut port } = ahead(SvaOptions::default());
    port.write(PAGE, 1).unwrap();
    drop(cpu);
    drop(space);
    assert_eq!(reason(port.read(PAGE)), FaultReason::PasidNotPresent);
    let faults = crate::sva::mmio::word(driver.unit(), crate::spec::register::Register::FAULT_STATUS);
    assert_eq!(faults, 0);
    driver.unbind(pasid());
    let other = super::fixture::space(driver.frames(), 2, SpaceOptions::default());
    driver.bind(pasid(), &other).unwrap();
    assert_eq!(port.read(PAGE).unwrap().value, 0);
}

#[test]
fn rule_14_an_unbinding_waits_for_an_access_in_flight() {
    for tlb in [0, 64] {
        let mut fixture = fixture_with(SvaOptions::default(), SpaceOptions::default(), tlb);
        fixture.cpu.store(PAGE, 1).unwrap();
        fixture.port.read(PAGE).unwrap();
        let in_flight = fixture.port.translate(PAGE, Access::Read).unwrap();
        let returned = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                fixture.driver.unbind(pasid());
                returned.store(true, Ordering::SeqCst);
            });
            for _ in 0..1000 {
                thread::yield_now();
            }
            assert!(!returned.load(Ordering::SeqCst), "it returned without waiting");
            assert_eq!(in_flight.load().value, 1);
        });
        assert!(returned.load(Ordering::SeqCst));
    }
}

#[test]
fn rule_14_an_unbinding_leaves_no_page_request_unanswered() {
    let fixture = fixture();
    let unit = Arc::clone(fixture.driver.unit());
    let device = fixture.driver.attach(1, 64).unwrap();
    let mut raw = unit.port(device.source(), 64);
    raw.set_ats(Ats::Enabled);
    // Two in the ring, one of them of a group that never ends, and one that the unit keeps back.
    raw.request_page(request(PAGE, 1, true)).unwrap();
    raw.request_page(request(page(1), 2, false)).unwrap();
    unit.hold_page_requests();
    raw.request_page(request(page(2), 3, true)).unwrap();
    fixture.driver.unbind(pasid());
    let answers = std::iter::from_fn(|| raw.next_response());
    let answers: Vec<_> = answers.map(|response| (response.group, response.code)).collect();
    assert_eq!(answers, [(1, ResponseCode::Success), (3, ResponseCode::Success)]);
    assert_eq!(fixture.driver.answer_requests(), 0);
}

/// Holds up the first step of an operation until it is told to go on.
#[derive(Default)]
struct Gate {
    reached: AtomicBool,
    open: AtomicBool,
}

impl Observer for Gate {
    fn record(&self, _: Event) {}

    fn before(&self, _: VirtAddr, _: &Line) {
        self.reached.store(true, Ordering::SeqCst);
        wait_for(&self.open);
    }
}

fn wait_for(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        thread::yield_now();
    }
}

#[test]
fn an_address_space_may_end_with_the_answer_to_its_last_request() {
    let gate = Arc::<Gate>::default();
    let options =
        SpaceOptions { observer: Arc::clone(&gate) as Arc<dyn Observer>, ..SpaceOptions::default() };
    let Fixture { driver, space, mut cpu, port } = fixture_with(SvaOptions::default(), options, 0);
    cpu.store(PAGE, 1).unwrap();
    let child = space.fork(SpaceId(2)).unwrap();
    let device = driver.attach(1, 64).unwrap();
    let mut raw = driver.unit().port(device.source(), 64);
    raw.request_page(request(PAGE, 7, true)).unwrap();
    thread::scope(|scope| {
        let answering = scope.spawn(|| driver.answer_requests());
        wait_for(&gate.reached);
        // Whoever answers is the last who holds it.
        drop((cpu, port, space));
        gate.open.store(true, Ordering::SeqCst);
        assert_eq!(answering.join().unwrap(), 1);
    });
    assert_eq!(raw.next_response().map(|response| response.code), Some(ResponseCode::Success));
    assert!(driver.bindings.space(pasid()).is_none());
    drop(child);
}

#[test]
fn binding_and_unbinding_race_with_accesses_and_changes() {
    let Fixture { driver, space, mut cpu, mut port } = ahead(SvaOptions::default());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                match port.write(PAGE.offset(8), 1) {
                    Ok(_) | Err(DmaError::Blocked(Blocked { reason: FaultReason::PasidNotPresent, .. })) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        scope.spawn(|| {
            for value in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let child = space.fork(SpaceId(2)).unwrap();
                cpu.store(PAGE, value).unwrap();
                drop(child);
            }
        });
        for _ in 0..200 {
            driver.unbind(pasid());
            driver.bind(pasid(), &space).unwrap();
        }
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn an_address_outside_every_area_is_answered_as_invalid() {
    let mut fixture = fixture();
    let refused = fixture.port.read(page(PAGES)).unwrap_err();
    assert!(matches!(refused, DmaError::Refused { code: ResponseCode::Invalid, .. }), "{refused}");
    assert_eq!(reason(fixture.port.read(VirtAddr(1 << 60))), FaultReason::NotCanonical);
}
