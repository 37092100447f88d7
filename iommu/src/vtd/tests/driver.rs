//! A driver for tests: it writes the tables and descriptors that a kernel would write.
//!
//! Invariant: it knows bit numbers by itself, so that a wrong layout in `spec` does not cancel out.

use std::ops::Range;
use std::sync::Arc;

use mmu::address::{Access, PAGE_SIZE, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;
use pcie::{Ats, Msi, MsiSink, Pasid, Request, SourceId};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use crate::spec::id::DomainId;
use crate::vtd::options::VtdOptions;
use crate::vtd::port::{Blocked, Port};
use crate::vtd::{Vtd, Width};

pub(crate) const SOURCE: SourceId = SourceId::new(0, 3, 0);
pub(crate) const DOMAIN: DomainId = DomainId(7);
pub(crate) const OTHER_DOMAIN: DomainId = DomainId(8);
/// Where most tests map a page.
pub(crate) const PAGE: VirtAddr = VirtAddr(0x4020_1000);
const QUEUE_BYTES: u64 = PAGE_SIZE;
const FIRST_FRAME: u64 = 16;
const TE: u64 = 1 << 31;
const QIE: u64 = 1 << 26;

pub(crate) type Words = [u64; 4];

/// Keeps the interrupts that left the unit.
#[derive(Default)]
pub(crate) struct Interrupts(Mutex<Vec<Msi>>);

impl MsiSink for Interrupts {
    fn send(&self, message: Msi) {
        self.0.lock().push(message);
    }
}

impl Interrupts {
    pub(crate) fn take(&self) -> Vec<Msi> {
        std::mem::take(&mut self.0.lock())
    }
}

/// How a table is built: leaves of which format and how many levels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Format {
    pub(crate) levels: u32,
    /// What an entry that leads to a table has set.
    pub(crate) link: u64,
    /// What a leaf has set.
    pub(crate) leaf: u64,
}

pub(crate) const SECOND_STAGE: Format = Format { levels: 4, link: 3, leaf: 3 };
pub(crate) const FIRST_STAGE: Format = Format { levels: 4, link: 7, leaf: 7 };

pub(crate) struct Driver {
    pub(crate) unit: Arc<Vtd>,
    pub(crate) memory: Arc<PhysicalMemory>,
    pub(crate) interrupts: Arc<Interrupts>,
    next_frame: u64,
    root: PhysAddr,
    queue: PhysAddr,
    width_bytes: u64,
    tail: u64,
    status: PhysAddr,
    command: u64,
    waits: u32,
}

pub(crate) fn pasid(number: u32) -> Pasid {
    Pasid::new(number).unwrap()
}

/// 8 MiB, its own; with AFTERIMAGE_TEST_MEMORY=lent those of two regions that somebody else has mapped.
fn memory() -> PhysicalMemory {
    match std::env::var("AFTERIMAGE_TEST_MEMORY").as_deref() {
        Ok("lent") => lent(&[0..2 << 20, 2 << 20..8 << 20]),
        Ok(other) => panic!("AFTERIMAGE_TEST_MEMORY is `{other}`; give `lent`, or unset it"),
        Err(_) => PhysicalMemory::new(8 << 20).unwrap(),
    }
}

/// Memory of rust-vmm's, at these addresses.
pub(crate) fn lent(regions: &[Range<u64>]) -> PhysicalMemory {
    PhysicalMemory::lent(Arc::new(theirs(regions))).unwrap()
}

pub(crate) fn theirs(regions: &[Range<u64>]) -> GuestMemoryMmap {
    let ranges: Vec<(GuestAddress, usize)> = regions
        .iter()
        .map(|region| (GuestAddress(region.start), usize::try_from(region.end - region.start).unwrap()))
        .collect();
    GuestMemoryMmap::from_ranges(&ranges).unwrap()
}

impl Driver {
    pub(crate) fn new(options: VtdOptions) -> Self {
        Self::of(|memory, interrupts| Vtd::new(memory, options, interrupts))
    }

    /// Of the unit that is made of this memory and sends its interrupts there.
    pub(crate) fn of(unit: impl FnOnce(Arc<PhysicalMemory>, Arc<dyn MsiSink>) -> Arc<Vtd>) -> Self {
        Self::over(memory(), unit)
    }

