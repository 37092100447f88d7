//! Page requests: the ring, its overflow, and who is answered.

use mmu::address::{PAGE_SIZE, PhysAddr, VirtAddr};
use pcie::{Msi, PageRequest, RequestOutcome, ResponseCode, Wants};

use super::driver::{DOMAIN, Driver, FIRST_STAGE, PAGE, SOURCE, load_at, pasid};
use crate::spec::fault::FaultReason;
use crate::vtd::Width;
use crate::vtd::options::VtdOptions;
use crate::vtd::port::Port;

const PRS: u64 = 0xdc;
const PQH: u64 = 0xc0;
const PQT: u64 = 0xc8;
const PPR: u64 = 1;
const PRO: u64 = 2;
const RING_BYTES: u64 = 0x1000;

fn driver() -> (Driver, Port, PhysAddr) {
    let mut driver = Driver::scalable();
    let ring = driver.frame();
    driver.unit.write(0xd0, Width::Bits64, ring.0);
    driver.write_word(0xe4, 0x50);
    driver.write_word(0xe8, 0xfee0_0000);
    driver.write_word(0xe0, 0);
    let directory = driver.attach_scalable(SOURCE);
    driver.first_stage(directory, 5, DOMAIN);
    let port = driver.ats_port();
    (driver, port, ring)
}

const EVENT: Msi = Msi { address: 0xfee0_0000, data: 0x50 };

fn request() -> PageRequest {
    PageRequest {
        source: SOURCE,
        pasid: Some(pasid(5)),
        address: PAGE,
        wants: Wants { read: true, write: true, ..Wants::default() },
        group: 3,
        last: true,
        private_data: None,
    }
}

/// Leaves room for nothing in the ring.
fn fill(driver: &Driver, port: &mut Port) {
    for _ in 0..RING_BYTES / 32 - 1 {
        assert_eq!(port.request_page(request()), Ok(RequestOutcome::Accepted));
    }
    assert_eq!(driver.read(PQT), RING_BYTES - 32);
    driver.interrupts.take();
}

#[test]
fn rule_13_a_request_lands_in_the_ring_and_raises_the_event_once() {
    let (driver, mut port, ring) = driver();
    port.request_page(request()).unwrap();
    port.request_page(request()).unwrap();
    assert_eq!(driver.interrupts.take(), [EVENT], "PPR was set already for the second");
    assert_eq!(driver.read_word(PRS), PPR);
    assert_eq!(driver.read(PQT), 64);
    assert_eq!(driver.memory.load(ring.offset(8)), PAGE.0 | 3 << 3 | 0b111);
    driver.write_word(PRS, PPR);
    port.request_page(request()).unwrap();
    assert_eq!(driver.interrupts.take(), [EVENT]);
}

#[test]
fn rule_13_a_full_ring_overflows_and_takes_nothing_until_that_is_cleared() {
    let (driver, mut port, _) = driver();
    fill(&driver, &mut port);
    let refused = Ok(RequestOutcome::Refused(ResponseCode::Success));
    assert_eq!(port.request_page(request()), refused);
    assert_eq!(driver.read_word(PRS), PPR | PRO);
    assert_eq!(driver.interrupts.take(), [], "PPR was set already");
    driver.unit.write(PQH, Width::Bits64, 64);
    assert_eq!(port.request_page(request()), refused, "there is room, and still");
    driver.write_word(PRS, PRO);
    assert_eq!(port.request_page(request()), Ok(RequestOutcome::Accepted));
    assert_eq!(driver.read(PQT), 0, "wrapped");
}

#[test]
fn rule_13_an_overflow_raises_the_event_if_software_has_looked_since() {
    let (driver, mut port, _) = driver();
    fill(&driver, &mut port);
    driver.write_word(PRS, PPR);
    port.request_page(request()).unwrap();
    assert_eq!(driver.read_word(PRS), PRO);
    assert_eq!(driver.interrupts.take(), [EVENT]);
}

