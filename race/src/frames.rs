//! What holds each frame of a scenario, and what becomes of its bytes.
//!
//! Invariant: a frame without references is poisoned, unless the scenario lets it be used on; who allocates it again finds
//! what it held, as the page allocator leaves it. A count changes in one atomic step, and never wraps.
//! Source: include/linux/page_ref.h, include/linux/mm_types.h, mm/page_poison.c.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use mmu::address::Pfn;
use mmu::frame::POISON;
use mmu::memory::PhysicalMemory;

/// One frame's.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pub(crate) refs: AtomicU32,
    pub(crate) maps: AtomicU32,
    pub(crate) pins: AtomicU32,
    pub(crate) stable: AtomicU32,
    /// What it held when it was freed.
    pub(crate) kept: AtomicU64,
    /// Whether more than the word that stands for its content was written since the start.
    pub(crate) whole: AtomicBool,
}

/// A count is zero that was to be lowered, or raised from zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IsZero;

/// Raises a count that is not zero.
fn raise(count: &AtomicU32) -> Result<(), IsZero> {
    let more = |count: u32| (count > 0).then(|| count + 1);
    count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).map(drop).map_err(|_| IsZero)
}

/// Lowers a count that is not zero; returns what is left.
pub(crate) fn lower(count: &AtomicU32) -> Result<u32, IsZero> {
    let less = |count: u32| count.checked_sub(1);
    count.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).map(|count| count - 1).map_err(|_| IsZero)
}

impl Frame {
    pub(crate) fn is_free(&self) -> bool {
        self.refs.load(Ordering::Acquire) == 0
    }

    /// Takes a reference, unless the frame is free (`folio_try_get`).
    pub(crate) fn get(&self) -> Result<(), IsZero> {
        raise(&self.refs)
    }
}

/// What a frame's bytes are a part of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'m> {
    pub(crate) memory: &'m PhysicalMemory,
    pub(crate) pfn: Pfn,
    /// Whether they are poisoned when it is freed: nobody may use them then.
    pub(crate) poisons: bool,
}

impl Bytes<'_> {
    /// The frame was freed.
    pub(crate) fn freed(self, frame: &Frame) {
        if self.poisons {
            frame.kept.store(self.memory.load(self.pfn.address()), Ordering::Release);
            self.memory.fill_frame(self.pfn, POISON);
            frame.whole.store(true, Ordering::Release);
        }
    }

    /// The frame is taken, with one reference; false: somebody has it.
    pub(crate) fn allocate(self, frame: &Frame) -> bool {
        if frame.refs.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        if self.poisons {
            self.memory.fill_frame(self.pfn, frame.kept.load(Ordering::Acquire));
            frame.whole.store(true, Ordering::Release);
        }
        true
    }

    /// What it holds at the start; poisoned already, if nobody holds it.
    pub(crate) fn fill(self, frame: &Frame, content: u64) {
        self.memory.fill_frame(self.pfn, content);
        if frame.is_free() {
            self.freed(frame);
        }
        frame.whole.store(false, Ordering::Release);
    }
}
