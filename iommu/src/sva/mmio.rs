//! The unit's registers, as a driver reads and writes them.
//!
//! Invariant: each register is accessed in its own width. Source: VT-d 11.2.

use crate::spec::register::Register;
use crate::vtd::{Vtd, Width};

/// A 32-bit register.
pub(super) fn word(unit: &Vtd, register: Register) -> u64 {
    unit.read(u64::from(register.0), Width::Bits32)
}

/// A 64-bit register.
pub(super) fn long(unit: &Vtd, register: Register) -> u64 {
    unit.read(u64::from(register.0), Width::Bits64)
}

/// Writes a 32-bit register.
pub(super) fn set_word(unit: &Vtd, register: Register, value: u32) {
    unit.write(u64::from(register.0), Width::Bits32, u64::from(value));
}

/// Writes a 64-bit register.
pub(super) fn set_long(unit: &Vtd, register: Register, value: u64) {
    unit.write(u64::from(register.0), Width::Bits64, value);
}
