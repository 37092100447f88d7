//! Uses that are kept until they can be judged: what a right driver does has no report, and every mistake still has one.

mod again;
mod before;

use std::time::Duration;

use super::{EVERY_USE, Scene, options, scene_with};
use mmu::address::PhysAddr;
use pcie::{Ats, Pasid};

use crate::stale::watch::{Judging, StaleOptions, Tally};
use crate::stale::{Ground, StaleUse};
use crate::vtd::knobs::Fault;
use crate::vtd::port::Port;
use crate::vtd::tests::driver::invalidations::{self, IH};
use crate::vtd::tests::driver::{
    DOMAIN, Driver, FIRST_STAGE, OTHER_DOMAIN, PAGE, SOURCE, Words, load_at, pasid,
};

/// Nothing counts for its age.
const PATIENT: StaleOptions = StaleOptions { judging: Judging::Late(Duration::MAX), ..EVERY_USE };
/// Everything counts for its age.
const IMPATIENT: StaleOptions = StaleOptions { judging: Judging::Late(Duration::ZERO), ..EVERY_USE };
const RIGHT: fn() -> Words = || invalidations::pasid_pages(DOMAIN, 5, PAGE, IH);

/// A device that has read a page of PASID 5, which has been unmapped since.
fn unmapped_with(stale: StaleOptions, ats: Ats) -> Scene {
    let mut driver = Driver::scalable_with(options(stale));
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    port.set_ats(ats);
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    driver.unmap(FIRST_STAGE, table, PAGE);
    Scene { driver, port, directory, table }
}

fn unmapped() -> Scene {
    unmapped_with(PATIENT, Ats::Disabled)
}

impl Scene {
    fn tally(&self) -> Tally {
        self.driver.unit.tally()
    }

    fn rest(&self) -> Vec<StaleUse> {
        self.driver.unit.judge_the_rest();
        self.driver.unit.take_stale_uses()
    }

    /// The only report of what is left at the end.
    fn last(&self) -> StaleUse {
        let mut reports = self.rest();
        assert_eq!(reports.len(), 1, "{reports:?}");
        reports.remove(0)
    }
}

#[test]
fn a_use_between_a_change_and_its_invalidation_is_nobodys_mistake() {
    let mut scene = unmapped();
    assert_eq!(scene.reports(), []);
    scene.use_it();
    scene.driver.invalidate(&[RIGHT()]);
    assert_eq!(scene.tally(), Tally { kept: 1, dropped: 1, unjudged: 0, open: 0 });
    assert_eq!(scene.rest(), []);
}

#[test]
fn a_use_of_what_nobody_invalidates_counts_at_the_end() {
    let mut scene = unmapped();
    (0..3).for_each(|_| assert_eq!(scene.reports(), []));
    scene.driver.invalidate(&[]);
    let report = scene.last();
    assert_eq!((report.ground, report.uses), (Ground::TheEnd, 3));
    assert_eq!(report.mistake().name(), "nothing-invalidated");
    assert_eq!(scene.rest(), [], "once");
    assert_eq!(scene.driver.unit.stale_use_count(), 1);
}

#[test]
fn a_use_of_what_nobody_invalidates_counts_when_its_time_is_over() {
    let mut scene = unmapped_with(IMPATIENT, Ats::Disabled);
    let reports = scene.reports();
    assert_eq!((reports.len(), reports[0].ground), (1, Ground::TimeOver));
    assert_eq!(scene.driver.unit.stale_use_count(), 1);
    assert_eq!(scene.reports(), [], "the same entry and the same change");
}

#[test]
fn only_the_invalidation_that_helps_ends_the_waiting() {
    let elsewhere = invalidations::pasid_pages(DOMAIN, 5, PAGE.offset(4096), IH);
    for (useless, mistake) in [
        (invalidations::pasid_pages(OTHER_DOMAIN, 5, PAGE, IH), "other-domain"),
        (invalidations::pasid_pages(DOMAIN, 6, PAGE, IH), "other-pasid"),
        (invalidations::device_pasid_page(SOURCE, 5, PAGE), "iotlb-forgotten"),
        (invalidations::pasid_entry(DOMAIN, 5), "nothing-invalidated"),
    ] {
        let mut scene = unmapped();
        scene.use_it();
        scene.driver.invalidate(&[elsewhere, useless]);
        assert_eq!(scene.tally().dropped, 0);
        assert_eq!(scene.last().mistake().name(), mistake, "it came after the use");
    }
}

