//! The invalidation queue: descriptors are executed in order; a wait completes when everything ahead of it is complete.
//!
//! Invariant: a wait's status is written after the accesses in flight that could use something invalidated ahead of it
//! have ended, in the unit and in every device that was told. A descriptor that cannot be executed stops the queue where
//! it lies until software clears the error. One doorbell executes each place of the ring at most once.
//! Source: VT-d 6.5.2 (queue), 6.5.2.8 (wait), 6.5.2.9 and 6.5.2.10 (errors, order).

use std::iter::successors;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mmu::address::PhysAddr;

use crate::spec::command::{self, QueueAddress, TableMode};
use crate::spec::descriptor::{Descriptor, Wait, Words};
use crate::spec::register::Register;
use crate::spec::status::{self, QueueError};
use crate::vtd::Vtd;
use crate::vtd::device_tlb::Device;
use crate::vtd::event::Event;
use crate::vtd::knobs::{Gate, Mischief, Verdict};
use crate::vtd::registers::Registers;
use crate::vtd::witness::Ended;

/// What the queue remembers from one descriptor to the next.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) gate: Gate,
    pub(super) mischief: Mischief,
    /// Accesses through the IOTLB may still use what was invalidated.
    undrained: bool,
    /// So may accesses through these devices' TLBs.
    told: Vec<Arc<Device>>,
    /// The wait at the head was fetched, and waits for a device.
    is_waiting: bool,
}

/// Where the next descriptor lies.
struct Slot {
    address: PhysAddr,
    width_bytes: u64,
    /// IQH when it is done.
    next: u64,
}

/// What became of a pending wait when a device was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WaitFate {
    /// There was none.
    NonePending,
    /// The head lies behind it, and its status is never written.
    Aborted,
}

/// Whether the queue can go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    Done,
    /// A device has not answered yet.
    Blocked,
}

impl Vtd {
    /// Executes what lies between head and tail.
    pub(super) fn run_queue(&self) {
        self.run_queue_while(Gate::admits);
    }

    /// Software reads a register that tells whether the queue is done.
    pub(super) fn run_queue_asked(&self) {
        self.run_queue_while(|gate| gate == Gate::Lazy);
    }

    /// The machine ends: a queue that runs stops before its next descriptor, and none runs again. A ring can hold so much
    /// work that whoever rang the doorbell would not come back in time.
    pub fn power_off(&self) {
        self.is_off.store(true, Ordering::Release);
    }

    fn run_queue_while(&self, admits: impl Fn(Gate) -> bool) {
        let mut queue = self.queue.lock();
        for _ in 0..self.ring_slots() {
            let goes_on = admits(queue.gate) && !self.is_off.load(Ordering::Acquire);
            if !goes_on || self.step(&mut queue) == Progress::Blocked {
                return;
            }
        }
    }

    /// What lies between head and tail, as far as it can be read, in its order.
    pub(crate) fn queued(&self) -> Vec<Descriptor> {
        let registers = self.registers.lock();
        let address = QueueAddress::decode(registers.long(Register::QUEUE_ADDRESS));
        let tail = registers.long(Register::QUEUE_TAIL);
        let first = self.next_slot(&registers).ok().flatten();
        drop(registers);
        let behind = |slot: &Slot| (slot.next != tail).then(|| Slot::new(&address, slot.next));
        successors(first, behind).map_while(|slot| self.fetch(&slot).ok()).collect()
    }

    fn ring_slots(&self) -> u64 {
        let address = QueueAddress::decode(self.registers.lock().long(Register::QUEUE_ADDRESS));
        address.len_bytes / address.width_bytes
    }

