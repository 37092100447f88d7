//! A cache of what was read from a table in memory: context entries, PASID entries, paging structures, interrupt entries.
//!
//! Invariant: what is filled was read after the fill's ticket was taken, and nothing was invalidated since: so an
//! invalidation, once issued, is not undone by a walk that it overtook. The oldest entry makes room for a new one.
//! A lock is enough here: whoever comes here missed the IOTLB and is about to walk.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use parking_lot::Mutex;

/// See the module.
#[derive(Debug)]
pub(crate) struct TableCache<K, V> {
    capacity: usize,
    inner: Mutex<Inner<K, V>>,
}

/// The state of the cache before something was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Inner<K, V> {
    entries: HashMap<K, V>,
    /// Keys as they came; those that were invalidated meanwhile too, until they are at the front.
    arrivals: VecDeque<K>,
    invalidations: u64,
}

/// What became of a fill.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filled {
    /// It was installed, if the cache is on.
    Beside,
    /// Another entry made room for it.
    Evicting,
}

impl<K: Eq + Hash + Clone, V: Clone> TableCache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        let inner = Inner { entries: HashMap::new(), arrivals: VecDeque::new(), invalidations: 0 };
        Self { capacity, inner: Mutex::new(inner) }
    }

    /// To be taken before anything is read that is to be filled.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.inner.lock().invalidations)
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        if self.capacity == 0 {
            return None;
        }
        self.inner.lock().entries.get(key).cloned()
    }

    pub(crate) fn fill(&self, ticket: Ticket, key: K, value: V) -> Filled {
        let mut inner = self.inner.lock();
        if self.capacity == 0 || inner.invalidations != ticket.0 {
            return Filled::Beside;
        }
        if inner.entries.insert(key.clone(), value).is_none() {
            inner.arrivals.push_back(key);
        }
        inner.make_room(self.capacity)
    }

    /// Drops the entries that `concerns` names.
    pub(crate) fn invalidate(&self, concerns: impl Fn(&K, &V) -> bool) {
        let mut inner = self.inner.lock();
        inner.invalidations += 1;
        let Inner { entries, arrivals, .. } = &mut *inner;
        entries.retain(|key, value| !concerns(key, value));
        arrivals.retain(|key| entries.contains_key(key));
    }
}

impl<K: Eq + Hash, V> Inner<K, V> {
    fn make_room(&mut self, capacity: usize) -> Filled {
        if self.entries.len() <= capacity {
            return Filled::Beside;
        }
        if let Some(oldest) = self.arrivals.pop_front() {
            self.entries.remove(&oldest);
        }
        Filled::Evicting
    }
}

#[cfg(test)]
mod tests;
