//! What a search found.
//!
//! Invariant: `Proved` means that every state was seen; a limit that was hit is `BoundHit`.

use super::expand::{Broken, Expander};
use super::options::Bound;
use super::plan::{self, Plan};
use super::replay::{Change, State};
use super::round;
use super::search::Searched;
use super::tables::Tables;
use super::trace;
use super::word::Word;
use crate::model::{MarkId, Model, Pc, PropertyId};

/// Levels whose states are told of: what the growth of a search is estimated from.
pub const LAST_LEVELS: usize = 7;

/// A verdict and what it cost.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// What is true of the model.
    pub verdict: Verdict,
    /// What was searched.
    pub statistics: Statistics,
    /// Of a model that is proved, what its runs do.
    pub coverage: Option<Coverage>,
}

/// What some run does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// The marks that none was seen to carry.
    pub unseen: Vec<MarkId>,
    /// Whether one was seen in which all agents whose end is awaited end.
    pub end: bool,
    /// Whether what was not seen never happens; else the search for it hit the limit.
    pub complete: bool,
}

/// What is true of a model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// No property can break.
    Proved,
    /// A property breaks.
    Violated {
        /// The property; the first of those that can break as early.
        property: PropertyId,
        /// A run to it.
        trace: Trace,
        /// Whether there is no shorter one.
        length: Length,
    },
    /// Nothing broke so far, and the search stopped.
    BoundHit {
        /// The limit.
        what: Bound,
    },
}

/// Whether a trace is a shortest one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// There is no shorter run to a violation.
    Shortest,
    /// The search for a shorter one hit the limit.
    PerhapsLonger,
}

/// A run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// Its steps.
    pub steps: Vec<Step>,
    /// The state after them.
    pub last: State,
    /// How it goes on for ever, if that is what it shows.
    pub round: Option<Round>,
}

/// Steps that are taken again and again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Round {
    /// From the end of the run to the state in which the steps begin.
    pub lead: Vec<Step>,
    /// From that state back to it, at least one.
    pub cycle: Vec<Step>,
}

/// A step of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Index of the agent.
    pub agent: usize,
    /// Its instruction.
    pub pc: Pc,
    /// Index of the instruction's alternative.
    pub alternative: usize,
    /// What changed.
    pub changes: Vec<Change>,
}

/// What was searched. After a violation this is the search that found the trace; after a limit, the levels that were
/// finished.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Statistics {
    /// Parts of the model that were searched one by one, of those that are alike one; 1 if it was searched as a whole.
    pub parts: usize,
    /// States found.
    pub states: usize,
    /// Steps taken.
    pub transitions: u64,
    /// Runs of the model, if asked for.
    pub interleavings: Interleavings,
    /// Steps from the start to the last new state.
    pub depth: usize,
    /// Bytes of the set and of the levels.
    pub bytes: usize,
    /// New states in the last level that was finished, and in those before, the last one behind: whether they still grow.
    pub last_levels: [usize; LAST_LEVELS],
}

/// The number of runs from the start until nobody can move.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Interleavings {
    /// So many; exact up to 2^53, rounded above.
    Count(f64),
    /// A run can return to a state: there is no number.
    Cyclic,
    /// Not asked for, not proved, or a limit was hit.
    NotCounted,
}

impl Outcome {
    /// Of a model that was not packed in time.
    #[must_use]
    pub const fn stopped() -> Self {
        let statistics = Statistics {
            parts: 1,
            states: 0,
            transitions: 0,
            interleavings: Interleavings::NotCounted,
            depth: 0,
            bytes: 0,
            last_levels: [0; LAST_LEVELS],
        };
        Self { verdict: Verdict::BoundHit { what: Bound::Stopped }, statistics, coverage: None }
    }
}

/// The states of the last levels down to this depth, 0 where there is none.
pub(super) fn last_levels(depth: usize, states: impl Fn(usize) -> usize) -> [usize; LAST_LEVELS] {
    let back: [usize; LAST_LEVELS] = std::array::from_fn(|index| LAST_LEVELS - 1 - index);
    back.map(|back| depth.checked_sub(back).map_or(0, &states))
}

impl<W: Word> Searched<W> {
    pub(super) fn statistics(&self) -> Statistics {
        Statistics {
            parts: 1,
            states: self.states,
            transitions: self.transitions,
            interleavings: Interleavings::NotCounted,
            depth: self.depth(),
            bytes: plan::bytes_of::<W>(self.states),
            last_levels: last_levels(self.depth(), |depth| self.states_at(depth).count()),
        }
    }

    pub(super) fn bound_hit(&self, what: Bound) -> Outcome {
        Outcome { verdict: Verdict::BoundHit { what }, statistics: self.statistics(), coverage: None }
    }

    pub(super) fn violated(
        &self,
        model: &Model,
        tables: &Tables<W>,
        plan: &Plan<'_>,
        broken: &Broken<W>,
        length: Length,
    ) -> Outcome {
        let mut expander = Expander::new(tables, plan.without_persistent_sets().reductions);
        let moves = trace::to(self, &mut expander, tables.initial, broken);
        let mut trace = trace::shown(model, &moves);
        if tables.properties.livelock() == Some(broken.property) {
            trace.round = round::round(model, &trace.last);
        }
        let verdict = Verdict::Violated { property: broken.property, trace, length };
        Outcome { verdict, statistics: self.statistics(), coverage: None }
    }
}
