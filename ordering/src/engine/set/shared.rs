//! The set while several threads insert, and while several threads make it larger.
//!
//! Invariant: there is room for every key before it is claimed: who inserts promises itself slots first, and gives back
//! what was not needed. So a table is never more than three quarters full, and a probe ends.

#[cfg(loom)]
use loom::sync::atomic::AtomicUsize;
#[cfg(not(loom))]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::AtomicUsize as Counter;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use super::super::word::Word;
use super::slot::{Claim, Slot};
use super::{GROUP, Set, room, shift};

/// Old slots that a thread takes at once while the table doubles.
const PIECE: usize = 1 << 12;

/// A set that several threads insert into.
pub(in super::super) struct Shared<'s, W: Word> {
    pub(super) slots: &'s [W::Slot],
    pub(super) shift: u32,
    /// Keys in the set, and slots that are promised.
    pub(super) taken: AtomicUsize,
}

/// Why keys were left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Left {
    /// None was.
    Nothing,
    /// There is no room in the table.
    NoRoom,
}

impl<W: Word> Shared<'_, W> {
    /// Keys in the set, and at most [`GROUP`] more for each thread that inserts.
    pub(in super::super) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }

    /// Takes keys off the end of `keys` and inserts them; those that were not there are appended to `fresh`.
    pub(in super::super) fn insert_all(&self, keys: &mut Vec<W>, fresh: &mut Vec<W>) -> Left {
        while !keys.is_empty() {
            let count = keys.len().min(GROUP);
            if self.taken.fetch_add(count, Relaxed) + count > room(self.slots.len()) {
                self.taken.fetch_sub(count, Relaxed);
                return Left::NoRoom;
            }
            let begin = keys.len() - count;
            let new = self.insert(&keys[begin..], fresh);
            keys.truncate(begin);
            if new < count {
                self.taken.fetch_sub(count - new, Relaxed);
            }
        }
        Left::Nothing
    }

    /// Inserts a group for which there is room; how many keys were new.
    fn insert(&self, keys: &[W], fresh: &mut Vec<W>) -> usize {
        let mut homes = [(0, false); GROUP];
        for (home, &key) in homes.iter_mut().zip(keys) {
            let slot = self.home(key);
            *home = (slot, self.slots[slot].holds(key));
        }
        let before = fresh.len();
        for (&(slot, there), &key) in homes.iter().zip(keys) {
            if !there && self.insert_from(slot, key) {
                fresh.push(key);
            }
        }
        fresh.len() - before
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

    #[expect(clippy::cast_possible_truncation, reason = "a slot is below the capacity, which is a usize")]
    #[inline]
    fn home(&self, key: W) -> usize {
        (key.hash() >> self.shift) as usize
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

    /// Doubles the table, by so many threads as far as the host has them.
    pub(in super::super) fn double_by(&mut self, threads: usize) {
        let doubled = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, W::Slot::table(doubled));
        self.shift = shift(doubled);
        let next = Counter::new(0);
        self.shared(|shared| {
            let work = || {
                let piece = || old.chunks(PIECE).nth(next.fetch_add(1, Relaxed));
                std::iter::from_fn(piece).flatten().map(Slot::key).filter(|&key| key != W::ZERO).for_each(
                    |key| {
                        shared.insert_from(shared.home(key), key);
                    },
                );
            };
            thread::scope(|scope| {
                for _ in 1..threads {
                    // Without it the others have more to do.
                    let _started = thread::Builder::new().spawn_scoped(scope, work);
                }
                work();
            });
        });
    }
}
