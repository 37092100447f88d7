//! Proofs hide nothing: whatever changes after uses that were proved clean is reported, once.

use mmu::address::{Access, PAGE_SIZE, PhysAddr};
use pcie::{Request, SourceId};

use super::PROOFS;
use crate::stale::{Holder, StaleUse};
use crate::vtd::options::{Judging, StaleOptions, VtdOptions, Watching};
use crate::vtd::port::Port;
use crate::vtd::tests::driver::invalidations;
use crate::vtd::tests::driver::{
    DOMAIN, Driver, FIRST_STAGE, OTHER_DOMAIN, PAGE, SECOND_STAGE, SOURCE, load, load_at, pasid, store,
};
use crate::vtd::{Table, Width};

const SIBLING: SourceId = SourceId(SOURCE.0 ^ 1);

fn options() -> VtdOptions {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
    VtdOptions { stale, ..VtdOptions::default() }
}

/// A miss, a look that leaves a proof, and a use that it vouches for.
fn use_thrice(mut load: impl FnMut() -> u64) -> u64 {
    let first = load();
    assert_eq!((load(), load()), (first, first));
    first
}

struct Scene {
    driver: Driver,
    port: Port,
    table: PhysAddr,
}

impl Scene {
    /// A device with a proof for its page.
    fn proved() -> Self {
        Self::proved_through(Driver::port)
    }

    fn proved_through(open: impl Fn(&Driver) -> Port) -> Self {
        let mut driver = Driver::legacy_with(options());
        let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
        driver.map(SECOND_STAGE, table, PAGE, 1);
        let port = open(&driver);
        let mut scene = Self { driver, port, table };
        assert_eq!(scene.use_it(), 1);
        assert_eq!(scene.reports(), []);
        scene
    }

    fn use_it(&mut self) -> u64 {
        use_thrice(|| load(&mut self.port).unwrap())
    }

    fn reports(&self) -> Vec<StaleUse> {
        self.driver.unit.take_stale_uses()
    }

    /// What the only report of some uses says that changed.
    fn reported(&mut self) -> Table {
        self.use_it();
        let reports = self.reports();
        assert_eq!(reports.len(), 1, "{reports:?}");
        reports[0].change.table
    }

    /// Hands the unit another root table, whose tables map the page to the same frame.
    fn move_root(&mut self, frame: PhysAddr) -> PhysAddr {
        let root = self.driver.frame();
        self.driver.set_root(root);
        let table = self.driver.attach_legacy(SOURCE, DOMAIN, 1);
        let place = self.driver.place(SECOND_STAGE, table, PAGE, 1);
        self.driver.memory.store(place, frame.0 | SECOND_STAGE.leaf);
        self.driver.unit.write(0x20, Width::Bits64, root.0);
        self.driver.command_once(1 << 30);
        place
    }

    fn leaf(&mut self) -> PhysAddr {
        self.driver.place(SECOND_STAGE, self.table, PAGE, 1)
    }
}

#[test]
fn a_changed_leaf_is_reported_after_uses_that_were_proved() {
    let mut scene = Scene::proved();
    scene.driver.map(SECOND_STAGE, scene.table, PAGE, 2);
    assert_eq!(scene.reported(), Table::SecondStage { level: 1 });
    scene.driver.map(SECOND_STAGE, scene.table, PAGE, 3);
    assert_eq!(scene.reported(), Table::SecondStage { level: 1 });
}

#[test]
fn so_is_a_change_of_any_entry_above() {
    for level in 2..=4 {
        let mut scene = Scene::proved();
        let place = scene.driver.place(SECOND_STAGE, scene.table, PAGE, level);
        scene.driver.memory.store(place, 0);
        assert_eq!(scene.reported(), Table::SecondStage { level });
    }
    let mut scene = Scene::proved();
    scene.driver.attach_legacy(SOURCE, OTHER_DOMAIN, 1);
    assert_eq!(scene.reported(), Table::Context);
}

#[test]
fn so_is_a_change_of_the_pasid_entry() {
    let mut driver = Driver::scalable_with(options());
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    let mut use_it = || use_thrice(|| load_at(&mut port, Some(pasid(5)), PAGE).unwrap());
    use_it();
    driver.first_stage(directory, 5, DOMAIN);
    use_it();
    let reports = driver.unit.take_stale_uses();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].change.table, Table::Pasid);
}

#[test]
fn a_page_that_was_filled_again_is_not_vouched_for_by_the_old_words() {
    let mut scene = Scene::proved();
    let leaf = scene.leaf();
    let before = scene.driver.memory.load(leaf);
    scene.driver.map(SECOND_STAGE, scene.table, PAGE, 2);
    scene.driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    assert_eq!(load(&mut scene.port), Ok(2));
    scene.driver.memory.store(leaf, before);
    assert_eq!(scene.reported(), Table::SecondStage { level: 1 });
}

