//! Fault reasons and fault records.
//!
//! Invariant: a reason's number is the one that software finds in FRCD.FR. Source: VT-d 7.2.3 and 7.3 (conditions), 9.9
//! and 11.4.14 (record). Numbers as Linux (drivers/iommu/intel/dmar.c), QEMU (hw/i386/intel_iommu_internal.h) and
//! VirtualBox (include/VBox/iommu-intel.h) have them.

use mmu::address::{Access, VirtAddr};
use pcie::{Pasid, SourceId};
use thiserror::Error;

/// Why a request was blocked.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FaultReason {
    /// LRT.2.
    #[error("the root entry is not present")]
    RootNotPresent = 0x01,
    /// LCT.2.
    #[error("the context entry is not present")]
    ContextNotPresent = 0x02,
    /// LCT.4.
    #[error("the context entry is invalid, or its table lies outside memory")]
    ContextInvalid = 0x03,
    /// LGN.1.
    #[error("the address is beyond the domain's width")]
    BeyondWidth = 0x04,
    /// LGN.2.
    #[error("the second stage does not allow the write")]
    WriteNotAllowed = 0x05,
    /// LGN.3.
    #[error("the second stage does not allow the read")]
    ReadNotAllowed = 0x06,
    /// LSL.1.
    #[error("a second-stage table lies outside memory")]
    TableAccess = 0x07,
    /// LRT.1.
    #[error("the root table lies outside memory")]
    RootAccess = 0x08,
    /// LCT.1.
    #[error("the context table lies outside memory")]
    ContextAccess = 0x09,
    /// LRT.3.
    #[error("the root entry has reserved bits set")]
    RootReserved = 0x0a,
    /// LCT.3.
    #[error("the context entry has reserved bits set")]
    ContextReserved = 0x0b,
    /// LSL.2.
    #[error("a second-stage entry has reserved bits set")]
    EntryReserved = 0x0c,
    /// LCT.5.
    #[error("the context entry blocks translation requests and translated requests")]
    DeviceTlbBlocked = 0x0d,
    /// LGN.4.
    #[error("the address leads into the interrupt range")]
    InterruptRange = 0x0e,

    /// INTR.1.
    #[error("the interrupt request has reserved bits set")]
    InterruptRequestReserved = 0x20,
    /// INTR.2.
    #[error("the interrupt's index is beyond the table")]
    InterruptIndex = 0x21,
    /// INTR.3.
    #[error("the interrupt remapping entry is not present")]
    InterruptNotPresent = 0x22,
    /// INTR.4.
    #[error("the interrupt remapping table lies outside memory")]
    InterruptTableAccess = 0x23,
    /// INTR.5.
    #[error("the interrupt remapping entry has reserved bits set")]
    InterruptEntryReserved = 0x24,
    /// INTR.6.
    #[error("interrupts in the compatibility format are blocked")]
    CompatibilityBlocked = 0x25,
    /// INTR.7.
    #[error("the interrupt remapping entry belongs to another source")]
    InterruptSource = 0x26,
    /// INTR.10.
    #[error("the address is the interrupt range's, and the request is no interrupt")]
    NoInterrupt = 0x29,

    /// RTA.1.
    #[error("the root table's mode is reserved or aborts every request")]
    RootTableMode = 0x30,
    /// RTA.2.
    #[error("a request with PASID, and the unit is in legacy mode")]
    PasidInLegacyMode = 0x31,
    /// RTA.3.
    #[error("a page request, and the unit is in legacy mode")]
    PageRequestInLegacyMode = 0x32,
    /// SRT.1.
    #[error("the root table lies outside memory")]
    ScalableRootAccess = 0x38,
    /// SRT.2.
    #[error("the root entry is not present")]
    ScalableRootNotPresent = 0x39,
    /// SRT.3.
    #[error("the root entry has reserved bits set")]
    ScalableRootReserved = 0x3a,
    /// SCT.1.
    #[error("the context table lies outside memory")]
    ScalableContextAccess = 0x40,
    /// SCT.2.
    #[error("the context entry is not present")]
    ScalableContextNotPresent = 0x41,
    /// SCT.3.
    #[error("the context entry has reserved bits set")]
    ScalableContextReserved = 0x42,
    /// SCT.5.
    #[error("the context entry's DTE is 0")]
    DeviceTlbDisabled = 0x44,
    /// SCT.6.
    #[error("the context entry's PASIDE is 0")]
    PasidDisabled = 0x45,
    /// SCT.7.
    #[error("the PASID is beyond the directory")]
    PasidTooLarge = 0x46,
    /// SCT.8.
    #[error("the context entry's PRE is 0")]
    PageRequestDisabled = 0x47,
    /// SCT.9.
    #[error("the context entry's RID_PASID is no PASID of this unit")]
    RequesterPasid = 0x48,
    /// SPD.1.
    #[error("the PASID directory lies outside memory")]
    DirectoryAccess = 0x50,
    /// SPD.2.
    #[error("the PASID directory entry is not present")]
    DirectoryNotPresent = 0x51,
    /// SPD.3.
    #[error("the PASID directory entry has reserved bits set")]
    DirectoryReserved = 0x52,
    /// SPT.1.
    #[error("the PASID table lies outside memory")]
    PasidAccess = 0x58,
    /// SPT.2.
    #[error("the PASID entry is not present")]
    PasidNotPresent = 0x59,
    /// SPT.3.
    #[error("the PASID entry has reserved bits set")]
    PasidReserved = 0x5a,
    /// SPT.4.
    #[error("the PASID entry is invalid")]
    PasidInvalid = 0x5b,
    /// SFS.1.
    #[error("a first-stage table lies outside memory")]
    FirstStageAccess = 0x70,
    /// SFS.2.
    #[error("a first-stage entry is not present")]
    FirstStageNotPresent = 0x71,
    /// SFS.3.
    #[error("a first-stage entry has reserved bits set")]
    FirstStageReserved = 0x72,
    /// SFS.4.
    #[error("the first-stage table lies outside memory")]
    FirstStageRoot = 0x73,
    /// SFS.5.
    #[error("a first-stage table lies beyond the second stage's width")]
    NestedBeyondWidth = 0x74,
    /// SFS.6.
    #[error("the second stage does not allow the read of the first-stage table")]
    NestedRootRead = 0x75,
    /// SFS.7.
    #[error("the second stage does not allow the read of a first-stage entry")]
    NestedEntryRead = 0x76,
    /// SFS.8.
    #[error("the second stage does not allow to mark a first-stage entry")]
    NestedEntryWrite = 0x77,
    /// SSS.1.
    #[error("a second-stage table lies outside memory")]
    SecondStageAccess = 0x78,
    /// SSS.2.
    #[error("a second-stage entry is not present")]
    SecondStageNotPresent = 0x79,
    /// SSS.3.
    #[error("a second-stage entry has reserved bits set")]
    SecondStageReserved = 0x7a,
    /// SSS.4.
    #[error("the second-stage table lies outside memory")]
    SecondStageRoot = 0x7b,
    /// SGN.1.
    #[error("the address is not canonical")]
    NotCanonical = 0x80,
    /// SGN.2.
    #[error("a first-stage entry is not the user's")]
    NotUser = 0x81,
    /// SGN.5.
    #[error("the address is beyond the second stage's width")]
    ScalableBeyondWidth = 0x84,
    /// SGN.6.
    #[error("the tables do not allow the write")]
    ScalableWriteNotAllowed = 0x85,
    /// SGN.7.
    #[error("the tables do not allow the read")]
    ScalableReadNotAllowed = 0x86,
    /// SGN.8.
    #[error("the address leads into the interrupt range")]
    ScalableInterruptRange = 0x87,
}