#[test]
fn rule_13_an_answer_is_owed_to_the_last_of_a_group_or_for_private_data_and_to_no_stop_marker() {
    let (driver, mut port, _) = driver();
    fill(&driver, &mut port);
    let mut answered = |request| {
        port.request_page(request).unwrap();
        port.next_response().map(|response| (response.group, response.code))
    };
    assert_eq!(answered(request()), Some((3, ResponseCode::Success)));
    assert_eq!(answered(PageRequest { last: false, ..request() }), None);
    let private = PageRequest { last: false, private_data: Some([1, 2]), ..request() };
    assert_eq!(answered(private), Some((3, ResponseCode::Success)));
    port.mark_stop(pasid(5)).unwrap();
    assert_eq!(port.next_response(), None);
}

#[test]
fn rule_13_what_no_software_could_grant_is_refused_as_invalid() {
    let wants = request().wants;
    let unsound = [
        PageRequest { pasid: None, ..request() },
        PageRequest { address: VirtAddr(1 << 60), ..request() },
        PageRequest { wants: Wants { execute: true, ..wants }, ..request() },
        PageRequest { wants: Wants { privileged: true, ..wants }, ..request() },
    ];
    for request in unsound {
        let (mut driver, mut port, _) = driver();
        let directory = driver.attach_scalable(SOURCE);
        driver.first_stage(directory, 0, DOMAIN);
        driver.first_stage(directory, 5, DOMAIN);
        assert_eq!(port.request_page(request), Ok(RequestOutcome::Refused(ResponseCode::Invalid)));
        assert_eq!(port.next_response().map(|response| response.code), Some(ResponseCode::Invalid));
        assert_eq!(driver.read(PQT), 0);
    }
}

#[test]
fn rule_13_a_response_reaches_the_device_that_asked() {
    let (mut driver, mut port, _) = driver();
    for (code, expected) in
        [(0, ResponseCode::Success), (1, ResponseCode::Invalid), (0xf, ResponseCode::Failure)]
    {
        let low = 9 | 1 << 4 | code << 12 | u64::from(SOURCE.0) << 16 | 5 << 32;
        driver.submit(&[[low, 1 << 2 | 3 << 3, 0, 0]]);
        let response = port.next_response().unwrap();
        assert_eq!((response.pasid, response.group, response.code), (Some(pasid(5)), 3, expected));
    }
}

#[test]
fn rule_11_a_page_request_forgets_the_page_that_was_found_wanting() {
    let (mut driver, mut port, _) = driver();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    for page in [PAGE, PAGE.offset(PAGE_SIZE)] {
        driver.map(FIRST_STAGE, table, page, 1);
        load_at(&mut port, Some(pasid(5)), page).unwrap();
        driver.map(FIRST_STAGE, table, page, 2);
    }
    port.request_page(request()).unwrap();
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(2));
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE.offset(PAGE_SIZE)), Ok(1), "and no other");
}

#[test]
fn a_wait_drains_page_requests_only_if_it_says_so() {
    let (mut driver, mut port, _) = driver();
    driver.unit.hold_page_requests();
    port.request_page(request()).unwrap();
    let wait = driver.wait();
    driver.submit(&[wait]);
    assert_eq!(driver.read(PQT), 0);
    let mut wait = driver.wait();
    wait[0] |= 1 << 7;
    driver.submit(&[wait]);
    assert_eq!(driver.read(PQT), 32);
}

#[test]
fn page_requests_need_scalable_mode_and_the_context_entry() {
    let mut legacy = Driver::legacy_with(VtdOptions::default());
    legacy.attach_legacy(SOURCE, DOMAIN, 1);
    for pasid in [None, Some(pasid(5))] {
        let refused = legacy.ats_port().request_page(PageRequest { pasid, ..request() }).unwrap_err();
        assert_eq!(refused.reason, FaultReason::PageRequestInLegacyMode);
    }
    let (mut driver, mut port, _) = driver();
    let place = driver.context_place(SOURCE);
    let entry = driver.memory.load(place);
    driver.memory.store(place, entry & !(1 << 4));
    assert_eq!(port.request_page(request()).unwrap_err().reason, FaultReason::PageRequestDisabled);
    assert_eq!(driver.read(0x228) & (1 << 62 | 1 << 28), 1 << 28, "recorded as a page request");
}
