//! Generations: how a tag, or everything, is invalidated without touching an entry.
//!
//! A tag's generation is its own counter plus a common one. An entry keeps the generation of its fill's ticket and
//! is alive while that is the tag's generation.
//!
//! Invariant: no dead entry comes alive again. An entry keeps only 19 bits, so it would after [`GENERATIONS`]
//! advances. Advances are serialised by the mutex, and each [`SCRUB_INTERVAL`]th empties all sets first. A fill
//! compares its ticket, whose number is not truncated, with the current generation under the set's lock: so an entry
//! is no older than the scrub that last passed its set, while a generation advances by at most one an
//! advance. Between an entry's birth and the scrub that removes it lie at most two intervals, fewer than
//! [`GENERATIONS`].

use super::CacheError;
use super::entry::{FILLED, GENERATION_STEP, GENERATIONS, Tag};
use super::set::Set;
use super::table::Table;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Advances, of any tag or of all, from one scrub to the next.
const SCRUB_INTERVAL: u64 = GENERATIONS / 8 * 3;

const TAGS: usize = if cfg!(loom) { 2 } else { 1 << 16 };

/// The generation of each tag, and that of the cache.
#[derive(Debug)]
pub(super) struct Generations {
    /// Read in every lookup, changed by a full invalidation only. It alone has the bit of what was filled.
    common: AtomicU64,
    /// One array, so that a tag needs no bounds check.
    tags: Table<[AtomicU64; TAGS]>,
    advances: Mutex<Advances>,
}

/// How often what happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advances {
    /// One tag advanced.
    pub(super) tag: u64,
    /// All tags advanced.
    pub(super) all: u64,
    /// All sets were emptied.
    pub(super) scrubs: u64,
    until_scrub: u64,
    interval: u64,
}

impl Generations {
    pub(super) fn new() -> Result<Self, CacheError> {
        Self::with_scrub_interval(SCRUB_INTERVAL)
    }

    /// For the proof that the scrub is needed.
    pub(super) fn with_scrub_interval(interval: u64) -> Result<Self, CacheError> {
        Ok(Self {
            common: AtomicU64::new(FILLED),
            tags: Table::zeroed(1)?,
            advances: Mutex::new(Advances { tag: 0, all: 0, scrubs: 0, until_scrub: interval, interval }),
        })
    }

    /// The generation of `tag`; the ways keep its low bits.
    #[inline(always)]
    pub(super) fn of(&self, tag: Tag) -> u64 {
        let own = self.tags.first()[usize::from(tag.0)].load(Ordering::Acquire);
        own.wrapping_add(self.common.load(Ordering::Acquire))
    }

    /// Ends the generation of `tag`.
    pub(super) fn advance_tag(&self, tag: Tag, sets: &Table<Set>) {
        let mut advances = self.advances.lock();
        advances.scrub_if_due(sets);
        advances.tag += 1;
        advance(&self.tags.first()[usize::from(tag.0)]);
    }

    /// Ends the generation of every tag.
    pub(super) fn advance_all(&self, sets: &Table<Set>) {
        let mut advances = self.advances.lock();
        advances.scrub_if_due(sets);
        advances.all += 1;
        advance(&self.common);
    }

    pub(super) fn advances(&self) -> Advances {
        *self.advances.lock()
    }
}

impl Advances {
    fn scrub_if_due(&mut self, sets: &Table<Set>) {
        if self.until_scrub == 0 {
            sets.iter().for_each(|set| set.lock().clear());
            self.scrubs += 1;
            self.until_scrub = self.interval;
        }
        self.until_scrub -= 1;
    }
}

/// Under the mutex nobody else stores: no read-modify-write is needed.
fn advance(generation: &AtomicU64) {
    generation.store(generation.load(Ordering::Relaxed).wrapping_add(GENERATION_STEP), Ordering::Release);
}
