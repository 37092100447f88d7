//! Walks through cached table entries that end in a fault, or in a table that nothing leads to.

use mmu::address::PhysAddr;

use super::{EVERY_USE, Scene, options};
use crate::stale::watch::{Judging, StaleOptions};
use crate::stale::{Ground, Holder, Kind, StaleUse};
use crate::vtd::Table;
use crate::vtd::tests::driver::invalidations;
use crate::vtd::tests::driver::{DOMAIN, Driver, FIRST_STAGE, PAGE, SOURCE, load_at, pasid};
use mmu::address::PAGE_SIZE;

const LATE: StaleOptions = StaleOptions { judging: Judging::Late(std::time::Duration::MAX), ..EVERY_USE };

/// A device that has read the page before [`PAGE`], so that the unit keeps what leads to the table of both.
fn scene(stale: StaleOptions) -> Scene {
    let mut driver = Driver::scalable_with(options(stale));
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, neighbour(), 1);
    let mut port = driver.port();
    load_at(&mut port, Some(pasid(5)), neighbour()).unwrap();
    Scene { driver, port, directory, table }
}

fn neighbour() -> mmu::address::VirtAddr {
    mmu::address::VirtAddr(PAGE.0 ^ PAGE_SIZE)
}

impl Scene {
    /// Takes the leaf's table out, and gives the place to another if there is one; the table that was there.
    fn unlink(&mut self) -> PhysAddr {
        let place = self.driver.place(FIRST_STAGE, self.table, PAGE, 2);
        let was = self.driver.memory.load(place);
        self.driver.memory.store(place, 0);
        PhysAddr(was & !0xfff)
    }

    fn try_it(&mut self) -> (bool, Vec<StaleUse>) {
        let is_refused = load_at(&mut self.port, Some(pasid(5)), PAGE).is_err();
        (is_refused, self.driver.unit.take_stale_uses())
    }
}

#[test]
fn a_mapped_page_that_is_refused_through_a_freed_table_is_reported() {
    let mut scene = scene(EVERY_USE);
    scene.unlink();
    scene.driver.map(FIRST_STAGE, scene.table, PAGE, 2);
    let (is_refused, reports) = scene.try_it();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert!(is_refused && report.now.is_ok() && report.cached.is_err());
    assert_eq!((report.kind, report.holder), (Kind::Refusal, Holder::TableCaches));
    assert_eq!(report.change.table, Table::FirstStage { level: 2 });
    let text = report.to_string();
    assert!(text.contains(" was refused 0x40201000 through cached table entries, because "), "{text}");
    assert!(text.contains(", where the tables have 4K page "), "{text}");
    assert!(report.to_json().contains("\"kind\":\"refusal\""));
    assert_eq!(scene.try_it().1, [], "once");
    scene.driver.invalidate(&[invalidations::pasid(DOMAIN, 5)]);
    assert_eq!(scene.try_it(), (false, Vec::new()));
}

#[test]
fn a_freed_table_that_is_read_is_reported_whatever_it_holds() {
    // Absent, and a page that is not the user's.
    for leaf in [0, 3] {
        let mut scene = scene(EVERY_USE);
        let table = scene.unlink();
        scene.driver.memory.store(table.offset(PAGE.table_index(1) * 8), leaf);
        let (is_refused, reports) = scene.try_it();
        let [report] = &reports[..] else { panic!("{reports:?}") };
        assert!(is_refused && report.now.is_err());
        assert_eq!(report.kind, Kind::Table(table));
        let text = report.to_string();
        let expected = format!(
            "stale use: 00:03.0 with PASID 5 made the unit read the page table at {table}, which the tables do not \
             lead to any more, to read 0x40201000"
        );
        assert!(text.starts_with(&expected), "{text}");
        assert_eq!(report.remedy.len(), 1);
        let _refused = load_at(&mut scene.port, Some(pasid(5)), PAGE.offset(4 * PAGE_SIZE));
        assert_eq!(scene.driver.unit.take_stale_uses(), [], "the same table on the way to another page");
    }
}

