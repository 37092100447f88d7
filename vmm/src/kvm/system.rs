//! /dev/kvm, opened and found good enough.
//!
//! Invariant: whoever holds a [`System`] has every capability that this module's other files use without asking.
//! Source: Documentation/virt/kvm/api.rst.

use std::path::Path;
use std::sync::OnceLock;

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::{Cap, Kvm};
use thiserror::Error;

use super::processor::debug::Reach;
use crate::remedy::remedy;

/// Where KVM is.
const DEVICE: &str = "/dev/kvm";
/// The only API version that was ever stable.
const API_VERSION: i32 = 12;

/// CPUID's leaf of address widths, and what holds without it (Intel SDM vol. 3, 4.1.4).
const ADDRESS_WIDTHS: u32 = 0x8000_0008;
const BITS_WITHOUT: u8 = 36;

/// What is needed, by the names of the kernel's documentation.
const CAPABILITIES: [(Cap, &str); 12] = [
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::SetTssAddr, "KVM_CAP_SET_TSS_ADDR"),
    (Cap::SetIdentityMapAddr, "KVM_CAP_SET_IDENTITY_MAP_ADDR"),
    (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
    (Cap::Irqchip, "KVM_CAP_IRQCHIP"),
    (Cap::SplitIrqchip, "KVM_CAP_SPLIT_IRQCHIP"),
    (Cap::IrqRouting, "KVM_CAP_IRQ_ROUTING"),
    (Cap::X2ApicApi, "KVM_CAP_X2APIC_API"),
    (Cap::SignalMsi, "KVM_CAP_SIGNAL_MSI"),
    (Cap::MpState, "KVM_CAP_MP_STATE"),
    (Cap::SyncRegs, "KVM_CAP_SYNC_REGS"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
];

/// Why this machine's KVM cannot be used.
#[derive(Debug, Error)]
pub enum SystemError {
    /// There is no KVM.
    #[error(
        "{DEVICE} does not exist; load kvm-intel or kvm-amd, enable virtualization in the firmware, or run without KVM"
    )]
    Missing,
    /// It may not be opened.
    #[error("{DEVICE} may not be opened; join its group (usually: usermod -aG kvm $USER) or run as root")]
    Forbidden,
    /// It could not be opened for another reason.
    #[error("cannot open {DEVICE}: {source}; {}", remedy(source, "see the kernel log for kvm's own words"))]
    Open {
        /// The kernel's answer.
        source: kvm_ioctls::Error,
    },
    /// The kernel speaks another API.
    #[error("{DEVICE} has API version {found}, not {API_VERSION}; use a kernel from 2.6.22 on")]
    Version {
        /// The version found.
        found: i32,
    },
    /// It does not say what its processors are.
    #[error(
        "KVM_GET_SUPPORTED_CPUID failed: {source}; {}",
        remedy(source, "see the kernel log for kvm's own words")
    )]
    Processors {
        /// The kernel's answer.
        source: kvm_ioctls::Error,
    },
    /// A capability is missing.
    #[error("{DEVICE} lacks {name}; use a newer kernel or another KVM module")]
    Capability {
        /// The capability's name.
        name: &'static str,
    },
}

/// KVM, ready for machines to be made.
#[derive(Debug)]
pub struct System {
    kvm: Kvm,
    /// What KVM said; KVM executes CPUID for it some fifty times, and each leaves a host that is a guest itself.
    cpuid: OnceLock<CpuId>,
}

impl System {
    /// Opens /dev/kvm and checks its version and capabilities.
    ///
    /// # Errors
    /// [`SystemError`] says what is missing and what to do about it.
    pub fn open() -> Result<Self, SystemError> {
        let kvm = Kvm::new().map_err(SystemError::of_open)?;
        let found = kvm.get_api_version();
        if found != API_VERSION {
            return Err(SystemError::Version { found });
        }
        check(|cap| kvm.check_extension(cap))?;
        Ok(Self { kvm, cpuid: OnceLock::new() })
    }

    /// Whether this KVM runs guests without hardware virtualization (the `kvm-pvm` module): CPL0 is emulated and
    /// guest page tables are shadowed, so a store of the host to a live entry is never seen.
    #[must_use]
    pub fn shadows_guest_tables() -> bool {
        Path::new("/sys/module/kvm_pvm").exists()
    }

    /// How wide physical addresses are that its processors have.
    ///
    /// # Errors
    /// [`SystemError::Processors`].
    pub fn address_bits(&self) -> Result<u8, SystemError> {
        let supported = self.supported_cpuid().map_err(|source| SystemError::Processors { source })?;
        let widths = supported.as_slice().iter().find(|leaf| leaf.function == ADDRESS_WIDTHS);
        Ok(widths.map_or(BITS_WITHOUT, |leaf| leaf.eax.to_le_bytes()[0]))
    }

    /// Where this KVM stops guests for a debugger: the same one does nowhere at CPL3 (measured).
    #[must_use]
    pub fn reach_of_debuggers() -> Reach {
        if Self::shadows_guest_tables() { Reach::Kernel } else { Reach::Everywhere }
    }

    /// The CPUID that this KVM can give a guest (KVM_GET_SUPPORTED_CPUID), asked for once.
    pub(super) fn supported_cpuid(&self) -> Result<&CpuId, kvm_ioctls::Error> {
        if let Some(known) = self.cpuid.get() {
            return Ok(known);
        }
        let found = self.kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
        Ok(self.cpuid.get_or_init(|| found))
    }

    /// The ioctl interface.
    pub(super) fn kvm(&self) -> &Kvm {
        &self.kvm
    }
}

/// Whether this KVM, which `has` some capabilities, has all that are needed.
fn check(has: impl Fn(Cap) -> bool) -> Result<(), SystemError> {
    match CAPABILITIES.iter().find(|(cap, _)| !has(*cap)) {
        Some((_, name)) => Err(SystemError::Capability { name }),
        None => Ok(()),
    }
}

impl SystemError {
    fn of_open(source: kvm_ioctls::Error) -> Self {
        match source.errno() {
            libc::ENOENT | libc::ENODEV | libc::ENXIO => Self::Missing,
            libc::EACCES | libc::EPERM => Self::Forbidden,
            _ => Self::Open { source },
        }
    }
}

#[cfg(test)]
mod tests;
