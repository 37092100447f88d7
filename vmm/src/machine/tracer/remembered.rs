//! The events that reports may cite: when they were, and where they are drawn.
//!
//! Invariant: the newest are kept, [`MOST_EVENTS`] of them.

use std::collections::BTreeMap;

use tracks::trace::Placed;

/// Events that are remembered.
pub(super) const MOST_EVENTS: usize = 1 << 14;

/// The newest events: when they were, and where invalidations are drawn.
#[derive(Debug, Default)]
pub(super) struct Remembered(BTreeMap<u64, (u64, Option<Placed>)>);

impl Remembered {
    /// One more, or one that is drawn elsewhere.
    pub(super) fn event(&mut self, event: u64, at_ns: u64, placed: Option<Placed>) {
        self.0.insert(event, (at_ns, placed));
        if self.0.len() > MOST_EVENTS {
            self.0.pop_first();
        }
    }

    /// When so many events had been.
    pub(super) fn time(&self, events: u64) -> Option<u64> {
        self.0.range(..events).next_back().map(|(_, (at_ns, _))| *at_ns)
    }

    /// When the event of that number was.
    pub(super) fn at(&self, event: u64) -> Option<u64> {
        self.0.get(&event).map(|(at_ns, _)| *at_ns)
    }

    /// Where the invalidation of that number is drawn, if it is one.
    pub(super) fn invalidation(&self, event: u64) -> Option<Placed> {
        self.0.get(&event).and_then(|(_, placed)| *placed)
    }
}
