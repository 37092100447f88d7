//! Interrupts through entries that changed while they were cached.

use std::time::Duration;

use mmu::address::PhysAddr;
use pcie::Msi;

use super::StaleInterrupt;
use crate::spec::descriptor::{Descriptor, EntryScope, Wait};
use crate::stale::watch::{Judging, StaleOptions, Watching};
use crate::stale::{Ground, Why};
use crate::vtd::Width;
use crate::vtd::interrupts::InterruptSource;
use crate::vtd::knobs::Fault;
use crate::vtd::options::VtdOptions;
use crate::vtd::tests::driver::{Driver, OTHER_DOMAIN, SOURCE, Words, invalidations};

const INDEX: u16 = 3;
const MESSAGE: Msi = Msi { address: 0xfee0_0010 | (INDEX as u64) << 5, data: 0 };

/// An entry with this vector for APIC 5.
const fn entry(vector: u64) -> u64 {
    1 | vector << 16 | 5 << 40
}

const fn of_entry(index: u64) -> Words {
    [0x14 | index << 32, 0, 0, 0]
}

struct Scene {
    driver: Driver,
    place: PhysAddr,
}

impl Scene {
    /// A device has used its entry, which is cached.
    fn new() -> Self {
        Self::with(Judging::Late(Duration::MAX))
    }

    fn with(judging: Judging) -> Self {
        let stale = StaleOptions { watching: Watching::EveryUse, judging };
        let mut driver = Driver::legacy_with(VtdOptions { stale, ..VtdOptions::default() });
        let table = driver.frame();
        driver.unit.write(0xb8, Width::Bits64, table.0 | 7);
        driver.command_once(1 << 24);
        driver.set_command(1 << 25);
        let mut scene = Self { driver, place: table.offset(u64::from(INDEX) * 16) };
        scene.set(entry(0x41));
        scene.send();
        scene
    }

    fn set(&mut self, word: u64) {
        self.driver.memory.store(self.place, word);
    }

    fn send(&self) {
        let _sent = self.driver.unit.interrupt(InterruptSource::Function(SOURCE), MESSAGE);
    }

    /// What is left when nothing is invalidated any more, after another use.
    fn reports(&self) -> Vec<StaleInterrupt> {
        self.send();
        self.driver.unit.judge_the_rest();
        self.driver.unit.take_stale_interrupts()
    }

    /// The only report, of a use before and one after `descriptors` and a wait.
    fn report_after(&mut self, descriptors: &[Words]) -> StaleInterrupt {
        self.send();
        assert_eq!(self.driver.unit.take_stale_interrupts(), [], "software may still be about to invalidate");
        self.driver.invalidate(descriptors);
        let mut reports = self.reports();
        assert_eq!(reports.len(), 1);
        reports.remove(0)
    }
}

#[test]
fn a_changed_entry_that_is_used_across_a_wait_is_reported_once() {
    let mut scene = Scene::new();
    scene.set(entry(0x42));
    let report = scene.report_after(&[]);
    assert_eq!((report.source, report.index, report.place), (SOURCE, INDEX, scene.place));
    assert_eq!((report.cached, report.now), ([entry(0x41), 0], Some([entry(0x42), 0])));
    assert_eq!(report.received, []);
    let scope = EntryScope::Index { index: INDEX, log2_count: 0 };
    assert_eq!(report.remedy, Descriptor::InterruptEntries(scope));
    assert_eq!(scene.reports(), [], "the same entry and the same change");
    assert_eq!(scene.driver.unit.stale_use_count(), 1);
    scene.set(entry(0x43));
    assert_eq!(scene.report_after(&[]).now, Some([entry(0x43), 0]), "another change");
}

#[test]
fn an_entry_that_is_invalidated_in_time_is_not_reported() {
    let mut scene = Scene::new();
    scene.set(entry(0x42));
    scene.send();
    scene.driver.invalidate(&[of_entry(u64::from(INDEX))]);
    assert_eq!(scene.reports(), []);
}

#[test]
fn each_invalidation_that_missed_is_told() {
    let mut scene = Scene::new();
    scene.set(0);
    scene.driver.unit.break_queue(Fault::Drop { nth: 3 });
    let report = scene.report_after(&[
        of_entry(u64::from(INDEX) + 1),
        invalidations::domain(OTHER_DOMAIN),
        of_entry(u64::from(INDEX)),
    ]);
    let why: Vec<_> = report.received.iter().map(|missed| missed.why).collect();
    assert_eq!(why, [Why::OtherEntries, Why::NotCarriedOut], "translations are another matter");
}

#[test]
fn bits_that_change_nothing_are_no_change() {
    let mut scene = Scene::new();
    scene.set(entry(0x41) | 1 << 8);
    scene.send();
    scene.driver.invalidate(&[]);
    assert_eq!(scene.reports(), [], "a software bit");
}

