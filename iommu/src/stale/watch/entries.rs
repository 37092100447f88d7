//! What interrupt entries said when software last spoke of them: by pointing to their table, or by an invalidation.
//!
//! Invariant: an entry that says the same as then has not been changed by whoever invalidates what he changes. Of an entry
//! that software never spoke of nothing is known.

use std::collections::HashMap;

use crate::spec::descriptor::EntryScope;

/// Entries that are looked at at once, at most: the first ones of a table, which drivers use first.
const MOST_AT_ONCE: u32 = 1024;

/// The words of an entry; none if they cannot be read.
type EntryWords = Option<[u64; 2]>;

/// The words of interrupt entries, as software last vouched for them.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// As many as there are indices, at most.
    known: HashMap<u16, EntryWords>,
}

/// What became of entries since software spoke of them last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Since {
    /// They all say the same.
    Unchanged,
    /// One says something else, or nothing is known of it.
    PerhapsChanged,
}

impl Entries {
    /// Software has set up a table.
    pub(super) fn begin(&mut self, count: u32, read: impl Fn(u16) -> EntryWords) {
        self.known.clear();
        self.spoken_of(EntryScope::Global, count, read);
    }

    /// Software speaks of the entries of `scope`, in a table of `count`.
    pub(super) fn spoken_of(
        &mut self,
        scope: EntryScope,
        count: u32,
        read: impl Fn(u16) -> EntryWords,
    ) -> Since {
        let (start, end) = scope.indices().into_inner();
        let last = count.min(u32::from(start) + MOST_AT_ONCE).saturating_sub(1);
        let seen = start..=u16::try_from(last).unwrap_or(u16::MAX).min(end);
        let mut since = if *seen.end() == end { Since::Unchanged } else { Since::PerhapsChanged };
        for index in seen {
            let words = read(index);
            if self.known.insert(index, words) != Some(words) {
                since = Since::PerhapsChanged;
            }
        }
        since
    }
}

#[cfg(test)]
mod tests;
