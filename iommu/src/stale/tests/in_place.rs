//! Entries of several words that are changed while they are present.

use mmu::address::PhysAddr;
use pcie::{Msi, SourceId};

use super::{EVERY_USE, options};
use crate::spec::descriptor::Descriptor;
use crate::stale::in_place::{Changed, ChangedInPlace};
use crate::vtd::interrupts::InterruptSource;
use crate::vtd::options::{CacheSizes, VtdOptions};
use crate::vtd::port::Port;
use crate::vtd::tests::driver::invalidations;
use crate::vtd::tests::driver::{
    DOMAIN, Driver, OTHER_DOMAIN, PAGE, SECOND_STAGE, SOURCE, Words, load, load_at,
};
use crate::vtd::{Table, Width};

const OTHER: SourceId = SourceId(SOURCE.0 ^ 8);

/// A device whose requests go through a second stage, and the words that would make it another one.
struct Scene {
    driver: Driver,
    port: Port,
    place: PhysAddr,
    old: Vec<u64>,
    new: Vec<u64>,
}

fn caches(size: usize) -> VtdOptions {
    let caches = CacheSizes { context: size, pasid: size, interrupt: size, ..CacheSizes::default() };
    VtdOptions { caches, ..options(EVERY_USE) }
}

impl Scene {
    fn pasid(size: usize) -> Self {
        let mut driver = Driver::scalable_with(caches(size));
        let directory = driver.attach_scalable(SOURCE);
        let table = driver.second_stage(directory, 0, DOMAIN);
        driver.map(SECOND_STAGE, table, PAGE, 1);
        let place = driver.pasid_place(directory, 0);
        let other = driver.frame();
        driver.map(SECOND_STAGE, other, PAGE, 2);
        Self::begin(driver, place, vec![other.0 | 2 << 2 | 2 << 6 | 1, u64::from(OTHER_DOMAIN.0), 0])
    }

    fn context(size: usize) -> Self {
        let mut driver = Driver::legacy_with(caches(size));
        let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
        driver.map(SECOND_STAGE, table, PAGE, 1);
        let place = driver.context_place(SOURCE);
        let other = driver.frame();
        driver.map(SECOND_STAGE, other, PAGE, 2);
        Self::begin(driver, place, vec![other.0 | 1, 2 | u64::from(OTHER_DOMAIN.0) << 8])
    }

    fn begin(driver: Driver, place: PhysAddr, new: Vec<u64>) -> Self {
        let mut port = driver.port();
        assert_eq!(load(&mut port), Ok(1));
        let old = (0..new.len() as u64).map(|word| driver.memory.load(place.offset(word * 8))).collect();
        Self { driver, port, place, old, new }
    }

    fn store(&self, word: usize) {
        self.driver.memory.store(self.place.offset(word as u64 * 8), self.new[word]);
    }

    fn clear(&self) {
        self.driver.memory.store(self.place, 0);
    }

    fn changes(&self) -> Vec<ChangedInPlace> {
        self.driver.unit.take_changes_in_place()
    }

    /// The only change in place.
    fn change(&self) -> ChangedInPlace {
        let mut changes = self.changes();
        assert_eq!(changes.len(), 1, "{changes:?}");
        changes.remove(0)
    }

    /// What a right driver invalidates with an entry: everything that may rest on it.
    fn flush(&mut self) {
        let entry: Words = if self.new.len() == 2 {
            invalidations::context_of(SOURCE)
        } else {
            invalidations::pasid_entry(DOMAIN, 0)
        };
        self.driver.invalidate(&[entry, invalidations::all()]);
    }
}

