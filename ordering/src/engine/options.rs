//! What a search may use and how far it may go.
//!
//! Invariant: states and memory are turned into one number of states, so that where a search stops does not depend on when
//! which table grew. Only who is told to stop from outside stops anywhere.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::outcome::Bound;
use super::search::{Plan, Shards, Violations};
use super::set;
use super::word::Word;

/// Whether a reduction is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reduction {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// The reductions; none changes the verdict or the length of the trace that is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reductions {
    /// Forget what nobody can read any more.
    pub liveness: Reduction,
    /// Interchangeable agents count once.
    pub symmetry: Reduction,
    /// Where steps do not concern each other, try one order of them.
    pub persistent_sets: PersistentSets,
}

/// Whether persistent sets are used: a state costs more with them, so they pay only where they leave out many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PersistentSets {
    /// They are not.
    Off,
    /// They are, from the first state on.
    On,
    /// The search begins without them. When it has so many states and is not over, its first levels are searched with
    /// them, and the rest is if those leave out enough.
    Asked {
        /// States.
        at: usize,
    },
}

/// States after which it pays to ask: what is asked takes a tenth of the time at most.
const WORTH_ASKING: usize = 1 << 13;

/// Whether the interleavings of a proved model are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counting {
    /// They are: if the proof left some out, by a second search that does not.
    On,
    /// They are if the proof has found each of them, that is, if it needed no persistent sets.
    OfProof,
    /// They are not.
    Off,
}

/// Threads of a search; the outcome does not depend on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// Only the caller's.
    One,
    /// One more, in levels for which starting it pays.
    Two,
    /// One more, in levels of at least so many states.
    TwoFrom {
        /// States.
        states: usize,
    },
}

/// States of a level for which starting a thread pays.
const WORTH_A_THREAD: usize = 1 << 14;

/// How many states a search has found so far, for whoever watches it from another thread: the engine knows no clock.
#[derive(Debug, Default)]
pub struct Visited(AtomicUsize);

/// Tells a search to stop, from another thread: the engine knows no clock.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

/// How to explore.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is reduced.
    pub reductions: Reductions,
    /// States at most.
    pub max_states: usize,
    /// Bytes at most, for everything that grows with the states: the set, also while it doubles, the list of levels, and
    /// what is kept beside each state to count runs.
    pub memory_bytes: usize,
    /// Threads.
    pub threads: Threads,
    /// Whether interleavings are counted.
    pub interleavings: Counting,
    /// Told of states as they are found.
    pub watched: Option<&'static Visited>,
    /// Tells it to stop.
    pub stop: Option<&'static Stop>,
}

impl Stop {
    /// Go on.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Stop, or go on.
    pub fn set(&self, stop: bool) {
        self.0.store(stop, Ordering::Relaxed);
    }

    /// Whether to stop.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Visited {
    /// Nothing found yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// States of the search that runs, or ran last.
    #[must_use]
    pub fn states(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Says how many there are.
    pub fn set(&self, states: usize) {
        self.0.store(states, Ordering::Relaxed);
    }
}

impl Reductions {
    /// All of them, whether they pay or not.
    pub const ALL: Self =
        Self { liveness: Reduction::On, symmetry: Reduction::On, persistent_sets: PersistentSets::On };
    /// All of them, as far as they pay.
    pub const PAYING: Self =
        Self { persistent_sets: PersistentSets::Asked { at: WORTH_ASKING }, ..Self::ALL };
    /// None of them: every state of the model.
    pub const NONE: Self =
        Self { liveness: Reduction::Off, symmetry: Reduction::Off, persistent_sets: PersistentSets::Off };

    /// These with persistent sets as given.
    pub(super) fn with(self, persistent_sets: PersistentSets) -> Self {
        Self { persistent_sets, ..self }
    }
}

impl Default for Options {
    /// All reductions as far as they pay, one thread, 2 GiB.
    fn default() -> Self {
        Self {
            reductions: Reductions::PAYING,
            max_states: usize::MAX,
            memory_bytes: 2 << 30,
            threads: Threads::One,
            interleavings: Counting::Off,
            watched: None,
            stop: None,
        }
    }
}

impl Options {
    /// These with persistent sets as given.
    pub(super) fn with(&self, persistent_sets: PersistentSets) -> Self {
        Self { reductions: self.reductions.with(persistent_sets), ..*self }
    }

    /// The plan, and which bound it is that stops it.
    pub(super) fn plan<W: Word>(&self) -> (Plan, Bound) {
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
            shards: match self.threads {
                Threads::One => Shards::One,
                Threads::Two => Shards::Two { threads_from: WORTH_A_THREAD },
                Threads::TwoFrom { states } => Shards::Two { threads_from: states },
            },
            violations: Violations::End,
            watched: self.watched,
            stop: self.stop,
        };
        (plan, bound)
    }

    /// The plan for a search whose states have `beside` bytes more for each slot of the set.
    pub(super) fn plan_with<W: Word>(&self, beside: usize) -> Plan {
        let within_memory = states_within::<W>(self.memory_bytes, beside);
        Plan { max_states: within_memory.min(self.max_states), ..self.plan::<W>().0 }
    }

    /// The plan for a second search, while so many states of the first are still there.
    pub(super) fn plan_beside<W: Word>(&self, states: usize) -> Plan {
        let left = self.memory_bytes.saturating_sub(bytes_of::<W>(states));
        Self { memory_bytes: left, ..*self }.plan_with::<W>(0)
    }
}

impl Plan {
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

/// States that may be found beyond the limit before that is noticed: what is under way between two threads.
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

/// Bytes that so many states take at most at one time, however many threads there are: the smaller set that is copied from
/// is there while the set grows, and what is beside the slots is there after that.
fn peak_of<W: Word>(states: usize, beside: usize) -> usize {
    let over = OVERSHOOT.min(states / 8);
    let set = set::bytes_of::<W>(states + over).max(2 * set::bytes_of::<W>(states / 2 + over));
    let growing = set / 2;
    let counting = (set / size_of::<W>()).saturating_mul(beside);
    set.saturating_add(growing.max(counting)).saturating_add((states + over).saturating_mul(size_of::<W>()))
}
