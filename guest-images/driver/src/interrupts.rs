//! Interrupts that were taken, counted by vector.
//!
//! Invariant: the stubs add and nobody takes away, so whoever waits for an interrupt compares with a count from before.

use crate::id::Vector;
use core::sync::atomic::{AtomicU64, Ordering};

/// Interrupts by vector.
pub(crate) static COUNTS: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

/// How often `vector` was taken.
#[must_use]
pub fn count(vector: Vector) -> u64 {
    COUNTS[usize::from(vector.0)].load(Ordering::Relaxed)
}
