//! Frames: who holds each page of physical memory, and what happens when nobody does.
//!
//! Invariant: a frame is on the free list exactly while its reference count is zero and its state is
//! [`FrameState::Free`]; all its words are [`POISON`] from then until it is handed out again. Freed frames are
//! handed out oldest first, after all that were never used, so that a stale translation meets poison rather than
//! somebody else's page for as long as possible.
//! Source: include/linux/mm_types.h (`_refcount`, `_mapcount`, pin count), mm/page_poison.c (the pattern).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use thiserror::Error;

use crate::address::{Pfn, VirtAddr};
use crate::memory::{MemoryError, PhysicalMemory};

mod reference;

pub use reference::{FrameRef, Pin};

/// What every word of a freed frame holds (`PAGE_POISON` repeated).
pub const POISON: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// What a frame is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FrameState {
    /// On the free list, poisoned.
    Free = 0,
    /// Anonymous memory of one or more address spaces.
    Anonymous = 1,
    /// Merged by KSM: read-only wherever it is mapped.
    Ksm = 2,
    /// Part of a shared object.
    Shared = 3,
    /// A page table.
    Table = 4,
    /// Tables, stacks and code of a guest.
    Guest = 5,
}

/// All frames are taken.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("all {total} frames of physical memory are in use; give the machine more memory")]
pub struct OutOfFrames {
    /// Frames there are.
    pub total: u64,
}

/// The anonymous page a frame belongs to: address-space number and page address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Number of the address space.
    pub space: u16,
    /// Page address in it.
    pub page: VirtAddr,
}

/// What is kept of one frame.
#[derive(Debug, Default)]
struct Frame {
    refcount: AtomicU32,
    mapcount: AtomicU32,
    pins: AtomicU32,
    page_lock: Mutex<()>,
    table_lock: Mutex<()>,
    owner: AtomicU64,
}

/// Frames that wait to be handed out.
#[derive(Debug)]
struct Pool {
    next_unused: u64,
    freed: VecDeque<Pfn>,
}

/// Physical memory with its frames.
#[derive(Debug)]
pub struct Frames {
    memory: Arc<PhysicalMemory>,
    frames: Box<[Frame]>,
    states: Box<[AtomicU8]>,
    pool: Mutex<Pool>,
    overwritten: AtomicU64,
}

impl Frames {
    /// Maps `bytes` of physical memory, all of whose frames are free except frame 0, which is never handed out:
    /// a zero that is taken for a frame number then hits nobody.
    ///
    /// # Errors
    /// As [`PhysicalMemory::new`].
    pub fn new(bytes: u64) -> Result<Arc<Self>, MemoryError> {
        let memory = Arc::new(PhysicalMemory::new(bytes)?);
        let count = memory.frame_count();
        Ok(Arc::new(Self {
            memory,
            frames: (0..count).map(|_| Frame::default()).collect(),
            states: (0..count).map(|_| AtomicU8::new(FrameState::Free as u8)).collect(),
            pool: Mutex::new(Pool { next_unused: 1, freed: VecDeque::new() }),
            overwritten: AtomicU64::new(0),
        }))
    }

    /// The bytes.
    #[inline]
    #[must_use]
    pub fn memory(&self) -> &Arc<PhysicalMemory> {
        &self.memory
    }

    /// Takes a frame, filled with zeroes, with one reference.
    ///
    /// # Errors
    /// [`OutOfFrames`] when none is left.
    pub fn allocate(self: &Arc<Self>, state: FrameState) -> Result<FrameRef, OutOfFrames> {
        let (pfn, was_used) = self.take_from_pool()?;
        if was_used {
            self.check_poison(pfn);
            self.memory.fill_frame(pfn, 0);
        }
        let frame = self.frame(pfn);
        frame.owner.store(0, Ordering::Relaxed);
        frame.refcount.store(1, Ordering::Relaxed);
        self.set_state(pfn, state);
        Ok(FrameRef::adopt(Arc::clone(self), pfn))
    }

    fn take_from_pool(&self) -> Result<(Pfn, bool), OutOfFrames> {
        let mut pool = self.pool.lock();
        if pool.next_unused < self.memory.frame_count() {
            pool.next_unused += 1;
            return Ok((Pfn(pool.next_unused - 1), false));
        }
        let oldest = pool.freed.pop_front();
        oldest.map(|pfn| (pfn, true)).ok_or(OutOfFrames { total: self.memory.frame_count() })
    }

