//! Uses that come behind an invalidation: what of it counts for them.

use pcie::Ats;

use super::{PATIENT, RIGHT, unmapped, unmapped_with};
use crate::stale::Holder;
use crate::stale::tests::{Scene, options};
use crate::vtd::Width;
use crate::vtd::knobs::Fault;
use crate::vtd::port::Port;
use crate::vtd::tests::driver::invalidations::{self, IH};
use crate::vtd::tests::driver::{
    DOMAIN, Driver, FIRST_STAGE, OTHER_DOMAIN, PAGE, SECOND_STAGE, SOURCE, load, load_at, pasid,
};

#[test]
fn what_was_not_carried_out_before_the_use_is_no_excuse() {
    let mut scene = unmapped();
    scene.driver.unit.break_queue(Fault::Drop { nth: 1 });
    scene.driver.invalidate(&[RIGHT()]);
    scene.use_it();
    assert_eq!(scene.last().mistake().name(), "not-carried-out");
}

#[test]
fn what_is_carried_out_late_counts_from_then_on() {
    let mut scene = unmapped();
    scene.driver.unit.break_queue(Fault::Postpone { nth: 1 });
    scene.use_it();
    scene.driver.submit(&[RIGHT()]);
    assert_eq!(scene.tally().open, 1);
    scene.driver.invalidate(&[]);
    assert_eq!((scene.tally().dropped, scene.rest()), (1, Vec::new()));
}

#[test]
fn what_lies_in_a_queue_that_is_off_is_no_excuse() {
    let mut scene = unmapped();
    scene.use_it();
    scene.driver.clear_command(1 << 26);
    let wait = scene.driver.wait();
    scene.driver.submit(&[RIGHT(), wait]);
    assert_eq!(scene.last().mistake().name(), "nothing-invalidated");
}

#[test]
fn what_lies_behind_a_bad_descriptor_is_no_excuse() {
    let mut scene = unmapped();
    scene.use_it();
    scene.driver.unit.hold_queue(0);
    let wait = scene.driver.wait();
    scene.driver.submit(&[[0xf, 0, 0, 0], RIGHT(), wait]);
    assert_eq!(scene.last().mistake().name(), "nothing-invalidated", "the queue will stop before it");
}

/// A device that has read a page of PASID 5, whose entry leads to other tables by now.
fn replaced(open: fn(&Driver) -> Port) -> Scene {
    let mut driver = Driver::scalable_with(options(PATIENT));
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = open(&driver);
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 2);
    Scene { driver, port, directory, table }
}

#[test]
fn an_iotlb_that_was_told_before_it_took_the_translation_again_is_to_be_told_again() {
    let mut scene = replaced(Driver::port);
    scene.driver.invalidate(&[invalidations::pasid(DOMAIN, 5)]);
    assert_eq!(scene.use_it(), 1, "through the PASID entry that is cached");
    scene.driver.invalidate(&[invalidations::pasid_entry(DOMAIN, 5)]);
    assert_eq!(scene.use_it(), 1);
    let report = scene.last();
    assert_eq!((report.holder, report.mistake().name()), (Holder::Iotlb, "table-entry-kept"));
}

#[test]
fn a_device_tlb_that_was_told_before_it_took_the_translation_again_is_to_be_told_again() {
    let mut scene = unmapped_with(PATIENT, Ats::Enabled);
    scene.driver.invalidate(&[invalidations::device_pasid_page(SOURCE, 5, PAGE)]);
    assert_eq!((scene.use_it(), scene.use_it()), (1, 1), "from the IOTLB, and from its own TLB");
    scene.driver.invalidate(&[RIGHT()]);
    let report = scene.last();
    assert_eq!(report.holder, Holder::DeviceTlb);
    assert!(report.received[0].at < report.filled);
}

/// The translation that the IOTLB took again is another matter: whoever uses that is looked at by itself.
#[test]
fn of_what_a_device_keeps_the_iotlb_may_have_been_told_before_it_was_filled() {
    let mut scene = replaced(Driver::ats_port);
    let device = invalidations::device_pasid(SOURCE, 5);
    scene.driver.invalidate(&[invalidations::pasid(DOMAIN, 5), device]);
    assert_eq!((scene.use_it(), scene.use_it()), (1, 1));
    scene.driver.invalidate(&[invalidations::pasid_entry(DOMAIN, 5), device]);
    assert_eq!((scene.tally().kept, scene.tally().dropped), (2, 2));
    assert_eq!(scene.rest(), []);
}

#[test]
fn each_command_in_a_register_is_complete_by_itself() {
    const GO: u64 = 1 << 63;
    let (contexts, iotlb) = ((0x28, GO | 1 << 61), (0xf8, GO | 1 << 60));
    for commands in [[contexts, iotlb], [iotlb, contexts]] {
        let mut driver = Driver::legacy_with(options(PATIENT));
        let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
        driver.map(SECOND_STAGE, table, PAGE, 1);
        let mut port = driver.port();
        load(&mut port).unwrap();
        driver.attach_legacy(SOURCE, DOMAIN, 0);
        assert_eq!(load(&mut port), Ok(1));
        let open = commands.map(|(register, command)| {
            driver.unit.write(register, Width::Bits64, command);
            driver.unit.tally().open
        });
        assert_eq!(open, [1, 0], "{commands:x?}");
    }
}

#[test]
fn what_comes_behind_the_use_is_for_a_later_change_if_anything_came_before() {
    let elsewhere = invalidations::pasid_pages(DOMAIN, 5, PAGE.offset(4096), IH);
    let mut scene = unmapped();
    scene.driver.invalidate(&[invalidations::pasid_pages(OTHER_DOMAIN, 5, PAGE, IH)]);
    scene.use_it();
    scene.driver.invalidate(&[elsewhere, invalidations::pasid_pages(DOMAIN, 6, PAGE, IH)]);
    assert_eq!(scene.last().mistake().name(), "other-domain", "though another process is a nearer miss");

    let mut scene = unmapped_with(PATIENT, Ats::Enabled);
    scene.driver.invalidate(&[invalidations::device_pasid_page(SOURCE, 5, PAGE)]);
    assert_eq!((scene.use_it(), scene.use_it()), (1, 1));
    scene.driver.invalidate(&[elsewhere, RIGHT()]);
    assert_eq!(scene.last().mistake().name(), "iotlb-forgotten", "nor was the device told too early then");
}
