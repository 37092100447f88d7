//! The set while several threads insert.
//!
//! Invariant: there is room for every key before it is claimed: who inserts promises itself slots first, and gives back
//! what was not needed. So a table is never more than three quarters full, and a probe ends.

#[cfg(loom)]
use loom::sync::atomic::AtomicUsize;
#[cfg(not(loom))]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::super::word::Word;
use super::slot::{Claim, Slot};
use super::{GROUP, Set, room};

/// A set that several threads insert into.
pub(in super::super) struct Shared<'s, W: Word> {
    pub(super) slots: &'s [W::Slot],
    pub(super) shift: u32,
    /// Keys in the set, and slots that are promised.
    pub(super) taken: AtomicUsize,
}

/// Keys for which a thread promises itself slots at once: the counter is everybody's, and dear.
pub(in super::super) const PROMISED: usize = 256;

/// Why keys were left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Left {
    /// None was.
    Nothing,
    /// There is no room in the table.
    NoRoom,
}

impl<W: Word> Shared<'_, W> {
    /// Keys in the set, and at most [`PROMISED`] more for each thread that inserts.
    pub(in super::super) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }

    /// Takes keys off the end of `keys` and inserts them; those that were not there are appended to `fresh`.
    pub(in super::super) fn insert_all(&self, keys: &mut Vec<W>, fresh: &mut Vec<W>) -> Left {
        while !keys.is_empty() {
            let count = keys.len().min(PROMISED);
            if self.taken.fetch_add(count, Relaxed) + count > room(self.slots.len()) {
                self.taken.fetch_sub(count, Relaxed);
                return Left::NoRoom;
            }
            let (begin, before) = (keys.len() - count, fresh.len());
            keys[begin..].chunks(GROUP).for_each(|group| self.insert(group, fresh));
            keys.truncate(begin);
            let unneeded = count - (fresh.len() - before);
            if unneeded > 0 {
                self.taken.fetch_sub(unneeded, Relaxed);
            }
        }
        Left::Nothing
    }

    /// Inserts a group for which there is room.
    fn insert(&self, keys: &[W], fresh: &mut Vec<W>) {
        let mut homes = [(0, false); GROUP];
        for (home, &key) in homes.iter_mut().zip(keys) {
            let slot = super::home(key, self.shift);
            *home = (slot, self.slots[slot].holds(key));
        }
        for (&(slot, there), &key) in homes.iter().zip(keys) {
            if !there && self.insert_from(slot, key) {
                fresh.push(key);
            }
        }
    }

    #[inline]
    fn insert_from(&self, mut slot: usize, key: W) -> bool {
        loop {
            match self.slots[slot].claim(key) {
                Claim::Fresh => return true,
                Claim::There => return false,
                Claim::Other => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
    }
}

impl<W: Word> Set<W> {
    /// Lets several threads insert while `work` runs.
    pub(in super::super) fn shared<T>(&mut self, work: impl FnOnce(&Shared<'_, W>) -> T) -> T {
        let shared = Shared { slots: &self.slots, shift: self.shift, taken: AtomicUsize::new(self.len) };
        let done = work(&shared);
        self.len = shared.taken();
        done
    }
}
