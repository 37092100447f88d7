//! Page requests through the ring.

use mmu::address_space::SpaceOptions;
use pcie::{Ats, RequestOutcome, ResponseCode};

use super::fixture::{PAGE, PAGES, ahead, fixture, fixture_with, page, pasid, request};
use crate::spec::register::Register;
use crate::sva::{RequestCounts, SvaOptions, mmio};
use crate::vtd::port::Port;

/// Requests that the ring has room for.
const ROOM: u16 = 127;

fn raw_port(fixture: &super::fixture::Fixture, number: u16) -> Port {
    let device = fixture.driver.attach(number, 64).unwrap();
    let mut port = fixture.driver.unit().port(device.source(), 64);
    port.set_ats(Ats::Enabled);
    port
}

fn responses(port: &mut Port) -> Vec<(u16, ResponseCode)> {
    std::iter::from_fn(|| port.next_response()).map(|response| (response.group, response.code)).collect()
}

#[test]
fn a_fault_becomes_a_page_request_that_the_address_space_answers() {
    for tlb in [0, 64] {
        let mut fixture = fixture_with(SvaOptions::default(), SpaceOptions::default(), tlb);
        assert_eq!(fixture.port.read(PAGE).unwrap().value, 0);
        assert_eq!(fixture.port.page_requests(), 1);
        let counts = RequestCounts { requests: 1, responses: 1, overflows: 0 };
        assert_eq!(fixture.driver.request_counts(), counts);
        let faults = mmio::word(fixture.driver.unit(), Register::FAULT_STATUS);
        assert_eq!(faults, 0, "a page that is asked for is no fault to record");
    }
}

#[test]
fn a_group_is_answered_once_and_as_a_whole() {
    let fixture = fixture();
    let mut port = raw_port(&fixture, 1);
    for number in 0..3 {
        port.request_page(request(page(number), 4, false)).unwrap();
    }
    assert_eq!(fixture.driver.answer_requests(), 0, "its last request has not come");
    assert!(!fixture.space.entry(PAGE).is_present());
    port.request_page(request(page(PAGES), 5, true)).unwrap();
    port.request_page(request(page(3), 4, true)).unwrap();
    assert_eq!(fixture.driver.answer_requests(), 2);
    assert_eq!(responses(&mut port), [(5, ResponseCode::Invalid), (4, ResponseCode::Success)]);
    assert!((0..4).all(|number| fixture.space.entry(page(number)).is_present()));
}

#[test]
fn a_stop_marker_is_not_answered() {
    let fixture = fixture();
    let mut port = raw_port(&fixture, 1);
    port.mark_stop(pasid()).unwrap();
    assert_eq!(fixture.driver.answer_requests(), 0);
    assert_eq!(responses(&mut port), []);
}

#[test]
fn rule_13_an_overflow_is_cleared_and_every_group_is_answered() {
    let fixture = fixture();
    let mut port = raw_port(&fixture, 1);
    for group in 0..ROOM {
        assert_eq!(port.request_page(request(PAGE, group, true)), Ok(RequestOutcome::Accepted));
    }
    let refused = port.request_page(request(PAGE, ROOM, true));
    assert_eq!(refused, Ok(RequestOutcome::Refused(ResponseCode::Success)));
    assert_eq!(fixture.driver.answer_requests(), usize::from(ROOM));
    let mut groups: Vec<_> = responses(&mut port).iter().map(|(group, _)| *group).collect();
    groups.sort_unstable();
    assert_eq!(groups, (0..=ROOM).collect::<Vec<_>>());
    assert_eq!(fixture.driver.request_counts().overflows, 1);
    assert_eq!(
        port.request_page(request(PAGE, 0, true)),
        Ok(RequestOutcome::Accepted),
        "it takes requests again"
    );
}

#[test]
fn a_group_that_an_overflow_tore_is_forgotten() {
    let fixture = fixture();
    let mut port = raw_port(&fixture, 1);
    port.request_page(request(PAGE, 9, false)).unwrap();
    for group in 10..9 + ROOM {
        port.request_page(request(page(1), group, true)).unwrap();
    }
    port.request_page(request(page(2), 9, true)).unwrap();
    assert_eq!(fixture.driver.answer_requests(), usize::from(ROOM) - 1);
    responses(&mut port);
    port.request_page(request(page(3), 9, true)).unwrap();
    fixture.driver.answer_requests();
    assert!(!fixture.space.entry(PAGE).is_present(), "of the group's first life nothing is left");
    assert!(fixture.space.entry(page(3)).is_present());
}

#[test]
fn a_page_request_drops_what_the_device_found_wanting() {
    let mut fixture = ahead(SvaOptions::default());
    fixture.port.read(PAGE).unwrap();
    assert!(fixture.is_cached(PAGE));
    let mut port = fixture.driver.unit().port(crate::spec::id::SourceId(0), 64);
    port.request_page(request(PAGE, 1, true)).unwrap();
    assert!(!fixture.is_cached(PAGE));
}