    /// Somebody who stored into a freed frame left a hole in its poison.
    fn check_poison(&self, pfn: Pfn) {
        if !self.memory.frame_is_filled(pfn, POISON) {
            log::warn!("{pfn:?} was written after it was freed");
            self.overwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many frames were found written to between their freeing and their next use.
    #[must_use]
    pub fn overwritten_after_free(&self) -> u64 {
        self.overwritten.load(Ordering::Relaxed)
    }

    /// Checks the poison of every freed frame and returns how many were written to since they were freed, each
    /// counted once.
    pub fn audit_freed(&self) -> u64 {
        let pool = self.pool.lock();
        for pfn in &pool.freed {
            if !self.memory.frame_is_filled(*pfn, POISON) {
                self.overwritten.fetch_add(1, Ordering::Relaxed);
                self.memory.fill_frame(*pfn, POISON);
            }
        }
        self.overwritten_after_free()
    }

    /// Frames that can still be handed out.
    #[must_use]
    pub fn free_count(&self) -> u64 {
        let pool = self.pool.lock();
        self.memory.frame_count() - pool.next_unused + pool.freed.len() as u64
    }

    /// What a frame is used for. Frames outside memory are free.
    #[inline]
    #[must_use]
    pub fn state(&self, pfn: Pfn) -> FrameState {
        match self.states.get(index(pfn)).map_or(0, |state| state.load(Ordering::Acquire)) {
            1 => FrameState::Anonymous,
            2 => FrameState::Ksm,
            3 => FrameState::Shared,
            4 => FrameState::Table,
            5 => FrameState::Guest,
            _ => FrameState::Free,
        }
    }

    /// Whether a use of this frame is a use after free: the check on every access, one byte load.
    #[inline]
    #[must_use]
    pub fn is_free(&self, pfn: Pfn) -> bool {
        self.states
            .get(index(pfn))
            .is_none_or(|state| state.load(Ordering::Acquire) == FrameState::Free as u8)
    }

    /// Says what a held frame is used for from now on.
    pub fn set_state(&self, pfn: Pfn, state: FrameState) {
        self.states[index(pfn)].store(state as u8, Ordering::Release);
    }

    /// References to a frame, the mappings' included.
    #[must_use]
    pub fn refcount(&self, pfn: Pfn) -> u32 {
        self.frame(pfn).refcount.load(Ordering::Acquire)
    }

    /// Entries that map a frame.
    #[must_use]
    pub fn mapcount(&self, pfn: Pfn) -> u32 {
        self.frame(pfn).mapcount.load(Ordering::Acquire)
    }

    /// Long-term pins (`FOLL_PIN`) of a frame.
    #[must_use]
    pub fn pin_count(&self, pfn: Pfn) -> u32 {
        self.frame(pfn).pins.load(Ordering::Acquire)
    }

    /// The anonymous page a frame belongs to, if it was given an owner.
    #[must_use]
    pub fn owner(&self, pfn: Pfn) -> Option<Owner> {
        let packed = self.frame(pfn).owner.load(Ordering::Acquire);
        let space = u16::try_from(packed >> 48).ok()?;
        (packed != 0).then_some(Owner { space, page: VirtAddr((packed & ((1 << 45) - 1)) << 12) })
    }

    /// Gives a frame its owner.
    pub fn set_owner(&self, pfn: Pfn, owner: Owner) {
        let packed = u64::from(owner.space) << 48 | owner.page.vpn() & ((1 << 45) - 1);
        self.frame(pfn).owner.store(packed, Ordering::Release);
    }

    /// Takes the page lock of a frame.
    pub fn lock_page(&self, pfn: Pfn) -> MutexGuard<'_, ()> {
        self.frame(pfn).page_lock.lock()
    }

    /// Whether somebody holds the page lock of a frame (`folio_test_locked`).
    #[must_use]
    pub fn is_page_locked(&self, pfn: Pfn) -> bool {
        self.frame(pfn).page_lock.is_locked()
    }

    /// Takes the page-table lock of the table in frame `table` (Linux: the split PTL in `struct ptdesc`).
    pub fn lock_table(&self, table: Pfn) -> MutexGuard<'_, ()> {
        self.frame(table).table_lock.lock()
    }

    /// Whether somebody holds the page-table lock of the table in frame `table`.
    #[must_use]
    pub fn is_table_locked(&self, table: Pfn) -> bool {
        self.frame(table).table_lock.is_locked()
    }

    /// A reference to a frame that is in use; none if its count is already zero (`folio_try_get`).
    #[must_use]
    pub fn try_reference(self: &Arc<Self>, pfn: Pfn) -> Option<FrameRef> {
        let frame = self.frames.get(index(pfn))?;
        let more = |count: u32| (count > 0).then_some(count + 1);
        frame.refcount.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(FrameRef::adopt(Arc::clone(self), pfn))
    }

    /// Takes back the reference and the map count that an entry held: call it once for each entry that stops
    /// mapping the frame.
    #[must_use]
    pub fn unmap(self: &Arc<Self>, pfn: Pfn) -> FrameRef {
        let before = self.frame(pfn).mapcount.fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "{pfn:?} was unmapped more often than mapped");
        FrameRef::adopt(Arc::clone(self), pfn)
    }

    /// Drops one reference; the last one frees the frame.
    fn put(&self, pfn: Pfn) {
        let before = self.frame(pfn).refcount.fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "{pfn:?} was put more often than got");
        if before == 1 {
            self.free(pfn);
        }
    }

    /// Poison before the state: who sees the frame free sees no more contents, and who reads contents after this
    /// reads poison.
    fn free(&self, pfn: Pfn) {
        self.memory.fill_frame(pfn, POISON);
        self.set_state(pfn, FrameState::Free);
        self.pool.lock().freed.push_back(pfn);
    }

    fn frame(&self, pfn: Pfn) -> &Frame {
        &self.frames[index(pfn)]
    }
}

/// A frame number as an index; what does not fit indexes nothing.
#[inline]
fn index(pfn: Pfn) -> usize {
    usize::try_from(pfn.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
