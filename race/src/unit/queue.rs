//! The invalidation queue of one unit from the driver's side: descriptors, a wait behind them, the doorbell, the status.
//!
//! Invariant: when [`Queue::submit`] returns, the unit has completed what was submitted: nothing that went is used any more.
//! The unit is as late as it may be: it executes nothing before its driver looks whether it is done.
//! Source: VT-d 6.5.2; drivers/iommu/intel/dmar.c `qi_submit_sync`.

use std::sync::Arc;
use std::thread;

use iommu::spec::descriptor::{Descriptor, Wait};
use iommu::spec::register::Register;
use iommu::spec::status;
use iommu::vtd::{Vtd, Width};
use mmu::address::{PAGE_SIZE, Pfn};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;

/// IQA: descriptors of 32 bytes, in a ring of one frame.
const WIDE: u64 = 1 << 11;
const DESCRIPTOR_BYTES: u64 = 32;
/// Descriptors ahead of one wait; a ring that is full looks like one that is empty.
const MOST_AHEAD: usize = (PAGE_SIZE / DESCRIPTOR_BYTES) as usize - 2;

/// The frames of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    pub(crate) queue: Pfn,
    /// Whose first word waits write their numbers to.
    pub(crate) status: Pfn,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue {
    unit: Arc<Vtd>,
    memory: Arc<PhysicalMemory>,
    ring: Ring,
    end: Mutex<End>,
}

/// Where the next descriptor goes.
#[derive(Debug, Default)]
struct End {
    tail: u64,
    /// Of the newest wait.
    number: u32,
    /// Whether anything was put behind it.
    is_open: bool,
}

impl Queue {
    /// A queue of `unit`, which is told where it lies; it is not switched on yet.
    pub(crate) fn new(unit: &Arc<Vtd>, memory: &Arc<PhysicalMemory>, ring: Ring) -> Self {
        unit.write(Register::QUEUE_ADDRESS.0.into(), Width::Bits64, ring.queue.address().0 | WIDE);
        unit.run_queue_when_asked();
        Self { unit: Arc::clone(unit), memory: Arc::clone(memory), ring, end: Mutex::default() }
    }

    /// Submits `descriptors` in their order, and waits until they are complete.
    pub(crate) fn submit(&self, descriptors: &[Descriptor]) {
        for batch in descriptors.chunks(MOST_AHEAD) {
            let mut end = self.end.lock();
            batch.iter().for_each(|descriptor| self.put(&mut end, descriptor));
            self.wait(&mut end);
        }
    }

    /// Submits them, and does not wait.
    #[cfg(test)]
    pub(crate) fn submit_only(&self, descriptors: &[Descriptor]) {
        let mut end = self.end.lock();
        descriptors.iter().for_each(|descriptor| self.put(&mut end, descriptor));
        self.ring(&end);
    }

    fn put(&self, end: &mut End, descriptor: &Descriptor) {
        let place = self.ring.queue.address().offset(end.tail);
        for (offset, word) in (0..DESCRIPTOR_BYTES).step_by(8).zip(descriptor.encode()) {
            self.memory.store(place.offset(offset), word);
        }
        end.tail = (end.tail + DESCRIPTOR_BYTES) % PAGE_SIZE;
        end.is_open = true;
    }

    /// Waits for what was submitted and not waited for; head and tail stay where they are.
    pub(crate) fn settle(&self) {
        let mut end = self.end.lock();
        if end.is_open {
            self.wait(&mut end);
        }
    }

    /// Whether the unit had executed all that lies in the ring, and has nothing to complain of.
    #[cfg(test)]
    pub(crate) fn is_settled(&self) -> bool {
        let end = self.end.lock();
        // The status first: who asks for the head lets the unit go on.
        let status = self.memory.load(self.ring.status.address()) == u64::from(end.number);
        let head = self.unit.read(Register::QUEUE_HEAD.0.into(), Width::Bits64);
        let faults = self.unit.read(Register::FAULT_STATUS.0.into(), Width::Bits32);
        status && head == end.tail && !end.is_open && faults == 0
    }

    fn ring(&self, end: &End) {
        self.unit.write(Register::QUEUE_TAIL.0.into(), Width::Bits64, end.tail);
    }

    fn wait(&self, end: &mut End) {
        end.number = end.number.wrapping_add(1);
        let status = self.ring.status.address();
        let wait = Wait { status: Some((status, end.number)), ..Wait::default() };
        self.put(end, &Descriptor::Wait(wait));
        self.ring(end);
        while self.memory.load(status) != u64::from(end.number) {
            let faults = self.unit.read(Register::FAULT_STATUS.0.into(), Width::Bits32);
            assert!(
                faults & u64::from(status::QUEUE_ERROR) == 0,
                "the unit refuses a descriptor of its own driver: IQERCD is {:#x}",
                self.unit.read(Register::QUEUE_ERROR.0.into(), Width::Bits64)
            );
            thread::yield_now();
        }
        end.is_open = false;
    }
}
