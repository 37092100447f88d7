//! Sets of pages of the shadow window and of vCPUs, one bit each.
//!
//! Invariant: a set holds nothing outside its window or above the most vCPUs; what lies outside is left out on the
//! way in.

use guest_images::layout::{AREA_PAGES, AREA_VA, frame};
use mmu::address::{PAGE_SHIFT, VirtAddr, VirtRange};

use crate::kvm::{VcpuId, guest};

/// Words of 64 bits for the window's pages.
const WORDS: usize = frame::ZAP_WORDS;
const _: () = assert!(64 * WORDS as u64 == AREA_PAGES, "one bit for each page");

/// Pages of the shadow window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PageSet {
    words: [u64; WORDS],
}

/// vCPUs of one guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VcpuSet {
    bits: u64,
}

impl PageSet {
    /// The page of `address`; empty if it lies outside the window.
    #[must_use]
    pub fn of(address: VirtAddr) -> Self {
        let mut set = Self::default();
        set.insert(address);
        set
    }

    /// Adds the page of `address` if it lies in the window.
    pub fn insert(&mut self, address: VirtAddr) {
        if let Some(page) = guest::area_page(address) {
            self.insert_page(page);
        }
    }

    /// Whether the page of `address` is among them.
    #[must_use]
    pub fn contains(&self, address: VirtAddr) -> bool {
        guest::area_page(address).is_some_and(|page| self.words[(page / 64) as usize] >> (page % 64) & 1 == 1)
    }

    /// Whether it holds no page.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words == [0; WORDS]
    }

    /// The pages' addresses, ascending.
    pub fn iter(&self) -> impl Iterator<Item = VirtAddr> {
        let words = self.words;
        (0..AREA_PAGES)
            .filter(move |page| words[(page / 64) as usize] >> (page % 64) & 1 == 1)
            .map(|page| VirtAddr(AREA_VA + (page << PAGE_SHIFT)))
    }

    pub(super) fn words(&self) -> [u64; WORDS] {
        self.words
    }

    fn insert_page(&mut self, page: u64) {
        self.words[(page / 64) as usize] |= 1 << (page % 64);
    }
}

impl From<VirtRange> for PageSet {
    /// The pages of the range that lie in the window.
    fn from(range: VirtRange) -> Self {
        let window = VirtRange::pages(VirtAddr(AREA_VA), AREA_PAGES);
        let (start, end) = (range.start.max(window.start), range.end.min(window.end));
        let mut set = Self::default();
        if start < end {
            VirtRange { start, end }.iter_pages().for_each(|page| set.insert(page));
        }
        set
    }
}

impl VcpuSet {
    /// One vCPU.
    #[must_use]
    pub fn of(vcpu: VcpuId) -> Self {
        Self { bits: 1 << vcpu.index() }
    }

    /// Whether `vcpu` is in it.
    #[must_use]
    pub fn contains(self, vcpu: VcpuId) -> bool {
        self.bits >> vcpu.index() & 1 == 1
    }
}

impl FromIterator<VcpuId> for VcpuSet {
    fn from_iter<I: IntoIterator<Item = VcpuId>>(vcpus: I) -> Self {
        Self { bits: vcpus.into_iter().fold(0, |bits, vcpu| bits | 1 << vcpu.index()) }
    }
}

#[cfg(test)]
mod tests;