#[test]
fn a_change_in_place_is_seen_at_its_invalidation_though_nothing_was_read_in_between() {
    for (mut scene, table, flush) in [
        (Scene::pasid(64), Table::Pasid, invalidations::pasid_entry(DOMAIN, 0)),
        (Scene::context(64), Table::Context, invalidations::context_of(SOURCE)),
    ] {
        scene.store(1);
        assert_eq!(load(&mut scene.port), Ok(1), "the old entry is cached");
        scene.store(0);
        scene.driver.invalidate(&[flush, invalidations::all()]);
        let change = scene.change();
        assert_eq!((change.entry, change.place), (Changed::Table(table), scene.place));
        assert_eq!((&change.old, &change.between, &change.new), (&scene.old, &None, &scene.new));
        assert_eq!(change.words().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(scene.driver.unit.change_in_place_count(), 1);
        assert_eq!(scene.driver.unit.stale_use_count(), 0);
    }
}

#[test]
fn what_is_read_between_two_stores_is_neither_the_old_nor_the_new_entry() {
    for mut scene in [Scene::pasid(0), Scene::context(0)] {
        scene.store(1);
        assert_eq!(load(&mut scene.port), Ok(1), "the new domain, and the old table");
        assert_eq!(scene.changes(), [], "it may be all that was to change");
        scene.store(0);
        let reached = load(&mut scene.port);
        let change = scene.change();
        assert_eq!((&change.old, &change.new), (&scene.old, &scene.new));
        let mut torn = scene.old.clone();
        torn[1] = scene.new[1];
        assert_eq!(change.between, Some(torn));
        assert_eq!(reached, Ok(1), "a translation of the new domain through the old table");
        let report = scene.driver.unit.take_stale_uses().remove(0);
        assert_eq!(report.in_place.as_ref(), Some(&change));
        assert_eq!(report.mistake().name(), "changed-in-place");
        assert!(report.to_string().contains("\n  mistake: the "), "{report}");
        assert!(
            change.to_string().contains("\n  read in between, neither the old nor the new entry: 0x"),
            "{change}"
        );
        assert!(!change.to_json().contains('\n'));
    }
}

#[test]
fn the_right_order_is_no_change_in_place() {
    for size in [64, 0] {
        for mut scene in [Scene::pasid(size), Scene::context(size)] {
            scene.clear();
            let _blocked = load(&mut scene.port);
            scene.flush();
            scene.store(1);
            let _blocked = load(&mut scene.port);
            scene.store(0);
            assert_eq!(load(&mut scene.port), Ok(2));
            scene.flush();
            assert_eq!(scene.changes(), []);
        }
    }
}

#[test]
fn an_entry_that_was_clear_at_any_invalidation_was_not_changed_in_place() {
    let mut scene = Scene::context(64);
    scene.clear();
    scene.driver.invalidate(&[invalidations::domain(DOMAIN)]);
    scene.store(1);
    scene.store(0);
    scene.flush();
    assert_eq!(scene.changes(), [], "what was forgotten is another invalidation");
}

#[test]
fn one_store_is_no_change_in_place() {
    let mut scene = Scene::pasid(0);
    scene.store(0);
    let _either = load(&mut scene.port);
    scene.driver.invalidate(&[invalidations::pasid_entry(DOMAIN, 0), invalidations::all()]);
    scene.store(1);
    let _either = load(&mut scene.port);
    scene.driver.invalidate(&[invalidations::pasid_entry(DOMAIN, 0)]);
    assert_eq!(scene.changes(), [], "each was invalidated");
}

#[test]
fn tables_that_are_replaced_as_a_whole_are_compared_with_nothing() {
    let mut scene = Scene::context(0);
    let root = scene.driver.frame();
    scene.driver.set_root(root);
    scene.driver.unit.write(0x20, Width::Bits64, root.0);
    scene.driver.command_once(1 << 30);
    scene.store(0);
    scene.store(1);
    let _either = load(&mut scene.port);
    scene.driver.invalidate(&[invalidations::all_contexts()]);
    assert_eq!(scene.changes(), []);
}

#[test]
fn while_translation_is_off_entries_may_be_written_as_anybody_likes() {
    let mut scene = Scene::context(0);
    scene.driver.disable_translation();
    scene.store(0);
    scene.store(1);
    scene.driver.set_command(1 << 31);
    assert_eq!(load(&mut scene.port), Ok(2));
    assert_eq!(scene.changes(), []);
}

#[test]
fn a_table_that_nothing_leads_to_any_more_may_be_written_as_anybody_likes() {
    let mut scene = Scene::context(64);
    let root = scene.driver.root_place(SOURCE);
    let (other, index) = (scene.driver.frame(), scene.place.0 & 0xfff);
    for word in 0..2 {
        let place = other.offset(index + word * 8);
        scene.driver.memory.store(place, scene.old[usize::try_from(word).unwrap()]);
    }
    scene.driver.memory.store(root, other.0 | 1);
    scene.store(0);
    scene.store(1);
    scene.flush();
    assert_eq!(scene.changes(), []);
}

/// A device's interrupt entry, of which the low word holds the vector and the high word the source.
struct Interrupt {
    driver: Driver,
    place: PhysAddr,
}

const INDEX: u64 = 3;
const OLD: [u64; 2] = [1 | 0x41 << 16, 0];
const NEW: [u64; 2] = [1 | 0x42 << 16, 1 << 18 | SOURCE.0 as u64];

impl Interrupt {
    fn new(size: usize) -> Self {
        let mut driver = Driver::legacy_with(caches(size));
        let table = driver.frame();
        driver.unit.write(0xb8, Width::Bits64, table.0 | 7);
        driver.command_once(1 << 24);
        driver.set_command(1 << 25);
        let interrupt = Self { driver, place: table.offset(INDEX * 16) };
        interrupt.store(OLD, &[1, 0]);
        interrupt.send();
        interrupt
    }

    fn store(&self, words: [u64; 2], order: &[usize]) {
        for &word in order {
            self.driver.memory.store(self.place.offset(word as u64 * 8), words[word]);
        }
    }

    fn send(&self) {
        let message = Msi { address: 0xfee0_0010 | INDEX << 5, data: 0 };
        let _sent = self.driver.unit.interrupt(InterruptSource::Function(SOURCE), message);
    }

    fn changes_after_flush(&mut self) -> Vec<ChangedInPlace> {
        self.driver.invalidate(&[[0x14 | INDEX << 32, 0, 0, 0]]);
        self.driver.unit.take_changes_in_place()
    }
}

#[test]
fn an_interrupt_entry_that_is_read_between_two_stores_is_told() {
    let mut interrupt = Interrupt::new(0);
    interrupt.store(NEW, &[0]);
    interrupt.send();
    interrupt.store(NEW, &[1]);
    let changes = interrupt.changes_after_flush();
    let [change] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(change.entry, Changed::Interrupt(3));
    assert_eq!(change.between.as_deref(), Some(&[NEW[0], OLD[1]][..]));
}

#[test]
fn an_interrupt_entry_that_one_wide_store_may_have_replaced_is_not() {
    for size in [64, 0] {
        let mut interrupt = Interrupt::new(size);
        interrupt.store(NEW, &[0, 1]);
        interrupt.send();
        assert_eq!(interrupt.changes_after_flush(), []);
    }
}

#[test]
fn a_use_of_what_was_read_before_is_no_use_of_what_was_read_between_two_stores() {
    let mut scene = Scene::context(0);
    // A bit that hardware ignores, so that the domain stays.
    scene.new[1] = scene.old[1] | 1 << 3;
    let (table, next) = (PhysAddr(scene.old[0] & !0xfff), PAGE.offset(0x1000));
    scene.driver.map(SECOND_STAGE, table, next, 1);
    scene.store(1);
    assert_eq!(load_at(&mut scene.port, None, next), Ok(1));
    scene.store(0);
    for (page, is_torn) in [(PAGE, false), (next, true)] {
        assert_eq!(load_at(&mut scene.port, None, page), Ok(1));
        let reports = scene.driver.unit.take_stale_uses();
        assert_eq!(reports.iter().map(|it| it.in_place.is_some()).collect::<Vec<_>>(), [is_torn]);
    }
}

#[test]
fn a_use_of_what_was_read_between_two_stores_shows_the_second_of_them() {
    let mut scene = Scene::context(1);
    scene.new[1] = scene.old[1] | 1 << 3;
    // Another device takes the place in the cache.
    scene.driver.attach_legacy(OTHER, OTHER_DOMAIN, 0);
    let _blocked = load(&mut scene.driver.unit.port(OTHER, 0));
    scene.store(1);
    let (table, next) = (PhysAddr(scene.old[0] & !0xfff), PAGE.offset(0x1000));
    scene.driver.map(SECOND_STAGE, table, next, 1);
    assert_eq!(load_at(&mut scene.port, None, next), Ok(1));
    scene.store(0);
    assert_eq!(scene.changes(), [], "nobody has read it since");
    scene.driver.unit.hold_queue(0);
    scene.driver.submit(&[invalidations::context_of(SOURCE), invalidations::all()]);
    assert_eq!(load_at(&mut scene.port, None, next), Ok(1));
    let reports = scene.driver.unit.take_stale_uses();
    assert_eq!(reports.iter().map(|it| it.mistake().name()).collect::<Vec<_>>(), ["changed-in-place"]);
    assert!(matches!(reports[0].remedy[..], [Descriptor::Wait(_)]), "what is queued mends something else");
}

#[test]
fn an_invalidation_of_something_else_takes_no_store_for_a_whole_change() {
    for other in [
        invalidations::pasid_entry(OTHER_DOMAIN, 0),
        invalidations::all(),
        invalidations::device_page(SOURCE, PAGE),
    ] {
        let mut scene = Scene::pasid(64);
        scene.store(0);
        scene.driver.invalidate(&[other]);
        scene.store(1);
        scene.flush();
        assert_eq!(scene.change().words().collect::<Vec<_>>(), [0, 1], "{other:x?}");
    }
}
