//! The addresses that an invalidation names: 2^n pages, aligned to their number.
//!
//! Invariant: a span's range never wraps: one that is too large is every address. [`PageSpan::checked`] refuses what is
//! larger than the unit offers, which counts for the second stage only: with PASIDs any mask is legal.
//! Source: VT-d 6.5.2.3 (AM, IH), 6.5.2.5 (S), 11.4.2 (MAMV); PCIe 10.3.1.

use mmu::address::{PAGE_SHIFT, PAGE_SIZE, VirtAddr, VirtRange};

use crate::spec::{bit, field32};

/// CAP.MAMV: the largest address mask without a PASID, in pages as a power of two (1 GiB).
pub const MAX_ADDRESS_MASK: u32 = 18;

/// The sized address word of a device-TLB invalidation that spares nothing.
const EVERY_ADDRESS: u64 = 0x7fff_ffff_ffff_f000;

/// Whether entries above the leaves changed too (IH).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hint {
    /// IH = 0: paging-structure caches go too.
    EveryLevel,
    /// IH = 1: only leaves changed; paging-structure caches may stay.
    LeavesOnly,
}

/// The span of an IOTLB invalidation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PageSpan {
    /// An address in it.
    pub address: VirtAddr,
    /// AM: its pages, as a power of two.
    pub log2_pages: u32,
    /// IH.
    pub hint: Hint,
}

/// The span of a device-TLB invalidation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DeviceSpan {
    /// Every address.
    All,
    /// These.
    Range(VirtRange),
}

impl PageSpan {
    pub(in crate::spec) const fn decode(word: u64) -> Self {
        let hint = if bit(word, 6) { Hint::LeavesOnly } else { Hint::EveryLevel };
        Self { address: VirtAddr(word).page(), log2_pages: field32(word, 0, 6), hint }
    }

    /// The fewest spans that name the pages of `range` and no other, ascending.
    pub fn cover(range: VirtRange, hint: Hint) -> impl Iterator<Item = Self> {
        let end = range.end.0.div_ceil(PAGE_SIZE);
        let mut next = range.start.vpn();
        std::iter::from_fn(move || {
            let left = end.checked_sub(next).filter(|left| *left != 0)?;
            let log2_pages = next.trailing_zeros().min(left.ilog2()).min(MAX_ADDRESS_MASK);
            let address = VirtAddr(next << PAGE_SHIFT);
            next += 1 << log2_pages;
            Some(Self { address, log2_pages, hint })
        })
    }

    pub(super) const fn encode(self) -> u64 {
        let hint = if matches!(self.hint, Hint::LeavesOnly) { 1 << 6 } else { 0 };
        self.address.0 | hint | self.log2_pages as u64
    }

    /// Itself, if the unit offers a span as large.
    pub(in crate::spec) fn checked(self) -> Option<Self> {
        (self.log2_pages <= MAX_ADDRESS_MASK).then_some(self)
    }

    /// The addresses. The low bits of the first, which the mask covers, do not count.
    #[must_use]
    pub const fn range(self) -> VirtRange {
        aligned(self.address, self.log2_pages)
    }
}

impl From<PageSpan> for DeviceSpan {
    fn from(span: PageSpan) -> Self {
        Self::Range(span.range())
    }
}

impl DeviceSpan {
    /// The address word, and whether it is sized (S). A range that is no span becomes the span around it.
    pub(super) fn encode(self) -> (u64, bool) {
        let Self::Range(range) = self else { return (EVERY_ADDRESS, true) };
        let differing = range.start.vpn() ^ (range.end.0 - 1) >> PAGE_SHIFT;
        let log2_pages = u64::BITS - differing.leading_zeros();
        if log2_pages == 0 {
            return (range.start.page().0, false);
        }
        let sized = (PAGE_SIZE << (log2_pages - 1)) - PAGE_SIZE;
        (range.start.0 & !((PAGE_SIZE << log2_pages) - 1) | sized, true)
    }

    /// Of an address word; if `sized` (S), the lowest zero bit from 12 on tells the size.
    pub(in crate::spec) const fn decode(word: u64, sized: bool) -> Self {
        let log2_pages = if sized { (word >> PAGE_SHIFT).trailing_ones() + 1 } else { 0 };
        if log2_pages + PAGE_SHIFT < 63 {
            Self::Range(aligned(VirtAddr(word), log2_pages))
        } else {
            Self::All
        }
    }
}

/// The 2^`log2_pages` pages around `address`. The last byte of the address space is left out, so that the end fits.
const fn aligned(address: VirtAddr, log2_pages: u32) -> VirtRange {
    if log2_pages + PAGE_SHIFT >= u64::BITS {
        return VirtRange { start: VirtAddr(0), end: VirtAddr(u64::MAX) };
    }
    let len_bytes = PAGE_SIZE << log2_pages;
    let start = address.0 & !(len_bytes - 1);
    VirtRange { start: VirtAddr(start), end: VirtAddr(start.saturating_add(len_bytes)) }
}
