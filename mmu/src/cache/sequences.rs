//! Invalidation sequences: what a fill compares to learn that a page was invalidated during its walk.
//!
//! Invariant: a page invalidation advances its tag's sequence before it locks a set, and learns by the same
//! read-modify-write which page sizes it has to look for, and whether there was a fill since the last look at the whole
//! cache. A fill sets the bit of that, and a larger page's its size's, in the same word before it compares. So either the
//! invalidation reads the bit and searches, or the fill reads the advanced sequence and installs nothing. A look takes
//! the fills' bit away by the step that advances the sequence: a fill that saw it before is overtaken. Tags share a sequence modulo [`SHARDS`]: at worst a fill
//! is discarded without need.

use super::entry::Tag;
use crate::address::PageSize;
use crate::sync::{AtomicU64, Ordering};

/// Sequences kept apart, so that one address space's invalidations seldom discard another's fills.
const SHARDS: usize = if cfg!(loom) { 1 } else { 64 };
const HOLDS_2M: u64 = 1;
const HOLDS_1G: u64 = 2;
const HOLDS_LARGE: u64 = HOLDS_2M | HOLDS_1G;
/// Something was filled since the last look.
const FILLED: u64 = 4;
const STEP: u64 = 8;

/// The sizes that entries may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sizes(u64);

/// What was filled since the last look at the whole cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fills {
    None,
    Some,
}

/// The sequences of all pages, several of which share one.
#[derive(Debug)]
pub(super) struct Sequences {
    /// The union of the shards' size bits: read by lookups, almost never written.
    sizes: AtomicU64,
    shards: Box<[Shard]>,
}

/// Bits 1..0 sizes held, bit 2 filled, the rest counts; alone on its line, which invalidations write.
#[derive(Debug)]
#[repr(align(64))]
struct Shard(AtomicU64);

impl Sizes {
    /// The sizes, smallest first.
    pub(super) const fn sizes(self) -> &'static [PageSize] {
        match self.0 {
            0 => &[PageSize::Size4K],
            HOLDS_2M => &[PageSize::Size4K, PageSize::Size2M],
            HOLDS_1G => &[PageSize::Size4K, PageSize::Size1G],
            _ => &[PageSize::Size4K, PageSize::Size2M, PageSize::Size1G],
        }
    }
}

impl Sequences {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Shard(AtomicU64::new(0))).collect();
        Self { sizes: AtomicU64::new(0), shards }
    }

    /// The sequence of `tag`, of use to compare only.
    pub(super) fn of(&self, tag: Tag) -> u64 {
        self.shard(tag).load(Ordering::Acquire) / STEP
    }

    /// Starts an invalidation of pages of `tag`: tells for which sizes to look.
    pub(super) fn advance(&self, tag: Tag) -> Sizes {
        Sizes(self.shard(tag).fetch_add(STEP, Ordering::AcqRel) & HOLDS_LARGE)
    }

    /// Starts an invalidation that looks at the whole cache unless nothing was filled for `tag`, or for a tag that
    /// shares its sequence, since one did so last.
    pub(super) fn advance_looking(&self, tag: Tag) -> Fills {
        let shard = self.shard(tag);
        let mut word = shard.load(Ordering::Relaxed);
        loop {
            let advanced = word.wrapping_add(STEP) & !FILLED;
            match shard.compare_exchange(word, advanced, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(before) => return if before & FILLED == 0 { Fills::None } else { Fills::Some },
                Err(now) => word = now,
            }
        }
    }

    /// Makes a fill, and a size, known before the entry is installed.
    pub(super) fn note_fill(&self, tag: Tag, size: PageSize) {
        let holds = match size {
            PageSize::Size4K => 0,
            PageSize::Size2M => HOLDS_2M,
            PageSize::Size1G => HOLDS_1G,
        };
        // Without the look first, each fill would take the line away from all readers.
        for (word, bits) in [(self.shard(tag), holds | FILLED), (&self.sizes, holds)] {
            if word.load(Ordering::Acquire) & bits != bits {
                word.fetch_or(bits, Ordering::AcqRel);
            }
        }
    }

    /// The sizes above 4 KiB that were ever filled.
    pub(super) fn large_sizes(&self) -> &'static [PageSize] {
        &Sizes(self.sizes.load(Ordering::Relaxed)).sizes()[1..]
    }

    /// Page and range invalidations so far.
    pub(super) fn total(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.load(Ordering::Relaxed) / STEP).sum()
    }

    fn shard(&self, tag: Tag) -> &AtomicU64 {
        &self.shards[usize::from(tag.0) % SHARDS].0
    }
}
