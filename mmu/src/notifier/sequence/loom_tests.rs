//! The sequence under loom: whoever installs what he looked up, because he need not retry, installs nothing that an
//! invalidation has taken away.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::InvalidationSequence;
use crate::sync::Mutex;

const NONE: u64 = 0;
const OLD: u64 = 1;
const NEW: u64 = 2;

/// An entry of a primary table, and what is installed of it in a secondary one.
struct World {
    sequence: InvalidationSequence,
    entry: AtomicU64,
    /// What mmu_lock protects.
    installed: Mutex<u64>,
}

impl World {
    fn new() -> Arc<Self> {
        let (sequence, entry) = (InvalidationSequence::default(), AtomicU64::new(OLD));
        Arc::new(Self { sequence, entry, installed: Mutex::new(NONE) })
    }

    /// range_start, the change, range_end. The end takes no lock.
    fn change(&self) {
        let mut installed = self.installed.lock();
        self.sequence.begin();
        *installed = NONE;
        drop(installed);
        self.entry.store(NEW, Ordering::Relaxed);
        self.sequence.end();
    }

    /// A look-up, and what came of it: installed, unless `retries` says that it may have changed.
    fn fault(&self, retries: impl FnOnce() -> bool) {
        let found = self.entry.load(Ordering::Relaxed);
        let mut installed = self.installed.lock();
        if !retries() {
            *installed = found;
        }
    }
}

fn fault_against_a_change(fault: fn(&World)) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let world = World::new();
        let other = Arc::clone(&world);
        let changing = thread::spawn(move || other.change());
        fault(&world);
        assert!(changing.join().is_ok());
        assert_ne!(*world.installed.lock(), OLD, "what the change has taken away is installed");
    });
}

#[test]
fn what_need_not_be_retried_is_not_stale() {
    fault_against_a_change(|world| {
        let since = world.sequence.snapshot();
        world.fault(|| world.sequence.must_retry(since));
    });
}

#[test]
#[should_panic(expected = "what the change has taken away is installed")]
fn control_what_ended_since_has_to_be_retried_too() {
    fault_against_a_change(|world| world.fault(|| world.sequence.is_in_progress()));
}

#[test]
#[should_panic(expected = "what the change has taken away is installed")]
fn control_a_snapshot_behind_the_look_up_comes_too_late() {
    fault_against_a_change(|world| {
        world.fault(|| {
            let since = world.sequence.snapshot();
            world.sequence.must_retry(since)
        });
    });
}

/// A range that begins unheard if it can, against somebody who listens meanwhile: what he then knows of `open`.
fn listen_against_a_range(listen: fn(&InvalidationSequence)) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let sequence = Arc::new(InvalidationSequence::default());
        let open = Arc::new(AtomicU64::new(0));
        let (its, other) = (Arc::clone(&sequence), Arc::clone(&open));
        let range = thread::spawn(move || {
            if its.begin_unheard() {
                other.store(1, Ordering::Relaxed);
                other.store(0, Ordering::Relaxed);
                its.end_unheard();
            }
        });
        listen(&sequence);
        assert_eq!(open.load(Ordering::Relaxed), 0, "a range is open that nobody is told of");
        assert!(range.join().is_ok());
        assert!(!sequence.is_in_progress());
    });
}

#[test]
fn no_range_is_unheard_once_somebody_listens() {
    listen_against_a_range(InvalidationSequence::listen);
}

#[test]
#[should_panic(expected = "a range is open that nobody is told of")]
fn control_who_does_not_wait_misses_a_range() {
    listen_against_a_range(|sequence| {
        sequence.ranges.fetch_or(super::LISTENED, Ordering::AcqRel);
    });
}
