//! Registers, doorbells, resets and interrupts, at times when no driver touches them.
//!
//! Invariant: a message goes to this processor's own APIC or to nobody, by a vector that only these kinds use. Source:
//! VIRTIO 1.2, 2.1, 2.4, 3.1.1, 4.1.4; PCI Local Bus 3.0, 6.8.2 (MSI-X).

use super::rings::{BUFFER, breaks};
use crate::apic;
use crate::hardware::{load8, load16, load32, store8, store16, store32};
use crate::id::Vector;
use crate::interrupts;
use crate::patience::wait_until;
use crate::pci::Capability;
use crate::virtio::device::{Device, NEEDS_RESET, NEXT, Piece, SIZE};
use crate::virtio::unit::Remapping;

const COMMAND: u16 = 0x04;
const BUS_MASTER: u16 = 1 << 2;
/// What queues and the configuration have where no vector is.
const NO_VECTOR: u16 = 0xffff;
const CONFIG_VECTOR: u64 = 0x10;
const QUEUE_VECTOR: u64 = 0x1a;
/// The table of vectors, and where in an entry what lies.
const TABLE: u64 = 0x4000;
const ENTRY: u64 = 16;
const DATA: u64 = 8;
const CONTROL: u64 = 12;
const MESSAGES: u32 = 0xfee0_0000;
const VECTOR: Vector = Vector(0x52);
/// Where the disk's data goes in the device's own page.
const DATA_AT: u64 = 0x800;
const UNTOUCHED: u64 = 0x5555_5555_5555_5555;

/// Doorbells of the queue that there is and of many that are none, by every width: what was offered is found by its own.
pub(super) fn doorbells(_: &mut Remapping, device: &mut Device) {
    let _features = device.begin(0);
    let (doorbell, used) = (device.doorbell, device.used);
    Device::describe(device.table, 0, BUFFER, 0, 0);
    store16(device.available.address() + 2, 1);
    for round in 0..4096 {
        let at = doorbell + round * 4 % 0xff4;
        match round % 3 {
            0 => store8(at, 0xff),
            1 => store16(at, 0xffff),
            _ => store32(at, u32::MAX),
        }
    }
    wait_until("a storm of doorbells to be heard", || load16(used.address() + 2) == 1);
}

/// A driver that accepts nothing, or what was not offered, is none: nothing that it offers is used.
pub(super) fn without_features(_: &mut Remapping, device: &mut Device) {
    for features in [[0, 0], [u32::MAX; 2], [0, 1]] {
        let _features = device.begin(0);
        device.reset();
        device.set_status(3);
        for (half, word) in (0..).zip(features) {
            store32(device.common + 8, half);
            store32(device.common + 0xc, word);
        }
        device.set_status(0xf);
        assert!(device.status() == 3, "a driver without features has status {:#x}", device.status());
        Device::describe(device.table, 0, BUFFER, 0, 0);
        device.offer(0);
        (0..256).for_each(|_| device.ring());
        let used = load16(device.used.address() + 2);
        assert!(used == 0, "{used} requests of a driver without features are used");
    }
}

/// Vectors that the device does not have are none, and a request is used all the same.
pub(super) fn vectors(_: &mut Remapping, device: &mut Device) {
    for vector in [2, 3, 0x7fff, 0xfffe] {
        let _features = device.begin(0);
        for register in [CONFIG_VECTOR, QUEUE_VECTOR] {
            store16(device.common + register, vector);
            let taken = load16(device.common + register);
            assert!(taken == NO_VECTOR, "vector {vector} reads back as {taken}");
        }
        enable_msix(device, true);
        let written = device.request(&[BUFFER]);
        assert!(written == 64, "{written} bytes without a vector");
        enable_msix(device, false);
    }
}

/// The table's entries are written while their interrupts fly: masked, to nowhere, and to this processor.
pub(super) fn table_in_flight(_: &mut Remapping, device: &mut Device) {
    apic::enable();
    let _features = device.begin(0);
    store16(device.common + QUEUE_VECTOR, 1);
    enable_msix(device, true);
    let entry = device.function.bar() + TABLE + ENTRY;
    let before = interrupts::count(VECTOR);
    for round in 0..256_u32 {
        Device::describe(device.table, 0, BUFFER, 0, 0);
        device.start(&[BUFFER]);
        store32(entry + CONTROL, round & 1);
        // Nobody's, all addresses' end, and this processor's.
        let (low, high) = [(0x1000, 0), (!3, u32::MAX), (MESSAGES, 0)][round as usize % 3];
        store32(entry, low);
        store32(entry + 4, high);
        store32(entry + DATA, if low == MESSAGES { u32::from(VECTOR.0) } else { u32::MAX });
        // Entries that there are not.
        store32(entry + ENTRY * u64::from(1 + round % 64), u32::MAX);
        store32(entry + CONTROL, 0);
        let written = device.finish();
        assert!(written == 64, "{written} bytes");
    }
    store32(entry, MESSAGES);
    store32(entry + 4, 0);
    store32(entry + DATA, u32::from(VECTOR.0));
    device.request(&[BUFFER]);
    wait_until("an interrupt by the last entry", || interrupts::count(VECTOR) > before);
    enable_msix(device, false);
}