#[test]
fn the_text_and_the_json_say_what_is_missing() {
    let mut scene = Scene::new();
    scene.set(0);
    let report = scene.report_after(&[of_entry(4)]);
    let text = report.to_string();
    let expected = [
        "stale use: 00:03.0 sent an interrupt through the cached entry 3, which was vector 0x41 for destination 0x500",
        ", where the table has none\n",
        ": interrupt entries, 2^0 around 4: other entries",
        "\n  mistake: \"interrupt entries, 2^0 around 4\" names other entries; the interrupt came through entry 3\n",
        "\n  would have helped:\n    interrupt entries, 2^0 around 3",
    ];
    for part in expected {
        assert!(text.contains(part), "{text}");
    }
    let value: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!((&value["kind"], &value["index"]), (&"interrupt".into(), &3.into()));
    assert_eq!(value["remedy"][0], "interrupt entries, 2^0 around 3");
    assert_eq!(value["mistake"], "other-entries");
}

/// What the report after these invalidations calls the mistake.
fn mistake_after(descriptors: &[Words]) -> &'static str {
    let mut scene = Scene::new();
    scene.set(entry(0x42));
    scene.report_after(descriptors).mistake().name()
}

#[test]
fn an_invalidation_beside_the_entry_was_meant_for_a_neighbour_that_changed() {
    let neighbour = |scene: &Scene| scene.place.offset(16);
    let mut scene = Scene::new();
    scene.set(entry(0x42));
    scene.driver.memory.store(neighbour(&scene), entry(0x51));
    let report = scene.report_after(&[of_entry(4)]);
    assert_eq!(report.mistake().name(), "nothing-invalidated", "it was right, and due");
    assert_eq!(report.received[0].why, Why::EntriesOfTheirOwn);
    assert!(
        report.to_string().contains("mistake: nothing was invalidated for the interrupt entry"),
        "{report}"
    );
    // Now nothing of the neighbour's is due.
    scene.set(entry(0x43));
    let report = scene.report_after(&[of_entry(4)]);
    assert_eq!(report.mistake().name(), "other-entries");
    assert_eq!(report.received[1].why, Why::OtherEntries);
    // And a neighbour of which nothing was known since the table was set up is nobody's mistake.
    scene.driver.unit.write(0xb8, Width::Bits64, (scene.place.0 & !0xfff) | 0xf);
    scene.driver.command_once(1 << 24);
    for (index, mistake) in [(1022, "other-entries"), (1024, "nothing-invalidated")] {
        let [used, named] = [index + 1, index];
        let message = Msi { address: 0xfee0_0010 | (used << 5), data: 0 };
        let place = PhysAddr((scene.place.0 & !0xfff) + used * 16);
        let send = || scene.driver.unit.interrupt(InterruptSource::Function(SOURCE), message).is_ok();
        scene.driver.memory.store(place, entry(0x61));
        assert!(send());
        scene.driver.memory.store(place, entry(0x62));
        assert!(send());
        scene.driver.invalidate(&[of_entry(named)]);
        let _sent = scene.driver.unit.interrupt(InterruptSource::Function(SOURCE), message);
        scene.driver.unit.judge_the_rest();
        let reports = scene.driver.unit.take_stale_interrupts();
        assert_eq!(reports[0].mistake().name(), mistake, "{index}");
    }
}

#[test]
fn an_invalidation_beside_the_entry_was_meant_for_it() {
    let two_from_0 = [0x14 | 1 << 27, 0, 0, 0];
    assert_eq!(mistake_after(&[two_from_0]), "other-entries", "too few");
    assert_eq!(mistake_after(&[of_entry(2)]), "other-entries");
    assert_eq!(mistake_after(&[of_entry(5)]), "nothing-invalidated", "somebody else's");
    assert_eq!(mistake_after(&[]), "nothing-invalidated");
}

#[test]
fn an_invalidation_that_was_dropped_is_the_mistake_whatever_else_came() {
    let mut scene = Scene::new();
    scene.set(0);
    scene.driver.unit.break_queue(Fault::Drop { nth: 1 });
    let report = scene.report_after(&[of_entry(u64::from(INDEX)), of_entry(4)]);
    assert_eq!(report.mistake().name(), "not-carried-out");
    assert!(report.to_string().contains("2^0 around 3\" was not carried out"), "{report}");
}

#[test]
fn an_invalidation_that_is_queued_was_not_waited_for() {
    for (waits, mistake) in [(0, "not-waited-for"), (1, "wait-not-over")] {
        let mut scene = Scene::with(Judging::AtOnce);
        scene.set(entry(0x42));
        scene.driver.unit.hold_queue(0);
        scene.driver.put(&[of_entry(u64::from(INDEX))]);
        let wait = scene.driver.wait();
        scene.driver.submit(&vec![wait; waits]);
        let reports = scene.reports();
        let [report] = &reports[..] else { panic!("{reports:?}") };
        assert_eq!(report.mistake().name(), mistake);
        assert_eq!(report.remedy, Descriptor::Wait(Wait::default()));
        let queued = Descriptor::InterruptEntries(EntryScope::Index { index: INDEX, log2_count: 0 });
        assert_eq!(report.queued[0], queued);
    }
}