    /// One descriptor. With nothing to do it is blocked too.
    fn step(&self, queue: &mut Queue) -> Progress {
        // Apart from the match, which would hold the lock to its end.
        let next = self.next_slot(&self.registers.lock());
        let slot = match next {
            Ok(Some(slot)) => slot,
            Ok(None) => return Progress::Blocked,
            Err(error) => return self.stop_queue(error),
        };
        let descriptor = match self.fetch(&slot) {
            Ok(descriptor) => descriptor,
            Err(error) => return self.stop_queue(error),
        };
        queue.gate.count();
        let progress = self.execute_with_mischief(queue, descriptor);
        queue.is_waiting = progress == Progress::Blocked;
        if progress == Progress::Blocked {
            return Progress::Blocked;
        }
        self.registers.lock().set_long(Register::QUEUE_HEAD, slot.next);
        Progress::Done
    }

    /// The descriptor at the head, if there is one and the queue runs.
    fn next_slot(&self, registers: &Registers) -> Result<Option<Slot>, QueueError> {
        let stopped = status::QUEUE_ERROR | status::TIME_OUT_ERROR;
        let on = registers.word(Register::GLOBAL_STATUS) & command::QUEUE != 0;
        let (head, tail) = (registers.long(Register::QUEUE_HEAD), registers.long(Register::QUEUE_TAIL));
        if !on || head == tail || registers.word(Register::FAULT_STATUS) & stopped != 0 {
            return Ok(None);
        }
        let address = QueueAddress::decode(registers.long(Register::QUEUE_ADDRESS));
        let width_bytes = address.width_bytes;
        self.check_width(width_bytes)?;
        if tail >= address.len_bytes {
            return Err(QueueError::Tail);
        }
        if tail % width_bytes != 0 {
            return Err(QueueError::Alignment);
        }
        Ok(Some(Slot::new(&address, head)))
    }

    /// Wide descriptors come with scalable mode: a unit that has it takes them in legacy mode too.
    fn check_width(&self, width_bytes: u64) -> Result<(), QueueError> {
        match self.root().mode {
            TableMode::Invalid => Err(QueueError::Mode),
            TableMode::Scalable if width_bytes == 16 => Err(QueueError::Width),
            TableMode::Legacy | TableMode::Scalable if width_bytes == 32 && !self.options.scalable_mode => {
                Err(QueueError::Width)
            }
            TableMode::Legacy | TableMode::Scalable => Ok(()),
        }
    }

    fn fetch(&self, slot: &Slot) -> Result<Descriptor, QueueError> {
        let mut words: Words = [0; 4];
        for (word, offset) in words.iter_mut().zip((0..slot.width_bytes).step_by(8)) {
            let loaded = self.memory.try_load(slot.address.offset(offset));
            *word = loaded.ok_or(QueueError::Fetch)?;
        }
        Descriptor::decode(words, slot.width_bytes)
    }

    /// Executes a descriptor as the knobs want it.
    fn execute_with_mischief(&self, queue: &mut Queue, descriptor: Descriptor) -> Progress {
        if let Some(late) = queue.mischief.overdue(&descriptor) {
            self.tell_invalidated(&late, Verdict::Execute);
            self.execute(queue, late);
        }
        let verdict = queue.mischief.judge(descriptor);
        self.tell_invalidated(&descriptor, verdict);
        match verdict {
            Verdict::Execute => self.execute(queue, descriptor),
            Verdict::Leave => Progress::Done,
        }
    }

    /// Tells of an invalidation, before anything is done with it.
    pub(super) fn tell_invalidated(&self, descriptor: &Descriptor, verdict: Verdict) {
        if let Some(witness) = self.witness().filter(|_| descriptor.invalidates()) {
            witness.invalidated(self, descriptor, verdict);
        }
    }

    pub(super) fn tell_ended(&self, ended: Ended) {
        if let Some(witness) = self.witness() {
            witness.ended(ended);
        }
    }

