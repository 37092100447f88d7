//! A disk, as a driver uses it: one request after the other, of a page.
//!
//! Invariant: a request that is not done ends the program. Source: VIRTIO 1.2, 5.2.6.

use super::device::{Device, PAGE, Piece};
use super::unit::Remapping;
use crate::console::say;
use crate::hardware::{load8, store8};
use crate::id::Iova;
use crate::memory::Frame;
use crate::policy::Policy;

const READ: u64 = 0;
const WRITE: u64 = 1;
const FLUSH: u64 = 4;
/// The feature.
const FLUSHES: u64 = 1 << 9;
/// Where in the device's own page header and status of a request lie.
const HEADER: u64 = 0;
const STATUS: u64 = 64;
const PAGE_BYTES: u32 = 4096;

/// When what was written lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lasts {
    /// When it was flushed.
    OnceFlushed,
    /// When it was written: the driver does not know how to flush.
    OnceWritten,
}

/// A disk in use.
#[derive(Debug)]
pub(super) struct Disk {
    device: Device,
}

impl Disk {
    /// Begins with it.
    pub(super) fn begin(device: Device) -> Self {
        Self::begin_with(device, Lasts::OnceFlushed)
    }

    fn begin_with(mut device: Device, lasts: Lasts) -> Self {
        let wanted = if lasts == Lasts::OnceFlushed { FLUSHES } else { 0 };
        let accepted = device.begin(wanted);
        assert!(accepted & FLUSHES == wanted, "a disk that cannot be flushed");
        Self { device }
    }

    /// Reads the first page, to `at`, of a disk that is in no use: it works.
    pub(super) fn use_once(device: &mut Device, at: Iova) {
        let _features = device.begin(FLUSHES);
        let pieces = Some(Piece::written(at, PAGE_BYTES));
        request(device, READ, 0, pieces);
        request(device, FLUSH, 0, None);
    }

    pub(super) fn sectors(&self) -> u64 {
        self.device.config_word(0)
    }

    /// Writes a page.
    pub(super) fn write(&mut self, unit: &mut Remapping, sector: u64, page: Frame) {
        let at = self.device.map(unit, page);
        self.ask(WRITE, sector, Some(Piece::read(at, PAGE_BYTES)));
        self.device.unmap(unit);
    }

    /// Reads a page.
    pub(super) fn read(&mut self, unit: &mut Remapping, sector: u64, page: Frame) {
        let at = self.device.map(unit, page);
        self.ask(READ, sector, Some(Piece::written(at, PAGE_BYTES)));
        self.device.unmap(unit);
    }

    /// What was written lasts.
    pub(super) fn flush(&mut self) {
        self.ask(FLUSH, 0, None);
    }

    /// The page of each request leads somewhere else than that of the last one, at the same address.
    pub(super) fn read_while_pages_move(&mut self, unit: &mut Remapping, pages: [Frame; 2]) {
        let mut pages = pages;
        for round in 0..32 {
            pages.reverse();
            pages.iter().for_each(|page| page.store(0, 0));
            self.read(unit, round * 8, pages[0]);
            let found = pages.map(|page| page.load(0));
            assert!(found == [round + 1, 0], "sector {} is in {found:?}", round * 8);
        }
        say!("disk: 32 pages moved");
    }

    /// The page of a request leads somewhere else, which nobody invalidates, and the next request uses what was.
    pub(super) fn read_into_a_page_that_is_gone(&mut self, unit: &mut Remapping, pages: [Frame; 2]) {
        let at = self.device.map(unit, pages[0]);
        self.ask(READ, 0, Some(Piece::written(at, PAGE_BYTES)));
        unit.remap(&self.device.space, PAGE, pages[1], Policy::Nothing);
        pages[1].store(0, 0);
        self.ask(READ, 8, Some(Piece::written(at, PAGE_BYTES)));
        say!("disk: {:?} after a page moved that nobody invalidated", pages.map(|page| page.load(0)));
        // Another frame, before an invalidation came.
        unit.remap(&self.device.space, PAGE, pages[0], Policy::Right);
    }

    fn ask(&mut self, kind: u64, sector: u64, data: Option<Piece>) {
        request(&mut self.device, kind, sector, data);
    }
}

fn request(device: &mut Device, kind: u64, sector: u64, data: Option<Piece>) {
    let own = device.own;
    own.store(HEADER / 8, kind);
    own.store(HEADER / 8 + 1, sector);
    store8(own.address() + STATUS, 0xff);
    let header = Piece::read(Device::own_at(HEADER), 16);
    let status = Piece::written(Device::own_at(STATUS), 1);
    match data {
        Some(data) => device.request(&[header, data, status]),
        None => device.request(&[header, status]),
    };
    let status = load8(own.address() + STATUS);
    assert!(status == 0, "request {kind} at sector {sector} ends with status {status}");
}

/// Writes numbers, from `first` on, to one page after the other, and says of which of them the disk has said that
/// they last.
pub(super) fn write_for_ever(unit: &mut Remapping, device: Device, first: u64, lasts: Lasts) -> ! {
    let mut disk = Disk::begin_with(device, lasts);
    let (page, pages) = (unit.memory.frame(), disk.sectors() / 8);
    for number in first.. {
        page.store(0, number);
        page.store(511, number);
        disk.write(unit, number % pages * 8, page);
        if lasts == Lasts::OnceFlushed {
            disk.flush();
        }
        say!("lasts {number}");
    }
    unreachable!("there is always another number")
}
