//! The notifier chain: how an address space tells its secondary MMUs what it is about to do to its page table.
//!
//! Invariant: a subscriber sees range_start and range_end of the same ranges. A range holds the chain for reading
//! from its start to its end; subscribing and unsubscribing hold it for writing, so they wait for open ranges. A
//! range that begins while nobody is subscribed or about to be holds nothing; who subscribes waits for it first
//! (`sequence`). Once [`NotifierChain::unsubscribe`] returned no callback runs and none will. A callback must
//! therefore not subscribe or unsubscribe on its own chain.
//! Source: include/linux/mmu_notifier.h; mm/mmu_notifier.c; `invalidate_secondary` is `invalidate_range` up to Linux
//! 6.5 and `arch_invalidate_secondary_tlbs` since 6.6; `change_pte` was removed in 6.10.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};
use thiserror::Error;

use crate::address::{VirtAddr, VirtRange};
use crate::pte::Pte;

mod sequence;

pub use sequence::{InvalidationSequence, SequenceSnapshot};

/// Why a range is invalidated (`enum mmu_notifier_event`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvalidationKind {
    /// The range goes away.
    Unmap,
    /// Entries are cleared or replaced by others.
    Clear,
    /// Permissions of the whole area change.
    ProtectionArea,
    /// Permissions of single pages change.
    ProtectionPage,
    /// Soft-dirty bits are cleared.
    SoftDirty,
    /// Pages move to other memory.
    Migrate,
    /// The address space ends.
    Release,
}

/// Whether callbacks may sleep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocking {
    /// They may wait as long as they need.
    Allowed,
    /// They must refuse rather than wait (the OOM reaper).
    Forbidden,
}

/// What an invalidation is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalidation {
    /// The addresses.
    pub range: VirtRange,
    /// The reason.
    pub kind: InvalidationKind,
    /// Whether callbacks may wait.
    pub blocking: Blocking,
}

/// A callback could not do its work without waiting.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("a secondary MMU cannot invalidate without waiting; try again where waiting is allowed")]
pub struct WouldBlock;

/// A secondary MMU, as an address space sees it. Every callback has a default that does nothing.
pub trait MmuNotifier: Send + Sync {
    /// Before the entries of a range change: drop what was derived from them and use none until the end.
    ///
    /// # Errors
    /// [`WouldBlock`] if that needs a wait and waiting is forbidden.
    fn invalidate_range_start(&self, invalidation: &Invalidation) -> Result<(), WouldBlock> {
        let _ = invalidation;
        Ok(())
    }

    /// The entries have changed; they may be used again.
    fn invalidate_range_end(&self, invalidation: &Invalidation) {
        let _ = invalidation;
    }

    /// Drop every cached translation of the range, and return when no access through one is in flight.
    fn invalidate_secondary(&self, range: VirtRange) {
        let _ = range;
    }

    /// The entry of `page` becomes `pte`.
    fn change_pte(&self, page: VirtAddr, pte: Pte) {
        let _ = (page, pte);
    }

    /// Whether the range was used; the marks are cleared and translations that carry them flushed.
    fn clear_flush_young(&self, range: VirtRange) -> bool {
        let _ = range;
        false
    }

    /// Whether the range was used; the marks are cleared, translations may keep them.
    fn clear_young(&self, range: VirtRange) -> bool {
        let _ = range;
        false
    }

    /// Whether `page` was used; nothing changes.
    fn test_young(&self, page: VirtAddr) -> bool {
        let _ = page;
        false
    }

    /// The address space ends: stop every access through it before this returns.
    fn release(&self) {}
}

/// Names one subscription.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SubscriptionId(u64);

type Subscribers = Vec<(SubscriptionId, Arc<dyn MmuNotifier>)>;

/// The subscribers of one address space.
#[derive(Default)]
pub struct NotifierChain {
    subscribers: RwLock<Subscribers>,
    next_id: AtomicU64,
    sequence: InvalidationSequence,
}

/// A range between its start and its end; dropping it ends it.
pub struct OpenRange<'chain> {
    /// None if nobody listened when it began.
    subscribers: Option<RwLockReadGuard<'chain, Subscribers>>,
    sequence: &'chain InvalidationSequence,
    invalidation: Invalidation,
}

impl NotifierChain {
    /// Adds a subscriber, after the ranges that are open have ended.
    pub fn subscribe(&self, subscriber: Arc<dyn MmuNotifier>) -> SubscriptionId {
        let id = SubscriptionId(self.next_id.fetch_add(1, Ordering::Relaxed));
        // Before the lock: a range that began unheard may ask for the chain (`invalidate_secondary`) before it ends.
        self.sequence.listen();
        self.subscribers.write().push((id, subscriber));
        id
    }

