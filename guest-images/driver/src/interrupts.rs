//! The gates of interrupts, and those that were taken, counted by vector.
//!
//! Invariant: the stubs add and nobody takes away, so whoever waits for an interrupt compares with a count from before.

use crate::id::Vector;
use core::sync::atomic::{AtomicU64, Ordering};

/// The code segment of CPL0.
pub(crate) const KERNEL_CODE: u64 = 0x08;
/// A present 64-bit interrupt gate to CPL0, in the upper half of a gate's first doubleword pair.
const INTERRUPT_GATE: u64 = 0x8e00;
/// Words of a gate.
const WORDS: usize = 2;

/// The interrupt descriptor table: 256 gates of 16 bytes.
pub(crate) static GATES: [AtomicU64; 256 * WORDS] = [const { AtomicU64::new(0) }; 256 * WORDS];
/// Interrupts by vector.
pub(crate) static COUNTS: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

/// Lets `vector` lead to the code at `handler`.
pub(crate) fn lead(vector: Vector, handler: u64) {
    let gate = usize::from(vector.0) * WORDS;
    let low = handler & 0xffff | KERNEL_CODE << 16 | INTERRUPT_GATE << 32 | (handler >> 16 & 0xffff) << 48;
    GATES[gate].store(low, Ordering::Relaxed);
    GATES[gate + 1].store(handler >> 32, Ordering::Relaxed);
}

/// How often `vector` was taken.
#[must_use]
pub fn count(vector: Vector) -> u64 {
    COUNTS[usize::from(vector.0)].load(Ordering::Relaxed)
}
