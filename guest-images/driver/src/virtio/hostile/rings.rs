//! Rings in places where none can be, and chains of no use.
//!
//! Invariant: what the device reads and writes lies in its four pages, which are nobody else's. Source: VIRTIO 1.2, 2.7.

use crate::hardware::{load16, load32, store16, store32};
use crate::id::Iova;
use crate::memory::Frame;
use crate::patience::wait_until;
use crate::policy::Policy;
use crate::virtio::device::{Device, INDIRECT, NEEDS_RESET, NEXT, PAGE, Piece, RING, SIZE};
use crate::virtio::unit::Remapping;

/// A buffer in the device's own page, for what it writes.
pub(super) const BUFFER: Piece = Piece::written(Device::own_at(0x800), 64);
/// Where a table of descriptors lies in that page.
const TABLE: Iova = Device::own_at(0x100);
/// Where in the device's own page it is for the driver, in descriptors.
const TABLE_SLOT: u16 = 0x10;
/// Where nothing is, between memory and devices.
const HOLE: u64 = 0xa000_0000;
const AVAILABLE: u64 = RING.0 + 0x1000;
const USED: u64 = RING.0 + 0x2000;
/// The feature: tables of descriptors that a descriptor names.
const INDIRECT_TABLES: u64 = 1 << 28;

/// The device asks to be reset.
pub(super) fn breaks(device: &Device, what: &str) {
    wait_until(what, || device.status() & NEEDS_RESET != 0);
}

/// Begins with a ring there.
fn begin_at(device: &mut Device, size: u16, places: [u64; 3]) {
    device.reset();
    let _features = device.negotiate(0);
    device.place_queue(0, size, places);
    device.enable_queue();
    device.start_device();
}

fn offer_all(device: &mut Device, pieces: &[Piece], what: &str) {
    let _features = device.begin(INDIRECT_TABLES);
    device.start(pieces);
    breaks(device, what);
}

/// What is used goes over the descriptor that it was.
pub(super) fn used_over_table(_: &mut Remapping, device: &mut Device) {
    begin_at(device, SIZE, [RING.0, AVAILABLE, RING.0]);
    Device::describe(device.table, 0, BUFFER, 0, 0);
    let before = device.table.load(0);
    device.offer(0);
    wait_until("a descriptor to be written over", || device.table.load(0) != before);
}

/// What is used goes over what is offered: the device takes back an index of the driver's.
pub(super) fn used_over_available(_: &mut Remapping, device: &mut Device) {
    begin_at(device, SIZE, [RING.0, AVAILABLE, AVAILABLE]);
    Device::describe(device.table, 0, BUFFER, 0, 0);
    let ring = device.available;
    device.offer(0);
    wait_until("an entry to be written over", || load32(ring.address() + 8) == 64);
    // The device's own index may come after the driver's: then once more.
    wait_until("an index to be written over", || match load16(ring.address() + 2) {
        1 => {
            device.jump(3);
            false
        }
        2 => true,
        _ => device.status() & NEEDS_RESET != 0,
    });
}

/// Table and both halves begin with the same byte: the index is a part of an address.
pub(super) fn all_in_one_place(_: &mut Remapping, device: &mut Device) {
    begin_at(device, SIZE, [RING.0; 3]);
    Device::describe(device.table, 0, BUFFER, 0, 0);
    store16(device.table.address() + 2, 1);
    device.ring();
    breaks(device, "a ring in one place to break");
}

/// Sizes that are none read back as none, and their ring breaks the device.
pub(super) fn sizes(_: &mut Remapping, device: &mut Device) {
    for size in [0, 3, 12, 63, 65, 128, 0x8000, u16::MAX] {
        begin_at(device, size, [RING.0, AVAILABLE, USED]);
        let taken = load16(device.common + 0x18);
        assert!(taken == 0, "a ring of {size} has {taken} entries");
        breaks(device, "a ring without a size to break");
    }
}

/// Places that are not aligned, or where addresses end.
pub(super) fn places(_: &mut Remapping, device: &mut Device) {
    const LAST: u64 = u64::MAX;
    for place in [
        [RING.0 + 1, AVAILABLE, USED],
        [RING.0, AVAILABLE + 1, USED],
        [RING.0, AVAILABLE, USED + 2],
        [RING.0, LAST - 1, USED],
        [RING.0, LAST << 12, USED],
        [LAST << 4, AVAILABLE, USED],
    ] {
        begin_at(device, SIZE, place);
        // The last descriptor would lie behind all addresses.
        device.offer(SIZE - 1);
        breaks(device, "a ring where none can be to break");
    }
}

