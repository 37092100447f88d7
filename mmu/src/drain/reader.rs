//! The accessing side of a drain: announce, acknowledge, leave.
//!
//! Invariant: only the owner of a [`Reader`] stores to its [`Slot`]. An access stores constants, never a count: a count
//! would pass through memory from each access to the next, and its latency would be most of a lookup's cost.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Announcement, Drain};
use crate::sync::{AtomicU64, Ordering, light_barrier};

const OFFLINE: u64 = 0;
const INSIDE: u64 = 1;
const OUTSIDE: u64 = 2;
/// No request has this number: a plain store does not announce the next access.
const UNANNOUNCED: u64 = u64::MAX;

/// What a reader publishes. A waiter polls `ack`, so that it does not fight for the line that each access writes.
#[derive(Debug)]
pub(super) struct Slot {
    state: Line,
    /// The newest request seen at the start of an access.
    ack: Line,
}

/// A word alone on its cache line, and on the one that the prefetcher fetches with it.
#[derive(Debug)]
#[repr(align(128))]
struct Line(AtomicU64);

/// One thread's right to access. It can move to another thread between accesses, but two cannot share it.
#[derive(Debug)]
pub struct Reader {
    drain: Arc<Drain>,
    pub(super) slot: Arc<Slot>,
    /// The request acknowledged last, or [`UNANNOUNCED`]: one comparison tells an access with nothing more to do.
    seen: u64,
    /// Two threads on one reader would overwrite each other's announcement.
    not_sync: PhantomData<Cell<()>>,
}

impl Slot {
    /// Whether the reader acknowledged `request`: then every access before is complete, and every later one
    /// sees the invalidation.
    pub(super) fn has_seen(&self, request: u64) -> bool {
        self.ack.0.load(Ordering::Acquire) >= request
    }

    /// Whether the reader is offline: it will see the invalidation when it comes back.
    pub(super) fn is_offline(&self) -> bool {
        self.state.0.load(Ordering::Acquire) == OFFLINE
    }

    /// Whether an access is in flight.
    pub(super) fn is_inside(&self) -> bool {
        self.state.0.load(Ordering::Acquire) == INSIDE
    }
}

impl Reader {
    pub(super) fn register(drain: &Arc<Drain>) -> Self {
        let slot = Arc::new(Slot { state: Line(AtomicU64::new(OFFLINE)), ack: Line(AtomicU64::new(0)) });
        drain.insert(Arc::clone(&slot));
        Self { drain: Arc::clone(drain), slot, seen: UNANNOUNCED, not_sync: PhantomData }
    }

    /// Announces an access: from here to [`exit`](Self::exit) translations may be looked up and used, and a
    /// [`Drain::wait`] that did not invalidate them before waits.
    #[inline]
    pub fn enter(&mut self) {
        self.slot.state.0.store(INSIDE, Ordering::Relaxed);
        self.order_announcement();
        if self.drain.request.0.load(Ordering::Acquire) != self.seen {
            self.catch_up();
        }
    }

    /// Ends the access: nothing that was looked up in it may be used any more.
    #[inline]
    pub fn exit(&mut self) {
        self.slot.state.0.store(OUTSIDE, Ordering::Release);
    }

    /// Goes offline until the next [`enter`](Self::enter), so that no wait has to ask about this reader.
    /// Call it before blocking or idling; coming back costs some tens of nanoseconds.
    pub fn pause(&mut self) {
        self.seen = UNANNOUNCED;
        self.slot.state.0.store(OFFLINE, Ordering::Release);
    }

    /// Whether it is offline.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.slot.is_offline()
    }

    #[inline(always)]
    fn order_announcement(&self) {
        #[cfg(all(test, loom))]
        if self.drain.announcement == Announcement::Unordered {
            return;
        }
        light_barrier();
    }

    /// Comes online if need be, and acknowledges the newest request.
    #[cold]
    fn catch_up(&mut self) {
        if self.seen == UNANNOUNCED {
            self.meet_waiters();
        }
        let request = self.drain.request.0.load(Ordering::Acquire);
        if self.drain.announcement == Announcement::Store {
            self.seen = request;
        }
        // Release: what this thread did in earlier accesses is complete for whoever reads this.
        self.slot.ack.0.store(request, Ordering::Release);
    }

    /// Meets the waiters at the request: either they see the announcement or this reader sees their invalidation.
    fn meet_waiters(&self) {
        #[cfg(all(test, loom))]
        if self.drain.announcement == Announcement::Unordered {
            return;
        }
        // Draws a number of its own. A read-modify-write that changed nothing would do by the language's rules,
        // but LLVM compiles an unused `fetch_or(0, AcqRel)` to no instruction at all on x86.
        self.drain.request.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.pause();
        self.drain.remove(&self.slot);
    }
}
