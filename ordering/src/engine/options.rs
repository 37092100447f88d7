//! What a search may use and how far it may go.
//!
//! Invariant: states and memory are turned into one number of states, so that where a search stops does not depend on when
//! which table grew. Only who is told to stop from outside stops anywhere.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

/// Threads of a search, the caller's included; the outcome does not depend on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Threads {
    count: NonZeroUsize,
    /// States of a level for each thread that takes part in it.
    states_each: usize,
}

/// States of a level for which it pays to start a thread: what that costs is a hundredth of their time.
const WORTH_A_THREAD: usize = 1 << 10;

/// How many states a search has found so far, for whoever watches it from another thread: the engine knows no clock.
#[derive(Debug, Default)]
pub struct Visited(AtomicUsize);

/// Tells a search to stop, from another thread: the engine knows no clock.
#[derive(Debug, Default)]
pub struct Stop {
    own: AtomicBool,
    /// A flag that somebody else sets, such as a handler of signals.
    other: Option<Arc<AtomicBool>>,
}

/// A limit of the search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// States.
    States {
        /// The limit.
        count: usize,
    },
    /// Memory.
    Memory {
        /// The limit in bytes.
        bytes: usize,
    },
    /// Whoever watches said to stop.
    Stopped,
    /// Every state was seen, and nothing breaks in one; whether an end can be reached from each is not decided on disk.
    Ends,
}

/// How to explore.
#[derive(Clone, Copy, Debug)]
pub struct Options<'w> {
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
    pub watched: Option<&'w Visited>,
    /// Tells it to stop.
    pub stop: Option<&'w Stop>,
}

impl Threads {
    /// Only the caller's.
    pub const ONE: Self = Self { count: NonZeroUsize::MIN, states_each: WORTH_A_THREAD };

    /// So many, in levels for which starting them pays; 0 means 1.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { count: NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN), ..Self::ONE }
    }

    /// As many as these, one for each so many states of a level.
    #[must_use]
    pub const fn each_from(self, states: usize) -> Self {
        Self { states_each: states, ..self }
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> usize {
        self.count.get()
    }

    /// How many expand a level of so many states.
    pub(super) fn of_level(self, states: usize) -> usize {
        states.checked_div(self.states_each).unwrap_or(self.count()).clamp(1, self.count())
    }
}

impl Stop {
    /// Go on.
    #[must_use]
    pub const fn new() -> Self {
        Self { own: AtomicBool::new(false), other: None }
    }

    /// Go on, until either this is set or `other` is, which stays its owner's.
    #[must_use]
    pub const fn beside(other: Arc<AtomicBool>) -> Self {
        Self { own: AtomicBool::new(false), other: Some(other) }
    }

    /// Stop, or go on.
    pub fn set(&self, stop: bool) {
        self.own.store(stop, Ordering::Relaxed);
    }

    /// Whether to stop.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        let set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        set(&self.own) || self.other.as_deref().is_some_and(set)
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

impl Default for Options<'_> {
    /// All reductions as far as they pay, one thread, 2 GiB.
    fn default() -> Self {
        Self {
            reductions: Reductions::PAYING,
            max_states: usize::MAX,
            memory_bytes: 2 << 30,
            threads: Threads::ONE,
            interleavings: Counting::Off,
            watched: None,
            stop: None,
        }
    }
}

impl Options<'_> {
    /// These with persistent sets as given.
    pub(super) fn with(&self, persistent_sets: PersistentSets) -> Self {
        Self { reductions: self.reductions.with(persistent_sets), ..*self }
    }
}
