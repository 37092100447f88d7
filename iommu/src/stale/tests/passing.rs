//! Uses of cached routes that let addresses pass untranslated, after software has given the requester tables.

use std::time::Duration;

use mmu::address::{PAGE_SIZE, PhysAddr, VirtAddr};
use pcie::{Pasid, SourceId};

use super::{EVERY_USE, options};
use crate::spec::descriptor::{ContextScope, Descriptor, PasidScope};
use crate::stale::watch::{Judging, StaleOptions};
use crate::stale::{Holder, StaleUse, Why};
use crate::vtd::Table;
use crate::vtd::options::{CacheSizes, VtdOptions};
use crate::vtd::port::Port;
use crate::vtd::tests::driver::{DOMAIN, Driver, FIRST_STAGE, SECOND_STAGE, SOURCE, Words};
use crate::vtd::tests::driver::{invalidations, load_at, pasid};

/// A device that has read physical memory by itself, again and again.
struct Scene {
    driver: Driver,
    port: Port,
    directory: PhysAddr,
    pasid: Option<Pasid>,
    /// An address and a frame.
    place: VirtAddr,
}

impl Scene {
    fn legacy_with(options: VtdOptions) -> Self {
        let mut driver = Driver::legacy_with(options);
        driver.attach_legacy(SOURCE, DOMAIN, 2);
        let port = driver.port();
        Self::begin(driver, port, PhysAddr(0), None)
    }

    fn legacy() -> Self {
        Self::legacy_with(options(EVERY_USE))
    }

    fn scalable(pasid: Option<Pasid>, open: impl Fn(&Driver) -> Port) -> Self {
        let mut driver = Driver::scalable_with(options(EVERY_USE));
        let directory = driver.attach_scalable(SOURCE);
        driver.pass_through(directory, pasid.map_or(0, Pasid::number));
        let port = open(&driver);
        Self::begin(driver, port, directory, pasid)
    }

    fn begin(mut driver: Driver, port: Port, directory: PhysAddr, pasid: Option<Pasid>) -> Self {
        let frame = driver.frame();
        driver.memory.store(frame, 7);
        let mut scene = Self { driver, port, directory, pasid, place: VirtAddr(frame.0) };
        (0..3).for_each(|_| assert_eq!(scene.use_it(), 7));
        assert_eq!(scene.driver.unit.take_stale_uses(), []);
        scene
    }

    /// Gives the device tables, in which another frame with an 8 lies there.
    fn translate(&mut self) {
        let (place, number) = (self.place, self.pasid.map_or(0, Pasid::number));
        if self.directory == PhysAddr(0) {
            let table = self.driver.attach_legacy(SOURCE, DOMAIN, 0);
            self.driver.map(SECOND_STAGE, table, place, 8);
        } else {
            let table = self.driver.first_stage(self.directory, number, DOMAIN);
            self.driver.map(FIRST_STAGE, table, place, 8);
        }
    }

    fn use_it(&mut self) -> u64 {
        load_at(&mut self.port, self.pasid, self.place).unwrap()
    }

    fn reports_after(&mut self, descriptors: &[Words]) -> Vec<StaleUse> {
        self.driver.invalidate(descriptors);
        self.use_it();
        self.driver.unit.take_stale_uses()
    }

    fn report_after(&mut self, descriptors: &[Words]) -> StaleUse {
        let mut reports = self.reports_after(descriptors);
        assert_eq!(reports.len(), 1, "{reports:?}");
        reports.remove(0)
    }
}

#[test]
fn a_context_entry_that_still_lets_everything_pass_is_told() {
    let mut scene = Scene::legacy();
    scene.translate();
    let report = scene.report_after(&[invalidations::all()]);
    assert_eq!(scene.use_it(), 7, "physical memory");
    assert_eq!((report.holder, report.change.table), (Holder::TableCaches, Table::Context));
    assert_eq!(report.cached.unwrap().physical(scene.place), PhysAddr(scene.place.0));
    assert_ne!(report.now.unwrap().physical(scene.place), PhysAddr(scene.place.0));
    assert_eq!((report.received[0].why, report.mistake().name()), (Why::TableEntryKept, "table-entry-kept"));
    assert!(report.filled < report.received[0].at, "when it was found first, however often it was used");
    let device = ContextScope::Device { source: SOURCE, ignored_bits: 0 };
    assert_eq!(report.remedy[0], Descriptor::ContextCache(device));
    assert!(matches!(report.remedy[1..], [Descriptor::Iotlb { .. }]), "{report}");
}

#[test]
fn a_route_that_is_looked_up_again_is_the_same_one() {
    let mut scene = Scene::legacy();
    scene.translate();
    scene.report_after(&[]);
    let other = SourceId(SOURCE.0 ^ 8);
    assert_eq!(scene.reports_after(&[invalidations::context_of(other)]), [], "it was told");
}

#[test]
fn a_pasid_entry_that_still_lets_everything_pass_is_told() {
    for who in [None, Some(pasid(5))] {
        let mut scene = Scene::scalable(who, Driver::port);
        scene.translate();
        let report = scene.report_after(&[]);
        assert_eq!((report.holder, report.change.table), (Holder::TableCaches, Table::Pasid));
        assert_eq!((report.requester.pasid, report.mistake().name()), (who, "nothing-invalidated"));
        let number = who.unwrap_or(pasid(0));
        assert_eq!(report.remedy[0], Descriptor::PasidCache(PasidScope::Pasid(DOMAIN, number)));
        assert!(matches!(report.remedy[1..], [Descriptor::Iotlb { .. }]), "{report}");
    }
}

