//! Interrupts: entries of garbage, lines that stay high, interrupts that nobody ends, messages to everybody.
//!
//! Invariant: the program takes interrupts, and its stubs end them; those that are exceptions to it end it.

use super::Hostile;
use super::raw::{load32, out32, store32};
use super::sign::Sign;

const IO: u64 = 0xfec0_0000;
const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;
const END: u64 = 0x40;
const LOCAL: u64 = 0xfee0_0000;
/// The first of the test device's ports, of which each is an input of the I/O APIC.
const LINES: u16 = 0x2000;
const PINS: u16 = 24;
/// In entries and messages: no delivery but fixed and lowest priority; masked by chance.
const MILD: u32 = 0xffff_f9ff;

/// Half of an entry. One that starts or breaks a processor comes late.
pub(super) fn entry(guest: &mut Hostile) -> u32 {
    let word = guest.random.word() | 0x20;
    if guest.random.rarely(100_000) { word } else { word & MILD }
}

/// Inputs that go up and down, and entries that send anything anywhere.
pub(super) fn lines(guest: &mut Hostile) {
    crate::apic::enable();
    for _ in 0..16 {
        store32(IO + SELECT, guest.random.word() & 0x3f);
        store32(IO + WINDOW, entry(guest));
        out32(LINES + guest.random.half() % PINS, guest.random.word() & 1);
        store32(IO + END, guest.random.word());
        _ = load32(IO + WINDOW);
    }
    guest.shows_interrupts();
}

/// Level-triggered interrupts whose line stays high, and which come again whenever they are ended.
pub(super) fn storm(guest: &mut Hostile) {
    crate::apic::enable();
    for pin in 0..PINS {
        let vector = u64::from(guest.random.half() % 0x80 + 0x40);
        crate::apic::connect(pin as u8, 1 << 15 | vector);
        out32(LINES + pin, 1);
    }
    guest.shows_interrupts();
}

/// The local APIC's registers, and messages of every kind to every processor; those that start or break one come late.
pub(super) fn local(guest: &mut Hostile) {
    let register = guest.random.below(0x40) * 16;
    let value = entry(guest);
    store32(LOCAL + register, value);
    guest.shows(Sign::Taken, load32(LOCAL + register) == value);
    guest.shows_interrupts();
}
