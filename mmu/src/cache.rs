//! The translation cache: one set-associative structure for CPU TLBs, software vCPUs' TLBs and the IOTLB.
//!
//! A lookup takes no lock and really returns what was filled, however stale, until an invalidation of its page,
//! its tag or the whole cache. Invalidating is two steps, as in hardware: *issue* (`invalidate_*`, after which no
//! new access hits) and *complete* ([`TranslationCache::drain`], after which no access that hit before is in flight).
//!
//! Invariant: an access that begins after an invalidation was issued and drained never uses a translation that
//! was read from a page table before the invalidation. Three parts carry it:
//!
//! - **Entries.** A `set` is read between the counts of its changes; key and value are never torn apart.
//! - **Fills.** A fill carries a [`FillTicket`] from before its page-table walk. Each page invalidation advances the
//!   tag's `sequences` before it locks the set, a fill compares under the set's lock. If the fill locks
//!   first, the invalidation finds its entry; if second, it finds the sequence advanced and installs nothing.
//! - **Generations.** An entry is alive while it carries the `generations` number of its tag, so that a tag, or
//!   everything, is invalidated by one store.
//!
//! Source: VT-d 6.5.2 (IOTLB invalidation granularities), Intel SDM 3A 4.10 (what a TLB may cache, and how long).

mod entry;
mod generations;
mod leftovers;
mod port;
mod sequences;
mod set;
mod statistics;
mod table;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use thiserror::Error;

use self::entry::{Key, Spread, Value};
pub use self::entry::{Permission, Tag, Translation};
use self::generations::Generations;
use self::leftovers::Leftovers;
pub use self::port::{CachePort, FillTicket, Ongoing, Section};
use self::sequences::{Fills, Sequences};
use self::set::{Installed, Set, WAYS};
pub use self::statistics::CacheStatistics;
use self::statistics::Counters;
use self::table::Table;
use crate::address::{PageSize, VirtAddr, VirtRange};
use crate::drain::Drain;
use crate::sync::Mutex;

/// Why there is no cache.
#[derive(Debug, Error)]
#[error(
    "the host maps no {len_bytes} bytes for a translation cache: {source}; raise `ulimit -v`, or make the cache smaller"
)]
pub struct CacheError {
    /// What was asked for, in bytes.
    pub len_bytes: usize,
    /// The host's answer.
    pub source: io::Error,
}

/// Pages of a range that [`TranslationCache::invalidate_range`] invalidates one by one: one table of leaves.
pub const RANGE_LIMIT_PAGES: u64 = 512;

/// A cache of translations that many threads read and invalidate.
#[derive(Debug)]
pub struct TranslationCache {
    sets: Table<Set>,
    spread: Spread,
    generations: Generations,
    sequences: Sequences,
    leftovers: Mutex<Leftovers>,
    capacity: usize,
    counters: Counters,
    drain: Arc<Drain>,
    #[cfg(all(test, loom))]
    weakness: Option<loom_tests::Weakness>,
}

