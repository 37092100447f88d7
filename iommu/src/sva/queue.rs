//! The invalidation queue from the driver's side: descriptors, a wait behind them, the doorbell, and the wait's status.
//!
//! Invariant: [`InvalidationQueue::submit`] returns when the unit has completed everything that was submitted. One
//! submission at a time has the ring, from its first descriptor to its completion: so the ring always has room for it,
//! and its own wait is the only one that can be aborted. Whoever waits here waits for accesses in flight and for
//! nobody who needs a lock. Source: drivers/iommu/intel/dmar.c `qi_submit_sync`, `qi_check_fault`.

use std::sync::Arc;
use std::thread;

use mmu::address::{PAGE_SIZE, PhysAddr};
use mmu::frame::{FrameRef, FrameState, Frames, OutOfFrames};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;

use super::mmio;
use crate::spec::descriptor::{Descriptor, Wait};
use crate::spec::register::Register;
use crate::spec::status;
use crate::vtd::Vtd;

/// IQA: descriptors of 32 bytes, in a ring of one frame.
const WIDE: u64 = 1 << 11;
const DESCRIPTOR_BYTES: u64 = 32;
/// Descriptors ahead of one wait; a ring that is full looks like one that is empty.
const MOST_AHEAD: usize = (PAGE_SIZE / DESCRIPTOR_BYTES) as usize - 2;

/// What a submission waits for, beside its own descriptors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Until {
    /// Nothing.
    Done,
    /// Page requests that the unit has received lie in their ring (PD).
    RequestsDelivered,
}

/// The queue of one unit.
pub(super) struct InvalidationQueue {
    unit: Arc<Vtd>,
    memory: Arc<PhysicalMemory>,
    frame: FrameRef,
    /// Whose first word waits write their numbers to.
    status: FrameRef,
    ring: Mutex<Ring>,
}

/// Where the next descriptor goes.
#[derive(Default)]
struct Ring {
    tail: u64,
    /// Of the newest wait.
    number: u32,
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Completed,
    /// A device did not answer in time.
    Aborted,
}

impl InvalidationQueue {
    /// A queue in frames of its own. The unit is told where it lies; it is not switched on yet.
    pub(super) fn new(unit: &Arc<Vtd>, frames: &Arc<Frames>) -> Result<Self, OutOfFrames> {
        let frame = frames.allocate(FrameState::Table)?;
        let status = frames.allocate(FrameState::Table)?;
        mmio::set_long(unit, Register::QUEUE_ADDRESS, frame.pfn().address().0 | WIDE);
        Ok(Self {
            unit: Arc::clone(unit),
            memory: Arc::clone(frames.memory()),
            frame,
            status,
            ring: Mutex::default(),
        })
    }

    /// Submits `descriptors` in their order, and waits until they are complete.
    pub(super) fn submit(&self, descriptors: &[Descriptor], until: Until) {
        let mut ring = self.ring.lock();
        let mut rest = descriptors;
        loop {
            let (batch, behind) = rest.split_at(rest.len().min(MOST_AHEAD));
            // A device that was too late is told again, as the wait behind says nothing about it.
            while self.submit_batch(&mut ring, batch, until) == Ending::Aborted {}
            if behind.is_empty() {
                return;
            }
            rest = behind;
        }
    }

    fn submit_batch(&self, ring: &mut Ring, batch: &[Descriptor], until: Until) -> Ending {
        ring.number = ring.number.wrapping_add(1);
        let wait = Descriptor::Wait(Wait {
            status: Some((self.status_place(), ring.number)),
            interrupt: false,
            fence: false,
            drains_requests: until == Until::RequestsDelivered,
        });
        for descriptor in batch.iter().chain([&wait]) {
            self.put(ring, descriptor);
        }
        mmio::set_long(&self.unit, Register::QUEUE_TAIL, ring.tail);
        self.wait_for(ring.number)
    }

    fn put(&self, ring: &mut Ring, descriptor: &Descriptor) {
        let place = self.frame.pfn().address().offset(ring.tail);
        for (offset, word) in (0..DESCRIPTOR_BYTES).step_by(8).zip(descriptor.encode()) {
            self.memory.store(place.offset(offset), word);
        }
        ring.tail = (ring.tail + DESCRIPTOR_BYTES) % PAGE_SIZE;
    }

    fn wait_for(&self, number: u32) -> Ending {
        while !self.is_completed(number) {
            let faults = mmio::word(&self.unit, Register::FAULT_STATUS);
            assert!(
                faults & u64::from(status::QUEUE_ERROR) == 0,
                "the unit refuses a descriptor of its own driver: IQERCD is {:#x}",
                mmio::long(&self.unit, Register::QUEUE_ERROR)
            );
            if faults & u64::from(status::TIME_OUT_ERROR) != 0 {
                mmio::set_word(&self.unit, Register::FAULT_STATUS, status::TIME_OUT_ERROR);
                return if self.is_completed(number) { Ending::Completed } else { Ending::Aborted };
            }
            thread::yield_now();
        }
        Ending::Completed
    }

    fn is_completed(&self, number: u32) -> bool {
        self.memory.load(self.status_place()) == u64::from(number)
    }

    fn status_place(&self) -> PhysAddr {
        self.status.pfn().address()
    }
}
