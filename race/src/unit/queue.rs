//! The invalidation queue of one unit from the driver's side: descriptors, a wait behind them, the doorbell, the status.
//!
//! Invariant: when [`Queue::submit`] has succeeded, the unit has completed what was submitted: nothing that went is used any
//! more.
//! The unit is as late as it may be: it executes nothing before its driver looks whether it is done.
//! Source: VT-d 6.5.2; drivers/iommu/intel/dmar.c `qi_submit_sync`.

use std::sync::Arc;

use iommu::spec::descriptor::{Descriptor, Wait};
use iommu::spec::register::Register;
use iommu::spec::status;
use iommu::vtd::{Vtd, Width};
use mmu::address::{PAGE_SIZE, Pfn};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;
use pcie::SourceId;

use crate::stuck::Stuck;

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
    /// Whether anything was put behind the newest one that was answered.
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
    ///
    /// # Errors
    /// [`Stuck::Cannot`] if a device does not answer: the queue stands still then.
    pub(crate) fn submit(&self, descriptors: &[Descriptor]) -> Result<(), Stuck> {
        for batch in descriptors.chunks(MOST_AHEAD) {
            let mut end = self.end.lock();
            batch.iter().for_each(|descriptor| self.put(&mut end, descriptor));
            if !self.wait(&mut end) {
                return Err(Stuck::Cannot("the device does not answer the unit's queue".to_owned()));
            }
        }
        Ok(())
    }

    /// Submits them for `source`, which does not answer: the unit times out, aborts the wait, and goes on when its driver has
    /// seen that. `qi_check_fault`.
    ///
    /// # Errors
    /// [`Stuck::Cannot`] if it is answered all the same, or not reported.
    pub(crate) fn submit_to_nobody(&self, descriptors: &[Descriptor], source: SourceId) -> Result<(), Stuck> {
        let fails = |what: &str| Err(Stuck::Cannot(what.to_owned()));
        let time_outs = u64::from(status::TIME_OUT_ERROR);
        for batch in descriptors.chunks(MOST_AHEAD) {
            let mut end = self.end.lock();
            batch.iter().for_each(|descriptor| self.put(&mut end, descriptor));
            if self.wait(&mut end) {
                return fails("the device has answered");
            }
            self.unit.time_out_device_tlb(source);
            if self.faults() & time_outs == 0 {
                return fails("the unit does not report the time-out");
            }
            self.unit.write(Register::FAULT_STATUS.0.into(), Width::Bits32, time_outs);
            if self.faults() & time_outs != 0 || self.is_answered(&end) || self.left(&end) {
                return fails("the unit does not abort the wait that was pending");
            }
        }
        Ok(())
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
            assert!(self.wait(&mut end), "a device that is there answers");
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

    /// Puts a wait behind everything, and looks until it is answered; false: it will not be, as a device does not answer.
    fn wait(&self, end: &mut End) -> bool {
        end.number = end.number.wrapping_add(1);
        let status = Some((self.ring.status.address(), end.number));
        self.put(end, &Descriptor::Wait(Wait { status, ..Wait::default() }));
        self.ring(end);
        // The unit executes what it can while its driver looks.
        let faults = self.faults();
        assert!(
            faults & u64::from(status::QUEUE_ERROR) == 0,
            "the unit refuses a descriptor of its own driver: IQERCD is {:#x}",
            self.unit.read(Register::QUEUE_ERROR.0.into(), Width::Bits64)
        );
        end.is_open = !self.is_answered(end);
        !end.is_open
    }

    fn faults(&self) -> u64 {
        self.unit.read(Register::FAULT_STATUS.0.into(), Width::Bits32)
    }

    fn is_answered(&self, end: &End) -> bool {
        self.memory.load(self.ring.status.address()) == u64::from(end.number)
    }

    /// Whether anything of the ring is not executed.
    fn left(&self, end: &End) -> bool {
        self.unit.read(Register::QUEUE_HEAD.0.into(), Width::Bits64) != end.tail
    }
}
