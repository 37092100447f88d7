//! Waiting until nobody is inside an access any more that began before an invalidation.
//!
//! A [`Reader`] marks its accesses by plain stores; [`Drain::wait`] returns when every access that could have used
//! a translation from before the call is complete (VT-d 6.5.2.8 with CAP.DRD/DWD; an IPI acknowledged, for a CPU).
//!
//! Invariant: let I be the invalidating stores that precede `wait` in program order. When `wait` returns, each
//! access of each reader either was complete (and happens before the return) or sees I.
//!
//! Why no access is missed. `request` is a counter that only read-modify-writes change, so they have one order and
//! each later one synchronises with each earlier one. For one reader and a wait that drew the number r:
//!
//! - *It acknowledged r* (`ack >= r`). It loaded r or more from `request` with Acquire, hence every access after
//!   that load sees I; and it published the acknowledgement with Release, hence every access before is complete.
//! - *It was offline.* Coming online is a store of `state` followed by a read-modify-write of `request`. If that one
//!   comes after ours, it acquires I from ours. If it comes before, ours acquires the store of `state`,
//!   and we did not read "offline". The reader's later accesses follow the same read-modify-write.
//! - *It was online.* Its announcement is a store, its lookup a load, and x86-TSO lets the load overtake the store
//!   (C11: nothing relates them). So we may read "outside" while it is inside, and only the barrier decides.
//!   `heavy_barrier` runs a full barrier on its CPU between two of its instructions. A lookup after that point
//!   sees I, which precedes the barrier. For a lookup before that point the announcement is before it too and
//!   has left the store buffer when the barrier returns. So if `state` is loaded after the barrier and shows "outside",
//!   that access has ended (by a Release store), and whichever begins later sees I. If it shows "inside", it may be that
//!   access or a later one; but a later one loads `request` after the barrier, so it acknowledges r. Hence the
//!   wait ends at the first "outside", "offline" or acknowledgement, and one of them comes when that access ends.
//! - *It registered meanwhile.* The list's lock orders it: registered before we read the list, it is in the list;
//!   after, it acquires I from our unlock. Deregistering is going offline and the same lock.
//!
//! Where the kernel has no membarrier, each announcement is the same store and read-modify-write as coming online.

mod reader;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::sync::Arc;

pub use self::reader::Reader;
use self::reader::Slot;
use crate::sync::{AtomicU64, Ordering, RwLock, SPIN_POLLS, heavy_barrier, spin_loop, yield_now};

/// What the threads that wait and the threads that access share.
#[derive(Debug)]
pub struct Drain {
    request: Request,
    announcement: Announcement,
    readers: RwLock<Vec<Arc<Slot>>>,
    waiting: AtomicU64,
}

/// The number of the newest wait, alone on its cache line: every reader polls it, only a wait changes it.
#[derive(Debug)]
#[repr(align(64))]
struct Request(AtomicU64);

/// How a reader makes its entry known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Announcement {
    /// By a store; [`Drain::wait`] brings the barrier.
    Store,
    /// By a store and a read-modify-write of the request, for kernels without membarrier.
    Rendezvous,
    /// By a store that is ordered only if a barrier happens to be there: the broken protocol that loom must refute.
    #[cfg(all(test, loom))]
    Unordered,
}

impl Drain {
    /// Registers the process for membarrier(2). Nobody has to call this, [`Drain::new`] does it; but a program whose start
    /// is to be short calls it before it has a second thread: then nothing waits, and later the kernel waits until
    /// every processor has been elsewhere (about 10 to 20 ms; `sync_runqueues_membarrier_state` in
    /// kernel/sched/membarrier.c).
    pub fn prepare() {
        let _works = heavy_barrier();
    }

    /// A drain without readers. Asks the kernel once whether membarrier works, and chooses the readers' protocol.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::announced_by(if heavy_barrier() { Announcement::Store } else { Announcement::Rendezvous })
    }

    fn announced_by(announcement: Announcement) -> Arc<Self> {
        Arc::new(Self {
            request: Request(AtomicU64::new(0)),
            announcement,
            readers: RwLock::new(Vec::new()),
            waiting: AtomicU64::new(0),
        })
    }

    /// Registers a reader, offline at first. One for each thread that accesses.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Reader {
        Reader::register(self)
    }

    /// Returns when no access is in flight that began before the caller's invalidating stores could be seen.
    ///
    /// Free of system calls when every reader is offline or keeps entering; an online reader that does neither
    /// costs one membarrier. Never call it between a reader's own `enter` and `exit`: it would wait for itself.
    pub fn wait(&self) {
        let request = self.request.0.fetch_add(1, Ordering::AcqRel) + 1;
        let mut pending = self.unfinished(request);
        if !pending.is_empty() {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            self.wait_for(&mut pending, request);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many threads are inside [`wait`](Self::wait) and have found a reader to wait for.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The readers about which the request alone decides nothing. The lock is not held beyond this, so that a
    /// reader inside an access may register another one while a wait is waiting for it.
    fn unfinished(&self, request: u64) -> Vec<Arc<Slot>> {
        self.readers
            .read()
            .iter()
            .filter(|slot| !slot.is_offline() && !slot.has_seen(request))
            .cloned()
            .collect()
    }

    fn wait_for(&self, pending: &mut Vec<Arc<Slot>>, request: u64) {
        for _ in 0..SPIN_POLLS {
            pending.retain(|slot| !slot.has_seen(request));
            if pending.is_empty() {
                return;
            }
            spin_loop();
        }
        self.expose_announcements();
        pending.iter().for_each(|slot| wait_for_access(slot, request));
    }

    /// Makes every announcement that precedes a finished load visible to this thread.
    fn expose_announcements(&self) {
        // The kernel refuses only while it is short of memory: support was proved when the drain was made.
        while self.announcement != Announcement::Rendezvous && !heavy_barrier() {
            yield_now();
        }
    }

    fn insert(&self, slot: Arc<Slot>) {
        self.readers.write().push(slot);
    }

    fn remove(&self, slot: &Arc<Slot>) {
        self.readers.write().retain(|other| !Arc::ptr_eq(other, slot));
    }
}

/// Waits for the access, if any, that `slot` shows after the barrier.
fn wait_for_access(slot: &Slot, request: u64) {
    let mut polls = 0;
    while slot.is_inside() && !slot.has_seen(request) {
        polls += 1;
        if polls < SPIN_POLLS { spin_loop() } else { yield_now() }
    }
}
