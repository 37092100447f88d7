//! A device that does not answer in time: what it was told is given up.

use std::time::Duration;

use super::driver::invalidations;
use super::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE, load};
use crate::vtd::options::{Judging, StaleOptions, VtdOptions, Watching};

const ITE: u64 = 1 << 6;

#[test]
fn what_is_given_up_is_neither_owed_nor_carried_out() {
    // A few that the device keeps apart, and so many that it owes everything.
    for batches in [1, 20] {
        let mut driver = Driver::legacy();
        let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
        driver.map(SECOND_STAGE, table, PAGE, 1);
        let mut port = driver.ats_port();
        load(&mut port).unwrap();
        driver.map(SECOND_STAGE, table, PAGE, 2);
        driver.submit(&[invalidations::all()]);
        driver.unit.hold_device_tlb(SOURCE);
        for _ in 0..batches {
            driver.submit(&[invalidations::device_page(SOURCE, PAGE); 60]);
        }
        let device = driver.unit.device(SOURCE).unwrap();
        assert!(device.owes_answer());
        driver.unit.time_out_device_tlb(SOURCE);
        driver.write_word(0x34, ITE);
        assert!(!device.owes_answer(), "{batches} batches: a later wait would never be complete");
        driver.unit.release_device_tlb(SOURCE);
        assert_eq!(load(&mut port), Ok(1), "{batches} batches: nobody told it since");
        driver.invalidate(&[invalidations::device_page(SOURCE, PAGE)]);
        assert_eq!(load(&mut port), Ok(2));
    }
}

/// A wait that comes later says nothing of what was given up.
#[test]
fn a_stale_use_is_no_better_for_an_invalidation_that_was_given_up() {
    for (batches, again, reports) in [(1, false, 1), (20, false, 1), (1, true, 0), (20, true, 0)] {
        let stale =
            StaleOptions { watching: Watching::EveryUse, judging: Judging::Late(Duration::from_secs(3600)) };
        let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
        let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
        driver.map(SECOND_STAGE, table, PAGE, 1);
        let mut port = driver.ats_port();
        load(&mut port).unwrap();
        driver.map(SECOND_STAGE, table, PAGE, 2);
        load(&mut port).unwrap();
        driver.submit(&[invalidations::all()]);
        driver.unit.hold_device_tlb(SOURCE);
        for _ in 0..batches {
            driver.submit(&[invalidations::device_page(SOURCE, PAGE); 60]);
        }
        driver.unit.time_out_device_tlb(SOURCE);
        driver.write_word(0x34, ITE);
        driver.unit.release_device_tlb(SOURCE);
        if again {
            driver.invalidate(&[invalidations::device_page(SOURCE, PAGE)]);
        } else {
            driver.invalidate(&[]);
        }
        driver.unit.judge_the_rest();
        let told = driver.unit.take_stale_uses();
        assert_eq!(told.len(), reports, "{batches} {again}: {told:?}");
        assert!(told.iter().all(|report| report.mistake().name() == "not-carried-out"), "{told:?}");
    }
}
