//! One cache line: three ways behind a sequence lock.
//!
//! Invariant: `begun` counts changes that began, `ended` those that ended, and only the one writer whose change began
//! last moves either; so they differ exactly while the ways change. A reader that loads `ended` first and finds
//! `begun` to be the same behind its loads has a key and a value of one fill: a change that it saw anything of was in
//! `begun` by then, and one that had ended is seen whole. A key is in at most one way. The fences pair as in H.-J.
//! Boehm, "Can seqlocks get along with programming language memory models?" (MSPC 2012): the ways themselves are
//! relaxed atomics.

use std::hint::select_unpredictable;

use super::entry::{Key, Value};
use crate::sync::{AtomicU64, Ordering, SPIN_POLLS, fence, spin_loop, yield_now};

/// Translations a set holds.
pub(super) const WAYS: usize = 3;
/// Reads before a lookup counts as a miss; a writer that lost its time slice must not stop a reader.
const READ_ATTEMPTS: u32 = if cfg!(loom) { 2 } else { 64 };
/// The key of a way that holds nothing.
const EMPTY: u64 = 0;

/// One set. All zeroes is an empty one.
#[derive(Debug)]
#[cfg_attr(loom, derive(Default))]
#[repr(C, align(64))]
pub(super) struct Set {
    ways: [Pair; WAYS],
    begun: AtomicU64,
    ended: AtomicU64,
    /// Readers ignore the counts: the broken protocol that loom must refute.
    #[cfg(all(test, loom))]
    pub(super) unchecked: std::sync::atomic::AtomicBool,
}

#[derive(Debug)]
#[cfg_attr(loom, derive(Default))]
#[repr(C)]
struct Pair {
    key: AtomicU64,
    value: AtomicU64,
}

/// The right to change a set; dropping it publishes the change.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    set: &'a Set,
    /// Changes that have begun, with this one.
    begun: u64,
}

/// What a fill displaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Installed {
    /// Nothing that could still hit, or an earlier fill of the same page.
    Free,
    /// A live translation.
    Evicting,
}

impl Set {
    /// What the way of `key` holds; nothing if none has it.
    #[inline(always)]
    pub(super) fn read(&self, key: Key) -> Value {
        self.try_read(key).unwrap_or_else(|| self.read_again(key))
    }

    /// The same; none if a writer came across.
    #[inline(always)]
    fn try_read(&self, key: Key) -> Option<Value> {
        let ended = self.ended.load(Ordering::Acquire);
        // Chosen, not branched to: which of three it is cannot be predicted. All are loaded at once, and none waits for
        // the comparison of keys.
        let mut found = Value::NOTHING;
        for way in &self.ways {
            let (own, value) = (way.key() == key.0, way.value());
            found = select_unpredictable(own, value, found);
        }
        fence(Ordering::Acquire);
        let begun = self.begun.load(Ordering::Relaxed);
        #[cfg(all(test, loom))]
        let begun = if self.unchecked.load(Ordering::Relaxed) { ended } else { begun };
        (ended == begun).then_some(found)
    }

    #[cold]
    #[inline(never)]
    fn read_again(&self, key: Key) -> Value {
        for _ in 0..READ_ATTEMPTS {
            if let Some(found) = self.try_read(key) {
                return found;
            }
            spin_loop();
        }
        Value::NOTHING
    }

    /// Waits for its turn among the writers.
    pub(super) fn lock(&self) -> Locked<'_> {
        let mut polls = 0;
        loop {
            if let Some(begun) = self.try_lock() {
                // No store to a way may be seen before the change is seen to have begun.
                fence(Ordering::Release);
                return Locked { set: self, begun };
            }
            polls += 1;
            if polls < SPIN_POLLS { spin_loop() } else { yield_now() }
        }
    }

    fn try_lock(&self) -> Option<u64> {
        // This one first: then what has ended is what begun last, if they are equal and nobody comes in between.
        let ended = self.ended.load(Ordering::Acquire);
        let begun = ended.wrapping_add(1);
        let taken = self.begun.compare_exchange(ended, begun, Ordering::Acquire, Ordering::Relaxed).is_ok();
        taken.then_some(begun)
    }
}

impl Locked<'_> {
    /// Stores `value` under `key`: in the key's own way, or an empty one, or one that `is_live` denies, or the
    /// one whose turn it is.
    pub(super) fn install(
        &mut self,
        key: Key,
        value: Value,
        is_live: impl Fn(Key, Value) -> bool,
    ) -> Installed {
        let ways = &self.set.ways;
        let own = ways.iter().position(|way| way.key() == key.0);
        let free = || ways.iter().position(|way| way.key() == EMPTY || !is_live(Key(way.key()), way.value()));
        let (index, installed) = match own.or_else(free) {
            Some(index) => (index, Installed::Free),
            None => (self.next_victim(), Installed::Evicting),
        };
        ways[index].store(key.0, value.0);
        installed
    }

    /// Empties the way of `key`, if there is one.
    pub(super) fn remove(&mut self, key: Key) {
        if let Some(way) = self.set.ways.iter().find(|way| way.key() == key.0) {
            way.store(EMPTY, 0);
        }
    }

    /// The keys of the ways that hold something.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        self.entries().map(|(key, _)| key)
    }

    /// The ways that hold something.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Key, Value)> + use<> {
        let ways: [(Key, Value); WAYS] = std::array::from_fn(|index| {
            let way = &self.set.ways[index];
            (Key(way.key()), way.value())
        });
        ways.into_iter().filter(|(key, _)| key.0 != EMPTY)
    }

    /// Empties all ways.
    pub(super) fn clear(&mut self) {
        self.set.ways.iter().for_each(|way| way.store(EMPTY, 0));
    }

    /// Another way with each change.
    fn next_victim(&self) -> usize {
        usize::try_from(self.begun.wrapping_sub(1) % WAYS as u64).unwrap_or_default()
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.set.ended.store(self.begun, Ordering::Release);
    }
}

impl Pair {
    #[inline(always)]
    fn key(&self) -> u64 {
        self.key.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn value(&self) -> Value {
        Value(self.value.load(Ordering::Relaxed))
    }

    fn store(&self, key: u64, value: u64) {
        self.key.store(key, Ordering::Relaxed);
        self.value.store(value, Ordering::Relaxed);
    }
}
