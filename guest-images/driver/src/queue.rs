//! The invalidation queue, as the driver fills it.
//!
//! Invariant: [`carry_out`](Queue::carry_out) returns when the unit has written the status of a wait behind everything
//! that was asked for; who waits asks the unit now and then whether the queue still runs. Source: VT-d 6.5.2.

use crate::descriptor::{Also, Invalidation, Words, wait};
use crate::memory::{FRAME_BYTES, Frame, Memory};
use crate::patience::wait_asking;
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

/// Whether a driver waits for what it queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// Before it goes on.
    AtOnce,
    /// When it waits for something else.
    Later,
    /// Never: it does not even queue a wait.
    Never,
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
        self.put_wait(also);
        unit.ring(self.tail);
        self.finish(unit);
    }

    /// Asks for `invalidations` in their order, and waits for them as a driver may that is in a hurry.
    pub fn submit(&mut self, unit: &Unit, invalidations: &[Invalidation], waiting: Waiting) {
        invalidations.iter().for_each(|invalidation| self.put(invalidation.encode()));
        if waiting != Waiting::Never {
            self.put_wait(Also::Nothing);
        }
        unit.ring(self.tail);
        if waiting == Waiting::AtOnce {
            self.finish(unit);
        }
    }

    /// Returns when the last wait is over.
    fn finish(&self, unit: &Unit) {
        let is_over = || self.status.load(0) == u64::from(self.waits);
        wait_asking("an invalidation", is_over, || unit.expect_queue_to_run());
    }

    fn put_wait(&mut self, also: Also) {
        self.waits += 1;
        self.put(wait(self.status.address(), self.waits, also));
    }

    fn put(&mut self, descriptor: Words) {
        for (index, word) in (self.tail / 8..self.tail / 8 + self.words).zip(descriptor) {
            self.descriptors.store(index, word);
        }
        self.tail = (self.tail + self.words * 8) % FRAME_BYTES;
    }
}
