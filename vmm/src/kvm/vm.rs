//! A machine: a memory slot at guest-physical 0, another if its memory has a hole, local APICs in the kernel, an I/O APIC in this process or none.
//!
//! Invariant: the slots' host mapping outlives the machine, because the machine owns a share of it. The slots are
//! made before the interrupt chip: the other way round, each slot waits for a grace period of the interrupt
//! routing (milliseconds).
#![expect(unsafe_code, reason = "hands KVM the mapping of physical memory as a slot, and events")]

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::sync::Arc;

use kvm_bindings::{
    KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X2APIC_API, KVM_IRQ_ROUTING_MSI,
    KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK, KVM_X2APIC_API_USE_32BIT_IDS, KVM_X86_QUIRK_FIX_HYPERCALL_INSN,
    KvmIrqRouting, kvm_enable_cap, kvm_irq_routing_entry, kvm_irq_routing_msi, kvm_msi,
    kvm_userspace_memory_region,
};
use kvm_ioctls::{IoEventAddress, NoDatamatch, VcpuFd, VmFd};
use mmu::memory::PhysicalMemory;
use pcie::Msi;
use thiserror::Error;
use vmm_sys_util::eventfd::EventFd;

use super::{System, VcpuId};
use crate::remedy::remedy;

/// Messages to this address are interrupts (Intel SDM vol. 3, 12.11.1); bits 12 to 19 name the APIC.
const MSI_ADDRESS: u32 = 0xfee0_0000;
/// Three pages that KVM on some processors needs for real mode, and a page table for unpaged protected mode; both
/// right below the firmware's place, where no machine of ours has anything.
const TASK_SEGMENT_ADDRESS: usize = 0xfffb_d000;
const IDENTITY_MAP_ADDRESS: u64 = 0xfffb_c000;

/// What to do about a KVM that does not say what it lacks.
const OTHERS: &str = "end other programs that use KVM, or see the kernel log";

/// Why a machine could not be made or could not deliver.
#[derive(Debug, Error)]
pub enum VmError {
    /// An ioctl failed.
    #[error("{operation} failed: {source}; {}", remedy(source, OTHERS))]
    Kvm {
        /// The ioctl's name.
        operation: &'static str,
        /// The kernel's answer.
        source: kvm_ioctls::Error,
    },
    /// KVM does not take an interrupt, or what interrupts are to be, as the guest has programmed it.
    #[error("KVM does not take what the guest asks of interrupts: {operation} failed: {source}")]
    Refused {
        /// The ioctl's name.
        operation: &'static str,
        /// The kernel's answer.
        source: kvm_ioctls::Error,
    },
    /// A table of interrupt routes could not be made.
    #[error("{count} interrupt routes do not fit KVM's table; this is a bug of the machine's wiring")]
    Routes {
        /// How many.
        count: usize,
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

/// How many inputs the I/O APIC has that this process emulates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IoApicPins(pub u8);

/// What became of an interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivered {
    /// A local APIC took it.
    Taken,
    /// No local APIC has that id or takes interrupts.
    Lost,
}

/// A virtual machine without vCPUs; [`Vcpu::new`](super::Vcpu::new) adds them.
#[derive(Debug)]
pub struct Vm {
    fd: VmFd,
    memory: Arc<PhysicalMemory>,
}

impl Vm {
    /// A machine whose physical memory is `memory`, all of it, from address 0 on.
    ///
    /// # Errors
    /// [`VmError::Kvm`] names the ioctl that failed.
    pub fn new(system: &System, memory: Arc<PhysicalMemory>) -> Result<Self, VmError> {
        let vm = Self::with_memory(system, memory)?;
        vm.enable_local_apics(IoApicPins(0)).map_err(VmError::of("KVM_CAP_SPLIT_IRQCHIP"))?;
        Ok(vm)
    }

