//! What was seen of a program, held against a scenario: a run in which those steps come in that order, with steps that
//! could not be seen between them.
//!
//! Invariant: a step may happen unseen only if whoever watched could not see it; a run that is found is one of the model,
//! step by step; what was not found within the limit is called that, and not refused. Nobody guesses: a page of the
//! scenario stands for the same page of what was seen from its first step on.

mod search;
mod step;

use std::collections::BTreeSet;

use steps::table::Verb;

use crate::engine::Trace;
use crate::language::syntax::UserKind;
use crate::lowering::{Act, Lowered};

pub use step::whatever_level;

/// States that one search looks at.
pub const MOST_STATES: usize = 20_000;

/// A step that was seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Glimpse {
    /// What it does, [at whatever level](whatever_level).
    pub verb: Verb,
    /// The number of its page among those that were seen; none if it was not seen which.
    pub page: Option<usize>,
}

/// What was seen, and what could have been.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Glimpses {
    /// The steps of one agent, in their order.
    pub glimpses: Vec<Glimpse>,
    /// What never happens unseen.
    pub shown: BTreeSet<Verb>,
    /// The pages whose entry nobody writes unseen.
    pub watched: BTreeSet<usize>,
    /// The end of a range may notify, and nobody sees that.
    pub ends_notify: bool,
}

/// What came of a search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fit {
    /// There is such a run.
    Run(Box<Run>),
    /// There is none.
    None,
    /// None was found within the limit.
    BoundHit,
}

/// A run in which everything happens that was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// Index of the agent whose steps were seen.
    pub agent: usize,
    /// Its steps and everybody's, up to the end of that agent.
    pub trace: Trace,
    /// By step of the trace, the index of the glimpse that is it.
    pub seen: Vec<Option<usize>>,
    /// What was seen and the scenario says nothing of: it has nobody whom that concerns.
    pub silent: Vec<usize>,
}

/// Looks for a run of `lowered` in which an agent takes the steps that were seen, and ends.
#[must_use]
pub fn fit(lowered: &Lowered, glimpsed: &Glimpses, most_states: usize) -> Fit {
    let (told, silent): (Vec<usize>, Vec<usize>) = (0..glimpsed.glimpses.len())
        .partition(|index| !is_silent_about(lowered, glimpsed.glimpses[*index].verb));
    if told.is_empty() {
        return Fit::None;
    }
    let mut best = Fit::None;
    for agent in 0..lowered.deeds.len() {
        match search::run(lowered, agent, glimpsed, &told, most_states) {
            search::Searched::Found { trace, seen } => {
                return Fit::Run(Box::new(Run { agent, trace, seen, silent }));
            }
            search::Searched::Nothing => {}
            search::Searched::BoundHit => best = Fit::BoundHit,
        }
    }
    best
}

/// Whether nobody in the scenario takes such a step, and nobody is there whom it would concern.
fn is_silent_about(lowered: &Lowered, verb: Verb) -> bool {
    const CONCERNED: [(Verb, UserKind); 5] = [
        (Verb::NotifyStart, UserKind::Vcpu),
        (Verb::NotifyEnd, UserKind::Vcpu),
        (Verb::ChangePte, UserKind::Vcpu),
        (Verb::Notify, UserKind::Device),
        (Verb::FlushTlb, UserKind::Cpu),
    ];
    let Some((_, concerned)) = CONCERNED.iter().find(|(known, _)| *known == verb) else { return false };
    let takes = |act: &Act| match act {
        Act::Step(step) => whatever_level(step.verb()) == verb,
        Act::Assign(_) | Act::Decide | Act::Hardware => false,
    };
    let is_there = lowered.scene.users.iter().any(|user| user.kind == *concerned);
    !is_there && !lowered.deeds.iter().any(|deeds| deeds.acts().any(takes))
}

#[cfg(test)]
mod tests;