    /// The same, of that memory.
    pub(crate) fn over(
        memory: PhysicalMemory,
        unit: impl FnOnce(Arc<PhysicalMemory>, Arc<dyn MsiSink>) -> Arc<Vtd>,
    ) -> Self {
        let memory = Arc::new(memory);
        let interrupts = Arc::<Interrupts>::default();
        let unit = unit(Arc::clone(&memory), Arc::clone(&interrupts) as Arc<dyn MsiSink>);
        let mut driver = Self {
            unit,
            memory,
            interrupts,
            next_frame: FIRST_FRAME,
            root: PhysAddr(0),
            queue: PhysAddr(0),
            width_bytes: 16,
            tail: 0,
            status: PhysAddr(0),
            command: 0,
            waits: 0,
        };
        driver.root = driver.frame();
        driver.queue = driver.frame();
        driver.status = driver.frame();
        driver
    }

    /// A unit in legacy mode that translates, with its queue on.
    pub(crate) fn legacy() -> Self {
        Self::legacy_with(VtdOptions::default())
    }

    pub(crate) fn legacy_with(options: VtdOptions) -> Self {
        Self::new(options).started()
    }

    /// The same of the unit that it has.
    pub(crate) fn started(mut self) -> Self {
        self.start(0, 16);
        self
    }

    pub(crate) fn started_scalable(mut self) -> Self {
        self.start(1, 32);
        self
    }

    /// A unit in scalable mode that translates, with its queue on.
    pub(crate) fn scalable() -> Self {
        Self::scalable_with(VtdOptions::default())
    }

    pub(crate) fn scalable_with(options: VtdOptions) -> Self {
        Self::new(options).started_scalable()
    }

    fn start(&mut self, mode: u64, width_bytes: u64) {
        self.width_bytes = width_bytes;
        self.unit.write(0x20, Width::Bits64, self.root.0 | mode << 10);
        self.command_once(1 << 30);
        let width = u64::from(width_bytes == 32) << 11;
        self.unit.write(0x90, Width::Bits64, self.queue.0 | width);
        self.set_command(QIE);
        self.set_command(TE);
    }

    /// Sets a bit of GCMD that stays.
    pub(crate) fn set_command(&mut self, bit: u64) {
        self.command |= bit;
        self.unit.write(0x18, Width::Bits32, self.command);
    }

    pub(crate) fn clear_command(&mut self, bit: u64) {
        self.command &= !bit;
        self.unit.write(0x18, Width::Bits32, self.command);
    }

    /// Sets a bit of GCMD for this once.
    pub(crate) fn command_once(&self, bit: u64) {
        self.unit.write(0x18, Width::Bits32, self.command | bit);
    }

    pub(crate) fn disable_translation(&mut self) {
        self.clear_command(TE);
    }

    pub(crate) fn read(&self, offset: u64) -> u64 {
        self.unit.read(offset, Width::Bits64)
    }

    pub(crate) fn read_word(&self, offset: u64) -> u64 {
        self.unit.read(offset, Width::Bits32)
    }

    pub(crate) fn write_word(&self, offset: u64, value: u64) {
        self.unit.write(offset, Width::Bits32, value);
    }

    /// A zeroed frame.
    pub(crate) fn frame(&mut self) -> PhysAddr {
        let frame = PhysAddr(self.next_frame * PAGE_SIZE);
        self.next_frame += 1;
        frame
    }

    pub(crate) fn set_root(&mut self, root: PhysAddr) {
        self.root = root;
    }

    // Tables.

    /// Where the root entry of `source` lies.
    pub(crate) fn root_place(&self, source: SourceId) -> PhysAddr {
        let half = u64::from(self.width_bytes == 32 && source.devfn() >= 128) * 8;
        self.root.offset(u64::from(source.bus()) * 16 + half)
    }

    /// Where the context entry of `source` lies; the table is linked if it is not.
    pub(crate) fn context_place(&mut self, source: SourceId) -> PhysAddr {
        let scalable = self.width_bytes == 32;
        let root_place = self.root_place(source);
        if self.memory.load(root_place) == 0 {
            let table = self.frame();
            self.memory.store(root_place, table.0 | 1);
        }
        let table = PhysAddr(self.memory.load(root_place) & !0xfff);
        let index = u64::from(source.devfn()) % if scalable { 128 } else { 256 };
        table.offset(index * if scalable { 32 } else { 16 })
    }

    /// Puts `source` into `domain` with a second-stage table; `kind` is TT.
    pub(crate) fn attach_legacy(&mut self, source: SourceId, domain: DomainId, kind: u64) -> PhysAddr {
        let table = self.frame();
        let place = self.context_place(source);
        self.memory.store(place.offset(8), 2 | u64::from(domain.0) << 8);
        self.memory.store(place, table.0 | kind << 2 | 1);
        table
    }

