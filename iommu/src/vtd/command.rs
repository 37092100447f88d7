//! What a write to a register sets in motion.
//!
//! Invariant: GSTS follows GCMD at once: Linux panics if it does not. The register file's lock is never held while
//! something is waited for. SRTP takes over the root table and flushes nothing (CAP.ESRTPS is 0); when translation
//! goes off, accesses in flight are drained. Source: VT-d 11.4.4 to 11.4.8.

use std::sync::atomic::Ordering;

use pcie::Msi;

use crate::spec::command::{
    self, GO, InterruptTable, LEVELS, context_command, context_command_done, iotlb_command,
    iotlb_command_done, iotlb_command_drains,
};
use crate::spec::descriptor::Descriptor;
use crate::spec::register::Register;
use crate::spec::status;
use crate::vtd::event::Event;
use crate::vtd::interrupts::InterruptMode;
use crate::vtd::knobs::Verdict;
use crate::vtd::registers::{Registers, Width};
use crate::vtd::witness::{Ended, Moved};
use crate::vtd::{TRANSLATING, Vtd};

impl Vtd {
    /// What software reads at `offset` from the unit's base; 0 where nothing is.
    #[must_use]
    pub fn read(&self, offset: u64, width: Width) -> u64 {
        if [Register::FAULT_STATUS, Register::QUEUE_HEAD].iter().any(|asks| u64::from(asks.0) == offset) {
            self.give_up_unanswered();
            self.run_queue_asked();
        }
        self.registers.lock().read(offset, width)
    }

    /// Software writes `value` at `offset`; the upper half does not count in an access of 32 bits.
    pub fn write(&self, offset: u64, width: Width, value: u64) {
        let written = self.registers.lock().write(offset, width, value);
        written.into_iter().flatten().for_each(|register| self.react(register));
    }

    /// Sends an interrupt of the unit's own. Software says where to; where no local APIC is, it is lost.
    pub(super) fn send(&self, message: Option<Msi>) {
        if let Some(message) = message.filter(|message| message.is_interrupt()) {
            self.sink.send(message);
        }
    }

    fn react(&self, register: Register) {
        const CONTEXT_GO: Register = Register::CONTEXT_COMMAND.upper();
        const IOTLB_GO: Register = Register::IOTLB_INVALIDATE.upper();
        match register {
            Register::GLOBAL_COMMAND => self.command(),
            CONTEXT_GO => self.invalidate_contexts_now(),
            IOTLB_GO => self.invalidate_iotlb_now(),
            Register::QUEUE_TAIL => self.run_queue(),
            Register::FAULT_STATUS => {
                self.settle_faults();
                self.run_queue();
            }
            Register::COMPLETION_STATUS => self.settle(register, status::WAIT_COMPLETE, Event::COMPLETION),
            Register::REQUEST_STATUS => {
                let pending = status::REQUEST_PENDING | status::REQUEST_OVERFLOW;
                self.settle(register, pending, Event::REQUEST);
            }
            other if other >= Register::FAULT_RECORDS => self.settle_faults(),
            other => self.unmask(other),
        }
    }

    /// If software cleared the status, the event's interrupt is not wanted any more.
    fn settle(&self, register: Register, bits: u32, event: Event) {
        let mut registers = self.registers.lock();
        if registers.word(register) & bits == 0 {
            event.settle(&mut registers);
        }
    }

    fn unmask(&self, register: Register) {
        let Some(event) = Event::controlled_by(register) else { return };
        let message = event.send_unmasked(&mut self.registers.lock());
        self.send(message);
    }

    fn command(&self) {
        let changed = self.take_over(&mut self.registers.lock());
        self.forget_routes();
        let moves = command::TRANSLATION | command::INTERRUPTS;
        let has_moved = changed.took_root || (changed.went_on | changed.went_off) & moves != 0;
        if let Some(witness) = self.witness().filter(|_| has_moved) {
            witness.moved(self, Moved::Root);
        }
        if changed.went_off & command::TRANSLATION != 0 {
            self.iotlb.drain();
        }
        if changed.went_on & command::QUEUE != 0 {
            self.run_queue();
        }
    }

