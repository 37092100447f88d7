//! The translation cache against vm-memory's IOTLB behind a reader-writer lock, in one run.
//!
//! One item is one translation (or one invalidation with its drain), one iteration a sweep of many: read the
//! rate, and compare rates of one run. Every lookup of ours is a whole access: enter, look up, leave. The addresses
//! are random, from a fixed seed, so that both see the same ones and no prefetcher guesses them.
//!
//! Instructions a hit:
//! `valgrind --tool=callgrind --toggle-collect='*hit_sweep*' <binary> --test hit_ours`, divided by 9 sweeps (three
//! sizes, by one thread and by two) of [`LOOKUPS`].

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::thread;

use divan::counter::ItemsCount;
use divan::{Bencher, main as run};
use mmu::address::{PAGE_SIZE, PageSize, Pfn, VirtAddr};
use mmu::cache::{CachePort, Permission, Tag, Translation, TranslationCache};
use mmu::drain::Drain;
use vm_memory::iommu::{Error as IommuError, Iotlb, IotlbIterator};
use vm_memory::{GuestAddress, Iommu, Permissions};

const SIZES: [u64; 3] = [64, 1024, 65536];
const MANY: u64 = 65536;
/// Lookups of one sweep.
const LOOKUPS: usize = 65536;
/// Invalidations of one sweep; as many pages are filled anew before it.
const INVALIDATIONS: usize = 256;
const TAG: Tag = Tag(5);
const BASE: u64 = 0x1_0000_0000;

fn main() {
    run();
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn addresses(count: usize, pages: u64) -> Vec<u64> {
    let mut random = Random(0x1234_5678_9abc);
    (0..count).map(|_| BASE + random.below(pages) * PAGE_SIZE + random.below(512) * 8).collect()
}

/// The frame of an address; neighbouring pages do not have neighbouring frames, which a tree would merge.
fn frame(address: u64) -> u64 {
    address / PAGE_SIZE * 7919 % 131_072
}

fn fill(port: &mut CachePort, address: u64) {
    fill_sized(port, address, PageSize::Size4K);
}

fn fill_sized(port: &mut CachePort, address: u64, size: PageSize) {
    let pfn = Pfn(frame(address) & !(size.bytes() / PAGE_SIZE - 1));
    let section = port.enter();
    let ticket = section.begin_fill(TAG);
    let translation = Translation { pfn, size, permission: Permission::READ_WRITE, dirty: true };
    section.fill(ticket, VirtAddr(address), translation);
}

fn filled(pages: u64) -> (Arc<TranslationCache>, CachePort) {
    let cache = Arc::new(TranslationCache::new(usize::try_from(pages).unwrap_or(usize::MAX)));
    let mut port = cache.port();
    (0..pages).for_each(|page| fill(&mut port, BASE + page * PAGE_SIZE));
    (cache, port)
}

#[inline(never)]
fn hit_sweep(port: &mut CachePort, addresses: &[u64]) -> u64 {
    let tag = black_box(TAG);
    addresses.iter().fold(0, |sum, &address| {
        let section = port.enter();
        let found = section.lookup(tag, VirtAddr(address));
        sum.wrapping_add(found.map_or(1, |found| found.physical(VirtAddr(address)).0))
    })
}

/// vm-memory's IOTLB as an IOMMU device shares it between its threads.
#[derive(Debug)]
struct Peer(RwLock<Iotlb>);

impl Iommu for Peer {
    type IotlbGuard<'a> = RwLockReadGuard<'a, Iotlb>;

    fn translate(
        &self,
        iova: GuestAddress,
        length: usize,
        access: Permissions,
    ) -> Result<IotlbIterator<Self::IotlbGuard<'_>>, IommuError> {
        let table = self.0.read().expect("no writer panics");
        Iotlb::lookup(table, iova, length, access).map_err(|fails| IommuError::CannotResolve {
            iova_range: fails.misses[0].clone(),
            reason: String::new(),
        })
    }
}

impl Peer {
    fn filled(pages: u64) -> Arc<Self> {
        let peer = Self(RwLock::new(Iotlb::new()));
        (0..pages).for_each(|page| peer.fill(BASE + page * PAGE_SIZE));
        Arc::new(peer)
    }

    fn fill(&self, address: u64) {
        let (iova, to) = (GuestAddress(address & !(PAGE_SIZE - 1)), GuestAddress(frame(address) * PAGE_SIZE));
        let mut table = self.0.write().expect("no writer panics");
        table.set_mapping(iova, to, 4096, Permissions::ReadWrite).expect("no two mappings overlap");
    }

    fn invalidate(&self, address: u64) {
        let iova = GuestAddress(address & !(PAGE_SIZE - 1));
        self.0.write().expect("no writer panics").invalidate_mapping(iova, 4096);
    }

    #[inline(never)]
    fn peer_sweep(&self, addresses: &[u64]) -> u64 {
        addresses.iter().fold(0, |sum, &address| {
            let found = self.translate(GuestAddress(address), 8, Permissions::Read).ok();
            let first = found.and_then(|mut ranges| ranges.next());
            sum.wrapping_add(first.map_or(1, |range| range.base.0))
        })
    }
}

/// Runs `work` again and again on another thread while `measured` runs.
fn beside(mut work: impl FnMut() + Send, measured: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                work();
            }
        });
        measured();
        stop.store(true, Ordering::Relaxed);
    });
}

#[divan::bench(args = SIZES, threads = [1, 2])]
fn hit_ours(bencher: Bencher, pages: u64) {
    let (cache, _) = filled(pages);
    let addresses = addresses(LOOKUPS, pages);
    bencher
        .counter(ItemsCount::new(LOOKUPS))
        .with_inputs(|| cache.port())
        .bench_refs(|port| hit_sweep(port, black_box(&addresses)));
}

