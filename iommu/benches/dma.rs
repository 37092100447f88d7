//! A device's read of one word through the IOTLB, against vm-memory with and without its IOMMU.
//!
//! Run: `cargo bench -p afterimage-iommu --bench dma`. Compare rows of one run with each other, not runs.

use std::sync::{Arc, RwLock, RwLockReadGuard};

use divan::Bencher;
use divan::counter::ItemsCount;
use iommu::dma::DmaPort;
use iommu::pasid::Pasid;
use iommu::unit::{Iommu, IommuOptions};
use mmu::address::{PAGE_SIZE, VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::area::{Backing, Merging};
use mmu::frame::Frames;
use mmu::trace::Unobserved;
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

#[divan::bench(args = PAGES, min_time = 0.3)]
fn dma_read(bencher: Bencher, pages: u64) {
    let frames = Frames::new(16 << 20).expect("the fixture is well formed");
    let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), SpaceOptions::default())
        .expect("the fixture is well formed");
    let range = VirtRange::pages(VirtAddr(AREA), pages);
    space.map(range, Backing::PrivateAnonymous, Merging::Off).expect("the fixture is well formed");
    let unit = Iommu::new(frames, IommuOptions { iotlb_entries: 8192 });
    let pasid = Pasid::new(1).expect("the fixture is well formed");
    unit.bind(pasid, &space).expect("the fixture is well formed");
    let mut port = DmaPort::new(unit, 0, pasid, Arc::new(Unobserved));
    let offsets = offsets(pages);
    for offset in &offsets {
        port.write(VirtAddr(AREA + offset), *offset).expect("the page is mapped");
    }
    bencher.counter(ItemsCount::new(offsets.len())).bench_local(|| {
        let mut read = |offset: &u64| port.read(VirtAddr(AREA + offset)).map_or(0, |read| read.value);
        offsets.iter().map(&mut read).fold(0, u64::wrapping_add)
    });
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