    fn execute(&self, queue: &mut Queue, descriptor: Descriptor) -> Progress {
        match descriptor {
            Descriptor::ContextCache(scope) => self.invalidate_contexts(scope),
            Descriptor::PasidCache(scope) => self.invalidate_pasids(scope),
            Descriptor::Iotlb { scope, drains } => {
                self.invalidate_iotlb(scope);
                queue.undrained |= drains;
            }
            Descriptor::DeviceTlb(scope) => {
                if let Some(device) = self.device(scope.source) {
                    device.invalidate(&scope);
                    queue.remember(device);
                }
            }
            Descriptor::InterruptEntries(scope) => self.invalidate_interrupts(scope),
            Descriptor::PageGroupResponse(response) => self.respond(response),
            Descriptor::Wait(wait) => return self.complete(queue, &wait),
        }
        Progress::Done
    }

    fn complete(&self, queue: &mut Queue, wait: &Wait) -> Progress {
        if queue.told.iter().any(|device| device.owes_answer()) {
            return Progress::Blocked;
        }
        if std::mem::take(&mut queue.undrained) {
            self.iotlb.drain();
        }
        queue.told.drain(..).for_each(|device| device.drain());
        if wait.drains_requests {
            self.deliver_requests();
        }
        self.tell_ended(Ended::Waited);
        if let Some((address, data)) = wait.status {
            self.write_status(address, data);
        }
        if wait.interrupt {
            self.interrupt_completion();
        }
        Progress::Done
    }

    /// Stores 32 bits as one atomic step, after everything before. An address outside memory takes nothing.
    fn write_status(&self, address: PhysAddr, data: u32) {
        let place = PhysAddr(address.0 & !7);
        let shift = (address.0 & 4) * 8;
        while let Some(word) = self.memory.try_load(place) {
            let new = word & !(0xffff_ffff << shift) | u64::from(data) << shift;
            match self.memory.try_compare_exchange(place, word, new) {
                Some(Err(_)) => {}
                Some(Ok(_)) | None => return,
            }
        }
    }

    fn interrupt_completion(&self) {
        let mut registers = self.registers.lock();
        let pending = registers.word(Register::COMPLETION_STATUS) & status::WAIT_COMPLETE != 0;
        registers.raise(Register::COMPLETION_STATUS, status::WAIT_COMPLETE);
        let message = if pending { None } else { Event::COMPLETION.happen(&mut registers) };
        drop(registers);
        self.send(message);
    }

    fn stop_queue(&self, error: QueueError) -> Progress {
        self.registers.lock().set_long(Register::QUEUE_ERROR, error.encode());
        self.raise_fault_status(status::QUEUE_ERROR);
        Progress::Blocked
    }

    /// A device does not answer: its invalidations are given up, a wait that is pending is aborted, and the queue stops
    /// until software clears the error. Other devices that have not answered yet are waited for by the next wait.
    pub(super) fn abort_waits(&self, queue: &mut Queue, device: &Device) -> WaitFate {
        let given_up = device.give_up();
        self.tell_ended(Ended::GivenUp(device.source(), given_up));
        queue.told.retain(|told| told.source() != device.source());
        let mut registers = self.registers.lock();
        let next = self.next_slot(&registers).ok().flatten();
        let aborted = next.filter(|_| std::mem::take(&mut queue.is_waiting));
        if let Some(slot) = &aborted {
            registers.set_long(Register::QUEUE_HEAD, slot.next);
        }
        registers.set_long(Register::QUEUE_ERROR, status::time_out(device.source()));
        drop(registers);
        self.raise_fault_status(status::TIME_OUT_ERROR);
        if aborted.is_some() { WaitFate::Aborted } else { WaitFate::NonePending }
    }
}

impl Slot {
    /// The slot at `head` of the queue at `address`, which software may have moved under the head.
    fn new(address: &QueueAddress, head: u64) -> Self {
        let QueueAddress { base, len_bytes, width_bytes } = *address;
        let head = head % len_bytes / width_bytes * width_bytes;
        Self { address: base.offset(head), width_bytes, next: (head + width_bytes) % len_bytes }
    }
}

impl Queue {
    fn remember(&mut self, device: Arc<Device>) {
        if !self.told.iter().any(|told| Arc::ptr_eq(told, &device)) {
            self.told.push(device);
        }
    }
}
