//! A device's read through the VT-d unit: one word through the IOTLB and through a device TLB, a page, a miss; and what
//! it costs to watch for stale uses.
//!
//! Run: `cargo bench -p afterimage-iommu --bench vtd`. Compare rows of one run with each other, not runs.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use iommu::stale::watch::{Judging, StaleOptions, Watching};
use iommu::vtd::options::{CacheSizes, VtdOptions};
use iommu::vtd::port::Port;
use iommu::vtd::{Vtd, Width};
use mmu::address::{Access, PAGE_LEN, PAGE_SIZE, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use pcie::{Ats, Msi, MsiSink, Pasid, Request, SourceId};

const AREA: u64 = 0x4000_0000;
const READS: u64 = 4096;
const PAGES: [u64; 2] = [64, 1024];
const SOURCE: SourceId = SourceId::new(0, 3, 0);
const ROOT: u64 = 0x1000;
const CONTEXTS: u64 = 0x2000;
/// Four tables, one a level, the last one of them two frames long.
const TABLES: u64 = 0x3000;
const DIRECTORY: u64 = 0x8000;
const PASIDS: u64 = 0x9000;
const FIRST_PAGE: u64 = 0x10_0000;

fn main() {
    divan::main();
}

struct Nobody;

impl MsiSink for Nobody {
    fn send(&self, _: Msi) {}
}

/// What translates: the second stage, or the first for a PASID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Second,
    FirstWithPasid,
    /// Nothing: addresses pass.
    PassThrough,
}

impl Stage {
    fn pasid(self) -> Option<Pasid> {
        (self == Self::FirstWithPasid).then(|| Pasid::new(5).expect("it is small enough"))
    }

    /// Writes the entries that lead to the tables.
    fn link(self, memory: &PhysicalMemory) {
        memory.store(PhysAddr(ROOT), CONTEXTS | 1);
        match self {
            Self::Second => {
                let context = CONTEXTS + u64::from(SOURCE.devfn()) * 16;
                memory.store(PhysAddr(context + 8), 2 | 7 << 8);
                memory.store(PhysAddr(context), TABLES | 1 << 2 | 1);
            }
            Self::PassThrough => {
                let context = CONTEXTS + u64::from(SOURCE.devfn()) * 16;
                memory.store(PhysAddr(context + 8), 2 | 7 << 8);
                memory.store(PhysAddr(context), 2 << 2 | 1);
            }
            Self::FirstWithPasid => {
                let context = CONTEXTS + u64::from(SOURCE.devfn()) * 32;
                memory.store(PhysAddr(context), DIRECTORY | 0b1101);
                memory.store(PhysAddr(DIRECTORY), PASIDS | 1);
                let entry = PASIDS + 5 * 64;
                memory.store(PhysAddr(entry + 8), 7);
                memory.store(PhysAddr(entry + 16), TABLES);
                memory.store(PhysAddr(entry), 1 << 6 | 1);
            }
        }
    }

    /// What an entry has set that is present and allows all.
    const fn flags(self) -> u64 {
        match self {
            Self::Second | Self::PassThrough => 0b11,
            Self::FirstWithPasid => 0b111,
        }
    }

    /// Where the device sees its pages.
    const fn area(self) -> u64 {
        match self {
            Self::Second | Self::FirstWithPasid => AREA,
            Self::PassThrough => FIRST_PAGE,
        }
    }

    /// RTADDR.
    const fn root(self) -> u64 {
        match self {
            Self::Second | Self::PassThrough => ROOT,
            Self::FirstWithPasid => ROOT | 1 << 10,
        }
    }
}

/// A unit whose device has `pages` pages mapped.
fn unit(stage: Stage, pages: u64, stale: StaleOptions) -> Arc<Vtd> {
    let memory = Arc::new(PhysicalMemory::new(16 << 20).expect("the memory can be mapped"));
    let flags = stage.flags();
    stage.link(&memory);
    memory.store(PhysAddr(TABLES), (TABLES + 0x1000) | flags);
    memory.store(PhysAddr(TABLES + 0x1000 + 8), (TABLES + 0x2000) | flags);
    for table in 0..2 {
        memory.store(PhysAddr(TABLES + 0x2000 + table * 8), (TABLES + 0x3000 + table * PAGE_SIZE) | flags);
    }
    for page in 0..pages {
        memory.store(PhysAddr(TABLES + 0x3000 + page * 8), (FIRST_PAGE + page * PAGE_SIZE) | flags);
    }
    let caches = CacheSizes { iotlb: 8192, ..CacheSizes::default() };
    let unit = Vtd::new(memory, VtdOptions { caches, stale, ..VtdOptions::default() }, Arc::new(Nobody));
    unit.write(0x20, Width::Bits64, stage.root());
    unit.write(0x18, Width::Bits32, 1 << 30);
    unit.write(0x18, Width::Bits32, 1 << 31);
    unit
}

