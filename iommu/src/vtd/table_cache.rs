//! A cache of what was read from a table in memory: context entries, PASID entries, paging structures, interrupt entries.
//!
//! Invariant: what is filled was read after the fill's ticket was taken, and nothing was invalidated since: so an
//! invalidation, once issued, is not undone by a walk that it overtook. The oldest entry makes room for a new one.
//! A lock is enough here: whoever comes here missed the IOTLB and is about to walk. An invalidation that names keys costs
//! what it finds, however much else is cached.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use parking_lot::Mutex;

/// A cache with entries `V` by key `K`.
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
    entries: BTreeMap<K, Kept<V>>,
    /// Keys by their arrival.
    arrivals: BTreeMap<u64, K>,
    next_arrival: u64,
    invalidations: u64,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    arrival: u64,
}

/// What became of a fill.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filled {
    /// It was installed, if the cache is on.
    Beside,
    /// Another entry made room for it.
    Evicting,
}

impl<K: Ord + Clone, V: Clone> TableCache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        let (entries, arrivals) = (BTreeMap::new(), BTreeMap::new());
        let inner = Inner { entries, arrivals, next_arrival: 0, invalidations: 0 };
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
        self.inner.lock().entries.get(key).map(|entry| entry.value.clone())
    }

    /// Entries that it holds.
    pub(crate) fn len(&self) -> usize {
        self.inner.lock().entries.len()
    }

    pub(crate) fn fill(&self, ticket: Ticket, key: K, value: V) -> Filled {
        let mut inner = self.inner.lock();
        if self.capacity == 0 || inner.invalidations != ticket.0 {
            return Filled::Beside;
        }
        inner.put(key, value);
        inner.make_room(self.capacity)
    }

    /// Does something while nobody else gets at the cache.
    #[cfg(test)]
    pub(crate) fn while_held(&self, meanwhile: impl FnOnce()) {
        let _inner = self.inner.lock();
        meanwhile();
    }

    /// Loses the entry of `key`, as a cache may at any time: nothing is invalidated, and what was begun may still fill.
    pub(crate) fn evict(&self, key: &K) {
        self.inner.lock().remove(key);
    }

    /// Drops the entries that `concerns` names; looks at all of them.
    pub(crate) fn invalidate(&self, concerns: impl Fn(&K, &V) -> bool) {
        let mut inner = self.inner.lock();
        inner.invalidations += 1;
        let named = inner.entries.iter().filter(|(key, entry)| concerns(key, &entry.value));
        let named: Vec<K> = named.map(|(key, _)| key.clone()).collect();
        named.iter().for_each(|key| inner.remove(key));
    }

    /// Drops the entries whose keys are in one of `ranges`.
    pub(crate) fn invalidate_within(&self, ranges: impl IntoIterator<Item = impl RangeBounds<K>>) {
        let mut inner = self.inner.lock();
        inner.invalidations += 1;
        for range in ranges {
            let named: Vec<K> = inner.entries.range(range).map(|(key, _)| key.clone()).collect();
            named.iter().for_each(|key| inner.remove(key));
        }
    }
}

impl<K: Ord + Clone, V> Inner<K, V> {
    /// Whatever replaces an entry is as old as that.
    fn put(&mut self, key: K, value: V) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.value = value;
            return;
        }
        let arrival = self.next_arrival;
        self.next_arrival += 1;
        self.arrivals.insert(arrival, key.clone());
        self.entries.insert(key, Kept { value, arrival });
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.arrivals.remove(&entry.arrival);
        }
    }

    fn make_room(&mut self, capacity: usize) -> Filled {
        if self.entries.len() <= capacity {
            return Filled::Beside;
        }
        if let Some((_, oldest)) = self.arrivals.pop_first() {
            self.entries.remove(&oldest);
        }
        Filled::Evicting
    }
}

#[cfg(test)]
mod tests;