fn enable_msix(device: &Device, is_on: bool) {
    let at = device.function.capability(Capability::MSIX);
    if let Some(at) = at {
        device.function.write16(at + 2, u16::from(is_on) << 15);
    }
    assert!(at.is_some(), "a virtio device without MSI-X");
}

fn set_master(device: &Device, is_on: bool) {
    let command = device.function.read16(COMMAND) & !BUS_MASTER;
    device.function.write16(COMMAND, if is_on { command | BUS_MASTER } else { command });
}

/// A function that may reach nothing breaks, and writes nothing.
pub(super) fn no_master(_: &mut Remapping, device: &mut Device) {
    let _features = device.begin(0);
    let at = DATA_AT / 8;
    device.own.store(at, UNTOUCHED);
    set_master(device, false);
    device.start(&[BUFFER]);
    breaks(device, "a device that reaches nothing to break");
    assert!(
        device.own.load(at) == UNTOUCHED,
        "a function that is no bus master writes {:#x}",
        device.own.load(at)
    );
    set_master(device, true);
}

/// Stores of anything into the registers.
pub(super) fn registers(_: &mut Remapping, device: &mut Device) {
    let _features = device.begin(0);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut taken = 0;
    for _ in 0..1024 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (at, [a, b, c, d, ..]) = (state & 0x3c, (state >> 32).to_le_bytes());
        let at = device.common + at;
        let before = load32(at);
        match state >> 8 & 3 {
            0 => store8(at + (state >> 16 & 3), a),
            1 => store16(at + (state >> 16 & 2), u16::from_le_bytes([a, b])),
            _ => store32(at, u32::from_le_bytes([a, b, c, d])),
        }
        taken += u32::from(load32(at) != before);
        _ = load8(at + 1);
    }
    assert!(taken > 0, "no register takes a store");
}

/// A request of many pages, one behind the other: the ring's own entries, all to the same bytes.
fn start_reading(device: &mut Device) {
    let own = device.own;
    own.store(0, 0);
    own.store(1, 0);
    Device::describe(device.table, 0, Piece::read(Device::own_at(0), 16), NEXT, 1);
    for index in 1..SIZE - 1 {
        Device::describe(
            device.table,
            index,
            Piece::written(Device::own_at(DATA_AT), 0x400),
            NEXT,
            index + 1,
        );
    }
    Device::describe(device.table, SIZE - 1, Piece::written(Device::own_at(64), 1), 0, 0);
    device.offer(0);
}

/// After a reset nothing of a request is written, however far it had come.
pub(super) fn resets_in_the_middle(_: &mut Remapping, device: &mut Device) {
    let words = DATA_AT / 8..(DATA_AT + 0x400) / 8;
    let own = device.own;
    let mut cut = 0;
    for round in 0..64 {
        let _features = device.begin(0);
        start_reading(device);
        (0..round * 16).for_each(|_| core::hint::spin_loop());
        device.set_status(0);
        wait_until("a reset in the middle", || device.status() == 0);
        cut += u32::from(load16(device.used.address() + 2) == 0);
        words.clone().for_each(|word| own.store(word, UNTOUCHED));
        (0..64).for_each(|_| _ = device.status());
        let is_untouched = words.clone().all(|word| own.load(word) == UNTOUCHED);
        assert!(is_untouched, "a request is at work after the reset");
    }
    crate::console::say!("hostile: {cut} of 64 requests were cut off");
}

/// The function loses memory while a request is at work, until one of them breaks the device.
pub(super) fn master_in_the_middle(_: &mut Remapping, device: &mut Device) {
    let _features = device.begin(0);
    let mut rounds = 0_u16;
    while device.status() & NEEDS_RESET == 0 {
        start_reading(device);
        set_master(device, false);
        (0..rounds.min(4096)).for_each(|_| _ = device.status());
        set_master(device, true);
        rounds += 1;
        assert!(rounds < u16::MAX, "no request meets a function that is no bus master");
        let used = load16(device.used.address() + 2);
        if used.wrapping_add(SIZE) == rounds {
            wait_until("a request", || {
                load16(device.used.address() + 2) != used || device.status() & NEEDS_RESET != 0
            });
        }
    }
}
