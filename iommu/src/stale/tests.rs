//! Stale uses, one for each way to forget an invalidation, and the reports of them.

mod in_place;
mod late;
mod no_route;
mod passing;
mod pieces;
mod tables;

use std::num::NonZeroU32;

use mmu::address::{PAGE_SIZE, PhysAddr};
use pcie::SourceId;

use super::watch::{Judging, StaleOptions, Watching};
use super::{Holder, StaleUse, Why};
use crate::spec::descriptor::{ContextScope, Descriptor, Hint, IotlbScope};
use crate::vtd::knobs::Fault;
use crate::vtd::options::{CacheSizes, VtdOptions};
use crate::vtd::port::Port;
use crate::vtd::tests::driver::invalidations::{self, IH};
use crate::vtd::tests::driver::{
    DOMAIN, Driver, FIRST_STAGE, OTHER_DOMAIN, PAGE, SECOND_STAGE, SOURCE, Words, load, load_at, pasid, store,
};
use crate::vtd::{StageKind, Table, Width};

const EVERY_USE: StaleOptions = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };

fn options(stale: StaleOptions) -> VtdOptions {
    VtdOptions { stale, ..VtdOptions::default() }
}

/// A device that has read a page of PASID 5 and whose page has been mapped anew.
struct Scene {
    driver: Driver,
    port: Port,
    directory: PhysAddr,
    table: PhysAddr,
}

fn scene_with(stale: StaleOptions) -> Scene {
    let mut driver = Driver::scalable_with(options(stale));
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
    driver.map(FIRST_STAGE, table, PAGE, 2);
    Scene { driver, port, directory, table }
}

fn scene() -> Scene {
    scene_with(EVERY_USE)
}

impl Scene {
    fn use_it(&mut self) -> u64 {
        load_at(&mut self.port, Some(pasid(5)), PAGE).unwrap()
    }

    fn reports(&mut self) -> Vec<StaleUse> {
        self.use_it();
        self.driver.unit.take_stale_uses()
    }

    /// The only report after `descriptors`, and why each of them did not help.
    fn report_after(&mut self, descriptors: &[Words]) -> (StaleUse, Vec<Why>) {
        self.driver.invalidate(descriptors);
        let mut reports = self.reports();
        assert_eq!(reports.len(), 1);
        let report = reports.remove(0);
        let why = report.received.iter().map(|missed| missed.why).collect();
        (report, why)
    }
}

#[test]
fn a_use_after_a_change_without_any_invalidation_is_reported_once() {
    let mut scene = scene();
    let place = scene.driver.place(FIRST_STAGE, scene.table, PAGE, 1);
    let reports = scene.reports();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.requester.source, report.requester.pasid), (SOURCE, Some(pasid(5))));
    assert_eq!((report.request.address, report.holder), (PAGE, Holder::Iotlb));
    assert_ne!(report.cached.unwrap().pfn, report.now.unwrap().pfn);
    assert_eq!((report.change.table, report.change.place), (Table::FirstStage { level: 1 }, place));
    assert_eq!(report.received, []);
    assert_eq!(report.remedy.len(), 1);
    let Descriptor::Iotlb { scope: IotlbScope::PasidPages(DOMAIN, number, span), .. } = report.remedy[0]
    else {
        panic!("{:?}", report.remedy)
    };
    assert_eq!((number, span.log2_pages, span.hint), (pasid(5), 0, Hint::LeavesOnly));
    assert_eq!(scene.reports(), [], "the same entry and the same change");
    scene.driver.map(FIRST_STAGE, scene.table, PAGE, 3);
    assert_eq!(scene.reports().len(), 1, "another change");
}

#[test]
fn a_use_after_the_right_invalidation_is_not_reported() {
    let mut scene = scene();
    scene.driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 5, PAGE, IH)]);
    assert_eq!(scene.use_it(), 2);
    assert_eq!(scene.reports(), []);
}

#[test]
fn each_invalidation_that_missed_is_told_with_its_reason() {
    let (_, why) = scene().report_after(&[
        invalidations::pasid(OTHER_DOMAIN, 5),
        invalidations::pasid(DOMAIN, 6),
        invalidations::pasid_pages(DOMAIN, 5, PAGE.offset(PAGE_SIZE), 0),
        invalidations::pasid_entry(DOMAIN, 5),
        invalidations::pasid_entry(DOMAIN, 6),
        invalidations::device_pasid(SOURCE, 5),
        invalidations::device_pasid(SourceId(SOURCE.0 ^ 8), 5),
        invalidations::context_of(SourceId(SOURCE.0 ^ 8)),
    ]);
    assert_eq!(
        why,
        [
            Why::OtherDomain,
            Why::OtherPasid,
            Why::OtherPages,
            Why::TableEntriesOnly,
            Why::OtherPasid,
            Why::DeviceTlbOnly,
            Why::OtherDevice,
            Why::OtherDevice,
        ]
    );
}

