//! KVM: a machine with one memory slot, vCPUs that run a guest program, and the way to take translations from
//! them while they run.
//!
//! Invariant: nothing outside this module speaks to /dev/kvm, and nothing in it knows why an entry is installed or
//! zapped. Read in this order: [`system`], [`vm`], [`guest`], [`vcpu`], [`zap`]; and [`processor`], a vCPU for guests that
//! know nothing of this program.
//!
//! The guest's physical addresses are [`PhysAddr`](mmu::address::PhysAddr)s: the slot maps all memory at 0. The
//! leaf table of the guest's shadow window is written by the guest's own CPL0 stub, on the host's word: a KVM that shadows
//! guest page tables would not see a store of the host to an entry that it has in use. A host may fill an entry that a zap
//! has emptied everywhere ([`ZapPort::wait_until_applied`]): the next access finds nothing in use, and is walked.

pub mod guest;
pub mod processor;
pub mod system;
pub mod vcpu;
pub mod vm;
pub mod zap;

mod registers;

use std::fmt;

use guest_images::layout::MAX_VCPUS;

pub use guest::GuestSpace;
pub use processor::cpuid::flags::CpuFlags;
pub use processor::{
    Access, Count, Entry, Holder, Processor, ProcessorError, ProcessorHandle, Report as ProcessorReport,
};
pub use system::{System, SystemError};
pub use vcpu::{Exit, Hypercall, Install, Vcpu, VcpuError, VcpuHandle};
pub use vm::{Vm, VmError};
pub use zap::{PageSet, VcpuSet, ZapError, ZapPort, ZapTicket};

/// A vCPU's number, from 0; also its local APIC's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VcpuId(u8);

impl VcpuId {
    /// The vCPU number `index`; none from [`MAX_VCPUS`] on.
    #[must_use]
    pub fn new(index: usize) -> Option<Self> {
        u8::try_from(index).ok().filter(|_| index < MAX_VCPUS).map(Self)
    }

    /// The first vCPU.
    pub const FIRST: Self = Self(0);

    /// The number as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// How programs call this vCPU: its number plus 1, so that 0 is nobody.
    #[must_use]
    pub const fn user_id(self) -> u64 {
        self.0 as u64 + 1
    }

    /// The vCPUs 0 to `count` - 1.
    ///
    /// # Panics
    /// If `count` is above [`MAX_VCPUS`].
    pub fn first(count: usize) -> impl Iterator<Item = Self> {
        assert!(count <= MAX_VCPUS, "{count} vCPUs asked for; a guest has at most {MAX_VCPUS}");
        (0..count).filter_map(Self::new)
    }
}

impl fmt::Display for VcpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vCPU {}", self.0)
    }
}