    /// A machine as [`new`](Self::new) makes it, whose guest may be in any mode of the processor, and in which this
    /// process is an I/O APIC with `pins` inputs: ends of interrupts that [`route`](Self::route) named come back.
    ///
    /// # Errors
    /// [`VmError::Kvm`] names the ioctl that failed.
    pub fn with_io_apic(
        system: &System,
        memory: Arc<PhysicalMemory>,
        pins: IoApicPins,
    ) -> Result<Self, VmError> {
        let vm = Self::with_memory(system, memory)?;
        vm.fd
            .set_identity_map_address(IDENTITY_MAP_ADDRESS)
            .map_err(VmError::of("KVM_SET_IDENTITY_MAP_ADDR"))?;
        vm.fd.set_tss_address(TASK_SEGMENT_ADDRESS).map_err(VmError::of("KVM_SET_TSS_ADDR"))?;
        vm.enable_wide_ids().map_err(VmError::of("KVM_CAP_X2APIC_API"))?;
        vm.leave_hypercalls_alone().map_err(VmError::of("KVM_CAP_DISABLE_QUIRKS2"))?;
        vm.enable_local_apics(pins).map_err(VmError::of("KVM_CAP_SPLIT_IRQCHIP"))?;
        Ok(vm)
    }

    fn with_memory(system: &System, memory: Arc<PhysicalMemory>) -> Result<Self, VmError> {
        let fd = system.kvm().create_vm().map_err(VmError::of("KVM_CREATE_VM"))?;
        let vm = Self { fd, memory };
        (0..)
            .zip(vm.memory.pieces())
            .try_for_each(|(slot, piece)| vm.set_memory_slot(slot, &piece))
            .map_err(VmError::of("KVM_SET_USER_MEMORY_REGION"))?;
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

    /// Sends `message` to the local APICs; whether one of them took it.
    ///
    /// # Errors
    /// [`VmError::Refused`] if KVM knows no such message.
    pub fn send(&self, message: Msi) -> Result<Delivered, VmError> {
        let [a, b, c, d, e, f, g, h] = message.address.to_le_bytes();
        let msi = kvm_msi {
            address_lo: u32::from_le_bytes([a, b, c, d]),
            address_hi: u32::from_le_bytes([e, f, g, h]),
            data: message.data,
            ..Default::default()
        };
        let taken = self.fd.signal_msi(msi).map_err(VmError::refused("KVM_SIGNAL_MSI"))?;
        Ok(if taken > 0 { Delivered::Taken } else { Delivered::Lost })
    }

    /// Tells KVM which messages the level-triggered inputs of the I/O APIC send, by input: the ends of just these
    /// interrupts come back as [`Access::EndOfInterrupt`](super::Access::EndOfInterrupt).
    ///
    /// # Errors
    /// [`VmError`] if KVM refuses the table.
    pub fn route(&self, messages: &[Option<Msi>]) -> Result<(), VmError> {
        let entries: Vec<_> =
            (0..).zip(messages).filter_map(|(pin, message)| Some(route(pin, (*message)?))).collect();
        let table =
            KvmIrqRouting::from_entries(&entries).map_err(|_| VmError::Routes { count: entries.len() })?;
        self.fd.set_gsi_routing(&table).map_err(VmError::refused("KVM_SET_GSI_ROUTING"))
    }

    /// From now on a store of the guest's to `address`, of any width, rings the event `bell` and does not leave the
    /// guest.
    ///
    /// # Errors
    /// [`VmError::Kvm`] if KVM has no room for it.
    pub fn attach_bell(&self, address: u64, bell: impl AsFd) -> Result<(), VmError> {
        let attach =
            |bell: &EventFd| self.fd.register_ioevent(bell, &IoEventAddress::Mmio(address), NoDatamatch);
        with_event(bell.as_fd(), attach).map_err(VmError::of("KVM_IOEVENTFD"))
    }

    /// Not any more. On return whoever has rung it has done so.
    ///
    /// # Errors
    /// [`VmError::Kvm`] if it was not attached there.
    pub fn detach_bell(&self, address: u64, bell: impl AsFd) -> Result<(), VmError> {
        let detach =
            |bell: &EventFd| self.fd.unregister_ioevent(bell, &IoEventAddress::Mmio(address), NoDatamatch);
        with_event(bell.as_fd(), detach).map_err(VmError::of("KVM_IOEVENTFD"))
    }

    /// Makes the vCPU's file.
    pub(super) fn create_vcpu(&self, vcpu: VcpuId) -> Result<VcpuFd, VmError> {
        self.fd.create_vcpu(u64::from(vcpu.0)).map_err(VmError::of("KVM_CREATE_VCPU"))
    }

    fn set_memory_slot(&self, slot: u32, piece: &Range<u64>) -> Result<(), kvm_ioctls::Error> {
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: piece.start,
            memory_size: piece.end - piece.start,
            userspace_addr: self.memory.host_address() + piece.start,
        };
        // SAFETY: the region is a piece of one shared mapping, which holds all addresses of `pieces`; `self.memory` keeps it mapped for as long as
        // this machine's file is open, and every vCPU holds a share of it too. No Rust reference covers it.
        unsafe { self.fd.set_user_memory_region(region) }
    }

