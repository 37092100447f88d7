//! The local APIC and the I/O APIC: where interrupts arrive, and where lines do.
//!
//! Invariant: the stubs of `start.rs` end every interrupt that is taken. Source: Intel SDM vol. 3, 11.9 (spurious
//! vector); Intel 82093AA, 3.1 and 3.2.4.

use crate::hardware::store32;

const LOCAL: u64 = 0xfee0_0000;
const SPURIOUS: u64 = 0xf0;
const ENABLED: u32 = 1 << 8;
const SPURIOUS_VECTOR: u32 = 0xff;
const IO: u64 = 0xfec0_0000;
const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;
/// The first entry; each has two registers.
const ENTRIES: u32 = 0x10;
const MASKED: u32 = 1 << 16;

/// Takes interrupts from now on.
pub fn enable() {
    store32(LOCAL + SPURIOUS, ENABLED | SPURIOUS_VECTOR);
}

/// Lets the input `pin` send as `entry` says.
pub fn connect(pin: u8, entry: u64) {
    let [a, b, c, d, e, f, g, h] = entry.to_le_bytes();
    let low = ENTRIES + 2 * u32::from(pin);
    write(low, MASKED);
    write(low + 1, u32::from_le_bytes([e, f, g, h]));
    write(low, u32::from_le_bytes([a, b, c, d]));
}

/// Lets it send nothing.
pub fn disconnect(pin: u8) {
    write(ENTRIES + 2 * u32::from(pin), MASKED);
}

fn write(register: u32, value: u32) {
    store32(IO + SELECT, register);
    store32(IO + WINDOW, value);
}