fn offsets(pages: u64) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..READS).map(|_| random.u64(0..pages * PAGE_SIZE / 8) * 8).collect()
}

fn read(port: &mut Port, stage: Stage, offset: u64) -> u64 {
    let address = VirtAddr(stage.area() + offset);
    let request = Request { pasid: stage.pasid(), address, access: Access::Read };
    port.translate(request).expect("the page is mapped").load()
}

fn read_words(bencher: Bencher, stage: Stage, pages: u64, stale: StaleOptions, ats: Ats) {
    let unit = unit(stage, pages, stale);
    let mut port = unit.port(SOURCE, 8192);
    port.set_ats(ats);
    let offsets = offsets(pages);
    let mut word = |offset: &u64| read(&mut port, stage, *offset);
    bencher
        .counter(ItemsCount::new(offsets.len()))
        .bench_local(|| offsets.iter().map(&mut word).fold(0, u64::wrapping_add));
}

const WATCHED: StaleOptions = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };

#[divan::bench(args = PAGES, min_time = 0.3)]
fn word(bencher: Bencher, pages: u64) {
    read_words(bencher, Stage::Second, pages, StaleOptions::default(), Ats::Disabled);
}

#[divan::bench(args = PAGES, min_time = 0.3)]
fn word_watched(bencher: Bencher, pages: u64) {
    read_words(bencher, Stage::Second, pages, WATCHED, Ats::Disabled);
}

#[divan::bench(args = PAGES, min_time = 0.3)]
fn word_with_pasid(bencher: Bencher, pages: u64) {
    read_words(bencher, Stage::FirstWithPasid, pages, StaleOptions::default(), Ats::Disabled);
}

#[divan::bench(args = PAGES, min_time = 0.3)]
fn word_with_pasid_watched(bencher: Bencher, pages: u64) {
    read_words(bencher, Stage::FirstWithPasid, pages, WATCHED, Ats::Disabled);
}

#[divan::bench(args = PAGES, min_time = 0.3)]
fn word_passing(bencher: Bencher, pages: u64) {
    read_words(bencher, Stage::PassThrough, pages, StaleOptions::default(), Ats::Disabled);
}

#[divan::bench(args = PAGES, min_time = 0.3)]
fn word_passing_watched(bencher: Bencher, pages: u64) {
    read_words(bencher, Stage::PassThrough, pages, WATCHED, Ats::Disabled);
}

#[divan::bench(args = PAGES, min_time = 0.3)]
fn word_through_a_device_tlb(bencher: Bencher, pages: u64) {
    read_words(bencher, Stage::Second, pages, StaleOptions::default(), Ats::Enabled);
}

/// Whole pages: from anywhere else in the last one, a read would end behind what is mapped.
#[divan::bench(args = [false, true], min_time = 0.3)]
fn page(bencher: Bencher, watched: bool) {
    let unit = unit(Stage::Second, 64, if watched { WATCHED } else { StaleOptions::default() });
    let mut port = unit.port(SOURCE, 0);
    let pages: Vec<_> = offsets(64).iter().map(|offset| VirtAddr(AREA + offset).page()).collect();
    let mut bytes = [0; PAGE_LEN];
    bencher.counter(ItemsCount::new(pages.len())).bench_local(|| {
        for page in &pages {
            port.read(None, *page, &mut bytes).expect("the page is mapped");
        }
        bytes[0]
    });
}

/// The IOTLB is emptied before each read; the paging-structure caches stay.
#[divan::bench(args = [false, true], min_time = 0.3)]
fn word_missed(bencher: Bencher, watched: bool) {
    let unit = unit(Stage::Second, 64, if watched { WATCHED } else { StaleOptions::default() });
    let mut port = unit.port(SOURCE, 0);
    let offsets = offsets(64);
    bencher.counter(ItemsCount::new(offsets.len())).bench_local(|| {
        let mut missed = |offset: &u64| {
            unit.iotlb().invalidate_all();
            read(&mut port, Stage::Second, *offset)
        };
        offsets.iter().map(&mut missed).fold(0, u64::wrapping_add)
    });
}
