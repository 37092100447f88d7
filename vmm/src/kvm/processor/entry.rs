//! A processor's first state: 32-bit protected mode, flat segments, no paging, and what its CPUID says.
//!
//! Invariant: every boot protocol of this machine enters here (Multiboot 0.6.96, 3.2; PVH; Linux's 32-bit boot
//! protocol), so a guest never sees real mode on the first processor.

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_dtable, kvm_regs, kvm_segment};
use kvm_ioctls::{Cap, Error, VcpuFd};

use super::cpuid::{self, Count, flags::CpuFlags};
use crate::kvm::{System, VcpuId};

const CR0_PE: u64 = 1 << 0;
const CR0_ET: u64 = 1 << 4;
/// RFLAGS with nothing but the bit that is always 1: interrupts are off.
const FLAGS: u64 = 0x2;

/// Selectors that the Linux boot protocol names; the others leave them open.
pub const CODE_SELECTOR: u16 = 0x10;
/// The same for data and stack.
pub const DATA_SELECTOR: u16 = 0x18;
/// Types of an accessed, readable code segment and of an accessed, writable data segment.
const CODE: u8 = 11;
const DATA: u8 = 3;
/// Type of a busy 32-bit task segment.
const BUSY_TASK: u8 = 11;

/// The leaf of features, and in its ECX: the local APIC's timer counts to a time stamp; a hypervisor is there.
const FEATURES: u32 = 1;
const TSC_DEADLINE: u32 = 1 << 24;
const HYPERVISOR: u32 = 1 << 31;

/// An ioctl that failed, by name.
type Failed = (&'static str, Error);

/// Where the first processor starts, and with what in its registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// The first instruction.
    pub rip: u32,
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ESI.
    pub esi: u32,
    /// A table with descriptors at [`CODE_SELECTOR`] and [`DATA_SELECTOR`].
    pub descriptors: u32,
    /// Its length in bytes.
    pub descriptors_len_bytes: u16,
}

impl Entry {
    /// Puts `fd` there.
    pub(super) fn apply(&self, fd: &VcpuFd) -> Result<(), Failed> {
        let mut special = fd.get_sregs().map_err(|error| ("KVM_GET_SREGS", error))?;
        let data = segment(DATA_SELECTOR, DATA);
        special.cs = segment(CODE_SELECTOR, CODE);
        (special.ds, special.es, special.fs, special.gs, special.ss) = (data, data, data, data, data);
        special.tr = kvm_segment { type_: BUSY_TASK, present: 1, limit: 0xffff, ..Default::default() };
        special.gdt = kvm_dtable {
            base: self.descriptors.into(),
            limit: self.descriptors_len_bytes.saturating_sub(1),
            ..Default::default()
        };
        special.cr0 = CR0_PE | CR0_ET;
        fd.set_sregs(&special).map_err(|error| ("KVM_SET_SREGS", error))?;
        let general = kvm_regs {
            rip: self.rip.into(),
            rax: self.eax.into(),
            rbx: self.ebx.into(),
            rsi: self.esi.into(),
            rflags: FLAGS,
            ..Default::default()
        };
        fd.set_regs(&general).map_err(|error| ("KVM_SET_REGS", error))
    }
}

fn segment(selector: u16, type_: u8) -> kvm_segment {
    kvm_segment { limit: u32::MAX, selector, type_, present: 1, db: 1, s: 1, g: 1, ..Default::default() }
}

/// Gives `fd` the CPUID that this KVM supports, less what is masked, with its own number and place in it.
pub(super) fn identify(
    system: &System,
    fd: &VcpuFd,
    id: VcpuId,
    count: Count,
    masked: &CpuFlags,
) -> Result<(), Failed> {
    let supported = system.supported_cpuid().map_err(|error| ("KVM_GET_SUPPORTED_CPUID", error))?;
    let mut leaves = supported.as_slice().to_vec();
    let deadline = system.kvm().check_extension(Cap::TscDeadlineTimer);
    for leaf in leaves.iter_mut().filter(|leaf| leaf.function == FEATURES) {
        leaf.ecx |= HYPERVISOR | if deadline { TSC_DEADLINE } else { 0 };
    }
    let leaves = CpuId::from_entries(&cpuid::describe(leaves, id.0.into(), count, masked))
        .map_err(|_| ("KVM_SET_CPUID2", Error::new(libc::E2BIG)))?;
    fd.set_cpuid2(&leaves).map_err(|error| ("KVM_SET_CPUID2", error))?;
    let taken = fd.get_cpuid2(KVM_MAX_CPUID_ENTRIES).map_err(|error| ("KVM_GET_CPUID2", error))?;
    // One that cannot intercept CPUID tells a guest what the host's processor is.
    let left = masked.left_in(taken.as_slice());
    if id == VcpuId::FIRST && !left.is_empty() {
        log::warn!(
            "this KVM does not mask all CPU flags: the guest is told of {} all the same",
            left.join(", ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