    /// Gives `source` a PASID directory: DTE, PASIDE and PRE are on, requests without PASID have PASID 0.
    pub(crate) fn attach_scalable(&mut self, source: SourceId) -> PhysAddr {
        let place = self.context_place(source);
        let directory = self.frame();
        self.memory.store(place, directory.0 | 0b11101);
        directory
    }

    pub(crate) fn pasid_place(&mut self, directory: PhysAddr, pasid: u32) -> PhysAddr {
        let place = directory.offset(u64::from(pasid >> 6) * 8);
        if self.memory.load(place) == 0 {
            let table = self.frame();
            self.memory.store(place, table.0 | 1);
        }
        PhysAddr(self.memory.load(place) & !0xfff).offset(u64::from(pasid & 63) * 64)
    }

    fn set_pasid(&mut self, directory: PhysAddr, pasid: u32, domain: DomainId, words: [u64; 2]) {
        let place = self.pasid_place(directory, pasid);
        self.memory.store(place.offset(8), u64::from(domain.0));
        self.memory.store(place.offset(16), words[1]);
        self.memory.store(place, words[0] | 1);
    }

    /// A first-stage table for a PASID.
    pub(crate) fn first_stage(&mut self, directory: PhysAddr, pasid: u32, domain: DomainId) -> PhysAddr {
        let table = self.frame();
        self.set_pasid(directory, pasid, domain, [1 << 6, table.0]);
        table
    }

    /// A second-stage table for a PASID.
    pub(crate) fn second_stage(&mut self, directory: PhysAddr, pasid: u32, domain: DomainId) -> PhysAddr {
        let table = self.frame();
        self.set_pasid(directory, pasid, domain, [table.0 | 2 << 2 | 2 << 6, 0]);
        table
    }

    /// A first-stage table, named by its second-stage address, in a second-stage table.
    pub(crate) fn nest(&mut self, directory: PhysAddr, pasid: u32, first: u64, second: PhysAddr) {
        self.set_pasid(directory, pasid, DOMAIN, [second.0 | 2 << 2 | 3 << 6, first]);
    }

    pub(crate) fn pass_through(&mut self, directory: PhysAddr, pasid: u32) {
        self.set_pasid(directory, pasid, DOMAIN, [4 << 6, 0]);
    }

    /// The place of the entry of `level` for `address`; tables above it are linked.
    pub(crate) fn place(
        &mut self,
        format: Format,
        table: PhysAddr,
        address: VirtAddr,
        level: u32,
    ) -> PhysAddr {
        let mut table = table;
        for upper in (level + 1..=format.levels).rev() {
            let place = table.offset(address.table_index(upper) * 8);
            if self.memory.load(place) == 0 {
                let next = self.frame();
                self.memory.store(place, next.0 | format.link);
            }
            table = PhysAddr(self.memory.load(place) & 0x000f_ffff_ffff_f000);
        }
        table.offset(address.table_index(level) * 8)
    }

    /// Maps the page at `address` to a fresh frame whose first word is `value`, and returns the frame.
    pub(crate) fn map(&mut self, format: Format, table: PhysAddr, address: VirtAddr, value: u64) -> PhysAddr {
        let frame = self.frame();
        self.memory.store(frame, value);
        let place = self.place(format, table, address, 1);
        self.memory.store(place, frame.0 | format.leaf);
        frame
    }

    pub(crate) fn unmap(&mut self, format: Format, table: PhysAddr, address: VirtAddr) {
        let place = self.place(format, table, address, 1);
        self.memory.store(place, 0);
    }

    // The queue.

    /// Puts descriptors into the queue and rings.
    pub(crate) fn submit(&mut self, descriptors: &[Words]) {
        self.put(descriptors);
        self.ring();
    }

    pub(crate) fn put(&mut self, descriptors: &[Words]) {
        for descriptor in descriptors {
            for (offset, word) in (0..self.width_bytes).step_by(8).zip(descriptor) {
                self.memory.store(self.queue.offset(self.tail + offset), *word);
            }
            self.tail = (self.tail + self.width_bytes) % QUEUE_BYTES;
        }
    }

    pub(crate) fn ring(&self) {
        self.unit.write(0x88, Width::Bits64, self.tail);
    }

    pub(crate) fn tail(&self) -> u64 {
        self.tail
    }

