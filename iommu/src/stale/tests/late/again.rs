//! Cases that are looked at more than once: with an invalidation, and after they were told.

use pcie::Ats;

use super::{IMPATIENT, PATIENT, RIGHT, frame_of, unmapped, unmapped_with};
use crate::stale::Ground;
use crate::stale::tests::{Scene, scene_with};
use crate::vtd::tests::driver::invalidations::{self, IH};
use crate::vtd::tests::driver::{DOMAIN, FIRST_STAGE, OTHER_DOMAIN, PAGE, load_at, pasid};

#[test]
fn what_was_told_is_kept_again_only_if_it_was_invalidated_in_vain_since() {
    let mut scene = unmapped_with(IMPATIENT, Ats::Disabled);
    assert_eq!((scene.reports().len(), scene.tally().kept), (1, 1));
    assert_eq!((scene.reports().len(), scene.tally().kept), (0, 1));
    scene.driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 5, PAGE.offset(4096), IH)]);
    assert_eq!((scene.reports().len(), scene.tally().kept), (0, 1), "somebody else's pages");
    scene.driver.invalidate(&[invalidations::pasid_pages(OTHER_DOMAIN, 5, PAGE, IH)]);
    assert_eq!((scene.reports().len(), scene.tally().kept), (1, 2));
    assert_eq!((scene.reports().len(), scene.tally().kept), (0, 2), "that was looked at");
}

#[test]
fn of_two_pages_that_moved_each_is_compared_with_where_it_leads_itself() {
    let mut scene = scene_with(PATIENT);
    let next = PAGE.offset(4096);
    scene.driver.map(FIRST_STAGE, scene.table, next, 1);
    load_at(&mut scene.port, Some(pasid(5)), next).unwrap();
    scene.driver.map(FIRST_STAGE, scene.table, next, 2);
    assert_eq!(load_at(&mut scene.port, Some(pasid(5)), next), Ok(1));
    scene.use_it();
    assert_eq!(scene.tally().open, 2);
    scene.driver.invalidate(&[invalidations::pasid(DOMAIN, 5)]);
    assert_eq!((scene.tally().dropped, scene.rest()), (2, Vec::new()));
}

/// Another process may write the frame that the device still reaches, before the page is invalidated.
fn reused() -> Scene {
    let mut scene = unmapped();
    scene.use_it();
    let frame = frame_of(&scene.port, 5);
    let other = scene.driver.first_stage(scene.directory, 6, OTHER_DOMAIN);
    scene.driver.map(FIRST_STAGE, other, PAGE, 9);
    let place = scene.driver.place(FIRST_STAGE, other, PAGE, 1);
    scene.driver.memory.store(place, frame | 7);
    load_at(&mut scene.port, Some(pasid(6)), PAGE).unwrap();
    scene
}

#[test]
fn what_is_queued_by_now_is_too_late_for_what_something_speaks_against() {
    for waits in [0, 1] {
        let mut scene = reused();
        scene.driver.unit.run_queue_when_asked();
        let wait = scene.driver.wait();
        scene.driver.submit(&[RIGHT(), wait][..=waits]);
        let reports = scene.driver.unit.take_stale_uses();
        let [report] = &reports[..] else { panic!("{waits} waits: {reports:?}") };
        assert_eq!((report.ground, &report.queued[..]), (Ground::FrameReused, &[][..]));
        assert_eq!(report.mistake().name(), "nothing-invalidated");
    }
}

#[test]
fn a_frame_that_is_mapped_once_more_in_its_own_space_is_nobody_elses() {
    let mut scene = unmapped();
    scene.use_it();
    let frame = frame_of(&scene.port, 5);
    let next = PAGE.offset(4096);
    let place = scene.driver.place(FIRST_STAGE, scene.table, next, 1);
    scene.driver.memory.store(place, frame | 7);
    load_at(&mut scene.port, Some(pasid(5)), next).unwrap();
    scene.driver.invalidate(&[RIGHT()]);
    assert_eq!((scene.tally().dropped, scene.rest()), (1, Vec::new()));
}
