//! A device's read of one word of a process through the unit, against vm-memory with and without its IOMMU; and what a
//! change of the page table costs.
//!
//! Run: `cargo bench -p afterimage-iommu --bench dma`. Compare rows of one run with each other, not runs.

use std::sync::{Arc, RwLock, RwLockReadGuard};

use divan::Bencher;
use divan::counter::ItemsCount;
use iommu::sva::port::DmaPort;
use iommu::sva::{SvaDriver, SvaOptions};
use iommu::vtd::options::{CacheSizes, VtdOptions};
use mmu::address::{PAGE_SIZE, VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::area::{Backing, Merging};
use mmu::frame::Frames;
use mmu::trace::Unobserved;
use pcie::Pasid;
use vm_memory::iommu::{Error, IotlbIterator};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, IommuMemory, Iotlb, Permissions};

const AREA: u64 = 0x1_0000_0000;
const READS: u64 = 4096;
const PAGES: [u64; 2] = [64, 1024];

fn main() {
    divan::main();
}

fn offsets(pages: u64) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..READS).map(|_| random.u64(0..pages) * PAGE_SIZE).collect()
}

/// A device and its address space, whose pages it has written.
struct Process {
    space: Arc<AddressSpace>,
    driver: Arc<SvaDriver>,
    port: DmaPort,
}

/// A device with a TLB of so many entries; 0 for none.
fn process(pages: u64, device_tlb: usize) -> Process {
    let frames = Frames::new(16 << 20).expect("the fixture is well formed");
    let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), SpaceOptions::default())
        .expect("the fixture is well formed");
    let range = VirtRange::pages(VirtAddr(AREA), pages);
    space.map(range, Backing::PrivateAnonymous, Merging::Off).expect("the fixture is well formed");
    let caches = CacheSizes { iotlb: 8192, ..CacheSizes::default() };
    let unit = VtdOptions { caches, ..VtdOptions::default() };
    let options = SvaOptions { unit, ..SvaOptions::default() };
    let driver = SvaDriver::new(frames, options).expect("the fixture is well formed");
    let pasid = Pasid::new(1).expect("the fixture is well formed");
    driver.bind(pasid, &space).expect("the fixture is well formed");
    let device = driver.attach(0, device_tlb).expect("the fixture is well formed");
    let mut port = DmaPort::new(&driver, device, pasid, Arc::new(Unobserved));
    for page in 0..pages {
        port.write(VirtAddr(AREA + page * PAGE_SIZE), page).expect("the page is mapped");
    }
    Process { space, driver, port }
}

#[inline(always)]
fn read(port: &mut DmaPort, offset: u64) -> u64 {
    port.read(VirtAddr(AREA + offset)).expect("the page is mapped").value
}

fn read_words(bencher: Bencher, pages: u64, device_tlb: usize) {
    let mut process = process(pages, device_tlb);
    let offsets = offsets(pages);
    bencher.counter(ItemsCount::new(offsets.len())).bench_local(|| {
        offsets.iter().map(|offset| read(&mut process.port, *offset)).fold(0, u64::wrapping_add)
    });
}

#[divan::bench(args = PAGES, min_time = 0.3)]
fn dma_read(bencher: Bencher, pages: u64) {
    read_words(bencher, pages, 0);
}

#[divan::bench(args = PAGES, min_time = 0.3)]
fn dma_read_through_a_device_tlb(bencher: Bencher, pages: u64) {
    read_words(bencher, pages, 8192);
}

/// The IOTLB is emptied before each read; the paging-structure caches stay.
#[divan::bench(min_time = 0.3)]
fn dma_read_missed(bencher: Bencher) {
    let mut process = process(64, 0);
    let offsets = offsets(64);
    bencher.counter(ItemsCount::new(offsets.len())).bench_local(|| {
        let mut missed = |offset: &u64| {
            process.driver.unit().iotlb().invalidate_all();
            read(&mut process.port, *offset)
        };
        offsets.iter().map(&mut missed).fold(0, u64::wrapping_add)
    });
}

/// What a change of so many pages costs its address space: descriptors, doorbell, drain. No device is in an access.
#[divan::bench(args = [1, 8, 511], min_time = 0.3)]
fn notification(bencher: Bencher, pages: u64) {
    let mut process = process(512, 0);
    process.port.pause();
    let range = VirtRange::pages(VirtAddr(AREA), pages);
    bencher.bench_local(|| process.space.notifiers().invalidate_secondary(range));
}

fn plain(pages: u64) -> GuestMemoryMmap<()> {
    GuestMemoryMmap::from_ranges(&[(
        GuestAddress(0),
        usize::try_from(pages * PAGE_SIZE).expect("the fixture is well formed"),
    )])
    .expect("the memory can be mapped")
}

#[divan::bench(args = PAGES, min_time = 0.3)]
fn vm_memory_untranslated(bencher: Bencher, pages: u64) {
    let memory = plain(pages);
    let offsets = offsets(pages);
    bencher.counter(ItemsCount::new(offsets.len())).bench_local(|| {
        let read =
            |offset: &u64| memory.read_obj::<u64>(GuestAddress(*offset)).expect("the fixture is well formed");
        offsets.iter().map(read).fold(0, u64::wrapping_add)
    });
}

/// vm-memory's own IOTLB behind a lock, as its users keep it.
#[derive(Debug)]
struct Locked(RwLock<Iotlb>);

impl vm_memory::Iommu for Locked {
    type IotlbGuard<'a> = RwLockReadGuard<'a, Iotlb>;

    fn translate(
        &self,
        iova: GuestAddress,
        length: usize,
        access: Permissions,
    ) -> Result<IotlbIterator<Self::IotlbGuard<'_>>, Error> {
        Iotlb::lookup(self.0.read().expect("the fixture is well formed"), iova, length, access).map_err(
            |failed| Error::CannotResolve {
                iova_range: failed.misses[0].clone(),
                reason: "not mapped".to_owned(),
            },
        )
    }
}

#[divan::bench(args = PAGES, min_time = 0.3)]
fn vm_memory_translated(bencher: Bencher, pages: u64) {
    let mut iotlb = Iotlb::new();
    for page in 0..pages {
        // Neighbours are swapped, so that no two mappings grow into one.
        let (from, to) = (AREA + page * PAGE_SIZE, (page ^ 1) * PAGE_SIZE);
        let length = usize::try_from(PAGE_SIZE).expect("the fixture is well formed");
        iotlb
            .set_mapping(GuestAddress(from), GuestAddress(to), length, Permissions::ReadWrite)
            .expect("the fixture is well formed");
    }
    let memory = IommuMemory::new(plain(pages), Locked(RwLock::new(iotlb)), true, ());
    let offsets = offsets(pages);
    bencher.counter(ItemsCount::new(offsets.len())).bench_local(|| {
        let read = |offset: &u64| {
            memory.read_obj::<u64>(GuestAddress(AREA + offset)).expect("the fixture is well formed")
        };
        offsets.iter().map(read).fold(0, u64::wrapping_add)
    });
}
