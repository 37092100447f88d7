//! rust-vmm's virtio-queue behind a port of the unit, unchanged, over memory that the unit has not mapped.
//!
//! The device below is what rust-vmm's devices are made of: a `Queue`, its chains, a `Reader`, a `Writer`, over
//! `IommuMemory`. A driver that invalidates what it maps anew is silent; one that forgets it is reported, and the control is
//! that the device then really reads the old page.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use iommu::stale::watch::{Judging, StaleOptions, Watching};
use iommu::stale::{Holder, StaleUse};
use iommu::vtd::options::VtdOptions;
use iommu::vtd::port::shared::SharedPort;
use iommu::vtd::{Vtd, Width};
use mmu::memory::PhysicalMemory;
use pcie::{Msi, MsiSink, SourceId};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, IommuMemory};

const SOURCE: SourceId = SourceId::new(0, 3, 0);
const DOMAIN: u64 = 7;
const ROOT: u64 = 0x1000;
const CONTEXT: u64 = 0x2000;
/// Of 4 levels; the last one's entries map from [`WINDOW`] on.
const TABLES: [u64; 4] = [0x3000, 0x4000, 0x5000, 0x6000];
const COMMANDS: u64 = 0x8000;
const STATUS: u64 = 0x9000;
/// The first address that the device uses.
const WINDOW: u64 = 0x20_0000;
const PAGE: u64 = 0x1000;
/// The other region of memory.
const FAR: u64 = 4 << 20;

/// Pages of the window, and the frames that they are first.
const DESCRIPTORS: u64 = 0;
const AVAILABLE: u64 = 1;
const USED: u64 = 2;
const REQUEST: u64 = 3;
const ANSWER: u64 = 5;
const FRAMES: [u64; 6] = [0x1_0000, FAR + 0x4_0000, 0x1_2000, FAR + 0x1000, 0x2_0000, FAR];
const OTHER_FRAME: u64 = 0x5_0000;
const QUEUE_SIZE: u16 = 16;

struct NoInterrupts;

impl MsiSink for NoInterrupts {
    fn send(&self, _: Msi) {}
}

/// A driver of the unit and of a virtio device behind it.
struct Driver {
    memory: GuestMemoryMmap,
    unit: Arc<Vtd>,
    tail: u64,
    waits: u64,
    offered: u16,
}

fn at(page: u64) -> u64 {
    WINDOW + page * PAGE
}

impl Driver {
    fn new() -> Self {
        let ranges = [(GuestAddress(0), 1 << 20), (GuestAddress(FAR), 1 << 20)];
        let memory = GuestMemoryMmap::from_ranges(&ranges).expect("2 MiB can be mapped");
        let lent = PhysicalMemory::lent(Arc::new(memory.clone())).expect("a page of addresses is left");
        let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
        let options = VtdOptions { stale, ..VtdOptions::default() };
        let unit = Vtd::new(Arc::new(lent), options, Arc::new(NoInterrupts));
        let driver = Self { memory, unit, tail: 0, waits: 0, offered: 0 };
        driver.start();
        for (page, frame) in (0..).zip(FRAMES) {
            driver.map(page, frame);
        }
        driver
    }

    fn start(&self) {
        self.put(ROOT, CONTEXT | 1);
        let entry = CONTEXT + u64::from(SOURCE.devfn()) * 16;
        self.put(entry + 8, DOMAIN << 8 | 2);
        self.put(entry, TABLES[0] | 1);
        self.put(TABLES[0], TABLES[1] | 3);
        self.put(TABLES[1], TABLES[2] | 3);
        self.put(TABLES[2] + 8, TABLES[3] | 3);
        self.unit.write(0x20, Width::Bits64, ROOT);
        self.unit.write(0x18, Width::Bits32, 1 << 30);
        self.unit.write(0x90, Width::Bits64, COMMANDS);
        self.unit.write(0x18, Width::Bits32, 1 << 26);
        self.unit.write(0x18, Width::Bits32, 1 << 26 | 1 << 31);
    }

    fn put(&self, address: u64, word: u64) {
        self.memory.store(word, GuestAddress(address), Ordering::Release).expect("it is memory");
    }

    fn map(&self, page: u64, frame: u64) {
        self.put(TABLES[3] + page * 8, frame | 3);
    }

    /// Invalidates a page and waits for it.
    fn invalidate(&mut self, page: u64) {
        self.waits += 1;
        let page = [2 | 3 << 4 | 3 << 6 | DOMAIN << 16, at(page)];
        let wait = [5 | 1 << 5 | self.waits << 32, STATUS];
        for word in [page, wait].concat() {
            self.put(COMMANDS + self.tail, word);
            self.tail = (self.tail + 8) % PAGE;
        }
        self.unit.write(0x88, Width::Bits64, self.tail);
        let status: u32 = self.memory.load(GuestAddress(STATUS), Ordering::Acquire).expect("it is memory");
        assert_eq!(u64::from(status), self.waits, "the wait is complete when the doorbell returns");
    }