#[test]
fn a_set_hint_over_a_changed_upper_entry_is_told() {
    let mut scene = scene();
    let upper = scene.driver.place(FIRST_STAGE, scene.table, PAGE, 2);
    scene.driver.memory.store(upper, 0);
    scene.driver.map(FIRST_STAGE, scene.table, PAGE, 2);
    scene.driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 5, PAGE, IH)]);
    scene.use_it();
    let (report, _) = scene.report_after(&[]);
    assert_eq!(report.change.table, Table::FirstStage { level: 2 });
    assert_eq!(report.received[0].why, Why::HintSet);
    let Descriptor::Iotlb { scope: IotlbScope::PasidPages(_, _, span), .. } = report.remedy[0] else {
        panic!("{:?}", report.remedy)
    };
    assert_eq!(span.hint, Hint::EveryLevel);
}

#[test]
fn a_kept_pasid_entry_is_told() {
    let mut scene = scene();
    scene.driver.invalidate(&[invalidations::pasid(DOMAIN, 5)]);
    assert_eq!(scene.use_it(), 2);
    let other = scene.driver.first_stage(scene.directory, 5, DOMAIN);
    scene.driver.map(FIRST_STAGE, other, PAGE, 3);
    scene.driver.invalidate(&[invalidations::pasid(DOMAIN, 5)]);
    assert_eq!(scene.use_it(), 2, "filled again through the cached PASID entry");
    let (report, why) = scene.report_after(&[]);
    assert_eq!(report.change.table, Table::Pasid);
    assert_eq!(why.last(), Some(&Why::TableEntryKept));
    assert!(matches!(report.remedy[..], [Descriptor::PasidCache(_), Descriptor::Iotlb { .. }]));
}

#[test]
fn a_use_that_walks_through_a_cached_table_entry_is_reported_at_once() {
    for iotlb in [CacheSizes::default().iotlb, 0] {
        let caches = CacheSizes { iotlb, ..CacheSizes::default() };
        let mut driver = Driver::scalable_with(VtdOptions { caches, ..options(EVERY_USE) });
        let directory = driver.attach_scalable(SOURCE);
        let table = driver.first_stage(directory, 5, DOMAIN);
        driver.map(FIRST_STAGE, table, PAGE, 1);
        let mut port = driver.port();
        load_at(&mut port, Some(pasid(5)), PAGE).unwrap();
        let other = driver.first_stage(directory, 5, DOMAIN);
        driver.map(FIRST_STAGE, other, PAGE, 2);
        driver.invalidate(&[invalidations::pasid(DOMAIN, 5)]);
        assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(1));
        let reports = driver.unit.take_stale_uses();
        let [report] = &reports[..] else { panic!("IOTLB {iotlb}: {reports:?}") };
        assert_eq!((report.holder, report.change.table), (Holder::TableCaches, Table::Pasid));
    }
}

#[test]
fn in_legacy_mode_no_pasid_cache_is_asked_for() {
    let mut driver = Driver::legacy_with(options(EVERY_USE));
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let other = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, other, PAGE, 2);
    load(&mut port).unwrap();
    let report = driver.unit.take_stale_uses().remove(0);
    assert!(matches!(report.remedy[..], [Descriptor::ContextCache(_), Descriptor::Iotlb { .. }]), "{report}");
}

/// What changed and what is missing when a table above the page tables changes in scalable mode.
fn missing_after(change: impl Fn(&mut Driver, PhysAddr)) -> (Table, Vec<Descriptor>) {
    let mut driver = Driver::scalable_with(options(EVERY_USE));
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.second_stage(directory, 0, DOMAIN);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    change(&mut driver, directory);
    driver.invalidate(&[invalidations::all()]);
    load(&mut port).unwrap();
    let report = driver.unit.take_stale_uses().remove(0);
    assert_eq!(report.received[0].why, Why::TableEntryKept);
    (report.change.table, report.remedy)
}

#[test]
fn a_kept_context_entry_is_told_in_scalable_mode() {
    let (table, remedy) = missing_after(|driver, _| {
        driver.attach_scalable(SOURCE);
    });
    assert_eq!(table, Table::Context);
    let Some(Descriptor::ContextCache(scope)) = remedy.first() else { panic!("{remedy:?}") };
    assert_eq!(*scope, ContextScope::Device { source: SOURCE, ignored_bits: 0 });
    assert!(matches!(remedy[1..], [Descriptor::PasidCache(_), Descriptor::Iotlb { .. }]), "{remedy:?}");
}

