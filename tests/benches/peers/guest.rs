//! A guest with one virtio device and a driver that does what Linux does for a request: it maps what the device is to
//! reach, offers it, rings, and, once it is used, unmaps each page, invalidates it and waits for that.
//!
//! Invariant: where nothing is remapped the driver does the same but for the unit's part. Nothing of a page is mapped
//! before it is offered. That it is unmapped afterwards is written here, and looked at by nobody.

use std::hint::spin_loop;
use std::sync::Arc;

use devices::bus::Width;
use devices::interrupt::{Level, Pin, Pins, Wire};
use devices::pci::bus::BusFull;
use devices::pci::host_bridge::BridgeFunction;
use devices::pci::{Function, PciBus};
use devices::upstream::{Direct, Remapped, Upstream};
use devices::virtio::VirtioFunction;
use devices::virtio::identity::Identity;
use devices::virtio::model::Models;
use devices::worker::Hooks;
use iommu::stale::watch::StaleOptions;
use iommu::vtd::{Vtd, Width as UnitWidth};
use mmu::address::{PAGE_SIZE, PhysAddr};
use mmu::memory::PhysicalMemory;

use crate::pages::BASE;
use crate::unit::{SOURCE, entry, first_page, place, unit};

/// Pages that the device may reach.
const PAGES: u64 = 64;
/// Pages of each ring's three parts, and entries of each.
const RING_PAGES: u64 = 3;
const ENTRIES: u16 = 16;
/// The first page behind the rings.
pub(crate) const FREE: u64 = 2 * RING_PAGES;
/// Where the unit writes that it has waited, which no device is to reach.
const WAITED: u64 = PAGES - 1;
/// Where the unit's queue lies: below all its tables.
const QUEUE: u64 = 0;
const QUEUE_ENTRIES: u64 = 256;

/// A buffer of a request.
#[derive(Clone, Copy)]
pub(crate) struct Buffer {
    pub(crate) page: u64,
    pub(crate) len_bytes: u32,
    pub(crate) is_written: bool,
}

/// What is upstream of the device.
#[derive(Clone, Copy)]
pub(crate) enum Behind {
    /// Memory.
    Nothing,
    /// The unit; each page is unmapped after its use (`iommu.strict=1`).
    Unit(StaleOptions),
}

pub(crate) struct Guest {
    memory: Arc<PhysicalMemory>,
    device: Arc<VirtioFunction>,
    unit: Option<Arc<Vtd>>,
    _bus: PciBus,
    offered: [u16; 2],
    tail: u64,
    waits: u32,
}

/// Nobody looks at the line.
struct Nowhere;

impl Pins for Nowhere {
    fn set(&self, _: Pin, _: Level) {}
}

#[derive(Debug)]
struct Failed;

impl From<BusFull> for Failed {
    fn from(_: BusFull) -> Self {
        Self
    }
}

impl Guest {
    /// A driver that uses the first `rings` queues of a device, and has accepted `features`.
    pub(crate) fn new(identity: Identity, models: Models, behind: Behind, rings: u64, features: u64) -> Self {
        let (memory, unit, upstream) = upstream(behind);
        let mut bus = PciBus::new(upstream, vec![Wire::new(Arc::new(Nowhere), Pin(17))], Vec::new());
        while bus.next_source().expect("the bus has room") != SOURCE {
            let bridge = bus.attach(BridgeFunction::config(), |_| Ok::<_, BusFull>(Arc::new(BridgeFunction)));
            bridge.expect("the bus has room");
        }
        let mut made = None;
        let config = VirtioFunction::config(&identity);
        let attached = bus.attach(config, |endpoint| {
            let own = Arc::clone(&memory);
            let device = VirtioFunction::start(endpoint, own, identity, models, &Hooks::default);
            made = Some(device.map_err(|_| Failed)?);
            made.clone().ok_or(Failed)
        });
        attached.expect("the bus has room, and the host a thread");
        bus.write_config(SOURCE, 4, Width::Word, 6);
        let device = made.expect("it is attached");
        let guest = Self { memory, device, unit, _bus: bus, offered: [0; 2], tail: 0, waits: 0 };
        guest.negotiate(rings, features);
        guest
    }

    fn negotiate(&self, rings: u64, features: u64) {
        let store = |offset, width, value| self.device.write(0, offset, width, value);
        store(0x14, Width::Byte, 3);
        for select in 0..2 {
            store(0x08, Width::Dword, select);
            store(0x0c, Width::Dword, features >> (32 * select) & 0xffff_ffff);
        }
        store(0x14, Width::Byte, 0xb);
        for ring in 0..rings {
            store(0x16, Width::Word, ring);
            store(0x18, Width::Word, ENTRIES.into());
            for (offset, part) in [(0x20, 0), (0x28, 1), (0x30, 2)] {
                store(offset, Width::Qword, self.address(ring * RING_PAGES + part));
            }
            store(0x1c, Width::Word, 1);
            // It looks by itself, and wants no interrupt.
            self.put(ring * RING_PAGES + 1, 0, &1_u16.to_le_bytes());
        }
        store(0x14, Width::Byte, 0xf);
        assert_eq!(self.device.read(0, 0x14, Width::Byte), 0xf, "the device accepts its driver");
    }

