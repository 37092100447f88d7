//! A device that does not answer in time: what it was told is given up.

use super::driver::invalidations;
use super::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE, load};

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
