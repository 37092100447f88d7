//! Counts invalidations, so that who looked something up can tell whether it still holds.
//!
//! Invariant: if [`InvalidationSequence::must_retry`] answers no for a snapshot, then no invalidation was in
//! progress at any moment between the snapshot and the answer. The sequence rises before the count in progress
//! falls: who no longer sees the invalidation in progress sees the new sequence.
//! Whoever installs what he looked up must ask under a lock that [`InvalidationSequence::begin`] is also called
//! under (KVM's mmu_lock): else the invalidation may begin between the answer and the installation.
//! Source: virt/kvm/kvm_main.c `mmu_invalidate_retry`, mm/mmu_notifier.c `mmu_interval_read_retry`.

use crate::sync::{AtomicU64, Ordering};

#[cfg(all(test, loom))]
mod loom_tests;

/// Invalidations in progress and completed.
#[derive(Debug, Default)]
pub struct InvalidationSequence {
    in_progress: AtomicU64,
    completed: AtomicU64,
}

/// The sequence at some moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SequenceSnapshot {
    completed: u64,
}

impl InvalidationSequence {
    /// An invalidation begins.
    pub fn begin(&self) {
        self.in_progress.fetch_add(1, Ordering::AcqRel);
    }

    /// An invalidation ends.
    ///
    /// # Panics
    /// If none had begun.
    pub fn end(&self) {
        self.completed.fetch_add(1, Ordering::AcqRel);
        let before = self.in_progress.fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "an invalidation ended that never began");
    }

    /// The sequence now; take it before looking anything up.
    #[must_use]
    pub fn snapshot(&self) -> SequenceSnapshot {
        SequenceSnapshot { completed: self.completed.load(Ordering::Acquire) }
    }

    /// Whether what was looked up after `since` may have changed.
    #[must_use]
    pub fn must_retry(&self, since: SequenceSnapshot) -> bool {
        self.is_in_progress() || self.completed.load(Ordering::Acquire) != since.completed
    }

    /// Whether an invalidation has begun and not ended.
    #[must_use]
    pub fn is_in_progress(&self) -> bool {
        self.in_progress.load(Ordering::Acquire) > 0
    }
}