    /// Removes a subscriber, after the ranges that are open have ended. Unknown numbers are ignored.
    pub fn unsubscribe(&self, id: SubscriptionId) {
        let mut subscribers = self.subscribers.write();
        let before = subscribers.len();
        subscribers.retain(|(other, _)| *other != id);
        self.sequence.go((before - subscribers.len()) as u64);
    }

    /// Tells every subscriber that a range is about to change (`mmu_notifier_invalidate_range_start`).
    ///
    /// # Errors
    /// [`WouldBlock`] if a subscriber refused; those told before it have been told the end.
    #[inline]
    pub fn start(&self, invalidation: Invalidation) -> Result<OpenRange<'_>, WouldBlock> {
        let subscribers = match self.sequence.begin_unheard() {
            true => None,
            false => Some(self.start_heard(&invalidation)?),
        };
        Ok(OpenRange { subscribers, sequence: &self.sequence, invalidation })
    }

    fn start_heard(
        &self,
        invalidation: &Invalidation,
    ) -> Result<RwLockReadGuard<'_, Subscribers>, WouldBlock> {
        let subscribers = self.subscribers.read();
        self.sequence.begin();
        for (told, (_, subscriber)) in subscribers.iter().enumerate() {
            if let Err(refused) = subscriber.invalidate_range_start(invalidation) {
                debug_assert_eq!(invalidation.blocking, Blocking::Forbidden, "only then may a start fail");
                subscribers[..told].iter().for_each(|(_, told)| told.invalidate_range_end(invalidation));
                self.sequence.end();
                return Err(refused);
            }
        }
        Ok(subscribers)
    }

    /// Invalidates the secondary TLBs for `range` and waits for the accesses in flight
    /// (`mmu_notifier_arch_invalidate_secondary_tlbs`). May be called with or without an open range.
    pub fn invalidate_secondary(&self, range: VirtRange) {
        self.each(|subscriber| subscriber.invalidate_secondary(range));
    }

    /// Tells every subscriber the new entry of a page (`mmu_notifier_change_pte`).
    pub fn change_pte(&self, page: VirtAddr, pte: Pte) {
        self.each(|subscriber| subscriber.change_pte(page, pte));
    }

    /// Whether any secondary MMU used the range; marks cleared, translations flushed.
    pub fn clear_flush_young(&self, range: VirtRange) -> bool {
        self.any(|subscriber| subscriber.clear_flush_young(range))
    }

    /// Whether any secondary MMU used the range; marks cleared.
    pub fn clear_young(&self, range: VirtRange) -> bool {
        self.any(|subscriber| subscriber.clear_young(range))
    }

    /// Whether any secondary MMU used the page.
    pub fn test_young(&self, page: VirtAddr) -> bool {
        self.any(|subscriber| subscriber.test_young(page))
    }

    /// Tells every subscriber that the address space ends, and forgets them.
    pub fn release(&self) {
        let subscribers = std::mem::take(&mut *self.subscribers.write());
        self.sequence.go(subscribers.len() as u64);
        for (_, subscriber) in subscribers {
            subscriber.release();
        }
    }

    /// The sequence that somebody who reads the page table without being told can retry on
    /// (`mmu_interval_read_begin`).
    #[must_use]
    pub fn sequence(&self) -> &InvalidationSequence {
        &self.sequence
    }

    /// Recursive, because the caller may hold the chain through an open range.
    fn each(&self, callback: impl Fn(&dyn MmuNotifier)) {
        for (_, subscriber) in self.subscribers.read_recursive().iter() {
            callback(&**subscriber);
        }
    }

    /// Every subscriber is asked: their marks must all be cleared.
    fn any(&self, callback: impl Fn(&dyn MmuNotifier) -> bool) -> bool {
        let subscribers = self.subscribers.read_recursive();
        subscribers.iter().fold(false, |young, (_, subscriber)| callback(&**subscriber) | young)
    }
}

impl OpenRange<'_> {
    /// Tells every subscriber that the range may be used again (`mmu_notifier_invalidate_range_end`).
    pub fn end(self) {}
}

impl Drop for OpenRange<'_> {
    #[inline]
    fn drop(&mut self) {
        match &self.subscribers {
            None => self.sequence.end_unheard(),
            Some(subscribers) => {
                for (_, subscriber) in subscribers.iter() {
                    subscriber.invalidate_range_end(&self.invalidation);
                }
                self.sequence.end();
            }
        }
    }
}

#[cfg(test)]
mod tests;