/// How a request comes to the unit (AT), or that it asks for a page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddressType {
    /// 00: with a device address.
    Untranslated,
    /// 01: for a translation.
    TranslationRequest,
    /// 10: with a physical address, from a device TLB.
    Translated,
    /// None of them: a page request.
    PageRequest,
}

/// What a fault record says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultRecord {
    /// Why.
    pub reason: FaultReason,
    /// Who.
    pub source: SourceId,
    /// In whose name.
    pub pasid: Option<Pasid>,
    /// The address, of which the page is recorded; of an interrupt, its index in bits 63:48.
    pub address: VirtAddr,
    /// For what.
    pub access: Access,
    /// How.
    pub address_type: AddressType,
}

/// F, in the upper word: the record is in use; software clears it by writing 1.
pub const RECORD_IN_USE: u64 = 1 << 63;

impl FaultReason {
    /// FR.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether it says by itself that a second stage is in the way of a nested walk; that the tables as a whole do
    /// not allow the access does not.
    #[must_use]
    pub const fn is_of_second_stage(self) -> bool {
        let code = self.code();
        code >= Self::NestedBeyondWidth.code() && code <= Self::SecondStageRoot.code()
            || code == Self::ScalableBeyondWidth.code()
    }

    /// Whether a translation request that fails for this is answered with "no permission" and leaves no record, so that
    /// the device may ask for the page: what is not present or not allowed. Anything else is refused and recorded.
    /// Source: VT-d 7.2.3 and 7.3, column "translation request" of the tables of conditions.
    #[must_use]
    pub const fn is_recoverable(self) -> bool {
        match self {
            // What is not present, or not allowed.
            Self::WriteNotAllowed | Self::ReadNotAllowed => true,
            Self::DirectoryNotPresent
            | Self::PasidNotPresent
            | Self::FirstStageNotPresent
            | Self::SecondStageNotPresent => true,
            Self::NestedRootRead | Self::NestedEntryRead | Self::NestedEntryWrite => true,
            Self::NotUser | Self::ScalableWriteNotAllowed | Self::ScalableReadNotAllowed => true,
            // Root and context.
            Self::RootNotPresent | Self::RootAccess | Self::RootReserved | Self::RootTableMode => false,
            Self::ScalableRootNotPresent | Self::ScalableRootAccess | Self::ScalableRootReserved => false,
            Self::ContextNotPresent | Self::ContextInvalid | Self::ContextAccess | Self::ContextReserved => {
                false
            }
            Self::ScalableContextNotPresent | Self::ScalableContextAccess => false,
            Self::ScalableContextReserved | Self::RequesterPasid => false,
            // What the context does not let the device do.
            Self::DeviceTlbBlocked | Self::DeviceTlbDisabled | Self::PasidInLegacyMode => false,
            Self::PageRequestInLegacyMode | Self::PageRequestDisabled | Self::PasidDisabled => false,
            // The PASID's entries.
            Self::PasidTooLarge | Self::DirectoryAccess | Self::DirectoryReserved => false,
            Self::PasidAccess | Self::PasidReserved | Self::PasidInvalid => false,
            // Page tables, and where they lead.
            Self::TableAccess | Self::EntryReserved | Self::FirstStageRoot | Self::FirstStageAccess => false,
            Self::FirstStageReserved | Self::NestedBeyondWidth => false,
            Self::SecondStageRoot | Self::SecondStageAccess | Self::SecondStageReserved => false,
            Self::BeyondWidth | Self::NotCanonical | Self::ScalableBeyondWidth => false,
            Self::InterruptRange | Self::ScalableInterruptRange => false,
            // No translation is asked for.
            Self::NoInterrupt | Self::InterruptRequestReserved | Self::InterruptIndex => false,
            Self::InterruptNotPresent | Self::InterruptTableAccess => false,
            Self::InterruptEntryReserved | Self::InterruptSource | Self::CompatibilityBlocked => false,
        }
    }
}

impl AddressType {
    const fn code(self) -> u64 {
        match self {
            Self::Untranslated | Self::PageRequest => 0,
            Self::TranslationRequest => 1,
            Self::Translated => 2,
        }
    }
}

impl FaultRecord {
    /// T1 in bit 1 and T2 in bit 0.
    const fn request_type(&self) -> u64 {
        match (self.address_type, self.access) {
            (AddressType::PageRequest, _) => 1,
            (_, Access::Write) => 0,
            (_, Access::Read) => 2,
        }
    }

    /// The two words of the record, with F set.
    #[must_use]
    pub fn encode(&self) -> [u64; 2] {
        let kind = self.request_type();
        let pasid = self.pasid.map_or(0, |pasid| 1 << 31 | u64::from(pasid.number()) << 40);
        let high = RECORD_IN_USE
            | (kind >> 1) << 62
            | (kind & 1) << 28
            | self.address_type.code() << 60
            | pasid
            | u64::from(self.reason.code()) << 32
            | u64::from(self.source.0);
        [self.address.page().0, high]
    }
}