#[test]
fn an_invalidation_that_was_not_carried_out_ends_nothing() {
    let mut scene = unmapped();
    scene.driver.unit.break_queue(Fault::Drop { nth: 1 });
    scene.use_it();
    scene.driver.invalidate(&[RIGHT()]);
    assert_eq!(scene.last().mistake().name(), "not-carried-out");
}

#[test]
fn a_device_tlb_is_told_after_the_iotlb_and_both_are_waited_for() {
    let mut scene = unmapped_with(PATIENT, Ats::Enabled);
    scene.use_it();
    scene.driver.invalidate(&[RIGHT()]);
    assert_eq!(scene.tally().dropped, 0, "the device still has it");
    scene.driver.invalidate(&[invalidations::device_pasid_page(SOURCE, 5, PAGE)]);
    assert_eq!((scene.tally().dropped, scene.rest()), (1, Vec::new()));

    let mut scene = unmapped_with(PATIENT, Ats::Enabled);
    scene.driver.invalidate(&[RIGHT()]);
    scene.use_it();
    scene.driver.invalidate(&[invalidations::device_pasid_page(SOURCE, 5, PAGE)]);
    assert_eq!((scene.tally().dropped, scene.rest()), (1, Vec::new()), "the use came between the two");

    let mut scene = unmapped_with(PATIENT, Ats::Enabled);
    scene.use_it();
    scene.driver.invalidate(&[RIGHT()]);
    assert_eq!(scene.last().mistake().name(), "device-tlb-forgotten");
}

#[test]
fn a_device_tlb_that_is_switched_off_needs_no_invalidation() {
    for is_off_first in [false, true] {
        let mut scene = unmapped_with(PATIENT, Ats::Enabled);
        scene.use_it();
        if is_off_first {
            scene.port.set_ats(Ats::Disabled);
        }
        scene.driver.invalidate(&[RIGHT()]);
        assert_eq!(scene.tally().dropped, u64::from(is_off_first));
        scene.port.set_ats(Ats::Disabled);
        scene.port.set_ats(Ats::Enabled);
        assert_eq!((scene.tally().dropped, scene.rest()), (1, Vec::new()));
    }
    let mut scene = unmapped_with(PATIENT, Ats::Enabled);
    scene.use_it();
    scene.port.set_ats(Ats::Disabled);
    assert_eq!(scene.last().mistake().name(), "nothing-invalidated", "the IOTLB is still to be told");
}

#[test]
fn a_use_while_software_waits_is_nobodys_mistake_however_late_the_unit_is() {
    for stale in [PATIENT, IMPATIENT] {
        let mut scene = unmapped_with(stale, Ats::Disabled);
        scene.driver.unit.run_queue_when_asked();
        let wait = scene.driver.wait();
        scene.driver.submit(&[RIGHT(), wait]);
        assert_eq!(scene.reports(), []);
        assert_eq!(scene.tally().open, 1);
        assert_eq!(scene.rest(), []);
        assert_eq!(scene.tally().unjudged, 1);
    }
    let mut scene = unmapped_with(IMPATIENT, Ats::Enabled);
    scene.driver.unit.hold_device_tlb(SOURCE);
    let wait = scene.driver.wait();
    scene.driver.submit(&[RIGHT(), invalidations::device_pasid_page(SOURCE, 5, PAGE), wait]);
    assert_eq!(scene.reports(), [], "the device has not answered");
    scene.driver.unit.release_device_tlb(SOURCE);
    assert_eq!(scene.tally(), Tally { kept: 1, dropped: 1, unjudged: 0, open: 0 });
}

#[test]
fn what_is_queued_without_a_wait_is_a_mistake_in_the_end() {
    let mut scene = unmapped();
    scene.driver.unit.run_queue_when_asked();
    scene.driver.submit(&[RIGHT()]);
    scene.use_it();
    assert_eq!(scene.last().mistake().name(), "not-waited-for");
}

