//! A slot of the set, into which several threads may put a key at once.
//!
//! Invariant: a slot is empty, then holds one key, and that key for good. Of threads that claim a slot for the same key
//! exactly one is told that it is fresh; of threads that claim it for different keys one has it, and the others go on
//! to the next slot.
//!
//! Why the set that is made of them holds each key once: whoever inserts a key goes through the same slots in the
//! same order, and a slot that it has passed holds another key for good. So all who insert one key claim the same
//! slot first of all that are empty, and there one compare-and-swap decides. The key is all that a slot of 64 bits
//! publishes, and it is one word: relaxed order is enough. A slot of 128 bits is two words. Its high half is taken
//! first, by a mark that is no half of a key; then the low half is written, then the high one, with release. Who
//! reads a high half with acquire therefore reads the low half that belongs to it. Who finds the mark waits for two
//! stores of another thread, which cannot panic between them: that slot is not free of waiting, and nothing else in
//! it is. What a level has brought is read by others only when its threads have been joined.
//!
//! Source of the method: Laarman, van de Pol and Weber, Boosting Multi-Core Reachability Performance with Shared Hash
//! Tables, 2010. `loom_tests` tries every order of two threads; with a relaxed order in the place of the release, a
//! key is fresh to both there.

use std::fmt::Debug;

#[cfg(loom)]
use loom::{sync::atomic::AtomicU64, thread::yield_now};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
#[cfg(not(loom))]
use std::{sync::atomic::AtomicU64, thread::yield_now};

/// What has become of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Claim {
    /// The slot was empty and holds the key now.
    Fresh,
    /// It has held the key before.
    There,
    /// It holds another key.
    Other,
}

/// A place for one key that is not zero.
pub(in super::super) trait Slot<W>: Sized + Debug + Send + Sync + 'static {
    /// Without a key.
    fn empty() -> Self;
    /// The key, or zero, while nobody claims.
    fn key(&self) -> W;
    /// Puts a key in, while nobody else does anything.
    fn set(&self, key: W);
    /// Whether the key is there; one that is just being put in may not be seen.
    fn holds(&self, key: W) -> bool;
    /// Puts the key in if the slot is empty, while others claim it, too.
    fn claim(&self, key: W) -> Claim;
}

/// A slot for a key of 64 bits.
#[derive(Debug)]
pub(in super::super) struct Narrow(AtomicU64);

impl Slot<u64> for Narrow {
    fn empty() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    fn key(&self) -> u64 {
        self.0.load(Relaxed)
    }

    #[inline]
    fn set(&self, key: u64) {
        self.0.store(key, Relaxed);
    }

    #[inline]
    fn holds(&self, key: u64) -> bool {
        self.key() == key
    }

    #[inline]
    fn claim(&self, key: u64) -> Claim {
        let mut found = self.0.load(Relaxed);
        if found == 0 {
            match self.0.compare_exchange(0, key, Relaxed, Relaxed) {
                Ok(_) => return Claim::Fresh,
                Err(other) => found = other,
            }
        }
        if found == key { Claim::There } else { Claim::Other }
    }
}

/// A slot for a key of 128 bits.
#[derive(Debug)]
pub(in super::super) struct Wide {
    high: AtomicU64,
    low: AtomicU64,
}

/// In the high half: the slot is taken, and its key is not there yet. The high half of a key has its top bit set.
const TAKEN: u64 = 1;

/// The halves of a key, the high one first.
#[expect(clippy::cast_possible_truncation, reason = "each half is asked for")]
#[inline]
const fn halves(key: u128) -> (u64, u64) {
    ((key >> 64) as u64, key as u64)
}

impl Slot<u128> for Wide {
    fn empty() -> Self {
        Self { high: AtomicU64::new(0), low: AtomicU64::new(0) }
    }

    #[inline]
    fn key(&self) -> u128 {
        u128::from(self.high.load(Relaxed)) << 64 | u128::from(self.low.load(Relaxed))
    }

    #[inline]
    fn set(&self, key: u128) {
        let (high, low) = halves(key);
        self.low.store(low, Relaxed);
        self.high.store(high, Relaxed);
    }

    #[inline]
    fn holds(&self, key: u128) -> bool {
        let (high, low) = halves(key);
        self.high.load(Acquire) == high && self.low.load(Relaxed) == low
    }

    #[inline]
    fn claim(&self, key: u128) -> Claim {
        let (high, low) = halves(key);
        loop {
            let found = self.high.load(Acquire);
            if found == 0 {
                if self.high.compare_exchange(0, TAKEN, Relaxed, Relaxed).is_ok() {
                    self.low.store(low, Relaxed);
                    self.high.store(high, Release);
                    return Claim::Fresh;
                }
            } else if found == TAKEN {
                yield_now();
            } else {
                let same = found == high && self.low.load(Relaxed) == low;
                return if same { Claim::There } else { Claim::Other };
            }
        }
    }
}
