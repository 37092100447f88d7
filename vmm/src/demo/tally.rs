//! Counters of one user, read by others while it runs.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one user did and met.
#[derive(Debug, Default)]
pub struct Tally {
    accesses: AtomicU64,
    stale: AtomicU64,
    freed: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Loads and stores of the pages under test.
    pub accesses: u64,
    /// Loads that returned less than was published before they began.
    pub stale: u64,
    /// Accesses that reached a freed frame.
    pub freed: u64,
}

impl Tally {
    /// Adds to all three.
    pub fn add(&self, counts: Counts) {
        self.accesses.fetch_add(counts.accesses, Ordering::Relaxed);
        self.stale.fetch_add(counts.stale, Ordering::Relaxed);
        self.freed.fetch_add(counts.freed, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts { accesses: load(&self.accesses), stale: load(&self.stale), freed: load(&self.freed) }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.accesses = self.accesses.saturating_add(other.accesses);
        self.stale = self.stale.saturating_add(other.stale);
        self.freed = self.freed.saturating_add(other.freed);
    }
}
