//! What can go wrong with a vCPU, and the report of a guest that cannot go on.
//!
//! Invariant: a report is collected from what KVM still gives; what it does not give is said, not guessed.

use std::fmt;

use guest_images::layout::{CODE_VA, MAX_IMAGE_BYTES, frame, port};
use kvm_bindings::kvm_regs;
use mmu::address::VirtAddr;
use thiserror::Error;

use super::Vcpu;
use crate::kvm::registers::Registers;
use crate::kvm::{VcpuId, VmError};
use crate::remedy::remedy;

/// Bytes shown at RIP; none of them crosses a page in the images.
const CODE_BYTES: usize = 16;

/// Why a vCPU could not be made or cannot go on.
#[derive(Debug, Error)]
pub enum VcpuError {
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
        remedy(source, "this KVM does not take a long-mode guest at CPL3")
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
    #[error("{vcpu}: KVM_RUN failed: {source}; see the kernel log for kvm's own words")]
    Run {
        /// Which one.
        vcpu: VcpuId,
        /// The kernel's answer.
        source: kvm_ioctls::Error,
    },
    /// The guest did what no program of this crate does.
    #[error("{vcpu} cannot go on: {report}")]
    Guest {
        /// Which one.
        vcpu: VcpuId,
        /// What it did, and its state.
        report: Box<GuestReport>,
    },
}

impl VcpuError {
    pub(super) fn setup(vcpu: VcpuId, operation: &'static str, source: kvm_ioctls::Error) -> Self {
        Self::Setup { vcpu, operation, source }
    }
}

/// The state of a guest that cannot go on. Its text spans several lines.
#[derive(Debug)]
pub struct GuestReport {
    /// What it did.
    pub exit: String,
    /// Where: for an exception, the instruction that raised it.
    pub rip: VirtAddr,
    /// The instruction's bytes, if its page is mapped.
    pub code: Option<[u8; CODE_BYTES]>,
    registers: Option<Registers>,
}

impl GuestReport {
    pub(super) fn collect(vcpu: &Vcpu, exit: String) -> Self {
        let registers = Registers::of(&vcpu.fd).ok();
        let rip = VirtAddr(registers.map_or(0, |registers| instruction(vcpu, &registers.general)));
        Self { exit, rip, code: code_at(vcpu, rip), registers }
    }
}

/// The instruction that is to blame: if a handler handed the vCPU over, the one it was called for.
fn instruction(vcpu: &Vcpu, regs: &kvm_regs) -> u64 {
    let code = CODE_VA..CODE_VA + MAX_IMAGE_BYTES as u64;
    match vcpu.last_port {
        Some(port::EXCEPTION) => vcpu.read(frame::RIP),
        Some(port::HYPERCALL | port::PAGE_FAULT) if !code.contains(&regs.rip) => vcpu.read(frame::TRAP_RIP),
        _ => regs.rip,
    }
}

fn code_at(vcpu: &Vcpu, rip: VirtAddr) -> Option<[u8; CODE_BYTES]> {
    let at = vcpu.space.resolve(&vcpu.memory, rip)?;
    let mut code = [0; CODE_BYTES];
    vcpu.memory.try_read_bytes(at, &mut code).then_some(code)
}

impl fmt::Display for GuestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at rip {}", self.exit, self.rip)?;
        match &self.registers {
            Some(registers) => write!(f, "{registers}")?,
            None => writeln!(f, "  registers: KVM gives none")?,
        }
        match &self.code {
            Some(code) => write!(f, "  code at rip: {code:02x?}"),
            None => write!(f, "  code at rip: not mapped"),
        }
    }
}
