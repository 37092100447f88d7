//! What the rows work on: pages, tables and a unit, always the same.
//!
//! Invariant: pages are reached in an order that is random and fixed. All table entries are marked used, as those of
//! a hot path are.

use std::sync::Arc;

use iommu::stale::watch::{Judging, StaleOptions, Watching};
use iommu::vtd::options::VtdOptions;
use iommu::vtd::port::Port;
use iommu::vtd::{Vtd, Width};
use mmu::address::{Access, PAGE_SIZE, PageSize, Pfn, PhysAddr, VirtAddr};
use mmu::cache::{Permission, Translation};
use mmu::memory::PhysicalMemory;
use mmu::table::{Levels, Root};
use pcie::{Msi, MsiSink, Request, SourceId};

/// Pages of each row.
pub(crate) const PAGES: u64 = 64;
/// Where they begin for walks and devices.
pub(crate) const AREA: u64 = 0x4000_0000;
/// The device.
pub(crate) const SOURCE: SourceId = SourceId::new(0, 3, 0);

const ROOT: u64 = 0x1000;
const CONTEXTS: u64 = 0x2000;
/// Four tables, one a level.
const TABLES: u64 = 0x3000;
const FIRST_PAGE: u64 = 0x10_0000;
/// Present, writable, for users, used and written.
const FLAGS: u64 = 0x67;

/// Whether stale uses are reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Report {
    Off,
    On,
}

struct Nobody;

impl MsiSink for Nobody {
    fn send(&self, _: Msi) {}
}

/// Words of the pages from `area` on.
pub(crate) fn addresses(area: u64, count: u64) -> Vec<VirtAddr> {
    let mut state = 0x1234_5678_9abc_u64;
    let mut below = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    (0..count).map(|_| VirtAddr(area + below(PAGES) * PAGE_SIZE + below(512) * 8)).collect()
}

/// The frame of a page of a cache.
pub(crate) fn translation(page: u64) -> Translation {
    let pfn = Pfn(page * 7919 % 131_072);
    Translation { pfn, size: PageSize::Size4K, permission: Permission::READ_WRITE, dirty: true }
}

/// The frame behind an offset in the area.
pub(crate) const fn frame(offset: u64) -> u64 {
    (FIRST_PAGE + offset) / PAGE_SIZE
}

/// Four levels that lead to the area.
pub(crate) fn tables() -> (Arc<PhysicalMemory>, Root) {
    let memory = Arc::new(PhysicalMemory::new(16 << 20).expect("the memory can be mapped"));
    memory.store(PhysAddr(TABLES), (TABLES + 0x1000) | FLAGS);
    memory.store(PhysAddr(TABLES + 0x1000 + 8), (TABLES + 0x2000) | FLAGS);
    memory.store(PhysAddr(TABLES + 0x2000), (TABLES + 0x3000) | FLAGS);
    for page in 0..PAGES {
        memory.store(PhysAddr(TABLES + 0x3000 + page * 8), (FIRST_PAGE + page * PAGE_SIZE) | FLAGS);
    }
    (memory, Root { table: PhysAddr(TABLES).pfn(), levels: Levels::Four })
}

/// A unit whose device has the area mapped by a second-stage table.
pub(crate) fn unit(report: Report) -> Arc<Vtd> {
    let (memory, _) = tables();
    for place in (TABLES..TABLES + 0x4000).step_by(8).map(PhysAddr) {
        // The second stage has no user bit and no used bit here: reads and writes are allowed.
        let entry = memory.load(place);
        memory.store(place, if entry == 0 { 0 } else { entry & !FLAGS | 0b11 });
    }
    memory.store(PhysAddr(ROOT), CONTEXTS | 1);
    let context = CONTEXTS + u64::from(SOURCE.devfn()) * 16;
    memory.store(PhysAddr(context + 8), 2 | 7 << 8);
    memory.store(PhysAddr(context), TABLES | 1 << 2 | 1);
    let stale = match report {
        Report::Off => StaleOptions::default(),
        Report::On => StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce },
    };
    let unit = Vtd::new(memory, VtdOptions { stale, ..VtdOptions::default() }, Arc::new(Nobody));
    unit.write(0x20, Width::Bits64, ROOT);
    unit.write(0x18, Width::Bits32, 1 << 30);
    unit.write(0x18, Width::Bits32, 1 << 31);
    unit
}

/// A word by DMA.
#[inline(always)]
pub(crate) fn read(port: &mut Port, address: VirtAddr) -> u64 {
    let request = Request { pasid: None, address, access: Access::Read };
    port.translate(request).expect("the page is mapped").load()
}
