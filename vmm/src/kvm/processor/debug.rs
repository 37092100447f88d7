//! What a debugger sees of a processor and tells it, by KVM's guest debugging.
//!
//! Invariant: nothing here is in force unless a debugger has put it there, and nothing remains when [`Plan::default`] is. A
//! processor that has stopped holds itself, so it stands where it stopped until the debugger lets it go on. Source:
//! Documentation/virt/kvm/api.rst, KVM_SET_GUEST_DEBUG; Intel SDM vol. 3, 18.2 (debug registers).

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use kvm_bindings::{
    KVM_GUESTDBG_BLOCKIRQ, KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_INJECT_BP, KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW_BP, KVM_GUESTDBG_USE_SW_BP, kvm_debug_exit_arch, kvm_fpu, kvm_guest_debug,
    kvm_guest_debug_arch, kvm_regs, kvm_sregs,
};
use kvm_ioctls::{Error, VcpuFd};
use mmu::address::PhysAddr;
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};

/// How many addresses the debug registers compare.
pub const DEBUG_REGISTERS: usize = 4;

/// Vectors of the two exceptions that stop a processor.
const BREAKPOINT_EXCEPTION: u32 = 3;
/// DR6: which register matched; a single step.
const DR6_STEP: u64 = 1 << 14;
/// DR7: bit 10 is always 1; exact; a pair of bits enables a register, whose kind and length 0 mean execution.
const DR7_ALWAYS: u64 = 1 << 10;
const DR7_GLOBAL_EXACT: u64 = 1 << 9;

/// All that a debugger sees of a processor.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct RegisterFile {
    /// General registers.
    pub general: kvm_regs,
    /// Segment and control registers.
    pub special: kvm_sregs,
    /// The x87's and SSE's.
    pub float: kvm_fpu,
}

/// What a processor is to do, and where it is to stop.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Linear addresses in debug registers.
    pub registers: [Option<u64>; DEBUG_REGISTERS],
    /// Linear addresses at which memory holds an int3 of the debugger's.
    pub in_memory: Arc<BTreeSet<u64>>,
    /// How far it goes.
    pub pace: Pace,
}

/// How far a processor goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pace {
    /// Until something stops it.
    #[default]
    Continue,
    /// One instruction.
    Step,
}

/// Why a processor has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// It has made its step.
    Step,
    /// It is about to execute what is at this linear address.
    Breakpoint(u64),
    /// A debug exception that nobody asked for.
    Trap,
    /// It stands where this KVM makes no steps.
    NoStep,
}

/// At which privilege levels this KVM stops a guest for a debugger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// At all.
    Everywhere,
    /// Below 3. At 3 a guest runs as a process of the host does, its breakpoints are not met, and a step is an exception of
    /// the guest's own.
    Kernel,
}

impl Reach {
    /// Whether a processor with these registers makes a step.
    #[must_use]
    pub const fn steps(self, registers: &RegisterFile) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Kernel => registers.special.ss.dpl < 3,
        }
    }
}

/// Rings when a processor has stopped, if somebody listens.
#[derive(Debug)]
pub struct Bell {
    file: OwnedFd,
    /// Locked while a processor stops: it stops for somebody who lets it go on, or not at all.
    has_listener: Mutex<bool>,
}

impl Bell {
    /// One that is silent.
    ///
    /// # Errors
    /// What the host says if it has no event left.
    pub fn new() -> io::Result<Self> {
        let file = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { file, has_listener: Mutex::new(false) })
    }

    /// From now on processors stop, or do not any more.
    pub fn listen(&self, has_listener: bool) {
        *self.has_listener.lock() = has_listener;
    }

    /// If somebody listens, a processor stops by `stop`, and it rings; whether somebody does.
    pub(super) fn ring(&self, stop: impl FnOnce()) -> bool {
        let has_listener = self.has_listener.lock();
        if *has_listener {
            stop();
            // It can only be full of rings.
            let _rings = rustix::io::write(&self.file, &1_u64.to_ne_bytes());
        }
        *has_listener
    }

    /// Silences it.
    pub fn silence(&self) {
        // It may be silent already.
        let _was_silent = rustix::io::read(&self.file, &mut [0; 8]);
    }

    /// Readable while it rings.
    #[must_use]
    pub fn file(&self) -> &OwnedFd {
        &self.file
    }
}

