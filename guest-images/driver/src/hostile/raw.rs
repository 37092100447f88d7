//! Memory, ports and processors, without a question.
//!
//! Invariant: none is kept: whatever becomes of the program, its machine is what is tested. Nothing here is called on a
//! host.
#![expect(unsafe_code, reason = "memory and ports, wherever they are")]

use core::arch::asm;

#[cfg(guest)]
use super::random::REACHED_END;
use crate::memory::LARGE_BYTES;

/// Large pages below 4 GiB where nothing is, by number, and how many there are.
const FIRST_REACHED: u64 = 0xd000_0000 / LARGE_BYTES;
const REACHED: u64 = 64;
/// Of an entry: where a large page begins, and the bits that `start.rs` sets.
#[cfg(guest)]
const ADDRESS: u64 = (REACHED_END - 1) & !(LARGE_BYTES - 1);
#[cfg(guest)]
const LARGE: u64 = 0xe7;

macro_rules! access {
    ($load:ident, $store:ident, $class:ident, $template:literal, $word:ty) => {
        /// Reads there.
        pub(super) fn $load(address: u64) -> $word {
            let value: $word;
            // SAFETY: no memory is changed, and a fault ends the program.
            unsafe {
                asm!(
                    concat!("mov ", $template, ", [{1}]"),
                    out($class) value,
                    in(reg) address,
                    options(nostack, preserves_flags, readonly),
                );
            }
            value
        }

        /// Writes there.
        pub(super) fn $store(address: u64, value: $word) {
            // SAFETY: if the program is hit, it ends otherwise than it would have: one more hostile guest.
            unsafe {
                asm!(
                    concat!("mov [{1}], ", $template),
                    in($class) value,
                    in(reg) address,
                    options(nostack, preserves_flags),
                );
            }
        }
    };
}

access!(load8, store8, reg_byte, "{0}", u8);
access!(load16, store16, reg, "{0:x}", u16);
access!(load32, store32, reg, "{0:e}", u32);
access!(load64, store64, reg, "{0:r}", u64);

macro_rules! port {
    ($input:ident, $output:ident, $register:tt, $word:ty) => {
        /// Reads a port.
        pub(super) fn $input(port: u16) -> $word {
            let value: $word;
            // SAFETY: a port changes no memory of the program.
            unsafe {
                asm!(concat!("in ", $register, ", dx"), in("dx") port, out($register) value,
                     options(nomem, nostack, preserves_flags));
            }
            value
        }

        /// Writes a port.
        pub(super) fn $output(port: u16, value: $word) {
            // SAFETY: a port changes no memory of the program.
            unsafe {
                asm!(concat!("out dx, ", $register), in("dx") port, in($register) value,
                     options(nomem, nostack, preserves_flags));
            }
        }
    };
}

port!(in8, out8, "al", u8);
port!(in16, out16, "ax", u16);
port!(in32, out32, "eax", u32);

macro_rules! string {
    ($input:ident, $output:ident, $suffix:literal) => {
        /// Reads a port `count` times, into memory from `address` on.
        pub(super) fn $input(port: u16, address: u64, count: u64) {
            // SAFETY: as for stores.
            unsafe {
                asm!(concat!("rep ins", $suffix), in("dx") port, inout("rdi") address => _, inout("rcx") count => _,
                     options(nostack, preserves_flags));
            }
        }

        /// Writes a port `count` times, what stands in memory from `address` on.
        pub(super) fn $output(port: u16, address: u64, count: u64) {
            // SAFETY: as for loads.
            unsafe {
                asm!(concat!("rep outs", $suffix), in("dx") port, inout("rsi") address => _, inout("rcx") count => _,
                     options(nostack, preserves_flags, readonly));
            }
        }
    };
}

string!(in_bytes, out_bytes, "b");
string!(in_words, out_words, "w");
string!(in_doublewords, out_doublewords, "d");

#[cfg(guest)]
unsafe extern "C" {
    static guest_level_2: u8;
}

/// Where 2 MiB of physical memory around `address` are reached from now on: one place out of some, by `number`.
#[cfg(guest)]
pub(super) fn reach(number: u64, address: u64) -> u64 {
    let page = FIRST_REACHED + number % REACHED;
    let entry = (&raw const guest_level_2) as u64 + page * 8;
    store64(entry, address & ADDRESS | LARGE);
    page * LARGE_BYTES
}

/// As on a guest, but nothing is mapped.
#[cfg(not(guest))]
pub(super) const fn reach(number: u64, _: u64) -> u64 {
    (FIRST_REACHED + number % REACHED) * LARGE_BYTES
}

/// Goes on there.
pub(super) fn jump(address: u64) -> ! {
    // SAFETY: nothing of the program is used any more.
    unsafe { asm!("jmp {}", in(reg) address, options(noreturn)) }
}

/// Leaves CPL3 by the gate of invalid opcodes.
pub(super) fn trap() -> ! {
    crate::hardware::break_down()
}

/// The access of that number, of six: each width, out of the port and into it.
pub(super) fn at_port(number: u64, port: u16, value: u32) {
    match number {
        0 => out8(port, value as u8),
        1 => out16(port, value as u16),
        2 => out32(port, value),
        3 => _ = in8(port),
        4 => _ = in16(port),
        _ => _ = in32(port),
    }
}
