//! One cache line: three ways behind a sequence lock.
//!
//! Invariant: `sequence` is odd exactly while one writer changes the ways, and differs after each change. A reader
//! that saw the same even number before and after its loads has a key and a value of one fill. A key is in at most
//! one way. The fences pair as in H.-J. Boehm, "Can seqlocks get along with programming language memory models?"
//! (MSPC 2012): the ways themselves are relaxed atomics.

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
    /// The ways; in the last pair instead the sequence, and the way that the next eviction takes (which changes
    /// under the lock only). One array, so that a computed way needs no bounds check: a sequence is no valid key.
    pairs: [Pair; WAYS + 1],
    /// Readers ignore the sequence: the broken protocol that loom must refute.
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
    /// The odd sequence number of this change.
    sequence: u64,
}

/// What a fill displaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Installed {
    /// Nothing that could still hit, or an earlier fill of the same page.
    Free,
    /// A live translation.
    Evicting,
}

/// One way as a lookup found it: of the key it asked for, or of another.
pub(super) type Found = (Key, Value);

impl Set {
    fn ways(&self) -> &[Pair] {
        &self.pairs[..WAYS]
    }

    #[inline(always)]
    fn sequence(&self) -> &AtomicU64 {
        &self.pairs[WAYS].key
    }

    fn victim(&self) -> &AtomicU64 {
        &self.pairs[WAYS].value
    }

    /// The way of `key`, or some other way if none has it.
    #[inline(always)]
    pub(super) fn read(&self, key: Key) -> Found {
        self.try_read(key).unwrap_or_else(|| self.read_again(key))
    }

    /// The same; none if a writer came across.
    #[inline(always)]
    fn try_read(&self, key: Key) -> Option<Found> {
        let before = self.sequence().load(Ordering::Acquire);
        // The way is computed, not branched to: which of three it is cannot be predicted.
        let second = usize::from(self.pairs[1].key.load(Ordering::Relaxed) == key.0);
        let third = usize::from(self.pairs[2].key.load(Ordering::Relaxed) == key.0);
        let way = &self.pairs[second | third << 1];
        let found = (Key(way.key()), way.value());
        fence(Ordering::Acquire);
        let after = self.sequence().load(Ordering::Relaxed);
        #[cfg(all(test, loom))]
        let after = if self.unchecked.load(Ordering::Relaxed) { before & !1 } else { after };
        // An odd number before, rounded down, differs from every number after.
        (before & !1 == after).then_some(found)
    }

    #[cold]
    #[inline(never)]
    fn read_again(&self, key: Key) -> Found {
        for _ in 0..READ_ATTEMPTS {
            if let Some(found) = self.try_read(key) {
                return found;
            }
            spin_loop();
        }
        (Key(EMPTY), Value(0))
    }

    /// Waits for its turn among the writers.
    pub(super) fn lock(&self) -> Locked<'_> {
        let mut polls = 0;
        loop {
            if let Some(sequence) = self.try_lock() {
                // No store to a way may be seen before the odd sequence.
                fence(Ordering::Release);
                return Locked { set: self, sequence };
            }
            polls += 1;
            if polls < SPIN_POLLS { spin_loop() } else { yield_now() }
        }
    }

    fn try_lock(&self) -> Option<u64> {
        let even = self.sequence().load(Ordering::Relaxed);
        if even & 1 == 1 {
            return None;
        }
        let taken =
            self.sequence().compare_exchange(even, even + 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        taken.then_some(even + 1)
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
        let ways = self.set.ways();
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
        if let Some(way) = self.set.ways().iter().find(|way| way.key() == key.0) {
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
            let way = &self.set.ways()[index];
            (Key(way.key()), way.value())
        });
        ways.into_iter().filter(|(key, _)| key.0 != EMPTY)
    }

    /// Empties all ways.
    pub(super) fn clear(&mut self) {
        self.set.ways().iter().for_each(|way| way.store(EMPTY, 0));
    }

    /// Round robin.
    fn next_victim(&mut self) -> usize {
        let turn = self.set.victim().load(Ordering::Relaxed);
        self.set.victim().store(turn.wrapping_add(1), Ordering::Relaxed);
        usize::try_from(turn % WAYS as u64).unwrap_or_default()
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.set.sequence().store(self.sequence.wrapping_add(1), Ordering::Release);
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
