//! How the program ends its machine.
//!
//! Invariant: power-off says that everything held; the debug exit's value that something did not, and its status is odd.

use core::hint::spin_loop;

use crate::hardware::{out8, out32};

/// The sleep control register of a hardware-reduced ACPI machine, and "now, to S5".
const SLEEP_PORT: u16 = 0x600;
const POWER_OFF: u8 = 5 << 2 | 1 << 5;
const DEBUG_EXIT: u16 = 0xf4;
/// What is written there if a check failed. Not 1, whose status, 3, is that of a guest that broke down.
const FAILED: u32 = 2;
/// If the program itself cannot go on.
const BROKEN: u32 = 3;

/// Everything held.
pub fn passed() -> ! {
    out8(SLEEP_PORT, POWER_OFF);
    stand_still()
}

/// A check failed.
pub fn failed() -> ! {
    out32(DEBUG_EXIT, FAILED);
    stand_still()
}

/// The program cannot go on.
pub fn broken() -> ! {
    out32(DEBUG_EXIT, BROKEN);
    stand_still()
}

fn stand_still() -> ! {
    loop {
        spin_loop();
    }
}
