//! What the last look at the whole cache found, so that the next one may be spared.
//!
//! Invariant: whoever looks again, without a fill in between, finds no key that is not noted here. A noted key may be
//! gone by now; forgetting it again does no harm. `sequences` tells whether there was a fill. It costs a few bytes for
//! each entry of the cache, and nothing before the first look.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::entry::{Key, Tag};
use crate::address::{PageSize, VirtAddr, VirtRange};

/// The two halves of the addresses that have a key.
const CANONICAL: [VirtRange; 2] = [
    VirtRange { start: VirtAddr(0), end: VirtAddr(1 << 56) },
    VirtRange { start: VirtAddr(u64::MAX << 56), end: VirtAddr(u64::MAX) },
];

/// Keys that the last look left in the cache.
#[derive(Debug, Default)]
pub(super) struct Leftovers(BTreeSet<Key>);

impl Leftovers {
    /// Notes what a look finds, in place of what the one before found.
    pub(super) fn note(&mut self, found: impl Iterator<Item = Key>) {
        self.0 = found.collect();
    }

    /// Takes the keys of the pages of `tag` that overlap `range`.
    pub(super) fn take(&mut self, tag: Tag, range: VirtRange) -> Vec<Key> {
        let taken: Vec<_> = keys(tag, range).flat_map(|keys| self.0.range(keys)).copied().collect();
        for key in &taken {
            self.0.remove(key);
        }
        taken
    }
}

/// The keys of the pages of `tag` that overlap `range`, for each size and each half.
fn keys(tag: Tag, range: VirtRange) -> impl Iterator<Item = RangeInclusive<Key>> {
    let sizes = [PageSize::Size4K, PageSize::Size2M, PageSize::Size1G];
    let parts = CANONICAL.map(|half| (half.start.max(range.start), half.end.min(range.end)));
    parts.into_iter().filter(|(start, end)| start < end).flat_map(move |(start, end)| {
        let key = move |address, size| Key::new(tag, address, size);
        sizes.into_iter().filter_map(move |size| Some(key(start, size)?..=key(VirtAddr(end.0 - 1), size)?))
    })
}