impl RegisterFile {
    pub(super) fn of(fd: &VcpuFd) -> Result<Self, Error> {
        Ok(Self { general: fd.get_regs()?, special: fd.get_sregs()?, float: fd.get_fpu()? })
    }

    /// Sets what differs from `before`: what KVM takes in one group does not depend on another.
    pub(super) fn apply(&self, before: &Self, fd: &VcpuFd) -> Result<(), Error> {
        if self.special != before.special {
            fd.set_sregs(&self.special)?;
        }
        if self.float != before.float {
            fd.set_fpu(&self.float)?;
        }
        if self.general != before.general { fd.set_regs(&self.general) } else { Ok(()) }
    }
}

impl Plan {
    /// Nothing stops the processor.
    fn is_free(&self) -> bool {
        *self == Self::default()
    }

    /// Puts it in force.
    pub(super) fn apply(&self, fd: &VcpuFd) -> Result<(), Error> {
        let debug = self.words();
        match fd.set_guest_debug(&debug) {
            // A kernel before 5.15 lets interrupts come between.
            Err(error) if error.errno() == libc::EINVAL && debug.control & KVM_GUESTDBG_BLOCKIRQ != 0 => {
                let control = debug.control & !KVM_GUESTDBG_BLOCKIRQ;
                fd.set_guest_debug(&kvm_guest_debug { control, ..debug })
            }
            result => result,
        }
    }

    fn words(&self) -> kvm_guest_debug {
        if self.is_free() {
            return kvm_guest_debug::default();
        }
        let mut debug = kvm_guest_debug { control: KVM_GUESTDBG_ENABLE, ..Default::default() };
        if !self.in_memory.is_empty() {
            debug.control |= KVM_GUESTDBG_USE_SW_BP;
        }
        match self.pace {
            // It would stop before its instruction, at the register that names it, and after it the step stops it.
            Pace::Step => debug.control |= KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ,
            Pace::Continue if self.registers.iter().any(Option::is_some) => {
                debug.control |= KVM_GUESTDBG_USE_HW_BP;
                debug.arch = self.debug_registers();
            }
            Pace::Continue => {}
        }
        debug
    }

    fn debug_registers(&self) -> kvm_guest_debug_arch {
        let mut arch = kvm_guest_debug_arch::default();
        arch.debugreg[7] = DR7_ALWAYS | DR7_GLOBAL_EXACT;
        for (index, address) in self.registers.iter().enumerate() {
            if let Some(address) = address {
                arch.debugreg[index] = *address;
                arch.debugreg[7] |= 2 << (2 * index);
            }
        }
        arch
    }

    /// What KVM's exit for debugging means; none if it is the guest's own int3, which the guest is given.
    pub(super) fn stop(&self, exit: &kvm_debug_exit_arch) -> Option<Stop> {
        if exit.exception == BREAKPOINT_EXCEPTION {
            return self.in_memory.contains(&exit.pc).then_some(Stop::Breakpoint(exit.pc));
        }
        let is_step = self.pace == Pace::Step && exit.dr6 & DR6_STEP != 0;
        Some(match is_step {
            true => Stop::Step,
            false if self.registers.contains(&Some(exit.pc)) => Stop::Breakpoint(exit.pc),
            false => Stop::Trap,
        })
    }

    /// Where KVM's emulator has met an int3, which it does not know: whether it is one of the debugger's.
    pub(super) fn stop_at(&self, fd: &VcpuFd) -> Option<Stop> {
        if self.in_memory.is_empty() {
            return None;
        }
        let at = fd.get_sregs().ok()?.cs.base.wrapping_add(fd.get_regs().ok()?.rip);
        self.in_memory.contains(&at).then_some(Stop::Breakpoint(at))
    }

    /// Gives the guest its own int3.
    pub(super) fn give_back(&self, fd: &VcpuFd) -> Result<(), Error> {
        let debug = self.words();
        fd.set_guest_debug(&kvm_guest_debug { control: debug.control | KVM_GUESTDBG_INJECT_BP, ..debug })
    }
}

/// Where the linear address `at` leads, by the processor's own tables, as a load of its kernel.
pub(super) fn translate(fd: &VcpuFd, at: u64) -> Result<Option<PhysAddr>, Error> {
    let translated = fd.translate_gva(at)?;
    Ok((translated.valid != 0).then_some(PhysAddr(translated.physical_address)))
}

#[cfg(test)]
mod tests;
