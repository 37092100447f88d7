//! What some run of a model does: which of its marks, and whether one comes to an end.
//!
//! Invariant: what is said never to happen happens in no run. Persistent sets may put one step in the place of another
//! with the same effect, so what a search with them has not seen is looked for once more without them. Liveness keeps
//! every step; of interchangeable agents, each can do what one of them was seen to do.

use super::options::{PersistentSets, Reduction, Reductions};
use super::outcome::Coverage;
use super::plan::Plan;
use super::search::{End, Searched};
use super::tables::{Origin, Tables};
use super::word::Word;
use crate::model::{MarkId, Model, Symmetry};

/// What a search has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// By way: whether it was taken.
    pub(super) ways: Vec<bool>,
    /// Whether all agents whose end is awaited had ended somewhere.
    pub(super) end: bool,
}

impl Seen {
    pub(super) fn nothing(ways: usize) -> Self {
        Self { ways: vec![false; ways], end: false }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.end |= other.end;
        self.ways.iter_mut().zip(&other.ways).for_each(|(own, others)| *own |= others);
    }
}

/// The coverage of a model that was searched to the end; `searched` is the search that proved it.
pub(super) fn coverage<W: Word>(
    model: &Model,
    tables: &Tables<W>,
    plan: &Plan,
    searched: &Searched<W>,
) -> Coverage {
    let (unseen, end) = unseen(model, tables, plan.reductions, &searched.seen);
    let whole = plan.reductions.persistent_sets == PersistentSets::Off;
    if whole || (unseen.is_empty() && end) {
        return Coverage { unseen, end, complete: true };
    }
    let again = Searched::run(tables, &plan.without_persistent_sets());
    let complete = again.end == End::Exhausted;
    let mut seen = again.seen;
    seen.add(&searched.seen);
    let (unseen, end) = self::unseen(model, tables, plan.reductions, &seen);
    Coverage { complete: complete || (unseen.is_empty() && end), unseen, end }
}

/// The marks that no way that was taken carries, and whether an end was seen.
pub(super) fn unseen<W: Word>(
    model: &Model,
    tables: &Tables<W>,
    reductions: Reductions,
    seen: &Seen,
) -> (Vec<MarkId>, bool) {
    let mut found = vec![false; model.marks.len()];
    for (entry, _) in tables.ways.iter().zip(&seen.ways).filter(|(_, taken)| **taken) {
        mark(model, entry.origin, &mut found);
        if reductions.symmetry == Reduction::On {
            for agent in tables.symmetries.iter().flat_map(|symmetry| alike(symmetry, entry.origin.agent)) {
                mark(model, Origin { agent, ..entry.origin }, &mut found);
            }
        }
    }
    let unseen = (0..).map(MarkId).zip(&found).filter(|(_, seen)| !**seen).map(|(mark, _)| mark);
    (unseen.collect(), seen.end)
}

fn mark(model: &Model, Origin { agent, pc, alternative }: Origin, found: &mut [bool]) {
    let marks = &model.agents[agent].program[pc].alternatives[alternative].marks;
    marks.iter().for_each(|mark| found[usize::from(mark.0)] = true);
}

/// The agents that stand in the other members where this one stands.
fn alike(symmetry: &Symmetry, agent: usize) -> impl Iterator<Item = usize> + '_ {
    let at = |agents: &[usize]| agents.iter().position(|listed| *listed == agent);
    let place = symmetry.members.iter().find_map(|member| at(&member.agents));
    place.into_iter().flat_map(|place| symmetry.members.iter().map(move |member| member.agents[place]))
}
