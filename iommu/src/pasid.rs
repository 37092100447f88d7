//! The PASID table: which page table the requests of a process are walked through.
//!
//! Invariant: an entry is one word, so a request reads either the old binding or the new one. Source: VT-d 3.4.3
//! (the fields that matter here: P, FLPM, FLPTR).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use mmu::address::Pfn;
use mmu::cache::Tag;
use mmu::table::{Levels, Root};
use thiserror::Error;

/// PASIDs that the unit offers; VT-d allows 2^20, the IOTLB's tags 2^16.
pub const PASID_COUNT: u32 = 1 << 12;

const PRESENT: u64 = 1;
const FIVE_LEVELS: u64 = 2;

/// A process address space identifier, below [`PASID_COUNT`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pasid(u32);

/// A number that is no PASID of this unit.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("{0} is no PASID; give one below {PASID_COUNT}")]
pub struct BadPasid(pub u32);

/// The table, indexed by PASID.
#[derive(Debug)]
pub(crate) struct PasidTable {
    entries: Box<[AtomicU64]>,
}

impl Pasid {
    /// The PASID of that number.
    ///
    /// # Errors
    /// [`BadPasid`] if the unit has no such PASID.
    pub const fn new(number: u32) -> Result<Self, BadPasid> {
        if number < PASID_COUNT { Ok(Self(number)) } else { Err(BadPasid(number)) }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The tag of its translations in the IOTLB.
    #[inline]
    #[must_use]
    pub const fn tag(self) -> Tag {
        // Fits: PASID_COUNT is below 2^16.
        #[expect(clippy::cast_possible_truncation, reason = "a Pasid is below PASID_COUNT")]
        Tag(self.0 as u16)
    }
}

impl PasidTable {
    pub(crate) fn new() -> Self {
        Self { entries: (0..PASID_COUNT).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The table that requests of `pasid` are walked through; none if the entry is not present.
    #[inline]
    pub(crate) fn root(&self, pasid: Pasid) -> Option<Root> {
        let entry = self.entries[pasid.0 as usize].load(Ordering::Acquire);
        let levels = if entry & FIVE_LEVELS != 0 { Levels::Five } else { Levels::Four };
        (entry & PRESENT != 0).then_some(Root { table: Pfn(entry >> 12), levels })
    }

    pub(crate) fn set(&self, pasid: Pasid, root: Root) {
        let levels = if root.levels == Levels::Five { FIVE_LEVELS } else { 0 };
        self.entries[pasid.0 as usize].store(root.table.0 << 12 | levels | PRESENT, Ordering::Release);
    }

    pub(crate) fn clear(&self, pasid: Pasid) {
        self.entries[pasid.0 as usize].store(0, Ordering::Release);
    }
}

impl fmt::Display for Pasid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PASID {}", self.0)
    }
}
