//! What an entry of a page table says: absent, a table, a leaf, or one of the states that Linux keeps in an entry
//! that hardware may not use.
//!
//! Invariant: [`Entry::decode`] and [`Entry::encode`] are inverse to each other for every entry that this program
//! writes. Source: include/linux/swapops.h, include/linux/leafops.h.

use crate::address::{PageSize, Pfn};
use crate::pte::Pte;

/// A page-table entry, understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// Nothing is mapped.
    Absent,
    /// The entry leads to the next table.
    Table(Pfn),
    /// The entry maps a frame.
    Leaf(Leaf),
    /// The frame is kept but every access faults (`PROT_NONE`, NUMA hinting).
    ProtNone(Leaf),
    /// The contents are in swap.
    Swap {
        /// Slot in the swap area.
        slot: u64,
        /// What survives the unmapping.
        kept: Kept,
    },
    /// The frame is being moved; a fault waits.
    Migration {
        /// The frame that is being left.
        pfn: Pfn,
        /// What the mapping allowed before.
        before: MigrationAccess,
        /// What survives the unmapping.
        kept: Kept,
    },
    /// No page, but a fact about the address that must survive (uffd-wp).
    Marker,
}

/// A mapping of one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// First frame.
    pub pfn: Pfn,
    /// Reach of the mapping.
    pub size: PageSize,
    /// Every other bit of the entry as hardware and Linux define it (see [`Pte`]), without frame and size.
    pub flags: u64,
}

/// What the old mapping of a migration entry allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MigrationAccess {
    /// Reads of a page that others may share.
    Readable,
    /// Reads of a page that is exclusive to its owner.
    ReadableExclusive,
    /// Stores.
    Writable,
}

/// The bits that survive in an entry that is not present.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// Bits out of [`Pte::SWAP_SOFT_DIRTY`], [`Pte::SWAP_UFFD_WP`], [`Pte::SWAP_EXCLUSIVE`].
    pub bits: u64,
}

const KEPT: u64 = Pte::SWAP_SOFT_DIRTY | Pte::SWAP_UFFD_WP | Pte::SWAP_EXCLUSIVE;
const TYPE_SWAP: u64 = 1;
const TYPE_MIGRATION_READ: u64 = 2;
const TYPE_MIGRATION_READ_EXCLUSIVE: u64 = 3;
const TYPE_MIGRATION_WRITE: u64 = 4;
const TYPE_MARKER: u64 = 5;

impl Entry {
    /// Understands `pte`, found in a table of `level`. An entry of an unknown type is [`Entry::Absent`] to no one:
    /// it decodes as a [`Entry::Marker`], which every access faults on.
    #[must_use]
    pub fn decode(pte: Pte, level: u32) -> Self {
        if pte == Pte::NONE {
            return Self::Absent;
        }
        if pte.is_present() {
            return Self::decode_present(pte, level);
        }
        if pte.0 & Pte::PROT_NONE != 0 && pte.0 >> Pte::SWAP_TYPE_SHIFT == 0 {
            return Self::ProtNone(Leaf::of(pte, PageSize::Size4K));
        }
        Self::decode_swap_like(pte)
    }

    fn decode_present(pte: Pte, level: u32) -> Self {
        match PageSize::of_level(level) {
            Some(size) if level == 1 || pte.0 & Pte::LARGE != 0 => Self::Leaf(Leaf::of(pte, size)),
            _ => Self::Table(pte.pfn()),
        }
    }

    fn decode_swap_like(pte: Pte) -> Self {
        let kept = Kept { bits: pte.0 & KEPT };
        let migration = |before| Self::Migration { pfn: pte.pfn(), before, kept };
        match pte.0 >> Pte::SWAP_TYPE_SHIFT {
            TYPE_SWAP => Self::Swap { slot: pte.pfn().0, kept },
            TYPE_MIGRATION_READ => migration(MigrationAccess::Readable),
            TYPE_MIGRATION_READ_EXCLUSIVE => migration(MigrationAccess::ReadableExclusive),
            TYPE_MIGRATION_WRITE => migration(MigrationAccess::Writable),
            _ => Self::Marker,
        }
    }

    /// The bits of this entry.
    #[must_use]
    pub fn encode(self) -> Pte {
        match self {
            Self::Absent => Pte::NONE,
            Self::Table(table) => Pte::table(table),
            Self::Leaf(leaf) => leaf.bits().with(Pte::PRESENT),
            Self::ProtNone(leaf) => leaf.bits().without(Pte::PRESENT).with(Pte::PROT_NONE),
            Self::Swap { slot, kept } => swap_like(TYPE_SWAP, slot, kept.bits),
            Self::Migration { pfn, before, kept } => swap_like(before.swap_type(), pfn.0, kept.bits),
            Self::Marker => swap_like(TYPE_MARKER, 0, Pte::SWAP_UFFD_WP),
        }
    }
}

impl Leaf {
    fn of(pte: Pte, size: PageSize) -> Self {
        let flags = pte.0 & !Pte::FRAME & !Pte::PRESENT & !Pte::PROT_NONE;
        let flags = if size == PageSize::Size4K { flags } else { flags & !Pte::LARGE };
        Self { pfn: pte.pfn(), size, flags }
    }

    fn bits(self) -> Pte {
        let large = if self.size == PageSize::Size4K { 0 } else { Pte::LARGE };
        Pte(self.pfn.0 << 12 | self.flags | large)
    }

    /// Whether stores are allowed.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.flags & Pte::WRITE != 0
    }
}

impl MigrationAccess {
    const fn swap_type(self) -> u64 {
        match self {
            Self::Readable => TYPE_MIGRATION_READ,
            Self::ReadableExclusive => TYPE_MIGRATION_READ_EXCLUSIVE,
            Self::Writable => TYPE_MIGRATION_WRITE,
        }
    }
}

const fn swap_like(kind: u64, offset: u64, kept: u64) -> Pte {
    Pte(kind << Pte::SWAP_TYPE_SHIFT | offset << 12 | kept)
}

#[cfg(test)]
mod tests;
