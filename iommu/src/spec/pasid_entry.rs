//! The PASID directory and the PASID table: which tables a process, or a device as a whole, is translated through.
//!
//! Invariant: as in [`context`](super::context). What once were NXE and its like are neither checked nor heeded: old
//! software sets them, new software does not. Source: VT-d 9.5 (directory entry), 9.6 (table entry).

use mmu::address::{Pfn, PhysAddr};
use mmu::table::{Levels, Root};
use pcie::Pasid;

use super::context::Invalid;
use super::field16;
use super::id::DomainId;
use super::paging::SecondStageLevels;
use super::{bit, field};

/// Bytes of a directory entry.
pub const DIRECTORY_ENTRY_BYTES: u64 = 8;
/// Bytes of a table entry.
pub const PASID_ENTRY_BYTES: u64 = 64;
/// PASIDs of one table.
const TABLE_BITS: u32 = 6;

/// A directory entry: a table of 64 PASID entries, if it is present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirectoryEntry(pub u64);

/// The three words of a PASID entry that say something; the others are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PasidEntry(pub [u64; 3]);

/// Which stages translate (PGTT).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PasidTranslation {
    /// 001: the first stage, in the CPU's format.
    First,
    /// 010: the second stage.
    Second,
    /// 011: the first, whose addresses the second translates.
    Nested,
    /// 100: none.
    PassThrough,
}

/// The index of `pasid` in the directory.
#[must_use]
pub const fn directory_index(pasid: Pasid) -> u64 {
    (pasid.number() >> TABLE_BITS) as u64
}

/// The index of `pasid` in its table.
#[must_use]
pub const fn table_index(pasid: Pasid) -> u64 {
    field(pasid.number() as u64, 0, TABLE_BITS)
}

impl DirectoryEntry {
    /// The entry that leads to the PASID table at `table`.
    #[must_use]
    pub const fn to(table: PhysAddr) -> Self {
        Self(table.0 | 1)
    }

    /// The table.
    #[must_use]
    pub const fn table(self) -> Option<PhysAddr> {
        if bit(self.0, 0) { Some(PhysAddr(self.0 & !0xfff)) } else { None }
    }

    /// FPD: faults of its PASIDs are not recorded.
    #[must_use]
    pub const fn hides_faults(self) -> bool {
        bit(self.0, 1)
    }

    /// Whether reserved bits are set.
    #[must_use]
    pub const fn has_reserved(self) -> bool {
        field(self.0, 2, 10) != 0
    }
}

impl PasidEntry {
    /// Not present.
    pub const ABSENT: Self = Self([0; 3]);
    /// Not present, and its faults are not recorded.
    pub const ABSENT_AND_SILENT: Self = Self([1 << 1, 0, 0]);

    /// The present entry of a process whose addresses go through the first-stage table `root`.
    #[must_use]
    pub const fn of_first_stage(domain: DomainId, root: Root) -> Self {
        let depth = match root.levels {
            Levels::Four => 0,
            Levels::Five => 1 << 2,
        };
        Self([1 << 6 | 1, domain.0 as u64, root.table.0 << 12 | depth])
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

    /// Whether reserved bits are set.
    #[must_use]
    pub const fn has_reserved(self) -> bool {
        let [low, middle, high] = self.0;
        field(low, 10, 2) != 0 || field(middle, 16, 7) != 0 || field(high, 8, 4) != 0
    }

    /// PGTT.
    ///
    /// # Errors
    /// [`Invalid`] for a reserved value.
    pub const fn translation(self) -> Result<PasidTranslation, Invalid> {
        match field(self.0[0], 6, 3) {
            1 => Ok(PasidTranslation::First),
            2 => Ok(PasidTranslation::Second),
            3 => Ok(PasidTranslation::Nested),
            4 => Ok(PasidTranslation::PassThrough),
            _ => Err(Invalid),
        }
    }

    /// AW: the depth of the second-stage table.
    ///
    /// # Errors
    /// [`Invalid`] for a depth that the unit does not offer.
    pub const fn second_stage_levels(self) -> Result<SecondStageLevels, Invalid> {
        SecondStageLevels::decode(field(self.0[0], 2, 3))
    }

    /// SLPTPTR.
    #[must_use]
    pub const fn second_stage(self) -> PhysAddr {
        PhysAddr(self.0[0] & !0xfff)
    }

    /// DID.
    #[must_use]
    pub const fn domain(self) -> DomainId {
        DomainId(field16(self.0[1], 0))
    }

    /// FLPTPTR and FLPM: the first-stage table; its frame is a guest address if the translation is nested.
    ///
    /// # Errors
    /// [`Invalid`] for a reserved depth.
    pub const fn first_stage(self) -> Result<Root, Invalid> {
        let levels = match field(self.0[2], 2, 2) {
            0 => Levels::Four,
            1 => Levels::Five,
            _ => return Err(Invalid),
        };
        Ok(Root { table: Pfn(self.0[2] >> 12), levels })
    }
}
