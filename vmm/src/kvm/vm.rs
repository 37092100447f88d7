//! A machine: one memory slot at guest-physical 0 and local APICs in the kernel.
//!
//! Invariant: the slot's host mapping outlives the machine, because the machine owns a share of it. The slot is
//! made before the interrupt chip: the other way round, each slot waits for a grace period of the interrupt
//! routing (milliseconds).
#![expect(unsafe_code, reason = "hands the mapping of physical memory to KVM as a memory slot")]

use std::sync::Arc;

use kvm_bindings::{KVM_CAP_SPLIT_IRQCHIP, kvm_enable_cap, kvm_msi, kvm_userspace_memory_region};
use kvm_ioctls::{VcpuFd, VmFd};
use mmu::memory::PhysicalMemory;
use thiserror::Error;

use super::{System, VcpuId};

/// Messages to this address are interrupts (Intel SDM vol. 3, 12.11.1); bits 12 to 19 name the APIC.
const MSI_ADDRESS: u32 = 0xfee0_0000;
/// Interrupt lines of the I/O APIC that userspace would emulate; there is none.
const IO_APIC_LINES: u64 = 0;

/// Why a machine could not be made or could not deliver.
#[derive(Debug, Error)]
pub enum VmError {
    /// An ioctl failed.
    #[error("{operation} failed: {source}; is another program holding KVM's resources?")]
    Kvm {
        /// The ioctl's name.
        operation: &'static str,
        /// The kernel's answer.
        source: kvm_ioctls::Error,
    },
    /// An interrupt reached no local APIC.
    #[error(
        "vector {vector:#x} reached no local APIC of {vcpu}; create the vCPU before it is sent interrupts"
    )]
    Undelivered {
        /// To whom it was sent.
        vcpu: VcpuId,
        /// What was sent.
        vector: u8,
    },
}

/// A virtual machine without vCPUs; [`Vcpu::new`](super::Vcpu::new) adds them.
#[derive(Debug)]
pub struct Vm {
    fd: VmFd,
    memory: Arc<PhysicalMemory>,
}

impl Vm {
    /// A machine whose physical memory is `memory`, all of it, at address 0.
    ///
    /// # Errors
    /// [`VmError::Kvm`] names the ioctl that failed.
    pub fn new(system: &System, memory: Arc<PhysicalMemory>) -> Result<Self, VmError> {
        let fd = system.kvm().create_vm().map_err(VmError::of("KVM_CREATE_VM"))?;
        let vm = Self { fd, memory };
        vm.set_memory_slot().map_err(VmError::of("KVM_SET_USER_MEMORY_REGION"))?;
        vm.enable_local_apics().map_err(VmError::of("KVM_CAP_SPLIT_IRQCHIP"))?;
        Ok(vm)
    }

    /// The machine's memory.
    #[must_use]
    pub fn memory(&self) -> &Arc<PhysicalMemory> {
        &self.memory
    }

    /// Sends `vector` to `vcpu` as a message-signalled interrupt; it is pending in the local APIC on return.
    ///
    /// # Errors
    /// [`VmError::Undelivered`] if no local APIC took it.
    pub fn signal_msi(&self, vcpu: VcpuId, vector: u8) -> Result<(), VmError> {
        let apic = u32::from(vcpu.0) << 12;
        let msi = kvm_msi { address_lo: MSI_ADDRESS | apic, data: u32::from(vector), ..Default::default() };
        match self.fd.signal_msi(msi).map_err(VmError::of("KVM_SIGNAL_MSI"))? {
            delivered if delivered > 0 => Ok(()),
            _ => Err(VmError::Undelivered { vcpu, vector }),
        }
    }

    /// Makes the vCPU's file.
    pub(super) fn create_vcpu(&self, vcpu: VcpuId) -> Result<VcpuFd, VmError> {
        self.fd.create_vcpu(u64::from(vcpu.0)).map_err(VmError::of("KVM_CREATE_VCPU"))
    }

    fn set_memory_slot(&self) -> Result<(), kvm_ioctls::Error> {
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: self.memory.len_bytes(),
            userspace_addr: self.memory.host_address(),
        };
        // SAFETY: the region is one shared mapping of that length; `self.memory` keeps it mapped for as long as
        // this machine's file is open, and every vCPU holds a share of it too. No Rust reference covers it.
        unsafe { self.fd.set_user_memory_region(region) }
    }

    fn enable_local_apics(&self) -> Result<(), kvm_ioctls::Error> {
        let mut cap = kvm_enable_cap { cap: KVM_CAP_SPLIT_IRQCHIP, ..Default::default() };
        cap.args[0] = IO_APIC_LINES;
        self.fd.enable_cap(&cap)
    }
}

impl VmError {
    /// For `map_err`: the error of the ioctl called `operation`.
    fn of(operation: &'static str) -> impl Fn(kvm_ioctls::Error) -> Self {
        move |source| Self::Kvm { operation, source }
    }
}
