//! Interrupts that were taken, counted by vector.
//!
//! Invariant: the stubs add and nobody takes away, so whoever waits for an interrupt compares with a count from before.

use core::sync::atomic::{AtomicU64, Ordering};

/// Interrupts by vector.
pub(crate) static COUNTS: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

/// How often `vector` was taken.
#[must_use]
pub fn count(vector: u8) -> u64 {
    COUNTS[usize::from(vector)].load(Ordering::Relaxed)
}
