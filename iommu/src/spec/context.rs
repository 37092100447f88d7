//! Root and context entries: which domain, and which tables, a device belongs to.
//!
//! Invariant: decoding never fails; what an entry demands and the unit does not have is an [`Invalid`].
//! Source: VT-d 9.1 (root entry), 9.2 (scalable-mode root entry), 9.3 (context entry), 9.4 (scalable-mode context
//! entry).

use mmu::address::PhysAddr;
use pcie::{BadPasid, Pasid};

use super::field16;
use super::id::DomainId;
use super::paging::SecondStageLevels;
use super::{bit, field, field32};

/// Bytes of a root entry, in both modes.
pub const ROOT_ENTRY_BYTES: u64 = 16;
/// Bytes of a context entry in legacy mode.
pub const LEGACY_CONTEXT_BYTES: u64 = 16;
/// Bytes of a context entry in scalable mode.
pub const SCALABLE_CONTEXT_BYTES: u64 = 32;
/// Functions of a bus that one half of a scalable-mode root entry is for.
pub const SCALABLE_HALF: u8 = 128;

/// A root entry, or half of one in scalable mode: a context table, if it is present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RootEntry(pub u64);

/// The two words of a context entry in legacy mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LegacyContext(pub [u64; 2]);

/// The two lower words of a context entry in scalable mode; the others are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScalableContext(pub [u64; 2]);

/// What a legacy context entry does with which requests (TT).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TranslationType {
    /// 00: untranslated requests are translated, all others blocked.
    Untranslated,
    /// 01: translation requests and translated requests are served too.
    WithDeviceTlb,
    /// 10: untranslated requests pass as they are.
    PassThrough,
}

/// A field holds what is reserved, or what the unit does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid;

/// What a scalable-mode context entry lets a function do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Admissions {
    /// DTE: it may have a device TLB.
    pub device_tlb: bool,
    /// PRE: it may ask for pages.
    pub page_requests: bool,
    /// FPD: its faults are not recorded.
    pub hides_faults: bool,
}

impl RootEntry {
    /// The entry that leads to the context table at `table`.
    #[must_use]
    pub const fn to(table: PhysAddr) -> Self {
        Self(table.0 | 1)
    }

    /// The context table.
    #[must_use]
    pub const fn table(self) -> Option<PhysAddr> {
        if bit(self.0, 0) { Some(PhysAddr(self.0 & !0xfff)) } else { None }
    }

    /// Whether reserved bits are set.
    #[must_use]
    pub const fn has_reserved(self) -> bool {
        field(self.0, 1, 11) != 0
    }
}

impl LegacyContext {
    /// The present entry of a function that is translated, device TLB and all, through the second-stage table at `table`.
    #[must_use]
    pub const fn of(table: PhysAddr, levels: SecondStageLevels, domain: DomainId) -> Self {
        Self([table.0 | 1 << 2 | 1, (domain.0 as u64) << 8 | levels.encode()])
    }

    /// The same, and faults of the function are not recorded: FPD.
    #[must_use]
    pub const fn without_faults(self) -> Self {
        let Self([low, high]) = self;
        Self([low | 1 << 1, high])
    }

    /// P.
    #[must_use]
    pub const fn is_present(self) -> bool {
        bit(self.0[0], 0)
    }

    /// FPD: faults of this device are not recorded.
    #[must_use]
    pub const fn hides_faults(self) -> bool {
        bit(self.0[0], 1)
    }

    /// Whether reserved bits are set.
    #[must_use]
    pub const fn has_reserved(self) -> bool {
        field(self.0[0], 4, 8) != 0 || field(self.0[1], 7, 1) != 0 || self.0[1] >> 24 != 0
    }

    /// TT.
    ///
    /// # Errors
    /// [`Invalid`] for the reserved value.
    pub const fn translation_type(self) -> Result<TranslationType, Invalid> {
        match field(self.0[0], 2, 2) {
            0 => Ok(TranslationType::Untranslated),
            1 => Ok(TranslationType::WithDeviceTlb),
            2 => Ok(TranslationType::PassThrough),
            _ => Err(Invalid),
        }
    }

    /// AW: the depth of the second-stage table.
    ///
    /// # Errors
    /// [`Invalid`] for a depth that the unit does not offer.
    pub const fn levels(self) -> Result<SecondStageLevels, Invalid> {
        SecondStageLevels::decode(field(self.0[1], 0, 3))
    }

    /// SLPTPTR: the second-stage table.
    #[must_use]
    pub const fn second_stage(self) -> PhysAddr {
        PhysAddr(self.0[0] & !0xfff)
    }

    /// DID.
    #[must_use]
    pub const fn domain(self) -> DomainId {
        DomainId(field16(self.0[1], 8))
    }
}

impl ScalableContext {
    /// The present entry of a function whose requests may carry a PASID, with the smallest directory there is;
    /// requests without have PASID 0.
    #[must_use]
    pub const fn of(directory: PhysAddr, admits: Admissions) -> Self {
        let flags = (admits.hides_faults as u64) << 1
            | (admits.device_tlb as u64) << 2
            | 1 << 3
            | (admits.page_requests as u64) << 4;
        Self([directory.0 | flags | 1, 0])
    }

    /// P.
    #[must_use]
    pub const fn is_present(self) -> bool {
        bit(self.0[0], 0)
    }

    /// FPD.
    #[must_use]
    pub const fn hides_faults(self) -> bool {
        bit(self.0[0], 1)
    }

    /// DTE: translation requests and translated requests are served.
    #[must_use]
    pub const fn has_device_tlb(self) -> bool {
        bit(self.0[0], 2)
    }

    /// PASIDE: requests may carry a PASID.
    #[must_use]
    pub const fn has_pasid(self) -> bool {
        bit(self.0[0], 3)
    }

    /// PRE: page requests are served.
    #[must_use]
    pub const fn has_page_requests(self) -> bool {
        bit(self.0[0], 4)
    }

    /// Whether reserved bits are set.
    #[must_use]
    pub const fn has_reserved(self) -> bool {
        field(self.0[0], 5, 4) != 0 || self.0[1] >> 21 != 0
    }

    /// PDTS: entries of the PASID directory.
    #[must_use]
    pub const fn directory_entries(self) -> u64 {
        1 << (field(self.0[0], 9, 3) + 7)
    }

    /// PASIDDIRPTR.
    #[must_use]
    pub const fn directory(self) -> PhysAddr {
        PhysAddr(self.0[0] & !0xfff)
    }

    /// `RID_PASID`: the PASID of requests that carry none.
    ///
    /// # Errors
    /// [`BadPasid`] if the unit has no such PASID.
    pub const fn requester_pasid(self) -> Result<Pasid, BadPasid> {
        Pasid::new(field32(self.0[1], 0, 20))
    }
}
