//! A device that does not answer, seen by its driver and by whoever reads the reports.

use std::time::{Duration, Instant};

use pcie::{Ats, SourceId};

use crate::vtd::options::VtdOptions;
use crate::vtd::port::Port;
use crate::vtd::tests::driver::invalidations;
use crate::vtd::tests::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE, load};

const FSTS: u64 = 0x34;
const IQH: u64 = 0x80;
const IQERCD: u64 = 0xb0;
const ITE: u64 = 1 << 6;
const OTHER: SourceId = SourceId(SOURCE.0 ^ 8);
/// Longer than any test takes: it passes when a test says so.
const LIMIT: Duration = Duration::from_secs(3600);

/// Two devices that do not answer.
fn driver(limit: Option<Duration>) -> (Driver, [Port; 2]) {
    let options = VtdOptions { answer_time_out: limit, ..VtdOptions::default() };
    let mut driver = Driver::legacy_with(options);
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load(&mut port).unwrap();
    let mut other = driver.unit.port(OTHER, 64);
    other.set_ats(Ats::Enabled);
    [SOURCE, OTHER].iter().for_each(|source| driver.unit.hold_device_tlb(*source));
    (driver, [port, other])
}

/// Puts an invalidation for each of `sources`, and a wait, into the queue.
fn submit(driver: &mut Driver, sources: &[SourceId]) {
    let wait = driver.wait();
    for source in sources {
        driver.put(&[invalidations::device_page(*source, PAGE)]);
    }
    driver.submit(&[wait]);
}

/// So much later.
fn look_after(driver: &Driver, passed: Duration) {
    driver.unit.give_up_unanswered_at(Instant::now() + passed, LIMIT);
}

#[test]
fn a_device_is_given_up_when_its_time_is_over_and_not_before() {
    let (mut driver, [mut port, _]) = driver(Some(LIMIT));
    submit(&mut driver, &[SOURCE]);
    look_after(&driver, LIMIT / 2);
    assert_eq!(driver.read_word(FSTS), 0);
    look_after(&driver, LIMIT);
    assert_eq!(driver.read_word(FSTS), ITE);
    assert_eq!((driver.read(IQERCD) >> 32, driver.read(IQH)), (u64::from(SOURCE.0), 32), "behind the wait");
    driver.write_word(FSTS, ITE);
    assert!(!driver.waited(), "it was aborted");
    assert_eq!(load(&mut port), Ok(1), "and the device has forgotten nothing");
    let told: Vec<_> = driver.unit.take_time_outs();
    assert_eq!(
        told[0].to_string(),
        "time-out: invalidation of device TLB of 00:03.0, page 0x40201000, not answered after 3600s: FSTS.ITE, and the \
         wait behind it is aborted"
    );
    let json: serde_json::Value = serde_json::from_str(&told[0].to_json()).unwrap();
    assert_eq!((&json["event"], &json["source"]), (&"time-out".into(), &"00:03.0".into()));
    assert_eq!(json["after_ms"], 3.6e6);
    assert_eq!((told.len(), driver.unit.take_time_outs().len()), (1, 0));
}

#[test]
fn without_a_limit_nothing_is_given_up_and_with_one_software_that_looks_finds_out() {
    for (limit, status, fsts) in
        [(None, 0, FSTS), (Some(Duration::ZERO), ITE, FSTS), (Some(Duration::ZERO), ITE, IQH)]
    {
        let (mut driver, _ports) = driver(limit);
        submit(&mut driver, &[SOURCE]);
        let _looked = driver.unit.read(fsts, crate::vtd::Width::Bits32);
        let (reports, seen) = (driver.unit.take_time_outs().len(), driver.read_word(FSTS));
        assert_eq!((reports, seen), (usize::from(status != 0), status), "{limit:?}, {fsts:#x}");
    }
}

#[test]
fn where_no_wait_is_pending_none_is_aborted() {
    let (mut driver, _ports) = driver(Some(LIMIT));
    driver.submit(&[invalidations::device_page(SOURCE, PAGE)]);
    driver.unit.hold_queue(0);
    let wait = driver.wait();
    driver.submit(&[wait]);
    look_after(&driver, LIMIT);
    assert_eq!(driver.read(IQH), 16, "the wait was not fetched yet");
    assert_eq!(
        driver.unit.take_time_outs().iter().map(|told| told.has_aborted_wait).collect::<Vec<_>>(),
        [false]
    );
    driver.unit.release_queue();
    driver.write_word(FSTS, ITE);
    assert!(driver.waited(), "nothing is waited for any more");
}

#[test]
fn another_device_that_has_not_answered_is_still_waited_for() {
    let (mut driver, _ports) = driver(Some(LIMIT));
    submit(&mut driver, &[SOURCE, OTHER]);
    look_after(&driver, LIMIT);
    look_after(&driver, LIMIT);
    assert_eq!(
        driver.read(IQERCD) >> 32,
        u64::from(SOURCE.0),
        "the error of the first stands until it is cleared"
    );
    driver.write_word(FSTS, ITE);
    let wait = driver.wait();
    driver.submit(&[wait]);
    assert!(!driver.waited(), "the other one is not given up yet");
    look_after(&driver, LIMIT);
    assert_eq!(driver.read(IQERCD) >> 32, u64::from(OTHER.0));
    assert_eq!(driver.unit.take_time_outs().len(), 2);
}

#[test]
fn a_device_that_answers_in_time_is_not_given_up() {
    let (mut driver, _ports) = driver(Some(LIMIT));
    submit(&mut driver, &[SOURCE]);
    driver.unit.release_device_tlb(SOURCE);
    look_after(&driver, LIMIT);
    assert_eq!((driver.read_word(FSTS), driver.waited()), (0, true));
    assert_eq!(driver.unit.take_time_outs(), []);
}

#[test]
fn a_driver_that_tries_for_ever_fills_no_memory() {
    let (mut driver, _ports) = driver(Some(LIMIT));
    for _ in 0..100 {
        submit(&mut driver, &[SOURCE]);
        look_after(&driver, LIMIT);
        driver.write_word(FSTS, ITE);
    }
    assert_eq!(driver.unit.take_time_outs().len(), 64);
}