#[test]
fn nor_is_one_that_another_thread_of_the_device_filled_again() {
    let mut scene = Scene::proved();
    let mut other = scene.driver.port();
    let leaf = scene.leaf();
    let before = scene.driver.memory.load(leaf);
    scene.driver.map(SECOND_STAGE, scene.table, PAGE, 2);
    scene.driver.invalidate(&[invalidations::pages(DOMAIN, PAGE, 0)]);
    assert_eq!(load(&mut other), Ok(2));
    // The words of the proof stand again, and the IOTLB says something else.
    scene.driver.memory.store(leaf, before);
    assert_eq!(load(&mut scene.port), Ok(2));
    assert_eq!(scene.reports().len(), 1);
}

#[test]
fn nor_by_the_words_of_another_root_table() {
    let mut scene = Scene::proved();
    let leaf = scene.leaf();
    let frame = PhysAddr(scene.driver.memory.load(leaf) & !0xfff);
    let place = scene.move_root(frame);
    scene.driver.invalidate(&[invalidations::all_contexts(), invalidations::all()]);
    assert_eq!(load(&mut scene.port), Ok(1));
    let other = scene.driver.frame();
    scene.driver.memory.store(place, other.0 | SECOND_STAGE.leaf);
    assert_eq!(scene.reported(), Table::SecondStage { level: 1 });
}

#[test]
fn nor_by_words_that_a_route_led_to_for_a_while() {
    let mut scene = Scene::proved();
    let leaf = scene.leaf();
    let frame = PhysAddr(scene.driver.memory.load(leaf) & !0xfff);
    let detour = scene.driver.frame();
    let place = scene.driver.place(SECOND_STAGE, detour, PAGE, 1);
    scene.driver.memory.store(place, frame.0 | SECOND_STAGE.leaf);
    let context = scene.driver.context_place(SOURCE);
    let before = scene.driver.memory.load(context);
    scene.driver.memory.store(context, detour.0 | before & 0xfff);
    scene.use_it();
    assert_eq!(scene.reports(), [], "the detour ends at the same frame");
    scene.driver.memory.store(context, before);
    scene.driver.map(SECOND_STAGE, scene.table, PAGE, 2);
    assert_eq!(scene.reported(), Table::SecondStage { level: 1 });
}

#[test]
fn nor_by_the_words_that_the_route_before_led_to() {
    let mut scene = Scene::proved();
    let next = PAGE.offset(PAGE_SIZE);
    scene.driver.map(SECOND_STAGE, scene.table, next, 7);
    let use_next = |scene: &mut Scene| use_thrice(|| load_at(&mut scene.port, None, next).unwrap());
    assert_eq!(use_next(&mut scene), 7);
    let [frame, frame_of_next] = [PAGE, next].map(|page| {
        let leaf = scene.driver.place(SECOND_STAGE, scene.table, page, 1);
        PhysAddr(scene.driver.memory.load(leaf) & !0xfff)
    });
    // The IOTLB keeps both pages, and the new tables say the same of them.
    let place = scene.move_root(frame).offset(8);
    scene.driver.memory.store(place, frame_of_next.0 | SECOND_STAGE.leaf);
    scene.driver.invalidate(&[invalidations::all_contexts()]);
    // With the first page the port gets to know the new route; of the next one it has the old proof.
    scene.use_it();
    assert_eq!(scene.reports(), []);
    let other = scene.driver.frame();
    scene.driver.memory.store(place, other.0 | SECOND_STAGE.leaf);
    assert_eq!(use_next(&mut scene), 7);
    assert_eq!(scene.reports().len(), 1, "the old leaf still says what the proof says");
}

#[test]
fn nor_by_the_words_of_another_page() {
    let mut scene = Scene::proved();
    let leaf = scene.leaf();
    let entry = scene.driver.memory.load(leaf);
    let same_place = PAGE.offset(PROOFS as u64 * PAGE_SIZE);
    let other = scene.driver.place(SECOND_STAGE, scene.table, same_place, 1);
    scene.driver.memory.store(other, entry);
    load_at(&mut scene.port, None, same_place).unwrap();
    scene.driver.map(SECOND_STAGE, scene.table, same_place, 2);
    load_at(&mut scene.port, None, same_place).unwrap();
    assert_eq!(scene.reports().len(), 1);
}

#[test]
fn nor_by_the_words_of_another_process() {
    let mut driver = Driver::scalable_with(options());
    let directory = driver.attach_scalable(SOURCE);
    let numbers = [5, 5 + u32::try_from(PROOFS).unwrap()];
    let frame = driver.frame();
    let mut port = driver.port();
    let mut leaf = PhysAddr(0);
    for number in numbers {
        let table = driver.first_stage(directory, number, DOMAIN);
        leaf = driver.place(FIRST_STAGE, table, PAGE, 1);
        driver.memory.store(leaf, frame.0 | FIRST_STAGE.leaf);
    }
    let mut read = |number| load_at(&mut port, Some(pasid(number)), PAGE).unwrap();
    use_thrice(|| read(numbers[0]));
    read(numbers[1]);
    let other = driver.frame();
    driver.memory.store(leaf, other.0 | FIRST_STAGE.leaf);
    read(numbers[1]);
    assert_eq!(driver.unit.take_stale_uses().len(), 1);
}

