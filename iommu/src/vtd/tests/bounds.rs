//! What waits in the unit for somebody who never comes is bounded.

use pcie::{PageRequest, RequestOutcome, Wants};

use super::driver::{DOMAIN, Driver, PAGE, SOURCE, pasid};
use crate::vtd::Width;
use crate::vtd::port::Port;

const PQT: u64 = 0xc8;
/// Answers to a device, and requests to software, that wait at most.
const MOST: u64 = 512;

fn driver() -> (Driver, Port) {
    let mut driver = Driver::scalable();
    let ring = driver.frame();
    driver.unit.write(0xd0, Width::Bits64, ring.0);
    let directory = driver.attach_scalable(SOURCE);
    driver.first_stage(directory, 5, DOMAIN);
    let port = driver.ats_port();
    (driver, port)
}

#[test]
fn a_device_that_never_looks_loses_the_oldest_answers() {
    let (mut driver, mut port) = driver();
    for group in 0..MOST + 3 {
        let low = 9 | 1 << 4 | u64::from(SOURCE.0) << 16 | 5 << 32;
        driver.submit(&[[low, 1 << 2 | (group % 512) << 3, 0, 0]]);
    }
    let groups: Vec<_> = std::iter::from_fn(|| port.next_response()).map(|answer| answer.group).collect();
    assert_eq!(groups.len() as u64, MOST);
    assert_eq!((groups[0], groups[511]), (3, 2));
}

#[test]
fn requests_that_are_held_back_are_no_more_than_there_is_room_for() {
    let (driver, mut port) = driver();
    driver.unit.hold_page_requests();
    let request = PageRequest {
        source: SOURCE,
        pasid: Some(pasid(5)),
        address: PAGE,
        wants: Wants { read: true, ..Wants::default() },
        group: 3,
        last: true,
        private_data: None,
    };
    for _ in 0..MOST {
        assert_eq!(port.request_page(request), Ok(RequestOutcome::Accepted));
    }
    assert_eq!(driver.read(PQT), 0, "all of them are held");
    assert_eq!(port.request_page(request), Ok(RequestOutcome::Accepted));
    assert_eq!(driver.read(PQT), 32, "this one is not");
}
