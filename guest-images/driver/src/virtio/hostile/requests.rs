//! Requests to disks, consoles and interfaces that nobody makes.
//!
//! Invariant: what a disk is asked to change is never changed: each such request is refused whole. Source: VIRTIO 1.2, 5.1.6,
//! 5.2.6, 5.3.6.

use super::rings::breaks;
use crate::hardware::{load8, store8, store32};
use crate::virtio::device::{Device, PAGE, Piece, SIZE};
use crate::virtio::unit::Remapping;

const READ: u32 = 0;
const WRITE: u32 = 1;
const DISCARD: u32 = 11;
const WRITE_ZEROES: u32 = 13;
/// What a disk says.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const UNSUPPORTED: u8 = 2;
/// Where in the device's own page status and data of a request lie; its header is at the beginning.
const STATUS: u64 = 64;
const DATA: u64 = 0x100;
const DATA_BYTES: u32 = 0xf00;
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
const PAGE_BYTES: u32 = 4096;

const fn data(len: u32) -> Piece {
    Piece::read(Device::own_at(DATA), len)
}

const fn room(len: u32) -> Piece {
    Piece::written(Device::own_at(DATA), len)
}

/// Asks for `kind` at `sector`, with that data: what the disk says.
fn ask(device: &mut Device, kind: u32, sector: u64, data: &[Piece]) -> u8 {
    let status = device.own.address() + STATUS;
    store8(status, 0xff);
    start(device, kind, sector, data);
    device.finish();
    load8(status)
}

fn start(device: &mut Device, kind: u32, sector: u64, data: &[Piece]) {
    device.own.store(0, u64::from(kind));
    device.own.store(1, sector);
    let mut pieces = [Piece::read(Device::own_at(0), 16); SIZE as usize];
    pieces[1..=data.len()].copy_from_slice(data);
    pieces[data.len() + 1] = Piece::written(Device::own_at(STATUS), 1);
    device.start(&pieces[..data.len() + 2]);
}

fn refused(device: &mut Device, kind: u32, sector: u64, data: Piece, expected: u8) {
    let status = ask(device, kind, sector, &[data]);
    assert!(
        status == expected,
        "request {kind} at sector {sector:#x} ends with status {status}, not {expected}"
    );
}

/// A request of nearly 4 GiB, which no disk here has, and one of more, which is no chain.
pub(super) fn four_gib(_: &mut Remapping, device: &mut Device) {
    let _features = device.begin(0);
    refused(device, READ, 0, room(0xffff_fe00), FAILED);
    refused(device, WRITE, 0, data(0xffff_fe00), FAILED);
    start(device, READ, 0, &[room(u32::MAX), room(u32::MAX)]);
    breaks(device, "a request of 8 GiB to break");
}

/// Parts of sectors.
pub(super) fn unaligned(_: &mut Remapping, device: &mut Device) {
    let _features = device.begin(0);
    for len in [1, 511, 513, 1025] {
        refused(device, READ, 0, room(len), FAILED);
        refused(device, WRITE, 0, data(len), FAILED);
    }
}

/// The last sector and one more, the one behind it, and where numbers of sectors and of bytes end.
pub(super) fn end(_: &mut Remapping, device: &mut Device) {
    let sectors = device.config_word(0);
    let _features = device.begin(0);
    for sector in [sectors - 1, sectors, u64::MAX >> 9, u64::MAX - 1, u64::MAX] {
        refused(device, READ, sector, room(1024), FAILED);
        refused(device, WRITE, sector, data(1024), FAILED);
    }
    refused(device, READ, sectors - 1, room(512), DONE);
}

/// Kinds of requests that there are not, or that were not offered.
pub(super) fn unknown(_: &mut Remapping, device: &mut Device) {
    let _features = device.begin(0);
    for kind in [2, 3, 5, 6, 7, 9, 10, 12, 14, 16, 24, 0x8000_0000, u32::MAX] {
        refused(device, kind, 0, room(512), UNSUPPORTED);
    }
}

