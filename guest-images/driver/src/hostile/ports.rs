//! Ports: all of them, by all widths, once and a million times; and those that end a machine.
//!
//! Invariant: a port that may end the machine is written by [`end`] alone.

use super::Hostile;
use super::raw::{
    at_port, in_bytes, in_doublewords, in_words, in8, out_bytes, out_doublewords, out_words, out8, out16,
    out32,
};

/// What ends a machine: the keyboard controller, port 92, the debug exit, pvpanic, the sleep register, reset control.
const ENDINGS: [u16; 6] = [0x64, 0x92, 0xf4, 0x505, 0x600, 0xcf9];
/// Those with a device behind them: timers, clock, interrupt controllers, serial line, configuration, test device.
const KNOWN: [u16; 18] = [
    0x20, 0x21, 0x40, 0x41, 0x42, 0x43, 0x61, 0x70, 0x71, 0xa0, 0xe0, 0xe9, 0x2f8, 0x608, 0xcf8, 0xcfc,
    0xcff, 0x2000,
];
const SERIAL: u16 = 0x3f8;
const PVPANIC: u16 = 0x505;
const CRASH_LOADED: u8 = 2;
/// A port writes so much at most by one instruction.
const MOST: u64 = 1 << 20;
/// The output of one turn of [`serial`]: so little that there are many, in one out of four of which it reaches the line.
const OUTPUT: u64 = 1 << 8;

fn port(guest: &mut Hostile) -> u16 {
    let port = if guest.random.rarely(2) { guest.random.half() } else { guest.random.pick(&KNOWN) };
    // The program's map of ports ends with the last byte.
    let port = port.min(0xfffc);
    let is_serial = port / 8 == SERIAL / 8;
    if is_serial || ENDINGS.contains(&port) { 0x80 } else { port }
}

/// One access.
pub(super) fn any(guest: &mut Hostile) {
    let (port, value) = (port(guest), guest.random.word());
    at_port(guest.random.below(6), port, value);
}

/// Many, by one instruction.
pub(super) fn strings(guest: &mut Hostile) {
    let (port, place) = (port(guest), guest.random.page());
    // Some hosts take minutes for the longest.
    let end = guest.random.pick(&[0x10, 0x10, 0x10, 0x400, 0x400, 0x2000, MOST / 4]);
    let count = guest.random.below(end);
    let access = [in_bytes, in_words, in_doublewords, out_bytes, out_words, out_doublewords];
    guest.random.pick(&access)(port, place.min(guest.end - MOST), count);
}

/// Registers of the serial port, and much output.
pub(super) fn serial(guest: &mut Hostile) {
    for _ in 0..16 {
        out8(SERIAL + guest.random.half() % 8, guest.random.word() as u8);
    }
    out_bytes(SERIAL, guest.end - MOST, OUTPUT);
}

/// A panic that was survived, for which there is a warning each time.
pub(super) fn warnings(_: &mut Hostile) {
    (0..64).for_each(|_| out8(PVPANIC, CRASH_LOADED));
}

/// Anything, where it may end the machine.
pub(super) fn end(guest: &mut Hostile) {
    let (port, value) = (guest.random.pick(&ENDINGS), guest.random.word());
    match guest.random.below(3) {
        0 => out8(port, value as u8),
        1 => out16(port, value as u16),
        _ => out32(port, value),
    }
}

/// The 8254 as fast as it goes, its interrupts taken and not taken.
pub(super) fn timer(guest: &mut Hostile) {
    crate::apic::enable();
    let pin = guest.random.pick(&[0_u8, 2]);
    let masked = u64::from(guest.random.rarely(4)) << 16;
    crate::apic::connect(pin, 0x40 | masked);
    for _ in 0..64 {
        out8(0x43, (guest.random.word() & 0x0f | 0x30) as u8);
        out8(0x40, guest.random.pick(&[0, 1, 1, 2, 0xff]));
        out8(0x40, 0);
        out8(0x61, guest.random.word() as u8);
        _ = in8(0x40);
    }
    guest.shows_interrupts();
}
