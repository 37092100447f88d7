//! The slow paths: a page walk against the bare loads it consists of, the notifier chain, an invalidation, a COW
//! break and KSM.
//!
//! Run: `cargo bench -p afterimage-mmu --bench paths`. Compare rows of one run with each other, not runs.

use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use mmu::address::{Access, PAGE_SIZE, Pfn, VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::area::{Backing, Merging};
use mmu::cpu::Cpu;
use mmu::frame::Frames;
use mmu::ksm::Ksm;
use mmu::notifier::{Blocking, Invalidation, InvalidationKind, MmuNotifier, NotifierChain};
use mmu::walker::walk;

const AREA: VirtAddr = VirtAddr(0x10_0000_0000);
const WALKS: u64 = 4096;

fn main() {
    divan::main();
}

/// `pages` pages, `stride` bytes apart, all touched.
fn touched(pages: u64, stride: u64, memory: u64) -> Arc<AddressSpace> {
    let frames = Frames::new(memory).expect("the fixture is well formed");
    let space =
        AddressSpace::new(frames, SpaceId(1), SpaceOptions::default()).expect("the fixture is well formed");
    let mut cpu = Cpu::new(0, Arc::clone(&space));
    for page in 0..pages {
        let range = VirtRange::page(AREA.offset(page * stride));
        space.map(range, Backing::PrivateAnonymous, Merging::Mergeable).expect("the fixture is well formed");
        cpu.store(range.start, 1).expect("the fixture is well formed");
    }
    drop(cpu);
    space
}

/// Addresses in an order that no prefetcher guesses.
fn addresses(pages: u64, stride: u64) -> Vec<VirtAddr> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..WALKS).map(|_| AREA.offset(random.u64(0..pages) * stride)).collect()
}

/// (pages, bytes between them): warm tables, and a table for each page.
const SHAPES: [(u64, u64); 2] = [(64, PAGE_SIZE), (8192, 2 << 20)];

#[divan::bench(args = SHAPES, min_time = 0.3)]
fn walk_of_four_levels(bencher: Bencher, (pages, stride): (u64, u64)) {
    let space = touched(pages, stride, 128 << 20);
    let (memory, root) = (Arc::clone(space.frames().memory()), space.table().root());
    let addresses = addresses(pages, stride);
    bencher.counter(ItemsCount::new(addresses.len())).bench_local(|| {
        let found = |address: &VirtAddr| walk(&memory, root, *address, Access::Read).map(|found| found.pfn.0);
        addresses.iter().filter_map(|address| found(address).ok()).fold(0, u64::wrapping_add)
    });
}

#[divan::bench(args = SHAPES, min_time = 0.3)]
fn bare_loads_of_four_levels(bencher: Bencher, (pages, stride): (u64, u64)) {
    let space = touched(pages, stride, 128 << 20);
    let (memory, root) = (Arc::clone(space.frames().memory()), space.table().root());
    let addresses = addresses(pages, stride);
    let load = |address: &VirtAddr| {
        let mut table = root.table;
        for level in (1..=4).rev() {
            let entry = memory.load(table.address().offset(address.table_index(level) * 8));
            table = Pfn((entry & 0x000f_ffff_ffff_f000) >> 12);
        }
        table.0
    };
    bencher
        .counter(ItemsCount::new(addresses.len()))
        .bench_local(|| addresses.iter().map(load).fold(0, u64::wrapping_add));
}

struct Silent;
impl MmuNotifier for Silent {}

fn invalidation() -> Invalidation {
    Invalidation { range: VirtRange::page(AREA), kind: InvalidationKind::Clear, blocking: Blocking::Allowed }
}

#[divan::bench(args = [0, 1, 4], min_time = 0.3)]
fn notifier_start_and_end(bencher: Bencher, subscribers: usize) {
    let chain = NotifierChain::default();
    for _ in 0..subscribers {
        chain.subscribe(Arc::new(Silent));
    }
    bencher.bench_local(|| drop(black_box(chain.start(invalidation()))));
}

#[divan::bench(min_time = 0.3)]
fn flush_of_one_page_on_one_cpu(bencher: Bencher) {
    let space = touched(64, PAGE_SIZE, 4 << 20);
    let mut cpu = Cpu::new(0, Arc::clone(&space));
    cpu.load(AREA).expect("the fixture is well formed");
    cpu.pause();
    bencher.bench_local(|| space.flush_tlb(VirtRange::page(AREA)));
}

#[divan::bench(min_time = 0.5)]
fn cow_break(bencher: Bencher) {
    let space = touched(1, PAGE_SIZE, 16 << 20);
    let mut cpu = Cpu::new(0, Arc::clone(&space));
    bencher.with_inputs(|| space.fork(SpaceId(2)).expect("the fixture is well formed")).bench_local_values(
        |child| {
            cpu.store(AREA, 2).expect("the fixture is well formed");
            child
        },
    );
}

/// All pages equal, as many as KSM can merge, or all different.
#[divan::bench(args = [true, false], min_time = 0.5)]
fn ksm_scan(bencher: Bencher, equal: bool) {
    const PAGES: u64 = 1024;
    bencher
        .counter(ItemsCount::new(PAGES))
        .with_inputs(|| {
            let space = touched(PAGES, PAGE_SIZE, 16 << 20);
            let mut cpu = Cpu::new(0, Arc::clone(&space));
            for page in 0..PAGES {
                cpu.store(AREA.offset(page * PAGE_SIZE), if equal { 1 } else { page })
                    .expect("the fixture is well formed");
            }
            let ksm = Ksm::new(Arc::clone(space.frames()));
            ksm.scan(&space).expect("the fixture is well formed");
            (space, ksm)
        })
        .bench_local_refs(|(space, ksm)| ksm.scan(space).expect("the fixture is well formed"));
}
