//! A vCPU's registers, for reports.

use std::fmt;

use kvm_bindings::{kvm_regs, kvm_sregs};
use kvm_ioctls::{Error, VcpuFd};

/// What KVM says of a vCPU. Its text spans several lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    /// General registers.
    pub(super) general: kvm_regs,
    /// Segment and control registers.
    pub(super) special: kvm_sregs,
}

impl Registers {
    /// Those of `vcpu`, which is not running.
    pub(super) fn of(vcpu: &VcpuFd) -> Result<Self, Error> {
        Ok(Self { general: vcpu.get_regs()?, special: vcpu.get_sregs()? })
    }
}

impl fmt::Display for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (r, s) = (&self.general, &self.special);
        let rows = [
            [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx), ("rdx", r.rdx)],
            [("rsi", r.rsi), ("rdi", r.rdi), ("rbp", r.rbp), ("rsp", r.rsp)],
            [("r8", r.r8), ("r9", r.r9), ("r10", r.r10), ("r11", r.r11)],
            [("r12", r.r12), ("r13", r.r13), ("r14", r.r14), ("r15", r.r15)],
            [("rip", r.rip), ("rfl", r.rflags), ("cs", s.cs.selector.into()), ("ss", s.ss.selector.into())],
            [("cr0", s.cr0), ("cr2", s.cr2), ("cr3", s.cr3), ("cr4", s.cr4)],
        ];
        for row in rows {
            for (name, value) in row {
                write!(f, "  {name:>3} {value:016x}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
