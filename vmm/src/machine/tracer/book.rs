//! What a tracer writes into, and what has to be remembered for that.
//!
//! Invariant: none; whoever has it has it alone.

use std::time::Duration;

use tracks::trace::Trace;

use super::places::{Places, Text};
use super::remembered::Remembered;

/// The trace of one machine.
pub(super) struct Book {
    pub(super) trace: Trace<Text>,
    pub(super) places: Places,
    pub(super) remembered: Remembered,
}

impl Book {
    pub(super) fn new(text: Text, limit_bytes: u64) -> Self {
        let mut trace = Trace::new(text, limit_bytes);
        let places = Places::new(&mut trace);
        Self { trace, places, remembered: Remembered::default() }
    }
}

/// Nanoseconds, of which a u64 holds five hundred years.
pub(super) fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