#[test]
fn a_page_that_moves_may_be_used_where_it_was_until_it_is_invalidated() {
    let mut scene = scene_with(PATIENT);
    assert_eq!(scene.reports(), []);
    scene.driver.invalidate(&[RIGHT()]);
    assert_eq!((scene.tally().dropped, scene.rest()), (1, Vec::new()));
}

#[test]
fn a_page_that_moves_again_before_it_is_invalidated_counts() {
    for (is_mapped, grounds) in [(true, vec![Ground::ChangedAgain]), (false, vec![Ground::ChangedAgain])] {
        let mut scene = scene_with(PATIENT);
        scene.use_it();
        if is_mapped {
            scene.driver.map(FIRST_STAGE, scene.table, PAGE, 3);
        } else {
            scene.driver.unmap(FIRST_STAGE, scene.table, PAGE);
        }
        scene.driver.invalidate(&[invalidations::pasid(DOMAIN, 6)]);
        assert_eq!(scene.driver.unit.take_stale_uses(), [], "somebody else's");
        scene.driver.invalidate(&[RIGHT()]);
        let reports = scene.driver.unit.take_stale_uses();
        assert_eq!(reports.iter().map(|report| report.ground).collect::<Vec<_>>(), grounds);
        assert_eq!(reports[0].received.len(), 1, "what came in time");
    }
    let mut scene = unmapped();
    scene.use_it();
    scene.driver.map(FIRST_STAGE, scene.table, PAGE, 3);
    scene.driver.invalidate(&[RIGHT()]);
    assert_eq!(scene.rest(), [], "another thread may map what one is unmapping");
}

#[test]
fn a_page_that_is_protected_may_be_used_until_it_is_invalidated() {
    let mut scene = scene_with(PATIENT);
    scene.driver.invalidate(&[invalidations::pasid(DOMAIN, 5)]);
    scene.use_it();
    let place = scene.driver.place(FIRST_STAGE, scene.table, PAGE, 1);
    let entry = scene.driver.memory.load(place);
    scene.driver.memory.store(place, entry & !4);
    assert_eq!(scene.reports(), []);
    assert_eq!(scene.tally().open, 1);
    scene.driver.invalidate(&[RIGHT()]);
    assert_eq!(scene.rest(), []);
}

/// Another process uses the frame that the device still reaches, before the page is invalidated.
#[test]
fn a_frame_that_is_somebody_elses_counts_before_the_invalidation() {
    for (leaf, grounds) in [(7, vec![Ground::FrameReused]), (5, vec![])] {
        let mut scene = unmapped();
        scene.use_it();
        let frame = frame_of(&scene.port, 5);
        let other = scene.driver.first_stage(scene.directory, 6, OTHER_DOMAIN);
        scene.driver.map(FIRST_STAGE, other, PAGE, 9);
        let place = scene.driver.place(FIRST_STAGE, other, PAGE, 1);
        scene.driver.memory.store(place, frame | leaf);
        load_at(&mut scene.port, Some(pasid(6)), PAGE).unwrap();
        scene.driver.invalidate(&[RIGHT()]);
        let found: Vec<_> = scene.rest().iter().map(|report| report.ground).collect();
        assert_eq!(found, grounds, "what is shared is read-only");
    }
}

/// The frame that the device still reaches is another process's table, before the page is invalidated.
#[test]
fn a_frame_that_is_walked_as_a_table_counts_before_the_invalidation() {
    let mut scene = unmapped();
    scene.use_it();
    let table = frame_of(&scene.port, 5);
    let other = scene.driver.first_stage(scene.directory, 6, OTHER_DOMAIN);
    let link = scene.driver.place(FIRST_STAGE, other, PAGE, 2);
    scene.driver.memory.store(link, table | 7);
    let leaf = scene.driver.frame().0 | 5;
    scene.driver.memory.store(PhysAddr(table).offset(PAGE.table_index(1) * 8), leaf);
    load_at(&mut scene.port, Some(pasid(6)), PAGE).unwrap();
    scene.driver.invalidate(&[RIGHT()]);
    let grounds: Vec<_> = scene.rest().iter().map(|report| report.ground).collect();
    assert_eq!(grounds, [Ground::FrameReused]);
}