/// Segments beyond what a disk takes: too many, too long, at the end, with flags that are none.
pub(super) fn segments(_: &mut Remapping, device: &mut Device) {
    let _features = device.begin(0);
    for kind in [DISCARD, WRITE_ZEROES] {
        write_segments(device, 0, 0, 0);
        for len in [0x21 * 16, DATA_BYTES, 15, 17, 0xffff_ff00] {
            refused(device, kind, 0, data(len), FAILED);
        }
        let sectors = device.config_word(0);
        for (sector, count) in
            [(0, u32::MAX), (sectors, 1), (sectors - 1, 2), (u64::MAX, 1), (u64::MAX, u32::MAX)]
        {
            write_segments(device, sector, count, 0);
            refused(device, kind, 0, data(16), FAILED);
        }
        write_segments(device, 0, 1, 2);
        refused(device, kind, 0, data(16), UNSUPPORTED);
        let status = ask(device, kind, 0, &[]);
        assert!(status == FAILED, "{kind} of no segments ends with status {status}");
    }
}

fn write_segments(device: &Device, sector: u64, count: u32, flags: u32) {
    for at in (DATA..0x1000).step_by(16) {
        device.own.store(at / 8, sector);
        store32(device.own.address() + at + 8, count);
        store32(device.own.address() + at + 12, flags);
    }
}

/// Data that the device may write where it reads, and the reverse; requests without a header, or without a status.
pub(super) fn disk_backwards(_: &mut Remapping, device: &mut Device) {
    let _features = device.begin(0);
    let before = sector(device);
    device.own.store(DATA / 8, !before);
    // There is nothing to be written, and no room for what is read.
    refused(device, WRITE, 0, room(512), FAILED);
    refused(device, READ, 0, data(512), FAILED);
    assert!(sector(device) == before, "a sector is written from a buffer that is to be written");
    let (header, status) = (Piece::read(Device::own_at(0), 16), Piece::written(Device::own_at(STATUS), 1));
    let short = Piece::read(Device::own_at(0), 15);
    for pieces in [&[header][..], &[status], &[short, status], &[room(16), status]] {
        let _features = device.begin(0);
        device.start(pieces);
        breaks(device, "what is no request to break");
    }
}

fn sector(device: &mut Device) -> u64 {
    refused(device, READ, 0, room(512), DONE);
    device.own.load(DATA / 8)
}

fn clear(device: &Device) {
    (0..512).for_each(|word| device.own.store(word, 0));
}

/// A frame of 64 KiB is lost, and its buffers come back.
pub(super) fn long_frame(_: &mut Remapping, device: &mut Device) {
    clear(device);
    let _features = device.begin_pair(TRANSMIT, RECEIVE, 0);
    for _ in 0..32 {
        device.request(&[Piece::read(Device::own_at(0), PAGE_BYTES); SIZE as usize]);
    }
    device.start(&[Piece::read(Device::own_at(0), u32::MAX); 2]);
    breaks(device, "a frame of 8 GiB to break");
}

/// Frames of no bytes, of less than a header, and with an offload that was not offered.
pub(super) fn no_frame(_: &mut Remapping, device: &mut Device) {
    clear(device);
    for len in [0, 1, 11, 12, 25] {
        let _features = device.begin_pair(TRANSMIT, RECEIVE, 0);
        device.start(&[Piece::read(Device::own_at(0), len)]);
        breaks(device, "a frame of no bytes to break");
    }
    for (at, byte) in [(0, 1), (0, 0x80), (1, 1), (1, 0xff)] {
        clear(device);
        store8(device.own.address() + at, byte);
        let _features = device.begin_pair(TRANSMIT, RECEIVE, 0);
        device.start(&[Piece::read(Device::own_at(0), 64)]);
        breaks(device, "an offload that was not offered to break");
    }
}

/// Room for frames that is none.
pub(super) fn no_room(_: &mut Remapping, device: &mut Device) {
    for room in [room(0), room(1), room(25), data(2048), Piece::written(PAGE, 0)] {
        let _features = device.begin_queue(RECEIVE, 0);
        device.start(&[room]);
        breaks(device, "no room for a frame to break");
    }
}

/// More than 4 MiB of zeroes.
pub(super) fn flood(_: &mut Remapping, device: &mut Device) {
    clear(device);
    let _features = device.begin_queue(TRANSMIT, 0);
    for _ in 0..70 {
        device.request(&[Piece::read(Device::own_at(0), PAGE_BYTES); SIZE as usize]);
    }
}

/// A line of 4 GiB: it is put out as far as there is memory, and no further.
pub(super) fn endless_line(_: &mut Remapping, device: &mut Device) {
    clear(device);
    let _features = device.begin_queue(TRANSMIT, 0);
    device.start(&[Piece::read(Device::own_at(0), u32::MAX)]);
    breaks(device, "a line of 4 GiB to break");
}
