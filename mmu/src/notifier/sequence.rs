//! Counts invalidations, so that who looked something up can tell whether it still holds, and so that a range to which
//! nobody listens takes no lock.
//!
//! Invariant: if [`InvalidationSequence::must_retry`] answers no for a snapshot, then no invalidation was in progress
//! at any moment between the snapshot and the answer. All counts of ranges are one word, and an end changes them by
//! one step: who no longer sees the invalidation in progress sees the new sequence. Whoever installs what he looked
//! up must ask under a lock that [`InvalidationSequence::begin`] is also called under (KVM's mmu_lock): else the
//! invalidation may begin between the answer and the installation.
//!
//! When [`InvalidationSequence::listen`] returns, no range is open that began unheard, and none begins: that somebody
//! listens is a bit of the same word. A range that adds itself behind the bit finds it and takes itself back; one
//! that did so before it is waited for.
//! Source: virt/kvm/kvm_main.c `mmu_invalidate_retry`, mm/mmu_notifier.c `mmu_interval_read_retry`;
//! `mm_has_notifiers`.

use crate::sync::{AtomicU64, Mutex, Ordering, SPIN_POLLS, spin_loop, yield_now};

#[cfg(all(test, loom))]
mod loom_tests;

/// The lowest bit of the word says that somebody listens. Above it are counted the invalidations in progress that
/// began unheard and those that did not, 12 bits each, and above them those completed.
const LISTENED: u64 = 1;
const COUNT_BITS: u32 = 12;
const MOST_OPEN: u64 = (1 << COUNT_BITS) - 1;
const UNHEARD: u64 = 1 << 1;
const HEARD: u64 = UNHEARD << COUNT_BITS;
const COMPLETED: u64 = HEARD << COUNT_BITS;
const IN_PROGRESS: u64 = COMPLETED - UNHEARD;

/// Invalidations in progress and completed, in one word, and who listens.
///
/// A snapshot is taken for an old one only if 2^39 invalidations were completed meanwhile.
#[derive(Debug)]
pub struct InvalidationSequence {
    ranges: AtomicU64,
    /// How many listen; the bit is changed under the lock.
    listeners: Mutex<u64>,
}

/// The sequence at some moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SequenceSnapshot {
    completed: u64,
}

impl Default for InvalidationSequence {
    fn default() -> Self {
        Self { ranges: AtomicU64::new(0), listeners: Mutex::new(0) }
    }
}

impl InvalidationSequence {
    /// An invalidation begins.
    ///
    /// # Panics
    /// If 4095 are in progress already.
    #[inline]
    pub fn begin(&self) {
        let before = self.ranges.fetch_add(HEARD, Ordering::AcqRel);
        assert!(
            (before / HEARD) & MOST_OPEN != MOST_OPEN,
            "more invalidations are in progress than can be counted"
        );
    }

    /// An invalidation ends.
    ///
    /// # Panics
    /// If none had begun.
    #[inline]
    pub fn end(&self) {
        let before = self.ranges.fetch_add(COMPLETED - HEARD, Ordering::AcqRel);
        assert!((before / HEARD) & MOST_OPEN != 0, "an invalidation ended that never began");
    }

    /// An invalidation begins, unless somebody listens: then it is not begun. To be ended by
    /// [`end_unheard`](Self::end_unheard).
    #[inline]
    pub(super) fn begin_unheard(&self) -> bool {
        if self.ranges.load(Ordering::Relaxed) & LISTENED != 0 {
            return false;
        }
        let before = self.ranges.fetch_add(UNHEARD, Ordering::AcqRel);
        assert!(
            (before / UNHEARD) & MOST_OPEN != MOST_OPEN,
            "more invalidations are in progress than can be counted"
        );
        if before & LISTENED != 0 {
            self.end_unheard();
        }
        before & LISTENED == 0
    }

    /// An invalidation that began unheard ends.
    #[inline]
    pub(super) fn end_unheard(&self) {
        self.ranges.fetch_add(COMPLETED - UNHEARD, Ordering::AcqRel);
    }

    /// One more listens: returns when no range is open that began unheard. None begins until it goes.
    pub(super) fn listen(&self) {
        let mut listeners = self.listeners.lock();
        *listeners += 1;
        self.ranges.fetch_or(LISTENED, Ordering::AcqRel);
        drop(listeners);
        let mut polls = 0;
        while (self.ranges.load(Ordering::Acquire) / UNHEARD) & MOST_OPEN != 0 {
            polls += 1;
            if polls < SPIN_POLLS { spin_loop() } else { yield_now() }
        }
    }

    /// So many go that listened.
    pub(super) fn go(&self, count: u64) {
        let mut listeners = self.listeners.lock();
        *listeners -= count;
        if *listeners == 0 {
            self.ranges.fetch_and(!LISTENED, Ordering::AcqRel);
        }
    }

    /// The sequence now; take it before looking anything up.
    #[must_use]
    pub fn snapshot(&self) -> SequenceSnapshot {
        SequenceSnapshot { completed: self.ranges.load(Ordering::Acquire) / COMPLETED }
    }

    /// Whether what was looked up after `since` may have changed.
    #[must_use]
    pub fn must_retry(&self, since: SequenceSnapshot) -> bool {
        let now = self.ranges.load(Ordering::Acquire);
        now & IN_PROGRESS != 0 || now / COMPLETED != since.completed
    }

    /// Whether an invalidation has begun and not ended.
    #[must_use]
    pub fn is_in_progress(&self) -> bool {
        self.ranges.load(Ordering::Acquire) & IN_PROGRESS != 0
    }
}