    /// GCMD becomes GSTS.
    fn take_over(&self, registers: &mut Registers) -> ChangedBits {
        let wanted = registers.word(Register::GLOBAL_COMMAND) & self.offered_commands();
        let before = registers.word(Register::GLOBAL_STATUS);
        let once = (before | wanted) & (command::ROOT_TABLE | command::INTERRUPT_TABLE);
        let after = wanted & LEVELS | once;
        if after & command::QUEUE == 0 {
            registers.set_long(Register::QUEUE_HEAD, 0);
        }
        self.take_over_root(registers, wanted);
        self.take_over_interrupts(registers, wanted);
        registers.set(Register::GLOBAL_STATUS, after);
        let took_root = wanted & (command::ROOT_TABLE | command::INTERRUPT_TABLE) != 0;
        ChangedBits { took_root, went_on: after & !before, went_off: before & !after }
    }

    /// The bits of GCMD that ECAP lets software use.
    fn offered_commands(&self) -> u32 {
        const OF_INTERRUPTS: u32 =
            command::INTERRUPTS | command::INTERRUPT_TABLE | command::COMPATIBILITY_FORMAT;
        if self.options.interrupt_remapping { u32::MAX } else { !OF_INTERRUPTS }
    }

    fn take_over_root(&self, registers: &Registers, wanted: u32) {
        let root = if wanted & command::ROOT_TABLE != 0 {
            registers.long(Register::ROOT_TABLE)
        } else {
            self.mode.load(Ordering::Acquire) & !TRANSLATING
        };
        let translating = if wanted & command::TRANSLATION != 0 { TRANSLATING } else { 0 };
        self.mode.store(root | translating, Ordering::Release);
    }

    fn take_over_interrupts(&self, registers: &Registers, wanted: u32) {
        let mut mode = self.interrupt_mode.write();
        let table = if wanted & command::INTERRUPT_TABLE != 0 {
            let table = InterruptTable::decode(registers.long(Register::INTERRUPT_TABLE));
            if let Some(witness) = self.witness() {
                witness.moved(self, Moved::InterruptTable(table));
            }
            table
        } else {
            mode.table
        };
        *mode = InterruptMode {
            table,
            enabled: wanted & command::INTERRUPTS != 0,
            compatibility: wanted & command::COMPATIBILITY_FORMAT != 0,
        };
    }

    /// CCMD, for software without the queue.
    fn invalidate_contexts_now(&self) {
        let wanted = self.registers.lock().long(Register::CONTEXT_COMMAND);
        if wanted & GO == 0 {
            return;
        }
        if let Some(scope) = context_command(wanted) {
            self.tell_invalidated(&Descriptor::ContextCache(scope), Verdict::Execute);
            self.invalidate_contexts(scope);
            self.tell_ended(Ended::Waited);
        }
        self.registers.lock().set_long(Register::CONTEXT_COMMAND, context_command_done(wanted));
    }

    /// IOTLB and IVA, for software without the queue.
    fn invalidate_iotlb_now(&self) {
        let (wanted, address) = {
            let registers = self.registers.lock();
            (registers.long(Register::IOTLB_INVALIDATE), registers.long(Register::INVALIDATE_ADDRESS))
        };
        if wanted & GO == 0 {
            return;
        }
        if let Some(scope) = iotlb_command(wanted, address) {
            let drains = iotlb_command_drains(wanted);
            self.tell_invalidated(&Descriptor::Iotlb { scope, drains }, Verdict::Execute);
            self.invalidate_iotlb(scope);
        }
        if iotlb_command_drains(wanted) {
            self.iotlb.drain();
        }
        self.tell_ended(Ended::Waited);
        self.registers.lock().set_long(Register::IOTLB_INVALIDATE, iotlb_command_done(wanted));
    }
}

/// Status bits that a command changed.
struct ChangedBits {
    /// A root table or an interrupt table was taken over.
    took_root: bool,
    went_on: u32,
    went_off: u32,
}