#[test]
fn a_proof_for_reads_is_none_for_writes() {
    let mut scene = Scene::proved();
    let leaf = scene.leaf();
    let writable = scene.driver.memory.load(leaf);
    let flush = [invalidations::pages(DOMAIN, PAGE, 0)];
    scene.driver.memory.store(leaf, writable & !2);
    scene.driver.invalidate(&flush);
    scene.use_it();
    scene.driver.memory.store(leaf, writable);
    scene.driver.invalidate(&flush);
    store(&mut scene.port, 2).unwrap();
    scene.driver.memory.store(leaf, writable & !2);
    store(&mut scene.port, 3).unwrap();
    assert_eq!(scene.reports().len(), 1);
}

#[test]
fn a_proof_that_a_page_may_be_read_hides_no_write() {
    let mut scene = Scene::proved();
    let mut other = scene.driver.port();
    let leaf = scene.leaf();
    let writable = scene.driver.memory.load(leaf);
    let flush = [invalidations::pages(DOMAIN, PAGE, 0)];
    scene.driver.memory.store(leaf, writable & !2);
    scene.driver.invalidate(&flush);
    scene.use_it();
    scene.driver.memory.store(leaf, writable);
    scene.driver.invalidate(&flush);
    store(&mut other, 2).unwrap();
    // The words of the proof stand again, and what another thread has filled still lets the device write.
    scene.driver.memory.store(leaf, writable & !2);
    assert_eq!(scene.reports(), []);
    store(&mut scene.port, 3).unwrap();
    assert_eq!(scene.reports().len(), 1);
}

#[test]
fn a_read_that_the_tables_still_allow_proves_no_write_that_they_do_not() {
    let mut scene = Scene::proved();
    store(&mut scene.port, 1).unwrap();
    let leaf = scene.leaf();
    scene.driver.memory.store(leaf, scene.driver.memory.load(leaf) & !2);
    assert_eq!((scene.use_it(), scene.reports()), (1, Vec::new()));
    store(&mut scene.port, 2).unwrap();
    assert_eq!(scene.reports().len(), 1);
}

#[test]
fn nor_does_one_that_a_walk_found_allowed_by_an_entry_that_is_cached() {
    let mut scene = Scene::proved();
    let next = PAGE.offset(PAGE_SIZE);
    scene.driver.map(SECOND_STAGE, scene.table, next, 7);
    let upper = scene.driver.place(SECOND_STAGE, scene.table, PAGE, 2);
    scene.driver.memory.store(upper, scene.driver.memory.load(upper) & !2);
    assert_eq!((load_at(&mut scene.port, None, next), scene.reports()), (Ok(7), Vec::new()));
    let request = Request { pasid: None, address: next, access: Access::Write };
    scene.port.translate(request).unwrap().store(8);
    assert_eq!(scene.reports().len(), 1);
}

#[test]
fn a_page_that_outlives_its_root_table_is_reported() {
    let mut scene = Scene::proved();
    let other = scene.driver.frame();
    scene.move_root(other);
    scene.driver.invalidate(&[invalidations::all_contexts()]);
    assert_eq!(scene.reported(), Table::Root, "the IOTLB was forgotten");
}

#[test]
fn a_device_whose_own_context_entry_changed_is_reported_in_a_domain_that_others_filled() {
    let mut driver = Driver::legacy_with(options());
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let place = driver.context_place(SIBLING);
    let words = driver.context_place(SOURCE);
    driver.memory.store(place.offset(8), driver.memory.load(words.offset(8)));
    driver.memory.store(place, driver.memory.load(words));
    let mut port = driver.port();
    load(&mut port).unwrap();
    let mut sibling = driver.unit.port(SIBLING, 0);
    use_thrice(|| load(&mut sibling).unwrap());
    assert_eq!(driver.unit.take_stale_uses(), []);

    driver.memory.store(place, 0);
    use_thrice(|| load(&mut sibling).unwrap());
    load(&mut port).unwrap();
    let reports = driver.unit.take_stale_uses();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!((reports[0].requester.source, reports[0].change.table), (SIBLING, Table::Context));
}

#[test]
fn an_entry_that_says_the_same_in_other_words_gets_a_new_proof() {
    let mut scene = Scene::proved();
    let leaf = scene.leaf();
    scene.driver.memory.store(leaf, scene.driver.memory.load(leaf) | 1 << 52);
    scene.use_it();
    assert_eq!(scene.reports(), []);
    scene.driver.map(SECOND_STAGE, scene.table, PAGE, 2);
    assert_eq!(scene.reported(), Table::SecondStage { level: 1 });
}

#[test]
fn what_a_device_holds_itself_is_proved_and_reported_alike() {
    let mut scene = Scene::proved_through(Driver::ats_port);
    scene.driver.map(SECOND_STAGE, scene.table, PAGE, 2);
    scene.use_it();
    let reports = scene.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].holder, Holder::DeviceTlb);
}
