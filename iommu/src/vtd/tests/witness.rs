//! What a unit tells whoever listens: another one than the watch, which keeps a diary.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mmu::address::PhysAddr;
use mmu::cache::Tag;
use parking_lot::Mutex;
use pcie::Ats;

use super::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE, invalidations, load};
use crate::spec::descriptor::Descriptor;
use crate::spec::fault::FaultRecord;
use crate::vtd::knobs::{Fault, Verdict};
use crate::vtd::options::{StaleOptions, VtdOptions, Watching};
use crate::vtd::witness::{Ended, Filled, Happening, Loaded, Moment, Moved, Used, Witness};
use crate::vtd::{Path, Vtd};

/// Writes down what it is told, and believes every walk.
#[derive(Debug, Default)]
struct Diary {
    events: AtomicU64,
    lines: Mutex<Vec<&'static str>>,
}

impl Diary {
    fn note(&self, line: &'static str) {
        self.lines.lock().push(line);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.lines.lock())
    }
}

impl Witness for Diary {
    fn now(&self) -> u64 {
        self.events.load(Ordering::Acquire)
    }

    fn happen(&self, _what: Happening) -> Moment {
        Moment { event: self.events.fetch_add(1, Ordering::AcqRel), elapsed: Duration::ZERO }
    }

    fn loaded(&self, loaded: Loaded<'_>) {
        self.note(match loaded {
            Loaded::Route { .. } => "route loaded",
            Loaded::InterruptEntry { .. } => "interrupt entry loaded",
        });
    }

    fn filled(&self, filled: Filled) {
        self.note(match filled {
            Filled::Translation { .. } => "translation filled",
            Filled::Ahead { .. } => "device TLB filled",
            Filled::Absence { .. } => "absence filled",
            Filled::Passing { .. } => "passing",
        });
    }

    fn used(&self, _unit: &Vtd, used: Used<'_>) -> Option<Path> {
        self.note(match used {
            Used::Translation(_) => "translation used",
            Used::Walk(_) => "walked",
            Used::Absence(_) => "absence used",
            Used::NoRoute(_) => "no route used",
            Used::Interrupt(_) => "interrupt entry used",
        });
        match used {
            Used::Walk(walked) => walked.outcome.is_ok().then(|| walked.origin.path.clone()),
            Used::Translation(_) | Used::Absence(_) | Used::NoRoute(_) | Used::Interrupt(_) => None,
        }
    }

    fn invalidated(&self, unit: &Vtd, _invalidation: &Descriptor, verdict: Verdict) {
        // The only tag that these units give.
        let is_cached = unit.iotlb().contains(Tag(0), PAGE).is_some();
        self.note(match (verdict, is_cached) {
            (Verdict::Execute, true) => "what is cached is invalidated",
            (Verdict::Execute, false) => "invalidated",
            (Verdict::Leave, _) => "left",
        });
    }

    fn ended(&self, ended: Ended) {
        self.note(match ended {
            Ended::Waited => "waited",
            Ended::Emptied(_) => "emptied",
            Ended::GivenUp(..) => "given up",
        });
    }

    fn moved(&self, _unit: &Vtd, moved: Moved) {
        self.note(match moved {
            Moved::Root => "root moved",
            Moved::InterruptTable(_) => "interrupt table moved",
        });
    }

    fn faulted(&self, _fault: &FaultRecord) {
        self.note("faulted");
    }
}

/// A unit in legacy mode whose device has a page, and who listens.
fn scene() -> (Driver, PhysAddr, Arc<Diary>) {
    let diary = Arc::<Diary>::default();
    let stale = StaleOptions { watching: Watching::EveryUse, ..StaleOptions::default() };
    let options = VtdOptions { stale, ..VtdOptions::default() };
    let witness = Arc::clone(&diary) as Arc<dyn Witness>;
    let unit = |memory, sink| Vtd::witnessed(memory, options, sink, Some(witness)).unwrap();
    let mut driver = Driver::of(unit).started();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    assert_eq!(diary.take(), ["root moved"; 2], "by SRTP and TE, not by QIE");
    (driver, table, diary)
}

#[test]
fn a_hit_whose_words_stand_is_told_to_nobody() {
    let (mut driver, table, diary) = scene();
    let mut port = driver.port();
    load(&mut port).unwrap();
    assert_eq!(diary.take(), ["route loaded", "translation filled", "walked"]);
    (0..100).for_each(|_| assert_eq!(load(&mut port), Ok(1)));
    assert_eq!(diary.take(), [""; 0], "the port vouches for it");
    driver.map(SECOND_STAGE, table, PAGE, 2);
    (0..3).for_each(|_| assert_eq!(load(&mut port), Ok(1), "it is cached"));
    assert_eq!(diary.take(), ["translation used"; 3], "and not what the tables say");
}

#[test]
fn an_invalidation_is_told_before_it_is_carried_out_and_also_if_it_is_not() {
    let (mut driver, _, diary) = scene();
    load(&mut driver.port()).unwrap();
    diary.take();
    driver.invalidate(&[invalidations::all(), invalidations::all_contexts()]);
    assert_eq!(diary.take(), ["what is cached is invalidated", "invalidated", "waited"]);
    driver.unit.break_queue(Fault::Drop { nth: 1 });
    driver.invalidate(&[invalidations::all()]);
    assert_eq!(diary.take(), ["left", "waited"]);
    driver.unit.port(SOURCE, 8).set_ats(Ats::Enabled);
    assert_eq!(diary.take(), ["emptied"]);
}

#[test]
fn a_unit_whose_witness_is_no_watch_has_nothing_to_report() {
    let (mut driver, table, _) = scene();
    let mut port = driver.port();
    load(&mut port).unwrap();
    driver.unmap(SECOND_STAGE, table, PAGE);
    load(&mut port).unwrap();
    driver.unit.judge_the_rest();
    assert_eq!((driver.unit.take_stale_uses(), driver.unit.audit()), (Vec::new(), Vec::new()));
}
