//! The second stage's page-table entries. The first stage's are the CPU's: [`mmu::pte`].
//!
//! Invariant: an entry is present if it allows anything. Source: VT-d 3.7 (second stage), 9.7 and 9.8 (entries).

use mmu::address::{PageSize, Pfn, PhysAddr};
use mmu::cache::Permission;

use super::bit;
use super::context::Invalid;

/// Depth of a second-stage table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SecondStageLevels {
    /// 39-bit addresses.
    Three,
    /// 48-bit addresses.
    Four,
}

/// An entry of a second-stage table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SecondStageEntry(pub u64);

impl SecondStageLevels {
    /// Of a field AW.
    ///
    /// # Errors
    /// [`Invalid`] for a depth that the unit does not offer.
    pub const fn decode(width: u64) -> Result<Self, Invalid> {
        match width {
            1 => Ok(Self::Three),
            2 => Ok(Self::Four),
            _ => Err(Invalid),
        }
    }

    /// The field AW that says so.
    #[must_use]
    pub const fn encode(self) -> u64 {
        match self {
            Self::Three => 1,
            Self::Four => 2,
        }
    }

    /// As a number.
    #[must_use]
    pub const fn count(self) -> u32 {
        match self {
            Self::Three => 3,
            Self::Four => 4,
        }
    }

    /// Whether `address` lies in what the table can map.
    #[must_use]
    pub const fn reaches(self, address: u64) -> bool {
        address >> (12 + 9 * self.count()) == 0
    }
}

impl SecondStageEntry {
    /// R: loads are allowed.
    pub const READ: u64 = 1;
    /// W: stores are allowed.
    pub const WRITE: u64 = 1 << 1;
    /// PS: above level 1, the entry is a leaf.
    pub const LARGE: u64 = 1 << 7;
    /// SNP: in a leaf, accesses are snooped. Reserved in other entries.
    const SNOOP: u64 = 1 << 11;
    /// The address's bits.
    pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

    /// Whether it allows anything.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.0 & (Self::READ | Self::WRITE) != 0
    }

    /// What it allows.
    #[must_use]
    pub const fn permission(self) -> Permission {
        Permission { read: bit(self.0, 0), write: bit(self.0, 1), execute: false }
    }

    /// Whether it is a leaf, found at `level`.
    #[must_use]
    pub const fn is_leaf(self, level: u32) -> bool {
        level == 1 || self.0 & Self::LARGE != 0
    }

    /// The frame of a leaf.
    #[must_use]
    pub const fn frame(self) -> Pfn {
        Pfn((self.0 & Self::ADDRESS) >> 12)
    }

    /// The next table.
    #[must_use]
    pub const fn table(self) -> PhysAddr {
        PhysAddr(self.0 & Self::ADDRESS)
    }

    /// Whether bits are set that are reserved at `level`: PS where no page is that large, address bits inside a
    /// large page, SNP above the leaf.
    #[must_use]
    pub const fn has_reserved(self, level: u32) -> bool {
        match PageSize::of_level(level) {
            Some(size) if self.is_leaf(level) => self.0 & Self::ADDRESS & (size.bytes() - 1) != 0,
            Some(_) => self.0 & Self::SNOOP != 0,
            None => self.0 & (Self::LARGE | Self::SNOOP) != 0,
        }
    }
}
