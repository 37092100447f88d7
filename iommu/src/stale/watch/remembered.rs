//! What is remembered of cached translations, of cached failures, and of requesters without a route.
//!
//! Invariant: a guest decides how many there are, not how much memory they take. What had to be forgotten for that is
//! counted.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash};

use mmu::mixer::Mixer;

use crate::stale::Moment;
use crate::vtd::Trail;
use crate::vtd::witness::Origin;

/// Bytes that it takes at most, but for the spare room of the table.
const MOST_BYTES: usize = 32 << 20;

/// What rests on entries of tables.
pub(super) trait Rests {
    fn origin(&self) -> &Origin;
}

/// That a requester has no route, and what that rests on.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) origin: Origin,
    /// When it was met first.
    pub(super) met: Moment,
}

impl Rests for Refused {
    fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// What is remembered, by the key `K` of the cached translation.
#[derive(Debug)]
pub(super) struct Remembered<K, V> {
    known: HashMap<K, V, BuildHasherDefault<Mixer>>,
    len_bytes: usize,
    forgotten: u64,
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self { known: HashMap::default(), len_bytes: 0, forgotten: 0 }
    }
}

impl<K: Eq + Hash, V: Rests> Remembered<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.known.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.known.iter()
    }

    /// Remembers `value`. If there is no room, everything else goes: which is the oldest nobody knows.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let added = Self::bytes_of(&value);
        if self.len_bytes + added > MOST_BYTES {
            self.forgotten += self.known.len() as u64;
            self.known = HashMap::default();
            self.len_bytes = 0;
        }
        let replaced = self.known.insert(key, value);
        self.len_bytes = self.len_bytes + added - replaced.as_ref().map_or(0, Self::bytes_of);
    }

    /// How many had to be forgotten.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Readings that are shared count for each that shares them.
    fn bytes_of(value: &V) -> usize {
        let readings = |trail: &Trail| size_of_val(trail.readings());
        let origin = value.origin();
        size_of::<(K, V)>() + readings(&origin.route) + readings(&origin.path.walk)
    }
}

#[cfg(test)]
mod tests;