#[test]
fn a_kept_pasid_directory_entry_is_told() {
    let (table, remedy) = missing_after(|driver, directory| driver.memory.store(directory, 0));
    assert_eq!(table, Table::PasidDirectory);
    assert!(matches!(remedy[..], [Descriptor::PasidCache(_), Descriptor::Iotlb { .. }]), "{remedy:?}");
}

fn device_scene() -> (Driver, Port, PhysAddr) {
    let mut driver = Driver::legacy_with(options(EVERY_USE));
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load(&mut port).unwrap();
    driver.map(SECOND_STAGE, table, PAGE, 2);
    (driver, port, table)
}

#[test]
fn a_device_tlb_that_nobody_told_is_reported() {
    let (mut driver, mut port, _) = device_scene();
    driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    load(&mut port).unwrap();
    let reports = driver.unit.take_stale_uses();
    assert_eq!(reports[0].holder, Holder::DeviceTlb);
    assert_eq!(reports[0].received[0].why, Why::IotlbOnly);
    assert!(matches!(reports[0].remedy[..], [Descriptor::Iotlb { .. }, Descriptor::DeviceTlb(_)]));
    assert_eq!(reports[0].space.stage, StageKind::Second);
}

#[test]
fn a_device_tlb_is_watched_also_behind_a_unit_without_an_iotlb() {
    let caches = CacheSizes { iotlb: 0, ..CacheSizes::default() };
    let mut driver = Driver::legacy_with(VtdOptions { caches, ..options(EVERY_USE) });
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load(&mut port).unwrap();
    driver.map(SECOND_STAGE, table, PAGE, 2);
    assert_eq!(load(&mut port), Ok(1));
    let reports = driver.unit.take_stale_uses();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.holder, report.remedy.len()), (Holder::DeviceTlb, 2));
}

#[test]
fn a_device_tlb_that_was_told_before_the_iotlb_is_reported() {
    let (mut driver, mut port, _) = device_scene();
    driver.invalidate(&[invalidations::device_page(SOURCE, PAGE)]);
    assert_eq!(load(&mut port), Ok(1), "taken again from the IOTLB");
    driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    let _before = driver.unit.take_stale_uses();
    assert_eq!(load(&mut port), Ok(1));
    let reports = driver.unit.take_stale_uses();
    let why: Vec<_> = reports[0].received.iter().map(|missed| missed.why).collect();
    assert_eq!(why, [Why::BeforeIotlb, Why::IotlbOnly]);
}

#[test]
fn an_invalidation_that_a_knob_dropped_is_told() {
    let mut scene = scene();
    scene.driver.unit.break_queue(Fault::Drop { nth: 1 });
    let (_, why) = scene.report_after(&[invalidations::pasid(DOMAIN, 5)]);
    assert_eq!(why, [Why::NotCarriedOut]);
}

#[test]
fn what_is_wrong_with_an_invalidation_is_told_only_if_it_was_carried_out() {
    let upper_changed = || {
        let mut scene = scene();
        let upper = scene.driver.place(FIRST_STAGE, scene.table, PAGE, 2);
        scene.driver.memory.store(upper, 0);
        scene.driver.map(FIRST_STAGE, scene.table, PAGE, 2);
        scene
    };
    let hinted = [invalidations::pasid_pages(DOMAIN, 5, PAGE, IH)];
    let mut scene = upper_changed();
    scene.driver.unit.break_queue(Fault::Drop { nth: 1 });
    assert_eq!(scene.report_after(&hinted).1, [Why::NotCarriedOut]);

    let mut scene = upper_changed();
    scene.driver.invalidate(&hinted);
    scene.use_it();
    assert_eq!(scene.report_after(&[]).1, [Why::HintSet]);
}

#[test]
fn invalidations_through_registers_are_told_too() {
    const GO: u64 = 1 << 63;
    let mut driver = Driver::legacy_with(options(EVERY_USE));
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    driver.map(SECOND_STAGE, table, PAGE, 2);
    let other = u64::from(OTHER_DOMAIN.0);
    driver.unit.write(0x28, Width::Bits64, GO | 2 << 61 | other);
    driver.unit.write(0xf8, Width::Bits64, GO | 2 << 60 | other << 32);
    load(&mut port).unwrap();
    let reports = driver.unit.take_stale_uses();
    let received: Vec<_> = reports[0].received.iter().map(|missed| missed.invalidation).collect();
    let (domain, drains) = (OTHER_DOMAIN, false);
    assert_eq!(
        received,
        [
            Descriptor::ContextCache(ContextScope::Domain(domain)),
            Descriptor::Iotlb { scope: IotlbScope::Domain(domain), drains },
        ]
    );
}

