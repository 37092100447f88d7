//! The invalidation queue, as the driver fills it.
//!
//! Invariant: [`carry_out`](Queue::carry_out) returns when the unit has written the status of a wait behind everything
//! that was asked for. Source: VT-d 6.5.2.

use crate::descriptor::{Also, Invalidation, Words, wait};
use crate::memory::{FRAME_BYTES, Frame, Memory};
use crate::patience::wait_until;
use crate::unit::{Mode, Unit};

/// The queue of one unit: a frame of descriptors, and a frame whose first word waits write.
#[derive(Debug)]
pub struct Queue {
    descriptors: Frame,
    status: Frame,
    /// Words of a descriptor that are there.
    words: u64,
    /// Where the next one goes, in bytes.
    tail: u64,
    waits: u32,
}

impl Queue {
    /// An empty one, which `unit` takes over.
    pub fn start(unit: &Unit, memory: &mut Memory, mode: Mode) -> Self {
        let words = if mode == Mode::Scalable { 4 } else { 2 };
        let queue = Self { descriptors: memory.frame(), status: memory.frame(), words, tail: 0, waits: 0 };
        unit.set_queue(queue.descriptors, mode);
        queue
    }

    /// Asks for `invalidations` in their order and waits for them.
    pub fn invalidate(&mut self, unit: &Unit, invalidations: &[Invalidation]) {
        self.carry_out(unit, invalidations.iter().map(|invalidation| invalidation.encode()), Also::Nothing);
    }

    /// Lets `unit` carry out `descriptors` and the wait behind them.
    pub fn carry_out(&mut self, unit: &Unit, descriptors: impl Iterator<Item = Words>, also: Also) {
        descriptors.for_each(|descriptor| self.put(descriptor));
        self.waits += 1;
        self.put(wait(self.status.address(), self.waits, also));
        unit.ring(self.tail);
        wait_until("an invalidation", || self.status.load(0) == u64::from(self.waits));
    }

    fn put(&mut self, descriptor: Words) {
        for (index, word) in (self.tail / 8..self.tail / 8 + self.words).zip(descriptor) {
            self.descriptors.store(index, word);
        }
        self.tail = (self.tail + self.words * 8) % FRAME_BYTES;
    }
}
