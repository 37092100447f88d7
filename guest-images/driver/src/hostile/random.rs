//! Numbers that nobody chose, and addresses that somebody may not have thought of.
//!
//! Invariant: the same seed gives the same numbers, so that a run can be repeated. Source: Marsaglia, "Xorshift RNGs" (2003).

use crate::memory::{FRAME_BYTES, Memory};
use crate::pci::WINDOW;
use crate::unit;

/// A generator with its seed.
#[derive(Debug)]
pub(super) struct Random {
    state: u64,
    /// Where memory that may be written over begins, and where it ends.
    free: [u64; 2],
}

/// As far as every processor's physical addresses go.
pub(super) const REACHED_END: u64 = 1 << 39;
/// Devices, interrupt messages, and where numbers of addresses end.
const EDGES: [u64; 12] = [
    0xc000_0000,
    WINDOW,
    0xfec0_0000,
    unit::BASE,
    0xfee0_0000,
    0xffff_f000,
    1 << 32,
    REACHED_END - 0x20_0000,
    1 << 47,
    1 << 52,
    1 << 63,
    u64::MAX << 12,
];

impl Random {
    pub(super) fn new(seed: u64, memory: &mut Memory) -> Self {
        // What is frames' of this program stays below.
        let start = memory.large_page().address();
        let state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { state, free: [start, memory.end()] }
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// One below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }

    /// One out of `of` times.
    pub(super) fn rarely(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// One of `items`, of which there are some.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        let index = self.below(items.len() as u64);
        items[usize::try_from(index).unwrap_or_default()]
    }

    pub(super) fn word(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }

    pub(super) fn half(&mut self) -> u16 {
        (self.next() >> 40) as u16
    }

    /// The beginning of a page of memory that is nobody's.
    pub(super) fn page(&mut self) -> u64 {
        let [start, end] = self.free;
        start + self.below((end - start) / FRAME_BYTES) * FRAME_BYTES
    }

    /// A place in memory that is nobody's, at its end, in devices, or where there is nothing.
    pub(super) fn place(&mut self) -> u64 {
        let offset = self.below(2) * self.below(FRAME_BYTES);
        let base = match self.below(4) {
            0 => self.page(),
            1 => self.free[1] - FRAME_BYTES,
            2 => self.free[1] - 8,
            _ => self.pick(&EDGES),
        };
        base.wrapping_add(offset)
    }

    /// Such an address, at the beginning of a page.
    pub(super) fn table(&mut self) -> u64 {
        self.place() & (u64::MAX << 12)
    }
}
