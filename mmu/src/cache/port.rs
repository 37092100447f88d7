//! One thread's access to a cache.
//!
//! Invariant: translations are looked up only inside a [`Section`], and the drain waits for open sections. So what a
//! lookup returned may be used until the section is dropped, and not longer.

use std::sync::Arc;

use super::TranslationCache;
use super::entry::{Tag, Translation};
use crate::address::VirtAddr;
use crate::drain::Reader;

/// A thread's registration with a cache; made by [`TranslationCache::port`].
#[derive(Debug)]
pub struct CachePort {
    cache: Arc<TranslationCache>,
    reader: Reader,
}

/// An access in flight: look up, use, drop.
#[derive(Debug)]
pub struct Section<'a> {
    cache: &'a TranslationCache,
    reader: &'a mut Reader,
}

/// An access whose [`Section`] was left without ending it: whoever has this goes on with it by [`CachePort::go_on`].
/// It ends with the port's next access at the latest; until then drains wait for it.
#[derive(Debug)]
#[must_use = "drains wait for it"]
pub struct Ongoing(());

/// The state of the cache before a page-table walk, without which its result cannot be filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FillTicket {
    pub(super) tag: Tag,
    pub(super) sequence: u64,
    pub(super) generation: u64,
}

impl CachePort {
    pub(super) fn new(cache: Arc<TranslationCache>, reader: Reader) -> Self {
        Self { cache, reader }
    }

    /// Announces an access. A drain whose invalidation this access may not have seen waits for its end.
    #[inline]
    pub fn enter(&mut self) -> Section<'_> {
        self.reader.enter();
        Section { cache: &self.cache, reader: &mut self.reader }
    }

    /// Goes on with an access that was announced before, and never ended.
    #[inline(always)]
    pub fn go_on(&mut self, _: Ongoing) -> Section<'_> {
        Section { cache: &self.cache, reader: &mut self.reader }
    }

    /// Goes offline until the next [`enter`](Self::enter), so that no drain has to ask about this thread.
    /// Call it before blocking or idling.
    pub fn pause(&mut self) {
        self.reader.pause();
    }

    /// Whether it is offline, so that no drain asks about it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.reader.is_paused()
    }

    /// The cache behind the port.
    #[must_use]
    pub fn cache(&self) -> &Arc<TranslationCache> {
        &self.cache
    }
}

impl Section<'_> {
    /// Leaves the access as it is, announced and in flight.
    #[inline(always)]
    pub fn leave_ongoing(self) -> Ongoing {
        std::mem::forget(self);
        Ongoing(())
    }

    /// The translation of `address`, stale or not; none if there is no entry (or it was being changed).
    #[must_use]
    // Called, it would return a translation through memory, and its user would wait for the stores.
    #[inline(always)]
    pub fn lookup(&self, tag: Tag, address: VirtAddr) -> Option<Translation> {
        self.cache.lookup(tag, address)
    }

    /// As [`lookup`](Self::lookup), of entries of 4 KiB alone. Where both halves are asked one after the other, what
    /// is done with the common one is compiled for its size.
    #[must_use]
    #[inline(always)]
    pub fn lookup_page(&self, tag: Tag, address: VirtAddr) -> Option<Translation> {
        self.cache.lookup_page(tag, address)
    }

    /// The other half: larger entries.
    #[must_use]
    #[inline(always)]
    pub fn lookup_large(&self, tag: Tag, address: VirtAddr) -> Option<Translation> {
        self.cache.lookup_large(tag, address)
    }

    /// To be taken before the page-table walk whose result is to be filled.
    #[must_use]
    pub fn begin_fill(&self, tag: Tag) -> FillTicket {
        self.cache.begin_fill(tag)
    }

    /// Whether [`fill`](Self::fill) would still take what was walked for under `ticket`.
    #[must_use]
    pub fn is_current(&self, ticket: &FillTicket) -> bool {
        self.cache.is_current(ticket)
    }

    /// Installs `translation` for the page of `address` under the ticket's tag, unless something that may concern
    /// it was invalidated since `ticket` was taken. Returns whether it did: an address not canonical for 57 bits, a
    /// frame beyond 52 physical bits and a cache that is off install nothing either. The caller may use its walk's
    /// result all the same, until the section ends.
    pub fn fill(&self, ticket: FillTicket, address: VirtAddr, translation: Translation) -> bool {
        self.cache.fill(ticket, address, translation)
    }
}

impl Drop for Section<'_> {
    #[inline]
    fn drop(&mut self) {
        self.reader.exit();
    }
}
