//! One mistake of a driver each, and what it is called.

use std::time::Duration;

use mmu::address::PAGE_SIZE;
use pcie::Ats;

use crate::spec::descriptor::Descriptor;
use crate::stale::StaleUse;
use crate::stale::watch::{Judging, StaleOptions, Watching};
use crate::vtd::options::{CachingMode, VtdOptions};
use crate::vtd::port::Port;
use crate::vtd::tests::driver::invalidations::{self, IH};
use crate::vtd::tests::driver::{
    DOMAIN, Driver, FIRST_STAGE, OTHER_DOMAIN, PAGE, SECOND_STAGE, SOURCE, Words, load_at, pasid,
};

const EVERY_USE: StaleOptions = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };

/// A device that has read a page of PASID 5, of which an entry of `level` was changed since.
struct Scene {
    driver: Driver,
    port: Port,
}

fn scene(level: u32, ats: Ats) -> Scene {
    let mut driver = Driver::scalable_with(VtdOptions { stale: EVERY_USE, ..VtdOptions::default() });
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    port.set_ats(ats);
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    let changed = driver.place(FIRST_STAGE, table, PAGE, level);
    driver.memory.store(changed, 0);
    driver.map(FIRST_STAGE, table, PAGE, 2);
    Scene { driver, port }
}

impl Scene {
    /// The last report, of uses after each of `batches`.
    fn report(&mut self, batches: &[&[Words]]) -> StaleUse {
        for batch in batches {
            self.driver.invalidate(batch);
            load_at(&mut self.port, Some(pasid(5)), PAGE).unwrap();
        }
        self.last()
    }

    fn last(&self) -> StaleUse {
        self.driver.unit.take_stale_uses().pop().expect("the use was stale")
    }
}

fn name(level: u32, ats: Ats, batches: &[&[Words]]) -> &'static str {
    scene(level, ats).report(batches).mistake().name()
}

#[test]
fn each_mistake_has_its_name() {
    let (off, on) = (Ats::Disabled, Ats::Enabled);
    let right = invalidations::pasid_pages(DOMAIN, 5, PAGE, IH);
    let device = invalidations::device_pasid_page(SOURCE, 5, PAGE);
    let elsewhere = invalidations::pasid_pages(DOMAIN, 5, PAGE.offset(PAGE_SIZE), IH);
    let other_domain = invalidations::pasid_pages(OTHER_DOMAIN, 5, PAGE, IH);
    let other_pasid = invalidations::pasid_pages(DOMAIN, 6, PAGE, IH);
    assert_eq!(name(1, off, &[&[]]), "nothing-invalidated");
    assert_eq!(name(1, off, &[&[elsewhere]]), "nothing-invalidated");
    assert_eq!(name(1, off, &[&[invalidations::pasid(OTHER_DOMAIN, 5)]]), "other-domain");
    assert_eq!(name(1, off, &[&[other_domain, elsewhere]]), "other-domain");
    assert_eq!(name(1, off, &[&[other_pasid, other_domain]]), "other-pasid");
    assert_eq!(
        name(1, off, &[&[invalidations::pasid_entry(DOMAIN, 5)]]),
        "nothing-invalidated",
        "somebody attaches"
    );
    assert_eq!(name(2, off, &[&[right], &[]]), "hint-set");
    assert_eq!(name(1, on, &[&[right]]), "device-tlb-forgotten");
    let without_pasid = invalidations::device_span(SOURCE, u64::MAX << 12);
    assert_eq!(name(1, on, &[&[right, without_pasid]]), "other-pasid", "the device was told, of no process");
    assert_eq!(name(1, on, &[&[device]]), "iotlb-forgotten");
    assert_eq!(name(1, on, &[&[device], &[]]), "iotlb-forgotten", "told too early, and nobody told later");
    assert_eq!(name(1, on, &[&[device, other_domain]]), "other-domain");
    assert_eq!(name(1, on, &[&[device, other_domain], &[]]), "other-domain");
    assert_eq!(name(1, on, &[&[device], &[right]]), "device-tlb-first");
}

