//! Functions on the PCI bus: configuration space, BARs, resets, registers.
//!
//! Invariant: the bridge is a function like others.

use super::Hostile;
use super::random::REACHED_END;
use super::raw::{
    at_port, in32, load8, load16, load32, load64, out8, out16, out32, store8, store16, store32, store64,
};
use super::sign::Sign;
use crate::engine::{DEVICE, VENDOR};
use crate::pci::{Capability, Function, WINDOW};

const ADDRESS_PORT: u16 = 0xcf8;
const DATA_PORT: u16 = 0xcfc;
const BARS: u16 = 0x10;
const COMMAND: u16 = 0x04;
/// Functions that are there, and some more.
const FUNCTIONS: u64 = 8;
/// edu, iommu-testdev.
const EDU: (u16, u16) = (0x1234, 0x11e8);
const TESTDEV: (u16, u16) = (0x1b36, 0x0005);
/// PCI Express: its control register, and the bit that resets the function.
const EXPRESS: Capability = Capability::Near(0x10);
const DEVICE_CONTROL: u16 = 8;
const RESET: u16 = 1 << 15;
const ATS_CONTROL: u16 = 6;
const PRI_CONTROL: u16 = 4;

fn place(guest: &mut Hostile, register: u64) -> u64 {
    WINDOW + guest.random.below(FUNCTIONS) * 0x8000 + register
}

/// A load or store of any width, aligned or not.
pub(super) fn access(guest: &mut Hostile, address: u64) {
    let value = guest.random.next();
    let kind = guest.random.below(8);
    match kind {
        0 => brought(guest, load8(address).into(), u8::MAX.into()),
        1 => brought(guest, load16(address).into(), u16::MAX.into()),
        2 => brought(guest, load32(address).into(), u32::MAX.into()),
        3 => brought(guest, load64(address), u64::MAX),
        _ => taken(guest, address, |address| match kind {
            4 => store8(address, value as u8),
            5 => store16(address, value as u16),
            6 => store32(address, value as u32),
            _ => store64(address, value),
        }),
    }
}

/// Where nobody answers, a load brings all ones.
fn brought(guest: &mut Hostile, value: u64, nothing: u64) {
    guest.shows(Sign::Answered, value != 0 && value != nothing);
}

/// Looks at the register there before and after what is stored.
fn taken(guest: &mut Hostile, address: u64, store: impl FnOnce(u64)) {
    if !guest.lacks(Sign::Taken) {
        return store(address);
    }
    let register = address & !3;
    let before = load32(register);
    store(address);
    guest.shows(Sign::Taken, load32(register) != before);
}

/// Configuration space through the window and through the ports.
pub(super) fn configuration(guest: &mut Hostile) {
    // There are more registers at the beginning.
    let end = guest.random.pick(&[0x40, 0x100, 0x1000]);
    let register = guest.random.below(end);
    let address = place(guest, register);
    access(guest, address);
    let value = guest.random.word();
    match guest.random.below(4) {
        0 => out32(ADDRESS_PORT, value),
        // Any register, or one of those at the beginning of a function that may be there.
        1 => out32(ADDRESS_PORT, 1 << 31 | value & guest.random.pick(&[0xffff, 0x383c])),
        // The second of them is also reset control, for bytes.
        2 => out8(ADDRESS_PORT + guest.random.half() % 2 * 2, value as u8),
        _ => out16(ADDRESS_PORT + guest.random.half() % 4, value as u16),
    }
    let port = DATA_PORT + guest.random.half() % 4;
    at_port(guest.random.below(6), port, value);
    if guest.lacks(Sign::TakenFromPort) {
        let before = in32(DATA_PORT);
        out32(DATA_PORT, !before);
        guest.shows(Sign::TakenFromPort, in32(DATA_PORT) != before);
    }
}

/// A BAR over memory, over the unit, over another BAR, at the end of all addresses; and accesses there.
pub(super) fn bars(guest: &mut Hostile) {
    let config = place(guest, 0);
    let bar = config + u64::from(BARS) + guest.random.below(6) * 4;
    let low = [0, 0x10_0000, guest.end, guest.end - 0x1000];
    let at = if guest.random.rarely(3) { guest.random.pick(&low) } else { guest.random.place() };
    store32(bar, at as u32);
    if guest.random.rarely(2) {
        store32(bar + 4, (at >> 32) as u32);
    }
    store16(config + u64::from(COMMAND), guest.random.half());
    let offset = guest.random.below(0x20_0000);
    // What is memory may be the program's; so may what stands behind the last address that can be reached.
    let reached = match (at >> 32, (at % REACHED_END) >> 32) {
        (0, _) if at >= guest.end => at.wrapping_add(offset & 0x3fff).min(0xffff_fff8),
        (0, _) | (_, 0) => return,
        (_, _) => guest.reach(at) + offset,
    };
    access(guest, reached);
}

/// Functions are reset, and their translations switched on and off, while they work.
pub(super) fn resets(guest: &mut Hostile) {
    super::engine::ring(guest);
    for function in guest.engines.into_iter().flatten() {
        if let Some(express) = function.capability(EXPRESS).filter(|_| guest.random.rarely(2)) {
            let bar = function.bar();
            function.write16(express + DEVICE_CONTROL, RESET);
            guest.shows(Sign::Reset, function.bar() != bar);
            function.write32(BARS, bar as u32);
            function.write32(BARS + 4, (bar >> 32) as u32);
            function.enable();
        }
        for (capability, control) in [(Capability::ATS, ATS_CONTROL), (Capability::PRI, PRI_CONTROL)] {
            if let Some(at) = function.capability(capability) {
                function.write16(at + control, guest.random.half() & 0x8003);
                guest.shows(Sign::Taken, function.read16(at + control) & 0x8001 != 0);
            }
        }
    }
}

/// Registers of devices, wherever the firmware placed them.
pub(super) fn registers(guest: &mut Hostile) {
    let kinds = [(VENDOR, DEVICE), EDU, TESTDEV];
    let (vendor, device) = guest.random.pick(&kinds);
    for function in Function::all(vendor, device) {
        function.enable();
        for _ in 0..64 {
            let offset = guest.random.pick(&[0x80, 0x100, 0x4000]);
            let address = function.bar() + guest.random.below(offset);
            access(guest, address);
        }
    }
}