#[test]
fn an_invalidation_of_a_later_change_is_too_late_for_an_earlier_one() {
    let (present, again) = (entry(0x42), entry(0x43));
    for (then, high, finally, reports) in [
        (present, 0, present, 0),
        (present, 0, again, 1),
        (present, 0, 0, 1),
        (present, 7, present, 0),
        (0, 0, again, 0),
    ] {
        let words = finally;
        let mut scene = Scene::new();
        scene.set(then);
        scene.send();
        scene.driver.memory.store(scene.place.offset(8), high);
        scene.set(finally);
        scene.driver.invalidate(&[of_entry(u64::from(INDEX))]);
        let found = scene.driver.unit.take_stale_interrupts();
        assert_eq!(found.len(), reports, "{words:#x}: {found:?}");
        assert!(found.iter().all(|report| report.mistake().name() == "nothing-invalidated"));
        assert_eq!(scene.driver.unit.tally().dropped, 1 - reports as u64);
    }
}

#[test]
fn an_interrupt_while_software_waits_is_nobodys_mistake() {
    let mut scene = Scene::with(Judging::Late(Duration::ZERO));
    scene.set(entry(0x42));
    scene.driver.unit.hold_queue(0);
    scene.driver.put(&[of_entry(u64::from(INDEX))]);
    let wait = scene.driver.wait();
    scene.driver.submit(&[wait]);
    assert_eq!(scene.reports(), []);
    assert_eq!(scene.driver.unit.tally().unjudged, 1);
}

#[test]
fn invalidations_of_interrupt_entries_do_not_clutter_reports_of_translations() {
    use crate::vtd::tests::driver::{DOMAIN, PAGE, SECOND_STAGE, load};
    let mut scene = Scene::new();
    let table = scene.driver.attach_legacy(SOURCE, DOMAIN, 0);
    scene.driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = scene.driver.port();
    load(&mut port).unwrap();
    scene.driver.map(SECOND_STAGE, table, PAGE, 2);
    scene.driver.invalidate(&[of_entry(4)]);
    load(&mut port).unwrap();
    scene.driver.unit.judge_the_rest();
    assert_eq!(scene.driver.unit.take_stale_uses()[0].received, []);
}

#[test]
fn an_invalidation_of_another_entry_says_nothing_of_a_later_change() {
    let mut scene = Scene::new();
    scene.set(entry(0x42));
    scene.send();
    scene.set(entry(0x43));
    scene.driver.invalidate(&[of_entry(4)]);
    assert_eq!(scene.driver.unit.take_stale_interrupts(), []);
    scene.driver.invalidate(&[of_entry(u64::from(INDEX))]);
    let grounds: Vec<_> = scene.driver.unit.take_stale_interrupts().iter().map(|it| it.ground).collect();
    assert_eq!(grounds, [Ground::ChangedAgain]);
}

#[test]
fn an_invalidation_that_was_not_carried_out_ends_nothing_whenever_it_came() {
    for is_used_first in [false, true] {
        let mut scene = Scene::new();
        scene.driver.unit.break_queue(Fault::Drop { nth: 1 });
        scene.set(entry(0x42));
        if is_used_first {
            scene.send();
        }
        scene.driver.invalidate(&[of_entry(u64::from(INDEX))]);
        scene.send();
        assert_eq!((scene.driver.unit.tally().kept, scene.driver.unit.tally().open), (1, 1));
        let mistakes: Vec<_> = scene.reports().iter().map(|report| report.mistake().name()).collect();
        assert_eq!(mistakes, ["not-carried-out"]);
    }
}

#[test]
fn a_second_mistake_of_the_same_entry_is_told_too() {
    let mut scene = Scene::with(Judging::Late(Duration::ZERO));
    scene.set(entry(0x42));
    let told_and_kept = |scene: &Scene| {
        scene.send();
        let reports = scene.driver.unit.take_stale_interrupts();
        let mistakes: Vec<_> = reports.iter().map(|report| report.mistake().name()).collect();
        (mistakes, scene.driver.unit.tally().kept)
    };
    assert_eq!(told_and_kept(&scene), (vec!["nothing-invalidated"], 1));
    assert_eq!(told_and_kept(&scene), (vec![], 1), "nothing new");
    scene.driver.invalidate(&[of_entry(4)]);
    assert_eq!(told_and_kept(&scene), (vec!["other-entries"], 2));
    assert_eq!(told_and_kept(&scene), (vec![], 2), "that was looked at");
    scene.driver.invalidate(&[of_entry(4)]);
    assert_eq!(told_and_kept(&scene), (vec![], 3), "the same mistake again");
}