#[test]
fn what_came_right_behind_the_use_goes_behind_what_came_before() {
    let stale = StaleOptions { judging: Judging::Late(Duration::MAX), ..EVERY_USE };
    let mut driver = Driver::scalable_with(VtdOptions { stale, ..VtdOptions::default() });
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    driver.unmap(FIRST_STAGE, table, PAGE);
    driver.submit(&[invalidations::pasid_pages(OTHER_DOMAIN, 5, PAGE, IH)]);
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    driver.submit(&[invalidations::pasid_pages(DOMAIN, 6, PAGE, IH)]);
    driver.unit.judge_the_rest();
    let reports = driver.unit.take_stale_uses();
    let names: Vec<_> = reports.iter().map(|report| report.mistake().name()).collect();
    assert_eq!(names, ["other-domain"]);
}

#[test]
fn whoever_takes_a_process_away_has_to_name_its_translations_too() {
    let mut driver = Driver::scalable_with(VtdOptions { stale: EVERY_USE, ..VtdOptions::default() });
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    let entry = driver.pasid_place(directory, 5);
    driver.memory.store(entry, 0);
    driver.invalidate(&[invalidations::pasid_entry(DOMAIN, 5)]);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 2);
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE).unwrap(), 1);
    let reports = driver.unit.take_stale_uses();
    let names: Vec<_> = reports.iter().map(|report| report.mistake().name()).collect();
    assert_eq!(names, ["translations-kept"]);
}

/// The unit may read an entry between the two halves of a flush that is for what changed before.
#[test]
fn the_second_half_of_an_earlier_flush_was_meant_for_what_changed_before() {
    let right = invalidations::pasid_pages(DOMAIN, 5, PAGE, IH);
    let elsewhere = invalidations::pasid_pages(DOMAIN, 5, PAGE.offset(PAGE_SIZE), IH);
    let device = invalidations::device_pasid_page(SOURCE, 5, PAGE);
    for (before, name) in [
        (&[right][..], "nothing-invalidated"),
        (&[right, invalidations::pasid_entry(DOMAIN, 6), elsewhere], "nothing-invalidated"),
        (&[], "iotlb-forgotten"),
        (&[elsewhere], "iotlb-forgotten"),
        (&[right, device], "iotlb-forgotten"),
    ] {
        let mut driver = Driver::scalable_with(VtdOptions { stale: EVERY_USE, ..VtdOptions::default() });
        let directory = driver.attach_scalable(SOURCE);
        let table = driver.first_stage(directory, 5, DOMAIN);
        driver.map(FIRST_STAGE, table, PAGE, 1);
        let mut port = driver.port();
        driver.invalidate(before);
        load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
        driver.invalidate(&[device]);
        driver.map(FIRST_STAGE, table, PAGE, 2);
        load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
        let reports = driver.unit.take_stale_uses();
        let names: Vec<_> = reports.iter().map(|report| report.mistake().name()).collect();
        assert_eq!(names, [name], "{before:x?}");
    }
}

#[test]
fn with_caching_mode_a_page_that_was_absent_is_stale_until_it_is_flushed() {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
    let caching_mode = CachingMode::AlsoAbsent;
    let mut driver = Driver::scalable_with(VtdOptions { caching_mode, stale, ..VtdOptions::default() });
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.second_stage(directory, 5, DOMAIN);
    let mut port = driver.port();
    let mut refused = |driver: &Driver| {
        let is_refused = load_at(&mut port, Some(pasid(5)), PAGE).is_err();
        (is_refused, driver.unit.take_stale_uses())
    };
    assert_eq!(refused(&driver), (true, Vec::new()), "it is not there");
    assert_eq!(refused(&driver), (true, Vec::new()), "it still is not");
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let (is_refused, reports) = refused(&driver);
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert!(is_refused && report.cached.is_err() && report.now.is_ok());
    assert_eq!(report.mistake().name(), "nothing-invalidated");
    assert!(report.to_string().contains(" was refused 0x40201000 by the IOTLB, because "), "{report}");
    assert!(serde_json::from_str::<serde_json::Value>(&report.to_json()).is_ok());
    assert_eq!(refused(&driver), (true, Vec::new()), "once is enough");
    driver.invalidate(&[invalidations::domain(DOMAIN)]);
    assert_eq!(refused(&driver), (false, Vec::new()));
}