    /// Lets KVM heed bits 31:8 of an id in a message: without, whom they name is the local APIC whose id is the rest.
    fn enable_wide_ids(&self) -> Result<(), kvm_ioctls::Error> {
        let mut cap = kvm_enable_cap { cap: KVM_CAP_X2APIC_API, ..Default::default() };
        cap.args[0] = (KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK).into();
        self.fd.enable_cap(&cap)
    }

    /// Makes the other vendor's hypercall an invalid opcode, as Documentation/virt/kvm/api.rst describes. Otherwise KVM
    /// writes its own over it, which fails in code that is read-only, and never ends where KVM emulates the guest's kernel.
    fn leave_hypercalls_alone(&self) -> Result<(), kvm_ioctls::Error> {
        let known = self.fd.check_extension_raw(KVM_CAP_DISABLE_QUIRKS2.into());
        let known = u32::try_from(known).unwrap_or_default();
        if known & KVM_X86_QUIRK_FIX_HYPERCALL_INSN == 0 {
            return Ok(());
        }
        let mut cap = kvm_enable_cap { cap: KVM_CAP_DISABLE_QUIRKS2, ..Default::default() };
        cap.args[0] = KVM_X86_QUIRK_FIX_HYPERCALL_INSN.into();
        self.fd.enable_cap(&cap)
    }

    fn enable_local_apics(&self, io_apic: IoApicPins) -> Result<(), kvm_ioctls::Error> {
        let mut cap = kvm_enable_cap { cap: KVM_CAP_SPLIT_IRQCHIP, ..Default::default() };
        cap.args[0] = io_apic.0.into();
        self.fd.enable_cap(&cap)
    }
}

/// What `kvm-ioctls` takes an event as, which stays whoever's it is.
fn with_event<T>(event: BorrowedFd<'_>, then: impl FnOnce(&EventFd) -> T) -> T {
    // SAFETY: the descriptor is open for as long as it is borrowed, which is beyond this call, and is never closed
    // here.
    let event = ManuallyDrop::new(unsafe { EventFd::from_raw_fd(event.as_raw_fd()) });
    then(&event)
}

fn route(pin: u32, message: Msi) -> kvm_irq_routing_entry {
    let [a, b, c, d, e, f, g, h] = message.address.to_le_bytes();
    let mut entry = kvm_irq_routing_entry { gsi: pin, type_: KVM_IRQ_ROUTING_MSI, ..Default::default() };
    entry.u.msi = kvm_irq_routing_msi {
        address_lo: u32::from_le_bytes([a, b, c, d]),
        address_hi: u32::from_le_bytes([e, f, g, h]),
        data: message.data,
        ..Default::default()
    };
    entry
}

impl VmError {
    /// For `map_err`: the error of the ioctl called `operation`.
    fn of(operation: &'static str) -> impl Fn(kvm_ioctls::Error) -> Self {
        move |source| Self::Kvm { operation, source }
    }

    /// The same, where the guest chose what is asked for, unless the host has no room.
    fn refused(operation: &'static str) -> impl Fn(kvm_ioctls::Error) -> Self {
        move |source| match source.errno() {
            libc::ENOMEM => Self::Kvm { operation, source },
            _ => Self::Refused { operation, source },
        }
    }
}

#[cfg(test)]
mod tests;