#[test]
fn a_table_that_is_replaced_by_its_copy_is_read_in_vain_as_well() {
    let mut scene = scene(EVERY_USE);
    let entry = scene.driver.frame().0 | 7;
    let table = scene.unlink();
    scene.driver.memory.store(table.offset(PAGE.table_index(1) * 8), entry);
    let copy = scene.driver.frame();
    scene.driver.memory.store(copy.offset(PAGE.table_index(1) * 8), entry);
    let place = scene.driver.place(FIRST_STAGE, scene.table, PAGE, 2);
    scene.driver.memory.store(place, copy.0 | 7);
    let (is_refused, reports) = scene.try_it();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert!(!is_refused && report.cached == report.now);
    assert_eq!(report.kind, Kind::Table(table));
}

#[test]
fn a_refusal_that_the_tables_agree_with_is_none() {
    let mut scene = scene(EVERY_USE);
    assert_eq!(scene.try_it(), (true, Vec::new()), "nothing changed");
    let place = scene.driver.place(FIRST_STAGE, scene.table, PAGE, 2);
    let entry = scene.driver.memory.load(place);
    scene.driver.memory.store(place, entry & !2);
    assert_eq!(scene.try_it(), (true, Vec::new()), "the same table, which has become read-only");
}

#[test]
fn a_freed_table_may_be_read_until_the_invalidation_is_complete() {
    let mut scene = scene(LATE);
    scene.unlink();
    assert_eq!(scene.try_it(), (true, Vec::new()));
    scene.driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 5, PAGE, 0)]);
    scene.driver.unit.judge_the_rest();
    assert_eq!(scene.driver.unit.take_stale_uses(), []);
    assert_eq!(scene.driver.unit.tally().dropped, 1);
}

#[test]
fn a_freed_table_that_is_given_to_somebody_counts_before_that() {
    let mut scene = scene(LATE);
    let table = scene.unlink();
    assert_eq!(scene.try_it(), (true, Vec::new()));
    let other = scene.driver.first_stage(scene.directory, 6, DOMAIN);
    scene.driver.map(FIRST_STAGE, other, PAGE, 3);
    let leaf = scene.driver.place(FIRST_STAGE, other, PAGE, 1);
    scene.driver.memory.store(leaf, table.0 | 7);
    load_at(&mut scene.port, Some(pasid(6)), PAGE).unwrap();
    scene.driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 5, PAGE, 0)]);
    let reports = scene.driver.unit.take_stale_uses();
    assert_eq!(reports.iter().map(|report| report.ground).collect::<Vec<_>>(), [Ground::TableReused]);
}

#[test]
fn a_hint_keeps_the_freed_table_and_is_named() {
    let mut scene = scene(LATE);
    scene.unlink();
    assert_eq!(scene.try_it(), (true, Vec::new()));
    scene.driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 5, PAGE, invalidations::IH)]);
    scene.driver.unit.judge_the_rest();
    let reports = scene.driver.unit.take_stale_uses();
    assert_eq!(reports.iter().map(|report| report.mistake().name()).collect::<Vec<_>>(), ["hint-set"]);
}

#[test]
fn the_tables_of_a_process_that_ended_are_not_to_be_read() {
    let mut scene = scene(EVERY_USE);
    let place = scene.driver.pasid_place(scene.directory, 5);
    scene.driver.memory.store(place, 0);
    let (is_refused, reports) = scene.try_it();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert!(is_refused && matches!(report.kind, Kind::Table(_)), "{report}");
    assert_eq!(report.change.table, Table::Pasid);
}

#[test]
fn a_hint_keeps_what_a_mapped_page_is_refused_through() {
    let mut scene = scene(LATE);
    scene.unlink();
    scene.driver.map(FIRST_STAGE, scene.table, PAGE, 2);
    assert_eq!(scene.try_it(), (true, Vec::new()));
    scene.driver.invalidate(&[invalidations::pasid_pages(DOMAIN, 5, PAGE, invalidations::IH)]);
    assert_eq!(scene.driver.unit.tally().dropped, 0);
    scene.driver.unit.judge_the_rest();
    let reports = scene.driver.unit.take_stale_uses();
    let told: Vec<_> = reports.iter().map(|report| (report.kind, report.mistake().name())).collect();
    assert_eq!(told, [(Kind::Refusal, "hint-set")]);
}