    /// Offers a request of 8 KiB in two pages, and 8 bytes for its answer.
    fn offer(&mut self) {
        let [descriptors, available] = [FRAMES[0], FRAMES[1]];
        let chain = [(at(REQUEST), 0x2000_u64, 1_u64, 1_u64), (at(ANSWER), 8, 2, 0)];
        for (index, (address, len, flags, next)) in (0..).zip(chain) {
            self.put(descriptors + index * 16, address);
            self.put(descriptors + index * 16 + 8, len | flags << 32 | next << 48);
        }
        let slot = available + 4 + u64::from(self.offered % QUEUE_SIZE) * 2;
        self.memory.write_obj(0_u16, GuestAddress(slot)).expect("it is memory");
        self.offered += 1;
        let index = GuestAddress(available + 2);
        self.memory.store(self.offered, index, Ordering::Release).expect("it is memory");
    }

    /// How many chains the device gave back, and what it answered last.
    fn taken(&self) -> (u16, u64) {
        let used = self.memory.load(GuestAddress(FRAMES[2] + 2), Ordering::Acquire).expect("it is memory");
        let answer = self.memory.read_obj(GuestAddress(FRAMES[5])).expect("it is memory");
        (used, answer)
    }

    fn reports(&self) -> Vec<StaleUse> {
        self.unit.take_stale_uses()
    }
}

/// A device that answers a request by its first word. Nothing of it knows of the unit.
struct Device {
    memory: IommuMemory<GuestMemoryMmap, SharedPort>,
    queue: Queue,
}

impl Device {
    fn behind(driver: &Driver) -> Self {
        let port = driver.unit.shared_port(SOURCE, 0);
        let memory = IommuMemory::new(driver.memory.clone(), port, true, ());
        let mut queue = Queue::new(QUEUE_SIZE).expect("a power of two");
        queue.try_set_desc_table_address(GuestAddress(at(DESCRIPTORS))).expect("aligned");
        queue.try_set_avail_ring_address(GuestAddress(at(AVAILABLE))).expect("aligned");
        queue.try_set_used_ring_address(GuestAddress(at(USED))).expect("aligned");
        queue.set_ready(true);
        Self { memory, queue }
    }

    /// Serves one chain; false if there is none that it can reach.
    fn serve(&mut self) -> bool {
        let Some(chain) = self.queue.pop_descriptor_chain(&self.memory) else { return false };
        let (head, answered) = (chain.head_index(), chain.clone());
        let mut request = Vec::new();
        let Ok(mut reader) = chain.reader(&self.memory) else { return false };
        reader.read_to_end(&mut request).expect("slices can be read");
        assert_eq!(request.len(), 0x2000);
        let Ok(mut writer) = answered.writer(&self.memory) else { return false };
        writer.write_all(&request[..8]).expect("slices can be written");
        self.queue.add_used(&self.memory, head, 8).is_ok()
    }
}

#[test]
fn descriptors_rings_and_buffers_are_reached_through_the_unit() {
    let mut driver = Driver::new();
    let mut device = Device::behind(&driver);
    assert!(device.queue.is_valid(&device.memory));
    assert!(!device.serve(), "nothing is offered");
    for round in 1..=40_u16 {
        driver.put(FRAMES[3], 0x1111 * u64::from(round));
        driver.offer();
        assert!(device.serve());
        assert_eq!(driver.taken(), (round, 0x1111 * u64::from(round)));
    }
    assert_eq!(driver.reports(), []);
    assert_eq!(driver.unit.read(0x34, Width::Bits32), 0, "no fault");
}

/// A device that has served a request from the first frame; then its page leads to another frame.
fn remapped() -> (Driver, Device) {
    let mut driver = Driver::new();
    let mut device = Device::behind(&driver);
    driver.put(FRAMES[3], 1);
    driver.put(OTHER_FRAME, 2);
    driver.offer();
    assert!(device.serve());
    assert_eq!(driver.taken(), (1, 1));
    driver.map(REQUEST, OTHER_FRAME);
    (driver, device)
}

#[test]
fn a_driver_that_forgets_an_invalidation_is_reported_and_its_device_reads_the_old_page() {
    let (mut driver, mut device) = remapped();
    driver.offer();
    assert!(device.serve());
    assert_eq!(driver.taken(), (2, 1), "the control: what was read is the old page's");
    let reports = driver.reports();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.requester.source, report.page().0), (SOURCE, at(REQUEST)));
    assert_eq!(report.holder, Holder::Iotlb);
    assert_eq!(report.change.place.0, TABLES[3] + REQUEST * 8);
    assert_eq!(report.received, [], "no invalidation came");
}

#[test]
fn a_driver_that_invalidates_another_page_is_told_so() {
    let (mut driver, mut device) = remapped();
    driver.invalidate(ANSWER);
    driver.offer();
    assert!(device.serve());
    let reports = driver.reports();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(report.received.len(), 1);
}

#[test]
fn the_driver_that_invalidates_is_silent_and_its_device_reads_the_new_page() {
    let (mut driver, mut device) = remapped();
    driver.invalidate(REQUEST);
    driver.offer();
    assert!(device.serve());
    assert_eq!(driver.taken(), (2, 2));
    assert_eq!(driver.reports(), []);
}

#[test]
fn a_buffer_that_is_not_mapped_is_a_fault_and_the_device_goes_on() {
    let (mut driver, mut device) = remapped();
    driver.map(REQUEST, 0);
    driver.put(TABLES[3] + REQUEST * 8, 0);
    driver.invalidate(REQUEST);
    driver.offer();
    assert!(!device.serve());
    assert_ne!(driver.unit.read(0x34, Width::Bits32) & 2, 0, "FSTS.PPF");
    driver.map(REQUEST, OTHER_FRAME);
    driver.offer();
    assert!(device.serve());
    assert_eq!(driver.taken().1, 2);
}