#[divan::bench(args = SIZES, threads = [1, 2])]
fn hit_vm_memory(bencher: Bencher, pages: u64) {
    let peer = Peer::filled(pages);
    let addresses = addresses(LOOKUPS, pages);
    bencher.counter(ItemsCount::new(LOOKUPS)).bench(|| peer.peer_sweep(black_box(&addresses)));
}

#[divan::bench(args = [PageSize::Size2M, PageSize::Size1G])]
fn hit_large_ours(bencher: Bencher, size: PageSize) {
    let (_, mut port) = filled(64);
    let large = addresses(LOOKUPS, 16 * size.bytes() / PAGE_SIZE);
    let large = large.iter().map(|address| address + (1 << 40)).collect::<Vec<_>>();
    large.iter().for_each(|&address| fill_sized(&mut port, address, size));
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| hit_sweep(&mut port, black_box(&large)));
}

#[divan::bench]
fn miss_ours(bencher: Bencher) {
    let (_, mut port) = filled(1024);
    let absent = addresses(LOOKUPS, 1024).iter().map(|address| address + (1 << 32)).collect::<Vec<_>>();
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| hit_sweep(&mut port, black_box(&absent)));
}

#[divan::bench]
fn enter_and_exit_alone(bencher: Bencher) {
    let drain = Drain::new();
    let mut reader = drain.reader();
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| {
        for _ in 0..LOOKUPS {
            reader.enter();
            black_box(&mut reader).exit();
        }
    });
}

/// Measures the invalidation and drain of pages that are all cached, among [`MANY`].
fn invalidate_pages(bencher: Bencher, cache: &Arc<TranslationCache>) {
    let pages = addresses(INVALIDATIONS, MANY);
    let mut port = cache.port();
    bencher
        .counter(ItemsCount::new(INVALIDATIONS))
        .with_inputs(|| {
            pages.iter().for_each(|&page| fill(&mut port, page));
            port.pause();
        })
        .bench_local_values(|()| {
            for &page in &pages {
                cache.invalidate_page(TAG, VirtAddr(page));
                cache.drain();
            }
        });
}

#[divan::bench]
fn invalidate_page_reader_paused_ours(bencher: Bencher) {
    let (cache, mut port) = filled(MANY);
    port.pause();
    invalidate_pages(bencher, &cache);
}

#[divan::bench]
fn invalidate_page_reader_running_ours(bencher: Bencher) {
    let (cache, mut port) = filled(MANY);
    let addresses = addresses(1024, MANY);
    let read = move || {
        black_box(hit_sweep(&mut port, &addresses));
    };
    beside(read, || invalidate_pages(bencher, &cache));
}

#[divan::bench]
fn invalidate_page_vm_memory(bencher: Bencher) {
    let peer = Peer::filled(MANY);
    let pages = addresses(INVALIDATIONS, MANY);
    bencher
        .counter(ItemsCount::new(INVALIDATIONS))
        .with_inputs(|| pages.iter().for_each(|&page| peer.fill(page)))
        .bench_local_values(|()| pages.iter().for_each(|&page| peer.invalidate(page)));
}

#[divan::bench]
fn invalidate_tag_ours(bencher: Bencher) {
    let (cache, mut port) = filled(MANY);
    port.pause();
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| {
        (0..LOOKUPS).for_each(|_| cache.invalidate_tag(black_box(TAG)));
    });
}

#[divan::bench]
fn invalidate_tag_and_drain_ours(bencher: Bencher) {
    let (cache, mut port) = filled(MANY);
    port.pause();
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| {
        for _ in 0..LOOKUPS {
            cache.invalidate_tag(black_box(TAG));
            cache.drain();
        }
    });
}

#[divan::bench]
fn invalidate_all_ours(bencher: Bencher) {
    let (cache, mut port) = filled(MANY);
    port.pause();
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| {
        (0..LOOKUPS).for_each(|_| cache.invalidate_all());
    });
}

#[divan::bench(sample_count = 20)]
fn invalidate_all_vm_memory(bencher: Bencher) {
    bencher
        .counter(ItemsCount::new(1usize))
        .with_inputs(|| Peer::filled(MANY))
        .bench_local_values(|peer| peer.0.write().expect("no writer panics").invalidate_all());
}

#[divan::bench(args = SIZES)]
fn reader_under_a_storm_ours(bencher: Bencher, pages: u64) {
    let (cache, mut port) = filled(pages);
    let (mut other, mut random) = (cache.port(), Random(99));
    let addresses = addresses(LOOKUPS, pages);
    let storm = || {
        let page = BASE + random.below(pages) * PAGE_SIZE;
        cache.invalidate_page(TAG, VirtAddr(page));
        cache.drain();
        fill(&mut other, page);
        other.pause();
    };
    beside(storm, || {
        bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| hit_sweep(&mut port, black_box(&addresses)));
    });
}

#[divan::bench(args = SIZES)]
fn reader_under_a_storm_vm_memory(bencher: Bencher, pages: u64) {
    let peer = Peer::filled(pages);
    let mut random = Random(99);
    let addresses = addresses(LOOKUPS, pages);
    let storm = || {
        let page = BASE + random.below(pages) * PAGE_SIZE;
        peer.invalidate(page);
        peer.fill(page);
    };
    beside(storm, || {
        bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| peer.peer_sweep(black_box(&addresses)));
    });
}

#[divan::bench(args = [1024, 65536])]
fn create_a_cache(entries: usize) -> TranslationCache {
    TranslationCache::new(entries)
}
