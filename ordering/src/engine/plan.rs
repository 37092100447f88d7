//! What a search is told: what is reduced, how many states there may be, who helps, when to stop.
//!
//! Invariant: a limit is a number of states; the memory that is allowed says how many.

use super::options::{Bound, Options, PersistentSets, Reductions, Stop, Threads, Visited};
use super::set;
use super::word::Word;

/// What to search, and when to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'w> {
    pub(super) reductions: Reductions,
    /// States at most.
    pub(super) max_states: usize,
    /// States of a greater depth are not expanded.
    pub(super) max_depth: usize,
    pub(super) threads: Threads,
    pub(super) violations: Violations,
    pub(super) watched: Option<&'w Visited>,
    pub(super) stop: Option<&'w Stop>,
}

/// What becomes of a search when something is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Violations {
    /// It ends with the level.
    End,
    /// It goes on with all other runs.
    Pass,
}

impl<'w> Options<'w> {
    /// The plan, and which bound it is that stops it.
    pub(super) fn plan<W: Word>(&self) -> (Plan<'w>, Bound) {
        let within_memory = states_within::<W>(self.memory_bytes, 0);
        let bound = if within_memory < self.max_states {
            Bound::Memory { bytes: self.memory_bytes }
        } else {
            Bound::States { count: self.max_states }
        };
        let plan = Plan {
            reductions: self.reductions,
            max_states: within_memory.min(self.max_states),
            max_depth: usize::MAX,
            threads: self.threads,
            violations: Violations::End,
            watched: self.watched,
            stop: self.stop,
        };
        (plan, bound)
    }

    /// The plan for a search whose states have `beside` bytes more for each slot of the set.
    pub(super) fn plan_with<W: Word>(&self, beside: usize) -> Plan<'w> {
        let within_memory = states_within::<W>(self.memory_bytes, beside);
        Plan { max_states: within_memory.min(self.max_states), ..self.plan::<W>().0 }
    }

    /// The plan for a second search, while so many states of the first are still there.
    pub(super) fn plan_beside<W: Word>(&self, states: usize) -> Plan<'w> {
        self.beside::<W>(states).plan_with::<W>(0)
    }

    /// These for a second search, while so many states of the first are still there.
    pub(super) fn beside<W: Word>(&self, states: usize) -> Self {
        let left = self.memory_bytes.saturating_sub(bytes_of::<W>(states));
        Self { memory_bytes: left, ..*self }
    }
}

impl Plan<'_> {
    /// Whether to stop.
    #[inline]
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_some_and(Stop::is_set)
    }

    /// Tells whoever watches.
    pub(super) fn found(&self, states: usize) {
        if let Some(watched) = self.watched {
            watched.set(states);
        }
    }

    /// The search for the shortest way to a violation that is known at this depth.
    pub(super) fn shortest(&self, depth: usize) -> Self {
        Self { max_depth: depth, ..self.without_persistent_sets() }
    }

    pub(super) fn without_persistent_sets(&self) -> Self {
        Self { reductions: self.reductions.with(PersistentSets::Off), ..*self }
    }
}

/// Bytes that so many states take: the set and the levels.
pub(super) fn bytes_of<W: Word>(states: usize) -> usize {
    set::bytes_of::<W>(states).saturating_add(states.saturating_mul(size_of::<W>()))
}

/// States that may be found beyond the limit before that is noticed: what the threads have under way.
const OVERSHOOT: usize = 1 << 14;

/// States for which there is room, with `beside` bytes for each slot of the set.
fn states_within<W: Word>(bytes: usize, beside: usize) -> usize {
    let (mut low, mut high) = (0, bytes / size_of::<W>() + 1);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if peak_of::<W>(middle, beside) <= bytes {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Bytes that so many states take at most at one time, however many threads there are. The set grows where it stands.
pub(super) fn peak_of<W: Word>(states: usize, beside: usize) -> usize {
    let over = OVERSHOOT.min(states / 8);
    let set = set::bytes_of::<W>(states + over).max(2 * set::bytes_of::<W>(states / 2 + over));
    let counting = (set / size_of::<W>()).saturating_mul(beside);
    set.saturating_add(counting).saturating_add((states + over).saturating_mul(size_of::<W>()))
}
