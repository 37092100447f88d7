//! The pages that everybody translates, and the addresses that everybody asks for.
//!
//! Invariant: neighbouring pages do not have neighbouring frames, so that no peer's tree merges them; addresses are
//! random from a fixed seed, so that everybody sees the same ones and no prefetcher guesses them.

use mmu::address::PAGE_SIZE;

/// Where pages begin.
pub(crate) const BASE: u64 = 0x1_0000_0000;
/// Lookups of one turn.
pub(crate) const LOOKUPS: usize = 65536;

/// The frame of a page, below `pages` rounded up to a power of two.
pub(crate) const fn frame(page: u64) -> u64 {
    page ^ 1
}

/// The page of an address.
pub(crate) const fn page(address: u64) -> u64 {
    (address - BASE) / PAGE_SIZE
}

/// Where an address leads.
pub(crate) const fn physical(address: u64) -> u64 {
    frame(page(address)) * PAGE_SIZE + address % PAGE_SIZE
}

/// Words of the first `pages` pages.
pub(crate) fn addresses(count: usize, pages: u64) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..count).map(|_| BASE + random.u64(0..pages) * PAGE_SIZE + random.u64(0..512) * 8).collect()
}

/// What a sweep over `addresses` finds through `translate`, summed up.
#[inline(always)]
pub(crate) fn sweep(addresses: &[u64], mut translate: impl FnMut(u64) -> Option<u64>) -> u64 {
    addresses.iter().fold(0, |sum, address| sum.wrapping_add(translate(*address).unwrap_or(1)))
}
