//! A VT-d unit with one device, whose pages are those that everybody translates.
//!
//! Invariant: the tables map page n of the area to frame n ^ 1 of the pages' memory, as the peers' do.

use std::sync::Arc;

use iommu::stale::watch::{Judging, StaleOptions, Watching};
use iommu::vtd::options::{CacheSizes, VtdOptions};
use iommu::vtd::{Vtd, Width};
use mmu::address::{PAGE_SIZE, PhysAddr};
use mmu::memory::PhysicalMemory;
use pcie::{Msi, MsiSink, SourceId};

use crate::pages::{BASE, frame};

pub(crate) const SOURCE: SourceId = SourceId::new(0, 3, 0);
const ROOT: u64 = 0x1000;
const CONTEXTS: u64 = 0x2000;
const TABLES: u64 = 0x3000;
/// What an entry of the second stage has set that allows all.
const FLAGS: u64 = 0b11;
const ENTRIES: u64 = 512;

/// A unit that reports every stale use.
pub(crate) const WATCHED: StaleOptions =
    StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };

struct Nobody;

impl MsiSink for Nobody {
    fn send(&self, _: Msi) {}
}

/// Where the first page's frame lies.
pub(crate) const fn first_page(pages: u64) -> u64 {
    (TABLES + (2 + pages.div_ceil(ENTRIES * ENTRIES) + pages.div_ceil(ENTRIES)) * PAGE_SIZE)
        .next_power_of_two()
}

/// Where an address of the area lies in the unit's memory.
pub(crate) const fn place(address: u64, pages: u64) -> PhysAddr {
    PhysAddr(first_page(pages) + crate::pages::physical(address))
}

/// The entry of the second stage that maps a page of the area, and what stands there while it does.
pub(crate) const fn entry(page: u64, pages: u64) -> (PhysAddr, u64) {
    let leaves = pages.div_ceil(ENTRIES);
    let table = TABLES + (2 + leaves.div_ceil(ENTRIES) + page / ENTRIES) * PAGE_SIZE;
    (PhysAddr(table + page % ENTRIES * 8), (first_page(pages) + frame(page) * PAGE_SIZE) | FLAGS)
}

/// A unit whose device has `pages` pages mapped.
pub(crate) fn unit(pages: u64, stale: StaleOptions) -> Arc<Vtd> {
    let bytes = (first_page(pages) + pages.next_multiple_of(2) * PAGE_SIZE).max(1 << 20);
    let memory = Arc::new(PhysicalMemory::new(bytes).expect("the memory can be mapped"));
    let leaves = pages.div_ceil(ENTRIES);
    let directories = leaves.div_ceil(ENTRIES);
    let table = |number: u64| TABLES + number * PAGE_SIZE;
    let store = |number: u64, index: u64, value: u64| {
        memory.store(PhysAddr(table(number) + index % ENTRIES * 8), value | FLAGS);
    };
    store(0, BASE >> 39, table(1));
    for directory in 0..directories {
        store(1, (BASE >> 30) + directory, table(2 + directory));
    }
    for leaf in 0..leaves {
        store(2 + leaf / ENTRIES, leaf, table(2 + directories + leaf));
    }
    for page in 0..pages {
        let (at, value) = entry(page, pages);
        memory.store(at, value);
    }
    memory.store(PhysAddr(ROOT), CONTEXTS | 1);
    let context = CONTEXTS + u64::from(SOURCE.devfn()) * 16;
    memory.store(PhysAddr(context + 8), 2 | 7 << 8);
    memory.store(PhysAddr(context), TABLES | 1 << 2 | 1);
    let iotlb = usize::try_from(pages).unwrap_or(usize::MAX).saturating_mul(2);
    let caches = CacheSizes { iotlb, ..CacheSizes::default() };
    let unit = Vtd::new(memory, VtdOptions { caches, stale, ..VtdOptions::default() }, Arc::new(Nobody));
    unit.write(0x20, Width::Bits64, ROOT);
    unit.write(0x18, Width::Bits32, 1 << 30);
    unit.write(0x18, Width::Bits32, 1 << 31);
    unit
}