impl TranslationCache {
    /// A cache of at least `entries` translations: 3 a set, the number of sets a power of two
    /// ([`capacity`](Self::capacity) says how many it is). 0 switches it off: each lookup misses, no fill installs.
    ///
    /// # Panics
    /// If the host has no address space left for 24 bytes an entry. [`try_new`](Self::try_new) says so.
    #[must_use]
    pub fn new(entries: usize) -> Self {
        match Self::try_new(entries) {
            Ok(cache) => cache,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`new`](Self::new).
    ///
    /// # Errors
    /// [`CacheError`] if the host has no address space left for 24 bytes an entry.
    pub fn try_new(entries: usize) -> Result<Self, CacheError> {
        let sets = entries.div_ceil(WAYS).next_power_of_two();
        Ok(Self {
            sets: Table::zeroed(sets)?,
            spread: Spread::over(sets),
            generations: Generations::new()?,
            sequences: Sequences::new(),
            leftovers: Mutex::new(Leftovers::default()),
            capacity: if entries == 0 { 0 } else { sets * WAYS },
            counters: Counters::default(),
            drain: Drain::new(),
            #[cfg(all(test, loom))]
            weakness: None,
        })
    }

    /// Registers a user of the cache; one for each thread that accesses through it.
    #[must_use]
    pub fn port(self: &Arc<Self>) -> CachePort {
        CachePort::new(Arc::clone(self), self.drain.reader())
    }

    /// Translations the cache can hold; 0 if it is off.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Issues the invalidation of the 4 KiB page at `address`, and of any larger page that holds it.
    pub fn invalidate_page(&self, tag: Tag, address: VirtAddr) {
        let sizes = self.sequences.advance(tag);
        for &size in sizes.sizes() {
            self.forget(Key::new(tag, address, size));
        }
    }

    /// Loses what is kept of the 4 KiB page at `address`, and of any larger page that holds it, as a cache may at any
    /// time: nothing is invalidated, and a walk that has begun may still fill.
    pub fn evict(&self, tag: Tag, address: VirtAddr) {
        for &size in &[PageSize::Size4K, PageSize::Size2M, PageSize::Size1G] {
            self.forget(Key::new(tag, address, size));
        }
    }

    /// Issues the invalidation of every page that overlaps `range`. A range of more than [`RANGE_LIMIT_PAGES`] takes
    /// the whole tag with it.
    pub fn invalidate_range(&self, tag: Tag, range: VirtRange) {
        if range.start >= range.end {
            return;
        }
        let pages = page_numbers(range, PageSize::Size4K);
        if pages.end() - pages.start() >= RANGE_LIMIT_PAGES {
            return self.invalidate_tag(tag);
        }
        let sizes = self.sequences.advance(tag);
        for &size in sizes.sizes() {
            for number in page_numbers(range, size) {
                self.forget(Key::new(tag, VirtAddr(number * size.bytes()), size));
            }
        }
    }

    /// Issues the invalidation of every page that overlaps `range`, and of no other, however long the range is: beyond
    /// [`RANGE_LIMIT_PAGES`] it looks at the whole cache, if there was a fill since it did so last.
    pub fn invalidate_exactly(&self, tag: Tag, range: VirtRange) {
        if range.start >= range.end || range.page_count() <= RANGE_LIMIT_PAGES {
            return self.invalidate_range(tag, range);
        }
        // Held from the advance on: who finds that nothing was filled must find what was noted, too.
        let mut leftovers = self.leftovers.lock();
        if self.sequences.advance_looking(tag) == Fills::Some {
            leftovers.note(self.sets.iter().flat_map(|set| set.lock().keys()));
        }
        leftovers.take(tag, range).into_iter().for_each(|key| self.forget(Some(key)));
    }

    /// Issues the invalidation of every translation of `tag`, in constant time.
    pub fn invalidate_tag(&self, tag: Tag) {
        self.generations.advance_tag(tag, &self.sets);
    }

    /// Issues the invalidation of every translation, in constant time.
    pub fn invalidate_all(&self) {
        self.generations.advance_all(&self.sets);
    }

    /// Completes the invalidations that this thread issued before: returns when no [`Section`] that may have hit
    /// an invalidated translation is open. Never call it while the calling thread has a section open.
    pub fn drain(&self) {
        #[cfg(all(test, loom))]
        if self.is_weakened(loom_tests::Weakness::NoDrain) {
            return;
        }
        self.drain.wait();
    }

    /// Threads that are in [`drain`](Self::drain) because of an access in flight.
    #[must_use]
    pub fn draining(&self) -> u64 {
        self.drain.waiting()
    }

    /// What a lookup of `address` would return now. For inspection: nothing drains for the caller.
    #[must_use]
    pub fn contains(&self, tag: Tag, address: VirtAddr) -> Option<Translation> {
        self.lookup(tag, address)
    }

    /// All that lookups would return now, of every tag, in no order. For inspection, as [`contains`](Self::contains);
    /// it looks at the whole cache.
    pub fn entries(&self) -> impl Iterator<Item = (Tag, VirtAddr, Translation)> {
        self.sets.iter().flat_map(|set| set.lock().entries()).filter_map(|(key, value)| {
            let (page, size) = key.page()?;
            let is_alive = value.is_of(self.generations.of(key.tag()));
            is_alive.then(|| (key.tag(), page, value.translation(size)))
        })
    }

    /// What happened so far. The counters are read one by one, not as one instant.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        self.counters.snapshot(&self.sequences, &self.generations)
    }