#[test]
fn a_large_page_may_hold_the_tables_of_others_all_the_time() {
    let mut driver = Driver::scalable_with(options(PATIENT));
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    let leaf = driver.place(FIRST_STAGE, table, PAGE, 2);
    driver.memory.store(leaf, 0x87);
    let mut port = driver.port();
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    driver.memory.store(leaf, 0);
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    let other = driver.first_stage(directory, 6, OTHER_DOMAIN);
    driver.map(FIRST_STAGE, other, PAGE, 9);
    let read_only = driver.place(FIRST_STAGE, other, PAGE, 1);
    driver.memory.store(read_only, driver.memory.load(read_only) & !2);
    load_at(&mut port, Some(pasid(6)), PAGE).unwrap();
    driver.invalidate(&[RIGHT()]);
    driver.unit.judge_the_rest();
    assert_eq!(driver.unit.take_stale_uses(), []);
    assert_eq!((driver.unit.tally().kept, driver.unit.tally().dropped), (1, 1));
}

fn frame_of(port: &Port, number: u32) -> u64 {
    let pasid: Pasid = pasid(number);
    port.cached(Some(pasid), PAGE).unwrap().pfn.address().0
}

#[test]
fn a_second_mistake_of_the_same_change_is_told_too() {
    for stale in [EVERY_USE, IMPATIENT] {
        let mut scene = scene_with(stale);
        assert_eq!(scene.reports().pop().unwrap().mistake().name(), "nothing-invalidated");
        assert_eq!(scene.reports(), [], "nothing new");
        scene.driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 5, PAGE.offset(4096), IH)]);
        assert_eq!(scene.reports(), [], "somebody else's pages");
        for (wrong, mistake) in [
            (invalidations::pasid_pages(OTHER_DOMAIN, 5, PAGE, IH), "other-domain"),
            (invalidations::pasid_pages(DOMAIN, 6, PAGE, IH), "other-pasid"),
        ] {
            scene.driver.invalidate(&[wrong]);
            let reports = scene.reports();
            assert_eq!(reports.iter().map(|it| it.mistake().name()).collect::<Vec<_>>(), [mistake]);
            assert_eq!(scene.reports(), []);
        }
        scene.driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 6, PAGE, IH)]);
        assert_eq!(scene.reports(), [], "the same mistake again");
    }
}

#[test]
fn whoever_flushes_all_of_a_domain_that_others_use_is_mentioned_and_not_accused() {
    for (whole, named) in [
        (invalidations::pasid(OTHER_DOMAIN, 6), "PASID IOTLB, domain 8, PASID 6"),
        (invalidations::domain(OTHER_DOMAIN), "IOTLB, domain 8"),
    ] {
        let mut scene = unmapped();
        scene.use_it();
        scene.driver.invalidate(&[whole]);
        assert_eq!(scene.last().mistake().name(), "other-domain", "nobody uses that domain");

        let mut scene = unmapped();
        let other = scene.driver.first_stage(scene.directory, 6, OTHER_DOMAIN);
        scene.driver.map(FIRST_STAGE, other, PAGE, 9);
        load_at(&mut scene.port, Some(pasid(6)), PAGE).unwrap();
        scene.use_it();
        scene.driver.invalidate(&[invalidations::pasid(OTHER_DOMAIN, 6), whole]);
        let report = scene.last();
        assert_eq!(report.mistake().name(), "nothing-invalidated");
        assert_eq!(
            report.mistake().to_string(),
            format!("nothing was invalidated for the page; what came is \"{named}\": another domain")
        );
    }
}

#[test]
fn what_was_asked_for_in_a_register_needs_no_wait() {
    use crate::vtd::Width;
    let mut scene = unmapped();
    scene.use_it();
    scene.driver.unit.write(0xf8, Width::Bits64, 1 << 63 | 1 << 60);
    assert_eq!((scene.tally().dropped, scene.rest()), (1, Vec::new()));
}