/// A ring that is enabled stays where it is, whatever the driver writes.
pub(super) fn queue_moved(_: &mut Remapping, device: &mut Device) {
    let _features = device.begin(0);
    let registers = |device: &Device| {
        [0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34].map(|at| load32(device.common + at))
    };
    let before = registers(device);
    for place in [0, HOLE, u64::MAX, RING.0 + 0x10] {
        device.place_queue(0, 1, [place; 3]);
        store16(device.common + 0x1c, 0);
        assert!(registers(device) == before, "a ring in use has moved to {:#x?}", registers(device));
        let written = device.request(&[BUFFER]);
        assert!(written == 64, "{written} bytes by a ring that was not moved");
    }
}

/// Buffers to be read where the device writes, and behind those that it writes.
pub(super) fn backwards(_: &mut Remapping, device: &mut Device) {
    offer_all(device, &[Piece::read(TABLE, 64)], "a request without room to break");
    offer_all(device, &[BUFFER, Piece::read(TABLE, 64)], "an order that is none to break");
}

/// One descriptor more than the ring has, by a table of them.
pub(super) fn chain_longer_than_ring(_: &mut Remapping, device: &mut Device) {
    for index in 0..=SIZE {
        let is_last = index == SIZE;
        let next = if is_last { 0 } else { NEXT };
        Device::describe(device.own, TABLE_SLOT + index, BUFFER, next, index + 1);
    }
    let _features = device.begin(INDIRECT_TABLES);
    Device::describe(device.table, 0, Piece::read(TABLE, 16 * (u32::from(SIZE) + 1)), INDIRECT, 0);
    device.offer(0);
    breaks(device, "a chain longer than its ring to break");
}

/// Tables of no descriptors, of a part of one, and of more than memory has, whose first one leads to the end.
pub(super) fn indirect_lengths(_: &mut Remapping, device: &mut Device) {
    Device::describe(device.own, TABLE_SLOT, BUFFER, NEXT, u16::MAX);
    for len in [0, 1, 15, 31, u32::MAX, 0xffff_fff0] {
        let _features = device.begin(INDIRECT_TABLES);
        Device::describe(device.table, 0, Piece::read(TABLE, len), INDIRECT, 0);
        device.offer(0);
        breaks(device, "a table of no length to break");
    }
}

/// A length beyond memory is used as far as the device has something to say; two of them are no chain.
pub(super) fn lengths_beyond_memory(_: &mut Remapping, device: &mut Device) {
    let long = Piece::written(Device::own_at(0x800), u32::MAX);
    let _features = device.begin(0);
    let written = device.request(&[long]);
    assert!(written == 256, "{written} bytes of entropy at once");
    offer_all(device, &[long, long], "a chain of 8 GiB to break");
    offer_all(device, &[Piece::written(Device::own_at(0xff8), u32::MAX)], "bytes behind a page to break");
}

/// The unit says that nothing is a page.
pub(super) fn hole(unit: &mut Remapping, device: &mut Device) {
    reach(unit, device, HOLE);
}

/// The unit says that the device's registers are a page.
pub(super) fn own_registers(unit: &mut Remapping, device: &mut Device) {
    let registers = device.function.bar();
    reach(unit, device, registers);
    store32(device.common, 0);
    assert!(load32(device.common) == 0, "a register holds what no driver wrote");
}

fn reach(unit: &mut Remapping, device: &mut Device, address: u64) {
    unit.map(&device.space, PAGE, Frame::at(address));
    offer_all(device, &[Piece::written(PAGE, 64)], "what is no memory to break");
    // Its rings there, too.
    begin_at(device, SIZE, [RING.0, PAGE.0, USED]);
    device.ring();
    breaks(device, "a ring in no memory to break");
    unit.unmap(&device.space, PAGE, Policy::Right);
}

/// More often than the monitor tells of it.
pub(super) fn again_and_again(_: &mut Remapping, device: &mut Device) {
    for _ in 0..40 {
        let _features = device.begin(0);
        device.offer(SIZE);
        breaks(device, "a head that is none to break");
    }
}
