//! Rings that are none, one after the other: each must break the device, which must work again after a reset.
//!
//! Invariant: a kind is wrong in one respect alone.

use super::device::{Device, INDIRECT, NEEDS_RESET, NEXT, PAGE, Piece, SIZE};
use super::unit::Remapping;
use crate::console::say;
use crate::ending;
use crate::hardware::store16;
use crate::id::Iova;
use crate::memory::Frame;
use crate::patience::wait_until;

/// Where a table of descriptors lies in the device's own page, for it and for the driver.
const OWN: Iova = Device::own_at(0);
/// Registers of the unit, of which a second stage may say that a page is.
const REGISTERS: u64 = 0xfed9_0000;

/// The feature: tables of descriptors that a descriptor names.
const INDIRECT_TABLES: u64 = 1 << 28;

/// Offers what is none.
type Spoil = fn(&mut Device);

const KINDS: [(&str, Spoil); 14] = [
    ("circle", |device| {
        Device::describe(device.table, 0, buffer(), NEXT, 1);
        Device::describe(device.table, 1, buffer(), NEXT, 0);
        device.offer(0);
    }),
    ("indirect-circle", |device| {
        Device::describe(device.own, 0, buffer(), NEXT, 0);
        indirect(device, 16);
    }),
    ("beyond-mapped", |device| one(device, Piece::written(Iova(PAGE.0 + 0xff8), 64))),
    ("unmapped", |device| one(device, Piece::written(Iova(PAGE.0 + 0x10_0000), 64))),
    ("registers", |device| one(device, Piece::written(Iova(PAGE.0 + 0x1000), 64))),
    ("messages", |device| one(device, Piece::written(Iova(0xfee0_0000), 4))),
    ("index-jumps", |device| device.jump(SIZE + 1)),
    ("index-goes-back", |device| device.jump(u16::MAX)),
    ("entries-unmapped", |device| {
        // Flags and index end the last page that is mapped.
        let _features = device.begin_with(0, 0, Device::own_at(0xffc));
        store16(device.own.address() + 0xffe, 1);
        device.ring();
    }),
    ("head", |device| device.offer(SIZE)),
    ("next", |device| {
        Device::describe(device.table, 0, buffer(), NEXT, SIZE);
        device.offer(0);
    }),
    ("indirect-in-indirect", |device| {
        Device::describe(device.own, 0, Piece::read(OWN, 16), INDIRECT, 0);
        indirect(device, 16);
    }),
    ("indirect-cut-off", |device| {
        Device::describe(device.own, 0, buffer(), 0, 0);
        indirect(device, 17);
    }),
    ("no-bytes", |device| one(device, Piece::written(PAGE, 0))),
];

const fn buffer() -> Piece {
    Piece::written(PAGE, 64)
}

fn one(device: &mut Device, piece: Piece) {
    Device::describe(device.table, 0, piece, 0, 0);
    device.offer(0);
}

fn indirect(device: &mut Device, len: u32) {
    Device::describe(device.table, 0, Piece::read(OWN, len), INDIRECT, 0);
    device.offer(0);
}

/// Tries all and ends the machine.
pub(super) fn run(unit: &mut Remapping, mut device: Device) -> ! {
    let page = unit.memory.frame();
    device.map(unit, page);
    unit.map(&device.space, Iova(PAGE.0 + 0x1000), Frame::at(REGISTERS));
    for (name, spoil) in KINDS {
        let _features = device.begin(INDIRECT_TABLES);
        spoil(&mut device);
        wait_until(name, || device.status() & NEEDS_RESET != 0);
        let _features = device.begin(0);
        let written = device.request(&[buffer()]);
        assert!(written == 64, "after {name}: {written} bytes");
        say!("broken and reset: {name}");
    }
    say!("passed: {} kinds", KINDS.len());
    ending::passed()
}