#[test]
fn with_caching_mode_a_page_may_be_refused_until_it_is_flushed_and_no_longer() {
    for (remaps, reports) in [(false, 0), (true, 1)] {
        let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::Late(Duration::MAX) };
        let caching_mode = CachingMode::AlsoAbsent;
        let mut driver = Driver::scalable_with(VtdOptions { caching_mode, stale, ..VtdOptions::default() });
        let directory = driver.attach_scalable(SOURCE);
        let table = driver.second_stage(directory, 5, DOMAIN);
        let mut port = driver.port();
        assert!(load_at(&mut port, Some(pasid(5)), PAGE).is_err());
        driver.map(SECOND_STAGE, table, PAGE, 1);
        assert!(load_at(&mut port, Some(pasid(5)), PAGE).is_err());
        if remaps {
            driver.map(SECOND_STAGE, table, PAGE, 2);
        }
        driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, IH)]);
        let found = driver.unit.take_stale_uses();
        assert_eq!(found.len(), reports, "{found:?}");
        assert!(found.iter().all(|report| report.mistake().name() == "nothing-invalidated"), "{found:?}");
        assert_eq!(driver.unit.tally().dropped, 1 - reports as u64);
    }
}

#[test]
fn what_is_queued_is_told_and_only_a_wait_is_missing() {
    let right = invalidations::pasid_pages(DOMAIN, 5, PAGE, IH);
    for (waits, expected) in [(false, "not-waited-for"), (true, "wait-not-over")] {
        let mut scene = scene(1, Ats::Disabled);
        scene.driver.unit.run_queue_when_asked();
        let wait = scene.driver.wait();
        scene.driver.submit(&[right, wait][..=usize::from(waits)]);
        assert_eq!(load_at(&mut scene.port, Some(pasid(5)), PAGE), Ok(1));
        let report = scene.last();
        assert_eq!(report.mistake().name(), expected);
        assert!(matches!(report.remedy[..], [Descriptor::Wait(_)]), "{report}");
        assert!(matches!(report.queued[0], Descriptor::Iotlb { .. }));
        assert!(report.to_string().contains("\n  queued, not carried out yet:\n    PASID IOTLB, domain 7"));
    }
}

#[test]
fn what_is_queued_and_would_not_help_is_no_excuse() {
    for useless in [
        invalidations::pasid_pages(OTHER_DOMAIN, 5, PAGE, IH),
        invalidations::device_pasid_page(SOURCE, 5, PAGE),
        invalidations::pasid_entry(DOMAIN, 5),
    ] {
        let mut scene = scene(1, Ats::Disabled);
        scene.driver.unit.run_queue_when_asked();
        scene.driver.submit(&[useless]);
        assert_eq!(load_at(&mut scene.port, Some(pasid(5)), PAGE), Ok(1));
        let report = scene.last();
        assert_eq!(report.mistake().name(), "nothing-invalidated");
        assert!(matches!(report.remedy[..], [Descriptor::Iotlb { .. }]), "{report}");
    }
    let mut scene = scene(2, Ats::Disabled);
    scene.driver.unit.run_queue_when_asked();
    scene.driver.submit(&[invalidations::pasid_pages(DOMAIN, 5, PAGE, IH)]);
    assert_eq!(load_at(&mut scene.port, Some(pasid(5)), PAGE), Ok(1));
    assert_eq!(scene.last().mistake().name(), "nothing-invalidated", "IH is set over a changed table");
}

#[test]
fn a_mistake_says_what_is_wrong_and_whose_the_translation_is() {
    let text = |level, ats, batches: &[&[Words]]| scene(level, ats).report(batches).mistake().to_string();
    let right = invalidations::pasid_pages(DOMAIN, 5, PAGE, IH);
    let device = invalidations::device_pasid_page(SOURCE, 5, PAGE);
    assert_eq!(text(1, Ats::Disabled, &[&[]]), "nothing was invalidated for the page");
    assert_eq!(
        text(1, Ats::Disabled, &[&[invalidations::pasid_pages(OTHER_DOMAIN, 5, PAGE, IH)]]),
        "\"PASID IOTLB, domain 8, PASID 5, page 0x40201000, IH 1\" names another domain; \
         the translation belongs to domain 7"
    );
    let twice = [IH, 0].map(|hint| invalidations::pasid_pages(OTHER_DOMAIN, 5, PAGE, hint));
    assert!(
        text(1, Ats::Disabled, &[&twice]).contains(", IH 0\" names another domain"),
        "the last of equals"
    );
    assert!(text(2, Ats::Disabled, &[&[right], &[]]).ends_with("and a first-stage entry of level 2 changed"));
    let first = text(1, Ats::Enabled, &[&[device], &[right]]);
    assert!(first.contains("came before the IOTLB's"), "{first}");
}