#[test]
fn a_changed_entry_that_says_the_same_is_no_stale_use() {
    let mut scene = scene();
    scene.driver.invalidate(&[invalidations::all()]);
    assert_eq!(scene.use_it(), 2);
    let place = scene.driver.place(FIRST_STAGE, scene.table, PAGE, 1);
    let entry = scene.driver.memory.load(place);
    scene.driver.memory.store(place, entry | 1 << 9);
    assert_eq!(scene.reports(), [], "a software bit");
    scene.driver.memory.store(place, entry & !2);
    assert_eq!(scene.reports(), [], "a read of a page that has become read-only");
}

#[test]
fn a_write_through_a_page_that_has_become_read_only_is_reported() {
    let mut driver = Driver::legacy_with(options(EVERY_USE));
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    let frame = driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    store(&mut port, 1).unwrap();
    let place = driver.place(SECOND_STAGE, table, PAGE, 1);
    driver.memory.store(place, frame.0 | 1);
    store(&mut port, 2).unwrap();
    let reports = driver.unit.take_stale_uses();
    assert!(reports[0].to_string().contains("but now the second stage does not allow the write"));
}

#[test]
fn a_sample_looks_at_one_use_in_so_many() {
    let sampled = Watching::Sampled(NonZeroU32::new(4).unwrap());
    let mut scene = scene_with(StaleOptions { watching: sampled, ..EVERY_USE });
    scene.use_it();
    let _before = scene.driver.unit.take_stale_uses();
    scene.driver.map(FIRST_STAGE, scene.table, PAGE, 3);
    let found = (0..4).map(|_| scene.reports().len()).collect::<Vec<_>>();
    assert_eq!(found, [0, 0, 0, 1]);
}

#[test]
fn nothing_is_watched_unless_somebody_asks() {
    let mut scene = scene_with(StaleOptions::default());
    assert_eq!(scene.use_it(), 1);
    assert_eq!(scene.reports(), []);
}

#[test]
fn the_text_says_what_happened_and_what_is_missing() {
    let (report, _) = scene().report_after(&[invalidations::pasid(OTHER_DOMAIN, 5)]);
    let text = report.to_string();
    let expected = [
        "stale use: 00:03.0 with PASID 5 read 0x40201000 through the IOTLB, reached 4K page ",
        "\n  changed: first-stage entry of level 1 at 0x",
        ": PASID IOTLB, domain 8, PASID 5: another domain",
        "\n  would have helped:\n    PASID IOTLB, domain 7, PASID 5, page 0x40201000, IH 1",
    ];
    for part in expected {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn the_json_is_one_line_with_the_same_facts() {
    let (report, _) = scene().report_after(&[invalidations::pasid(OTHER_DOMAIN, 5)]);
    let line = report.to_json();
    assert!(!line.contains('\n'));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["source"], "00:03.0");
    assert_eq!(value["pasid"], 5);
    assert_eq!(value["address"], "0x40201000");
    assert_eq!(value["held_by"], "iotlb");
    assert_eq!(value["received"][0]["why"], "another domain");
    assert_eq!(value["remedy"][0], "PASID IOTLB, domain 7, PASID 5, page 0x40201000, IH 1");
}

#[test]
fn the_text_shows_some_of_many_invalidations_and_counts_all() {
    let mut many = [invalidations::pasid_pages(OTHER_DOMAIN, 5, PAGE.offset(PAGE_SIZE), 0); 20];
    many[1] = invalidations::pasid_pages(OTHER_DOMAIN, 5, PAGE, 0);
    let (report, why) = scene().report_after(&many);
    let text = report.to_string();
    assert_eq!(why.len(), 20);
    assert_eq!(text.matches(": another domain").count(), 16, "{text}");
    assert!(text.contains("\n    4 that are not shown, none of which helped\n"), "{text}");
    assert_eq!(text.matches("page 0x40201000, IH 0").count(), 2, "the one that names the page: {text}");
}

#[test]
fn reports_are_counted_whether_they_are_taken_or_not() {
    let mut scene = scene();
    assert_eq!(scene.driver.unit.stale_use_count(), 0);
    scene.use_it();
    assert_eq!(scene.driver.unit.stale_use_count(), 1);
    let _taken = scene.reports();
    assert_eq!(scene.driver.unit.stale_use_count(), 1);
}