#[test]
fn a_route_and_change_are_told_once_whatever_the_page() {
    let mut scene = Scene::legacy();
    scene.translate();
    let _first = scene.report_after(&[]);
    for page in 0..4 {
        load_at(&mut scene.port, None, scene.place.offset(page * PAGE_SIZE)).unwrap();
    }
    assert_eq!(scene.driver.unit.take_stale_uses(), []);
    scene.translate();
    assert_eq!(scene.reports_after(&[]).len(), 1, "another change");
}

#[test]
fn a_page_that_was_never_used_before_the_change_is_told_too() {
    let mut scene = Scene::legacy();
    scene.translate();
    scene.place = scene.place.offset(PAGE_SIZE);
    let report = scene.report_after(&[]);
    assert_eq!(report.page(), scene.place);
}

#[test]
fn the_right_invalidations_leave_nothing_to_tell() {
    let mut scene = Scene::legacy();
    scene.translate();
    assert_eq!(scene.reports_after(&[invalidations::context_of(SOURCE), invalidations::all()]), []);
    assert_eq!(scene.use_it(), 8);

    let mut scene = Scene::scalable(Some(pasid(5)), Driver::port);
    scene.translate();
    assert_eq!(scene.reports_after(&[invalidations::pasid_entry(DOMAIN, 5), invalidations::all()]), []);
    assert_eq!(scene.use_it(), 8);
}

#[test]
fn an_entry_that_lets_pass_in_other_words_is_no_stale_use() {
    let mut scene = Scene::legacy();
    scene.driver.attach_legacy(SOURCE, DOMAIN, 2);
    assert_eq!(scene.reports_after(&[]), []);
}

#[test]
fn a_context_invalidation_alone_keeps_the_pasid_entry() {
    let mut scene = Scene::scalable(Some(pasid(5)), Driver::port);
    scene.translate();
    let report = scene.report_after(&[invalidations::context_of(SOURCE)]);
    assert_eq!((report.received[0].why, report.mistake().name()), (Why::TableEntryKept, "table-entry-kept"));
}

#[test]
fn a_pasid_entry_of_a_directory_that_was_replaced_is_told() {
    let mut scene = Scene::scalable(Some(pasid(5)), Driver::port);
    scene.directory = scene.driver.attach_scalable(SOURCE);
    scene.translate();
    let report = scene.report_after(&[invalidations::context_of(SOURCE)]);
    assert_eq!(report.change.table, Table::PasidDirectory);
    assert_eq!(report.remedy[0], Descriptor::PasidCache(PasidScope::Pasid(DOMAIN, pasid(5))));
}

#[test]
fn a_context_entry_of_a_root_table_that_was_replaced_is_told() {
    let mut scene = Scene::legacy();
    let root = scene.driver.frame();
    scene.driver.set_root(root);
    scene.translate();
    scene.driver.unit.write(0x20, crate::vtd::Width::Bits64, root.0);
    scene.driver.command_once(1 << 30);
    let report = scene.report_after(&[]);
    assert_eq!(report.change.table, Table::Root);
}

#[test]
fn a_device_tlb_that_keeps_what_passed_is_told() {
    let mut scene = Scene::scalable(Some(pasid(5)), Driver::ats_port);
    scene.translate();
    let report =
        scene.report_after(&[invalidations::pasid_entry(DOMAIN, 5), invalidations::pasid(DOMAIN, 5)]);
    assert_eq!((report.holder, report.change.table), (Holder::DeviceTlb, Table::Pasid));
    assert_eq!(report.mistake().name(), "device-tlb-forgotten");
    assert!(matches!(report.remedy.last(), Some(Descriptor::DeviceTlb(_))), "{report}");
}

#[test]
fn a_route_may_be_used_until_it_is_invalidated() {
    let stale = StaleOptions { judging: Judging::Late(Duration::MAX), ..EVERY_USE };
    let mut scene = Scene::legacy_with(options(stale));
    let place = scene.driver.context_place(SOURCE);
    scene.driver.memory.store(place, 0);
    scene.use_it();
    scene.driver.invalidate(&[invalidations::context_of(SOURCE)]);
    assert_eq!(scene.driver.unit.tally().dropped, 0, "the IOTLB is not told");
    scene.driver.invalidate(&[invalidations::all()]);
    assert_eq!(scene.driver.unit.tally().dropped, 1);
    scene.driver.unit.judge_the_rest();
    assert_eq!(scene.driver.unit.take_stale_uses(), []);
}

#[test]
fn a_unit_that_caches_no_entries_uses_none_that_is_stale() {
    let caches = CacheSizes { context: 0, pasid: 0, ..CacheSizes::default() };
    let mut scene = Scene::legacy_with(VtdOptions { caches, ..options(EVERY_USE) });
    scene.translate();
    assert_eq!(scene.reports_after(&[]), []);
    assert_eq!(scene.use_it(), 8);
}

#[test]
fn nothing_that_passes_is_watched_unless_somebody_asks() {
    let mut scene = Scene::legacy_with(options(StaleOptions::default()));
    scene.translate();
    assert_eq!(scene.reports_after(&[]), []);
    assert_eq!(scene.use_it(), 7);
}
