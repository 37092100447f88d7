//! The invalidations that were received.
//!
//! Invariant: they stand in their order, and of those that are not remembered any more the number is.

use std::collections::VecDeque;

use crate::spec::descriptor::Descriptor;
use crate::stale::Moment;

/// Invalidations that are remembered at most.
const MOST_INVALIDATIONS: usize = 4096;

/// Of these the ones that a report tells at most.
const MOST_TOLD: usize = 128;

/// An invalidation as it was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) at: Moment,
    pub(crate) invalidation: Descriptor,
    pub(crate) carried_out: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Log {
    received: VecDeque<Received>,
    forgotten: u64,
    /// Event of the newest that is forgotten.
    newest_forgotten: u64,
}

impl Log {
    pub(super) fn push(&mut self, received: Received) {
        if self.received.len() == MOST_INVALIDATIONS
            && let Some(oldest) = self.received.pop_front()
        {
            self.forgotten += 1;
            self.newest_forgotten = oldest.at.event;
        }
        self.received.push_back(received);
    }

    /// The newest of those from `event` on.
    pub(super) fn since(&self, event: u64) -> impl Iterator<Item = &Received> {
        self.received.range(self.first_told(event)..)
    }

    /// How many are forgotten, if any of them came from `event` on; and those that are too many to be told.
    pub(super) fn forgotten_since(&self, event: u64) -> u64 {
        let gone = if self.newest_forgotten >= event { self.forgotten } else { 0 };
        gone + (self.first_told(event) - self.first(event)) as u64
    }

    fn first(&self, event: u64) -> usize {
        self.received.partition_point(|received| received.at.event < event)
    }

    fn first_told(&self, event: u64) -> usize {
        self.first(event).max(self.received.len().saturating_sub(MOST_TOLD))
    }
}

#[cfg(test)]
mod tests;