    /// A wait whose status write is seen by [`waited`](Self::waited).
    pub(crate) fn wait(&mut self) -> Words {
        self.waits += 1;
        [5 | 1 << 5 | u64::from(self.waits) << 32, self.status.0 + 4, 0, 0]
    }

    /// Whether the newest wait is complete.
    pub(crate) fn waited(&self) -> bool {
        self.memory.load(self.status) >> 32 == u64::from(self.waits)
    }

    /// Submits descriptors and a wait, and checks that they completed.
    pub(crate) fn invalidate(&mut self, descriptors: &[Words]) {
        let wait = self.wait();
        self.put(descriptors);
        self.submit(&[wait]);
        assert!(self.waited(), "the wait is complete when the doorbell returns");
    }

    // The device.

    pub(crate) fn port(&self) -> Port {
        self.unit.port(SOURCE, 0)
    }

    /// A port with a device TLB that is on.
    pub(crate) fn ats_port(&self) -> Port {
        let mut port = self.unit.port(SOURCE, 64);
        port.set_ats(Ats::Enabled);
        port
    }
}

pub(crate) fn load_at(port: &mut Port, pasid: Option<Pasid>, address: VirtAddr) -> Result<u64, Blocked> {
    Ok(port.translate(Request { pasid, address, access: Access::Read })?.load())
}

pub(crate) fn load(port: &mut Port) -> Result<u64, Blocked> {
    load_at(port, None, PAGE)
}

pub(crate) fn store(port: &mut Port, value: u64) -> Result<(), Blocked> {
    port.translate(Request { pasid: None, address: PAGE, access: Access::Write })?.store(value);
    Ok(())
}

/// The invalidation descriptors, as the specification draws them.
pub(crate) mod invalidations {
    use mmu::address::VirtAddr;
    use pcie::SourceId;

    use super::Words;
    use crate::spec::id::DomainId;

    const DRAIN: u64 = 3 << 6;

    fn two(low: u64, high: u64) -> Words {
        [low, high, 0, 0]
    }

    fn did(domain: DomainId) -> u64 {
        u64::from(domain.0) << 16
    }

    pub(crate) fn all_contexts() -> Words {
        two(0x11, 0)
    }

    pub(crate) fn context_of(source: SourceId) -> Words {
        two(0x31 | u64::from(source.0) << 32, 0)
    }

    pub(crate) fn all() -> Words {
        two(0x12 | DRAIN, 0)
    }

    pub(crate) fn domain(domain: DomainId) -> Words {
        two(0x22 | DRAIN | did(domain), 0)
    }

    /// `address_mask` with IH in bit 6.
    pub(crate) fn pages(domain: DomainId, address: VirtAddr, address_mask: u64) -> Words {
        two(0x32 | DRAIN | did(domain), address.0 | address_mask)
    }

    pub(crate) fn pasid(domain: DomainId, pasid: u64) -> Words {
        two(0x26 | did(domain) | pasid << 32, 0)
    }

    pub(crate) fn pasid_pages(domain: DomainId, pasid: u64, address: VirtAddr, address_mask: u64) -> Words {
        two(0x36 | did(domain) | pasid << 32, address.0 | address_mask)
    }

    pub(crate) fn pasid_entries(domain: DomainId) -> Words {
        two(0x07 | did(domain), 0)
    }

    pub(crate) fn pasid_entry(domain: DomainId, pasid: u64) -> Words {
        two(0x17 | did(domain) | pasid << 32, 0)
    }

    pub(crate) fn all_pasid_entries() -> Words {
        two(0x37, 0)
    }

    pub(crate) fn device_page(source: SourceId, address: VirtAddr) -> Words {
        two(3 | u64::from(source.0) << 32, address.0)
    }

    /// `address` with the size in its lowest zero bit.
    pub(crate) fn device_span(source: SourceId, address: u64) -> Words {
        two(3 | u64::from(source.0) << 32, address | 1)
    }

    pub(crate) fn device_pasid_page(source: SourceId, pasid: u64, address: VirtAddr) -> Words {
        two(8 | u64::from(source.0) << 16 | pasid << 32, address.0)
    }

    pub(crate) fn device_pasid(source: SourceId, pasid: u64) -> Words {
        two(8 | u64::from(source.0) << 16 | pasid << 32, 0x7fff_ffff_ffff_f000 | 1 << 11)
    }

    pub(crate) const IH: u64 = 1 << 6;
}
