//! What a cache counts: fills and invalidations, never lookups.
//!
//! Invariant: a hit changes no shared memory but its reader's own announcement.

use super::generations::Generations;
use super::sequences::Sequences;
use crate::sync::{AtomicU64, Ordering};

/// Events since the cache was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheStatistics {
    /// Translations installed.
    pub fills: u64,
    /// Live translations that a fill displaced.
    pub evictions: u64,
    /// Fills given up because of an invalidation during their walk.
    pub discarded_fills: u64,
    /// Pages, and ranges done page by page, invalidated.
    pub page_invalidations: u64,
    /// Tags invalidated, also in place of a large range.
    pub tag_invalidations: u64,
    /// Invalidations of everything.
    pub full_invalidations: u64,
    /// Times all sets were emptied to let generation numbers be used again.
    pub scrubs: u64,
}

/// The counters that nothing else keeps; apart from the lines that lookups read.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Counters {
    fills: AtomicU64,
    evictions: AtomicU64,
    discarded: AtomicU64,
}

impl Counters {
    pub(super) fn count_fill(&self, evicting: bool) {
        self.fills.fetch_add(1, Ordering::Relaxed);
        if evicting {
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn count_discarded(&self) {
        self.discarded.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, sequences: &Sequences, generations: &Generations) -> CacheStatistics {
        let advances = generations.advances();
        CacheStatistics {
            fills: self.fills.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
            discarded_fills: self.discarded.load(Ordering::Relaxed),
            page_invalidations: sequences.total(),
            tag_invalidations: advances.tag,
            full_invalidations: advances.all,
            scrubs: advances.scrubs,
        }
    }
}
