//! Addresses, each a type of its own space.
//!
//! Invariant: there is no conversion between two spaces except the named functions here and a page-table
//! walk. A virtual address becomes a physical one only by being translated.

use std::fmt;

/// log2 of the base page size in bytes.
pub const PAGE_SHIFT: u32 = 12;
/// The base page size in bytes (x86-64: 4 KiB).
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;
/// The same as a length in host memory, in bytes.
pub const PAGE_LEN: usize = 1 << PAGE_SHIFT;
/// Entries of one page table (x86-64: 512 of 8 bytes).
pub const TABLE_ENTRIES: u64 = 512;

/// An address in an address space: what a CPU, a vCPU or a device with a PASID issues.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct VirtAddr(pub u64);

/// An address in physical memory. The guest's physical addresses are these: slot 0 maps all of it at 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PhysAddr(pub u64);

/// A page frame number: a physical address divided by [`PAGE_SIZE`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pfn(pub u64);

/// The reach of one translation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum PageSize {
    /// 4 KiB, a level-1 leaf.
    #[default]
    Size4K,
    /// 2 MiB, a level-2 leaf.
    Size2M,
    /// 1 GiB, a level-3 leaf.
    Size1G,
}

/// What an access wants to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
}

/// A half-open range of virtual addresses, `start..end`, page aligned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VirtRange {
    /// First byte.
    pub start: VirtAddr,
    /// First byte after the range.
    pub end: VirtAddr,
}

impl VirtAddr {
    /// The address of this address's 4 KiB page.
    #[must_use]
    pub const fn page(self) -> Self {
        Self(self.0 & !(PAGE_SIZE - 1))
    }

    /// The virtual page number, in 4 KiB pages.
    #[must_use]
    pub const fn vpn(self) -> u64 {
        self.0 >> PAGE_SHIFT
    }

    /// The byte offset inside a page of `size`.
    #[must_use]
    pub const fn offset_in(self, size: PageSize) -> u64 {
        self.0 & (size.bytes() - 1)
    }

    /// The index of the entry for this address in a table of `level` (1 = the table of 4 KiB leaves).
    #[must_use]
    pub const fn table_index(self, level: u32) -> u64 {
        (self.0 >> (PAGE_SHIFT + 9 * (level - 1))) & (TABLE_ENTRIES - 1)
    }

    /// This address plus `bytes`.
    #[must_use]
    pub const fn offset(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl PhysAddr {
    /// The frame this address lies in.
    #[must_use]
    pub const fn pfn(self) -> Pfn {
        Pfn(self.0 >> PAGE_SHIFT)
    }

    /// This address plus `bytes`.
    #[must_use]
    pub const fn offset(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl Pfn {
    /// The physical address of the frame's first byte.
    #[must_use]
    pub const fn address(self) -> PhysAddr {
        PhysAddr(self.0 << PAGE_SHIFT)
    }
}

impl PageSize {
    /// Bytes that one translation of this size covers.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        PAGE_SIZE << (9 * (self.level() - 1))
    }

    /// Frames that one translation of this size covers.
    #[must_use]
    pub const fn frames(self) -> u64 {
        self.bytes() >> PAGE_SHIFT
    }

    /// The level at which a leaf has this size (1, 2 or 3).
    #[must_use]
    pub const fn level(self) -> u32 {
        match self {
            Self::Size4K => 1,
            Self::Size2M => 2,
            Self::Size1G => 3,
        }
    }

    /// The size of a leaf at `level`; none above level 3.
    #[must_use]
    pub const fn of_level(level: u32) -> Option<Self> {
        match level {
            1 => Some(Self::Size4K),
            2 => Some(Self::Size2M),
            3 => Some(Self::Size1G),
            _ => None,
        }
    }
}

impl VirtRange {
    /// The single page that holds `address`.
    #[must_use]
    pub const fn page(address: VirtAddr) -> Self {
        Self::pages(address, 1)
    }

    /// `count` pages from `start`'s page on. Of the last page of all the last byte is left out, so that the end fits.
    #[must_use]
    pub const fn pages(start: VirtAddr, count: u64) -> Self {
        let start = start.page();
        Self { start, end: VirtAddr(start.0.saturating_add(count * PAGE_SIZE)) }
    }

    /// Whether `address` lies in the range.
    #[must_use]
    pub fn contains(self, address: VirtAddr) -> bool {
        self.start <= address && address < self.end
    }

    /// Whether the two ranges share a byte.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The range's length in 4 KiB pages.
    #[must_use]
    pub const fn page_count(self) -> u64 {
        (self.end.0 - self.start.0).div_ceil(PAGE_SIZE)
    }

    /// The address of each 4 KiB page, ascending.
    pub fn iter_pages(self) -> impl Iterator<Item = VirtAddr> {
        (0..self.page_count()).map(move |i| self.start.offset(i * PAGE_SIZE))
    }
}

impl fmt::Debug for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "va:{:#x}", self.0)
    }
}

impl fmt::Debug for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pa:{:#x}", self.0)
    }
}

impl fmt::Debug for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pfn:{:#x}", self.0)
    }
}

impl fmt::Display for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