    #[inline(always)]
    fn lookup(&self, tag: Tag, address: VirtAddr) -> Option<Translation> {
        self.lookup_page(tag, address).or_else(|| self.lookup_large(tag, address))
    }

    #[inline(always)]
    fn lookup_page(&self, tag: Tag, address: VirtAddr) -> Option<Translation> {
        let value = self.find(tag, address, PageSize::Size4K)?;
        Some(value.translation(PageSize::Size4K))
    }

    #[inline(always)]
    fn lookup_large(&self, tag: Tag, address: VirtAddr) -> Option<Translation> {
        let (value, size) = self.find_large(tag, address)?;
        Some(value.translation(size))
    }

    /// The larger sizes, apart, and returned in registers: a hit in a 4 KiB page must not pay for them.
    #[inline(never)]
    fn find_large(&self, tag: Tag, address: VirtAddr) -> Option<(Value, PageSize)> {
        let mut sizes = self.sequences.large_sizes().iter();
        sizes.find_map(|&size| Some((self.find(tag, address, size)?, size)))
    }

    #[inline(always)]
    fn find(&self, tag: Tag, address: VirtAddr, size: PageSize) -> Option<Value> {
        let key = Key::new(tag, address, size)?;
        let value = self.set_of(key).read(key);
        value.is_of(self.generations.of(tag)).then_some(value)
    }

    #[inline(always)]
    fn set_of(&self, key: Key) -> &Set {
        self.sets.get(self.spread.place(key))
    }

    fn begin_fill(&self, tag: Tag) -> FillTicket {
        FillTicket { tag, sequence: self.sequences.of(tag), generation: self.generations.of(tag) }
    }

    fn fill(&self, ticket: FillTicket, address: VirtAddr, translation: Translation) -> bool {
        let key = Key::new(ticket.tag, address, translation.size);
        let (Some(key), Some(value)) = (key, Value::new(translation, ticket.generation)) else {
            return false;
        };
        if self.capacity == 0 {
            return false;
        }
        self.sequences.note_fill(ticket.tag, translation.size);
        let mut set = self.set_of(key).lock();
        if !self.is_current(&ticket) {
            self.counters.count_discarded();
            return false;
        }
        let installed = set.install(key, value, |key, value| value.is_of(self.generations.of(key.tag())));
        self.counters.count_fill(installed == Installed::Evicting);
        true
    }

    #[cfg(all(test, loom))]
    fn is_weakened(&self, weakness: loom_tests::Weakness) -> bool {
        self.weakness == Some(weakness)
    }

    /// Whether nothing that could concern the ticket's walk was invalidated since; asked under the set's lock.
    fn is_current(&self, ticket: &FillTicket) -> bool {
        #[cfg(all(test, loom))]
        if self.is_weakened(loom_tests::Weakness::NoRecheck) {
            return true;
        }
        self.sequences.of(ticket.tag) == ticket.sequence
            && self.generations.of(ticket.tag) == ticket.generation
    }

    fn forget(&self, key: Option<Key>) {
        if let Some(key) = key {
            self.set_of(key).lock().remove(key);
        }
    }
}

/// The numbers of the pages of `size` that `range` touches.
fn page_numbers(range: VirtRange, size: PageSize) -> RangeInclusive<u64> {
    range.start.0 / size.bytes()..=(range.end.0 - 1) / size.bytes()
}