    /// Where the device finds a page.
    fn address(&self, page: u64) -> u64 {
        let address = BASE + page * PAGE_SIZE;
        if self.unit.is_some() { address } else { place(address, PAGES).0 }
    }

    pub(crate) fn put(&self, page: u64, offset: u64, bytes: &[u8]) {
        self.memory.write_bytes(place(BASE + page * PAGE_SIZE + offset, PAGES), bytes);
    }

    pub(crate) fn bytes<const LEN: usize>(&self, page: u64, offset: u64) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        self.memory.read_bytes(place(BASE + page * PAGE_SIZE + offset, PAGES), &mut bytes);
        bytes
    }

    /// Maps these buffers and offers them on a ring, as the chain that begins with descriptor `head`.
    pub(crate) fn offer(&mut self, ring: u64, head: u16, buffers: &[Buffer]) {
        let first = ring * RING_PAGES;
        for (number, buffer) in (head..).zip(buffers) {
            if self.unit.is_some() {
                let (at, value) = entry(buffer.page, PAGES);
                self.memory.store(at, value);
            }
            let is_last = usize::from(number - head) + 1 == buffers.len();
            let flags = u16::from(!is_last) | u16::from(buffer.is_written) << 1;
            let mut descriptor = [0; 16];
            descriptor[..8].copy_from_slice(&self.address(buffer.page).to_le_bytes());
            descriptor[8..12].copy_from_slice(&buffer.len_bytes.to_le_bytes());
            descriptor[12..14].copy_from_slice(&flags.to_le_bytes());
            descriptor[14..].copy_from_slice(&(number + 1).to_le_bytes());
            self.put(first, u64::from(number) * 16, &descriptor);
        }
        let offered = &mut self.offered[usize::from(ring == 1)];
        let slot = u64::from(*offered % ENTRIES);
        *offered = offered.wrapping_add(1);
        let offered = *offered;
        self.put(first + 1, 4 + 2 * slot, &head.to_le_bytes());
        self.put(first + 1, 2, &offered.to_le_bytes());
        self.device.write(0, 0x3000 + 4 * ring, Width::Word, ring);
    }

    /// Waits until everything on a ring is used, and takes these buffers back.
    pub(crate) fn take_back(&mut self, ring: u64, buffers: &[Buffer]) {
        let offered = self.offered[usize::from(ring == 1)];
        while u16::from_le_bytes(self.bytes(ring * RING_PAGES + 2, 2)) != offered {
            assert_eq!(self.device.read(0, 0x14, Width::Byte), 0xf, "the device is not broken");
            spin_loop();
        }
        for buffer in buffers {
            self.unmap(buffer.page);
        }
    }

    fn unmap(&mut self, page: u64) {
        let Some(unit) = self.unit.clone() else { return };
        self.memory.store(entry(page, PAGES).0, 0);
        self.waits += 1;
        let waited = place(BASE + WAITED * PAGE_SIZE, PAGES);
        // Of one page in domain 7; then a word that says that it is over.
        self.submit([2 | 3 << 4 | 7 << 16, BASE + page * PAGE_SIZE]);
        self.submit([5 | 1 << 5 | u64::from(self.waits) << 32, waited.0]);
        unit.write(0x88, UnitWidth::Bits64, self.tail * 16);
        while self.memory.load(waited) & 0xffff_ffff != u64::from(self.waits) {
            spin_loop();
        }
    }

    fn submit(&mut self, words: [u64; 2]) {
        for (at, word) in (QUEUE + self.tail * 16..).step_by(8).zip(words) {
            self.memory.store(PhysAddr(at), word);
        }
        self.tail = (self.tail + 1) % QUEUE_ENTRIES;
    }
}

fn upstream(behind: Behind) -> (Arc<PhysicalMemory>, Option<Arc<Vtd>>, Arc<dyn Upstream>) {
    match behind {
        Behind::Nothing => {
            let bytes = (first_page(PAGES) + PAGES * PAGE_SIZE).max(1 << 20);
            let memory = Arc::new(PhysicalMemory::new(bytes).expect("the memory can be mapped"));
            let direct = Direct::new(Arc::clone(&memory), Arc::new(|_| ()));
            (memory, None, Arc::new(direct))
        }
        Behind::Unit(stale) => {
            let unit = unit(PAGES, stale);
            unit.write(0x90, UnitWidth::Bits64, QUEUE);
            unit.write(0x18, UnitWidth::Bits32, 1 << 31 | 1 << 26);
            // What the driver has not mapped for a request is not there; its rings are for good.
            for page in FREE..PAGES {
                unit.memory().store(entry(page, PAGES).0, 0);
            }
            (Arc::clone(unit.memory()), Some(Arc::clone(&unit)), Arc::new(Remapped::new(unit, 0)))
        }
    }
}
