//! The bits of an x86-64 page-table entry, and of what Linux keeps in one that is not present.
//!
//! Invariant: nothing outside this file knows a bit number; above it an entry is an
//! [`Entry`](crate::entry::Entry).
//! Source: Intel SDM vol. 3, 4.5; arch/x86/include/asm/pgtable_types.h for the software bits.

use std::fmt;

use crate::address::{PageSize, Pfn};

/// What hardware makes of an entry, which depends on the level of its table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Not present.
    Absent,
    /// Present, with a bit set that is reserved: PS where no page is that large, an address bit inside a large page.
    Reserved,
    /// It names the table below.
    Table(Pfn),
    /// It maps the page that starts at this frame.
    Page(Pfn, PageSize),
}

/// One 64-bit page-table entry as it stands in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Pte(pub u64);

/// Where PAT stands in a large page, in the frame number's bits.
const PAT_OF_LARGE: u64 = 1;

impl Pte {
    /// An empty entry.
    pub const NONE: Self = Self(0);
    /// P: hardware may use the entry.
    pub const PRESENT: u64 = 1 << 0;
    /// R/W: stores are allowed.
    pub const WRITE: u64 = 1 << 1;
    /// U/S: user accesses are allowed.
    pub const USER: u64 = 1 << 2;
    /// A: set by the walker that used the entry.
    pub const ACCESSED: u64 = 1 << 5;
    /// D: set by the walker that used a leaf for a store.
    pub const DIRTY: u64 = 1 << 6;
    /// PS: above level 1, the entry is a leaf.
    pub const LARGE: u64 = 1 << 7;
    /// The global bit; in an entry that is not present it says `PROT_NONE`: frame kept, accesses fault.
    pub const PROT_NONE: u64 = 1 << 8;
    /// Software bit 1: a frame without rmap (`_PAGE_SPECIAL`).
    pub const SPECIAL: u64 = 1 << 9;
    /// Software bit 2: write-protected for userfaultfd (`_PAGE_UFFD_WP`).
    pub const UFFD_WP: u64 = 1 << 10;
    /// Software bit 3: written since soft-dirty was cleared (`_PAGE_SOFT_DIRTY`).
    pub const SOFT_DIRTY: u64 = 1 << 11;
    /// XD: no instruction fetch.
    pub const NO_EXECUTE: u64 = 1 << 63;
    /// The frame number's bits, 12..=51.
    pub const FRAME: u64 = 0x000f_ffff_ffff_f000;

    /// Not present: soft-dirty (`_PAGE_SWP_SOFT_DIRTY`).
    pub const SWAP_SOFT_DIRTY: u64 = 1 << 1;
    /// Not present: uffd-wp (`_PAGE_SWP_UFFD_WP`).
    pub const SWAP_UFFD_WP: u64 = 1 << 2;
    /// Not present: the anonymous page is exclusive (`_PAGE_SWP_EXCLUSIVE`).
    pub const SWAP_EXCLUSIVE: u64 = 1 << 3;
    /// Not present: where the 5-bit type starts.
    pub const SWAP_TYPE_SHIFT: u32 = 59;

    /// Whether hardware may use the entry.
    #[inline]
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    /// Whether a present entry allows stores.
    #[inline]
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.0 & Self::WRITE != 0
    }

    /// Whether a store went through the entry.
    #[inline]
    #[must_use]
    pub const fn is_dirty(self) -> bool {
        self.0 & Self::DIRTY != 0
    }

    /// Whether the entry was used.
    #[inline]
    #[must_use]
    pub const fn is_young(self) -> bool {
        self.0 & Self::ACCESSED != 0
    }

    /// The frame (or next table) of the entry.
    #[inline]
    #[must_use]
    pub const fn pfn(self) -> Pfn {
        Pfn((self.0 & Self::FRAME) >> 12)
    }

    /// What the entry is in a table of `level`, 1 for the last. Bit 12 of a large page is PAT, and no part of its frame.
    /// Source: Intel SDM vol. 3, tables 4-15 to 4-20.
    #[inline]
    #[must_use]
    pub const fn shape(self, level: u32) -> Shape {
        if !self.is_present() {
            return Shape::Absent;
        }
        let size = match PageSize::of_level(level) {
            Some(PageSize::Size4K) => return Shape::Page(self.pfn(), PageSize::Size4K),
            _ if self.0 & Self::LARGE == 0 => return Shape::Table(self.pfn()),
            Some(size) => size,
            None => return Shape::Reserved,
        };
        let inside = self.pfn().0 & (size.frames() - 1);
        if inside & !PAT_OF_LARGE != 0 {
            return Shape::Reserved;
        }
        Shape::Page(Pfn(self.pfn().0 - inside), size)
    }

    /// This entry with `bits` set.
    #[must_use]
    pub const fn with(self, bits: u64) -> Self {
        Self(self.0 | bits)
    }

    /// This entry with `bits` cleared.
    #[must_use]
    pub const fn without(self, bits: u64) -> Self {
        Self(self.0 & !bits)
    }

    /// The same mapping with stores forbidden (`pte_wrprotect`).
    #[must_use]
    pub const fn write_protected(self) -> Self {
        self.without(Self::WRITE)
    }

    /// A present entry for the table `table`; permissions are left to the leaves.
    #[must_use]
    pub const fn table(table: Pfn) -> Self {
        Self(table.0 << 12 | Self::PRESENT | Self::WRITE | Self::USER)
    }

    /// A present 4 KiB user leaf, read-only and clean.
    #[must_use]
    pub const fn leaf(frame: Pfn) -> Self {
        Self(frame.0 << 12 | Self::PRESENT | Self::USER)
    }
}

impl fmt::Debug for Pte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pte:{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests;
