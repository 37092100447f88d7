//! What can go wrong with a processor, and the report of a guest that cannot go on.
//!
//! Invariant: a report is collected from what KVM still gives; what it does not give is said, not guessed.

use std::fmt;

use kvm_ioctls::VcpuFd;
use mmu::address::{PAGE_SIZE, PhysAddr};
use mmu::memory::PhysicalMemory;
use thiserror::Error;

use crate::kvm::registers::Registers;
use crate::kvm::{VcpuId, VmError};
use crate::remedy::remedy;

/// Bytes shown at RIP, fewer at the end of a page.
const CODE_BYTES: u64 = 16;

/// Why a processor could not be made or cannot go on.
#[derive(Debug, Error)]
pub enum ProcessorError {
    /// KVM made no vCPU.
    #[error("cannot create {vcpu}: {source}")]
    Create {
        /// Which one.
        vcpu: VcpuId,
        /// Why.
        source: VmError,
    },
    /// Its first state was refused.
    #[error(
        "{vcpu}: {operation} failed: {source}; {}",
        remedy(source, "this KVM does not take a guest in protected mode")
    )]
    Setup {
        /// Which one.
        vcpu: VcpuId,
        /// The ioctl's name.
        operation: &'static str,
        /// The kernel's answer.
        source: kvm_ioctls::Error,
    },
    /// KVM_RUN failed.
    #[error("{vcpu}: KVM_RUN failed: {source}; {}", remedy(source, "see the kernel log for kvm's own words"))]
    Run {
        /// Which one.
        vcpu: VcpuId,
        /// The kernel's answer.
        source: kvm_ioctls::Error,
    },
    /// The guest cannot go on.
    #[error("{vcpu} cannot go on: {report}")]
    Guest {
        /// Which one.
        vcpu: VcpuId,
        /// What it did, and its state.
        report: Box<Report>,
    },
}

impl ProcessorError {
    /// Whether the host is to blame, and not what the guest does.
    #[must_use]
    pub fn is_of_host(&self) -> bool {
        match self {
            Self::Create { .. } | Self::Setup { .. } => true,
            Self::Run { source, .. } => source.errno() == libc::ENOMEM,
            Self::Guest { .. } => false,
        }
    }

    pub(super) fn setup(vcpu: VcpuId, operation: &'static str, source: kvm_ioctls::Error) -> Self {
        Self::Setup { vcpu, operation, source }
    }
}

/// The state of a guest that cannot go on. Its text spans several lines.
#[derive(Debug)]
pub struct Report {
    exit: String,
    registers: Option<Registers>,
    code: Option<Vec<u8>>,
    when: When,
}

/// What the registers of a report are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum When {
    /// The guest's own.
    Guest,
    /// Those after a triple fault, as far as KVM leaves them alone.
    TripleFault,
}

/// Where a processor is after a reset (Intel SDM vol. 3, table 10-1).
const RESET_RIP: u64 = 0xfff0;
const RESET_CODE_BASE: u64 = 0xffff_0000;

impl Report {
    pub(super) fn collect(fd: &VcpuFd, memory: &PhysicalMemory, exit: String, when: When) -> Self {
        let registers = Registers::of(fd).ok();
        let code = registers.and_then(|registers| {
            let linear = registers.special.cs.base.wrapping_add(registers.general.rip);
            let translated = fd.translate_gva(linear).ok().filter(|translated| translated.valid != 0)?;
            code_at(memory, PhysAddr(translated.physical_address))
        });
        Self { exit, registers, code, when }
    }

    /// Whether KVM has put the processor into its first state before it told of the triple fault, as it does on AMD
    /// (arch/x86/kvm/svm/svm.c, shutdown_interception()).
    fn is_after_reset(&self) -> bool {
        let at_reset = |registers: &Registers| {
            registers.general.rip == RESET_RIP && registers.special.cs.base == RESET_CODE_BASE
        };
        self.when == When::TripleFault && self.registers.as_ref().is_some_and(at_reset)
    }
}

fn code_at(memory: &PhysicalMemory, at: PhysAddr) -> Option<Vec<u8>> {
    let len = CODE_BYTES.min(PAGE_SIZE - at.0 % PAGE_SIZE);
    let mut code = vec![0; usize::try_from(len).ok()?];
    memory.try_read_bytes(at, &mut code).then_some(code)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.registers {
            Some(registers) if self.is_after_reset() => {
                let where_is_gone = "KVM has reset the processor: these are its registers after that, and where the guest was is not known";
                return write!(f, "{}; {where_is_gone}\n{registers}  code at rip: not known", self.exit);
            }
            Some(registers) => writeln!(f, "{} at rip {:#x}\n{registers}", self.exit, registers.general.rip)?,
            None => writeln!(f, "{}\n  registers: KVM gives none", self.exit)?,
        }
        match &self.code {
            Some(code) => write!(f, "  code at rip: {code:02x?}"),
            None => write!(f, "  code at rip: not mapped"),
        }
    }
}

#[cfg(test)]
mod tests;
