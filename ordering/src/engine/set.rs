//! The set of states seen: open addressing with linear probing, exact keys, at most three quarters full.
//!
//! Invariant: a key is in it if and only if it was inserted; a key that is not empty has its top bit set, so zero is an
//! empty slot. The slot is the top of the hash: when the table doubles, keys stay in order.

use self::slot::Slot;
use super::word::Word;

mod grow;
pub(super) mod shared;
pub(super) mod slot;

/// Slots of the smallest table. Loom tries few.
const SMALLEST: usize = if cfg!(loom) { 4 } else { 1 << 12 };
/// Keys whose slots are read together, so that their cache misses overlap.
pub(super) const GROUP: usize = 16;

/// A set of packed states.
#[derive(Debug)]
pub(super) struct Set<W: Word> {
    slots: Vec<W::Slot>,
    shift: u32,
    len: usize,
}

impl<W: Word> Set<W> {
    /// An empty set.
    pub(super) fn new() -> Self {
        let slots = std::iter::repeat_with(W::Slot::empty).take(SMALLEST).collect();
        Self { slots, shift: shift(SMALLEST), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that it takes when it grows next.
    pub(super) fn bytes_when_doubled(&self) -> usize {
        2 * self.slots.len() * size_of::<W>()
    }

    /// Slots in use or free: every key's slot is below.
    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Inserts the keys and appends to `fresh` those that were not there.
    pub(super) fn insert_all(&mut self, keys: &[W], fresh: &mut Vec<W>) {
        for group in keys.chunks(GROUP) {
            if self.len + group.len() > room(self.slots.len()) {
                self.double_by(1);
            }
            let mut homes = [(0, W::ZERO); GROUP];
            for (home, &key) in homes.iter_mut().zip(group) {
                let slot = self.home(key);
                *home = (slot, self.slots[slot].key());
            }
            for (&(slot, found), &key) in homes.iter().zip(group) {
                if found != key && self.insert_from(slot, key) {
                    fresh.push(key);
                }
            }
        }
    }

    /// The slot of a key that is in the set.
    pub(super) fn slot(&self, key: W) -> Option<usize> {
        let mut slot = self.home(key);
        loop {
            let found = self.slots[slot].key();
            if found == key {
                return Some(slot);
            }
            if found == W::ZERO {
                return None;
            }
            slot = self.after(slot);
        }
    }

    #[inline]
    fn insert_from(&mut self, mut slot: usize, key: W) -> bool {
        loop {
            let found = self.slots[slot].key();
            if found == W::ZERO {
                self.slots[slot].set(key);
                self.len += 1;
                return true;
            }
            if found == key {
                return false;
            }
            slot = self.after(slot);
        }
    }

    #[inline]
    fn home(&self, key: W) -> usize {
        home(key, self.shift)
    }

    #[inline]
    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

/// Bytes that a set of so many keys takes.
pub(super) fn bytes_of<W: Word>(keys: usize) -> usize {
    let mut capacity = SMALLEST;
    while keys + GROUP > room(capacity) {
        capacity *= 2;
    }
    capacity * size_of::<W>()
}

/// Keys that so many slots may hold.
fn room(capacity: usize) -> usize {
    capacity / 4 * 3
}

#[expect(clippy::cast_possible_truncation, reason = "a slot is below the capacity, which is a usize")]
#[inline]
fn home<W: Word>(key: W, shift: u32) -> usize {
    (key.hash() >> shift) as usize
}

fn shift(capacity: usize) -> u32 {
    u64::BITS - capacity.trailing_zeros()
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
mod tests;
