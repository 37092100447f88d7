//! The table doubles where it stands, by several threads.
//!
//! Invariant: when the table has doubled, it holds the keys that it held before. Nothing is there twice meanwhile, so a
//! set of so many keys never takes more than its table: the memory is asked for by `realloc`, which on Linux moves the
//! pages of what is large and copies nothing.
//!
//! The slot of a key is the top of its hash, so the keys of [b, e) go to [2b, 2e), but for those that stand behind
//! their home because it was taken. What is left is moved by halves, the upper one first: [e/2, e) goes to [e, 2e),
//! of which the halves before it have left nothing, or which is new. The slots that are read and those that are claimed
//! are therefore apart, and threads share the work as they like; only at the end of [e, 2e) a key may be put behind one
//! that was moved before. None passes the end of the table: those that want its last slots stood in half as many. Two
//! kinds of keys are put aside, and inserted when all others are in their places: one whose new home lies where nothing
//! was moved yet, because it stood behind its home across a border; and those of the last piece, whose old and new slots
//! overlap.

#[cfg(loom)]
use loom::sync::atomic::AtomicUsize;
#[cfg(not(loom))]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use super::super::word::Word;
use super::slot::{Claim, Slot};
use super::{SMALLEST, Set, home, shift};

/// Slots that a thread takes at once, and of the last piece.
const PIECE: usize = SMALLEST;

/// Part of a table that moves: what is in the slots below `end`, from its half on.
struct Half<'s, W: Word> {
    slots: &'s [W::Slot],
    /// Of the doubled table.
    shift: u32,
    end: usize,
    /// The first slot that nobody has taken.
    next: AtomicUsize,
}

impl<W: Word> Set<W> {
    /// Doubles the table, by so many threads as far as the host has them.
    pub(in super::super) fn double_by(&mut self, threads: usize) {
        let mut end = self.slots.len();
        self.slots.reserve_exact(end);
        self.slots.resize_with(2 * end, W::Slot::empty);
        self.shift = shift(2 * end);
        let mut aside: Vec<W> = Vec::new();
        while end > PIECE {
            let half =
                Half::<W> { slots: &self.slots, shift: self.shift, end, next: AtomicUsize::new(end / 2) };
            aside.append(&mut half.moved_by(threads));
            end /= 2;
        }
        for slot in &self.slots[..end] {
            aside.extend(taken_out::<W>(slot));
        }
        self.len -= aside.len();
        for key in aside {
            self.insert_from(self.home(key), key);
        }
    }
}

impl<W: Word> Half<'_, W> {
    /// Moves all keys by so many threads; those that are put aside.
    fn moved_by(&self, threads: usize) -> Vec<W> {
        thread::scope(|scope| {
            // Who is not started leaves the others more to do.
            let other = |_| thread::Builder::new().spawn_scoped(scope, || self.moved()).ok();
            let pieces = self.end / 2 / PIECE;
            let others: Vec<_> = (1..threads.min(pieces)).filter_map(other).collect();
            let own = self.moved();
            let join = |other: thread::ScopedJoinHandle<'_, Vec<W>>| {
                other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            others.into_iter().flat_map(join).chain(own).collect()
        })
    }

    /// Moves the keys of pieces that nobody else takes.
    fn moved(&self) -> Vec<W> {
        let mut aside = Vec::new();
        loop {
            let begin = self.next.fetch_add(PIECE, Relaxed);
            if begin >= self.end {
                break;
            }
            let keys = self.slots[begin..self.end.min(begin + PIECE)].iter().filter_map(taken_out::<W>);
            aside.extend(keys.filter(|&key| !self.places(key)));
        }
        aside
    }

    /// Puts a key into its place, if that is a place where keys are put already.
    fn places(&self, key: W) -> bool {
        let home = home(key, self.shift);
        home >= self.end && self.slots[home..].iter().any(|slot| slot.claim(key) == Claim::Fresh)
    }
}

/// The key of a slot, if there is one, which the slot then holds no more.
fn taken_out<W: Word>(slot: &W::Slot) -> Option<W> {
    let key = slot.key();
    let is_key = key != W::ZERO;
    if is_key {
        slot.set(W::ZERO);
    }
    is_key.then_some(key)
}

#[cfg(test)]
mod tests {
    //! Claims about a table that doubles.

    use super::*;

    /// Keys that want the slots around every border of a table, more than there are.
    fn keys<W: Word>(capacity: usize) -> Vec<W> {
        let mut at = vec![0; capacity];
        let mut keys: Vec<W> = Vec::new();
        for index in 0.. {
            let key = W::occupied() | W::of(index);
            let home = home(key, shift(capacity));
            let border = (home + 3).next_power_of_two();
            let is_near = home + 3 >= border - border.min(3) || capacity - home <= 3;
            if is_near && at[home] < 3 {
                at[home] += 1;
                keys.push(key);
            }
            if index > 64 * u32::try_from(capacity).unwrap() {
                break;
            }
        }
        keys
    }

    fn all_keys_stay<W: Word>(threads: usize) {
        let capacity = 8 * PIECE;
        let keys = keys::<W>(capacity);
        assert!(keys.len() > 60, "{}", keys.len());
        let (mut set, mut fresh) = (Set::<W>::new(), Vec::new());
        while set.capacity() < capacity {
            set.double_by(threads);
        }
        set.insert_all(&keys, &mut fresh);
        for _ in 0..3 {
            assert_eq!(set.len(), keys.len());
            assert!(keys.iter().all(|&key| set.slot(key).is_some()));
            let there = set.slots.iter().filter(|slot| slot.key() != W::ZERO).count();
            assert_eq!(there, keys.len(), "each is there once");
            set.double_by(threads);
        }
    }

    #[test]
    fn narrow_keys_around_the_borders_stay() {
        (1..=4).for_each(all_keys_stay::<u64>);
    }

    #[test]
    fn wide_keys_around_the_borders_stay() {
        (1..=4).for_each(all_keys_stay::<u128>);
    }
}
