//! The invalidations that were received.
//!
//! Invariant: they stand in their order, and of those that are not remembered any more the number is.

use std::collections::VecDeque;
use std::ops::Range;

use pcie::SourceId;

use crate::spec::descriptor::Descriptor;
use crate::stale::watch::entries::Since;
use crate::stale::{Missed, Moment};
use crate::vtd::device_tlb::GivenUp;

/// Invalidations that are remembered at most.
const MOST_INVALIDATIONS: usize = 1 << 13;

/// Of these the ones that a report tells at most.
const MOST_TOLD: usize = 128;

/// An invalidation as it was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) at: Moment,
    pub(crate) invalidation: Descriptor,
    pub(crate) carried_out: bool,
    /// Of what it names, if that is interrupt entries.
    pub(crate) since: Since,
}

/// The newest invalidations of one unit, in their order.
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

    /// What the device of `source` was told last was not carried out; at which events that came. `waited` is the event of the
    /// last wait that was over.
    pub(super) fn take_back(&mut self, source: SourceId, given_up: GivenUp, waited: u64) -> Vec<u64> {
        let (most, since) = match given_up {
            GivenUp::Newest(count) => (count, 0),
            GivenUp::AllUnwaited => (usize::MAX, waited),
        };
        let is_told = |received: &&mut Received| {
            received.carried_out
                && received.at.event >= since
                && matches!(received.invalidation, Descriptor::DeviceTlb(scope) if scope.source == source)
        };
        let told = self.received.iter_mut().rev().filter(is_told).take(most);
        told.map(|received| {
            received.carried_out = false;
            received.at.event
        })
        .collect()
    }

    /// Those from `event` on that are remembered.
    pub(super) fn all_since(&self, event: u64) -> impl Iterator<Item = &Received> {
        self.received.range(self.first(event)..)
    }

    /// Those before `event` that are remembered, the newest first.
    pub(super) fn all_before(&self, event: u64) -> impl Iterator<Item = &Received> {
        self.received.range(..self.first(event)).rev()
    }

    /// What those of `events` were to something, and how many are left out: of too many those of the most `weight` are
    /// told, of equals the newest.
    pub(super) fn told_of(
        &self,
        events: Range<u64>,
        missed: impl Fn(&Received) -> Missed,
        weight: impl Fn(&Missed) -> u64,
    ) -> (Vec<Missed>, u64) {
        let gone = if self.newest_forgotten >= events.start { self.forgotten } else { 0 };
        let told = self.all_since(events.start).take_while(|received| received.at.event < events.end);
        let mut told: Vec<_> = told.map(missed).collect();
        let too_many = told.len().saturating_sub(MOST_TOLD);
        if too_many > 0 {
            told.sort_by_cached_key(|missed| (weight(missed), missed.at));
            told.drain(..too_many);
            told.sort_by_key(|missed| missed.at);
        }
        (told, gone + too_many as u64)
    }

    fn first(&self, event: u64) -> usize {
        self.received.partition_point(|received| received.at.event < event)
    }
}

#[cfg(test)]
mod tests;
