//! The search for the run: first along the agent's program alone, then in the model.
//!
//! Invariant: the first look leaves out nothing that the second could find: it takes every way of the program as if its
//! guards held.

use std::collections::{BTreeMap, BTreeSet};

use steps::table::Verb;

use super::Glimpses;
use super::step::{page, whatever_level, writes_entry};
use crate::engine::replay::{Move, State, replay};
use crate::engine::{Step, Trace};
use crate::lowering::{Act, Lowered, PageId, Part};
use crate::model::Pc;

/// What was found.
pub(super) enum Searched {
    /// A run, and by step the glimpse that it is.
    Found { trace: Trace, seen: Vec<Option<usize>> },
    /// There is none.
    Nothing,
    /// None within the limit.
    BoundHit,
}

/// How far the glimpses have been met.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Progress {
    /// How many.
    met: usize,
    /// By page that was seen, which it is.
    bound: Vec<Option<PageId>>,
    /// Pages whose entry was written unseen.
    unseen: BTreeSet<PageId>,
}

/// What a way of the program shows: nothing, or a step.
type Shown = Option<(Verb, Option<PageId>)>;

struct Search<'a> {
    lowered: &'a Lowered,
    agent: usize,
    glimpsed: &'a Glimpses,
    /// Indices of the glimpses that the scenario tells of.
    told: &'a [usize],
}

/// Looks for a run in which `agent` takes the steps that are `told`.
pub(super) fn run(
    lowered: &Lowered,
    agent: usize,
    glimpsed: &Glimpses,
    told: &[usize],
    most_states: usize,
) -> Searched {
    let search = Search { lowered, agent, glimpsed, told };
    if search.is_possible() { search.in_model(most_states) } else { Searched::Nothing }
}

impl Search<'_> {
    fn start(&self) -> Progress {
        let pages = self.glimpsed.glimpses.iter().filter_map(|glimpse| glimpse.page).max();
        let bound = vec![None; pages.map_or(0, |last| last + 1)];
        Progress { met: 0, bound, unseen: BTreeSet::new() }
    }

    fn is_met(&self, progress: &Progress) -> bool {
        progress.met == self.told.len()
    }

    /// What a way of the agent shows; none of the hops and parts of a step that only hardware takes.
    fn shown(&self, pc: Pc, alternative: usize) -> Vec<Shown> {
        let deeds = self.lowered.deeds[self.agent].of(usize::from(pc.0), alternative);
        let shown = |act: &Act, part: Part| {
            let Act::Step(step) = act else { return None };
            let is_own = matches!(part, Part::Whole | Part::Send(_) | Part::Flush(_));
            is_own.then(|| (whatever_level(step.verb()), page(step)))
        };
        deeds.map(|deed| shown(deed.act, deed.part)).collect()
    }

    /// Every way to meet what is shown, seen or unseen.
    fn after(&self, progress: &Progress, shown: &[Shown]) -> Vec<Progress> {
        let mut all = vec![progress.clone()];
        for (verb, page) in shown.iter().flatten() {
            all = all.iter().flat_map(|before| self.met(before, *verb, *page)).collect();
        }
        all
    }

    fn met(&self, before: &Progress, verb: Verb, page: Option<PageId>) -> Vec<Progress> {
        let seen = self.seen(before, verb, page);
        let unseen = self.unseen(before, verb, page);
        seen.into_iter().chain(unseen).collect()
    }

    /// The step is the next glimpse.
    fn seen(&self, before: &Progress, verb: Verb, page: Option<PageId>) -> Option<Progress> {
        let glimpse = self.glimpsed.glimpses[*self.told.get(before.met)?];
        if glimpse.verb != verb {
            return None;
        }
        let mut after = Progress { met: before.met + 1, ..before.clone() };
        if let (Some(number), Some(page)) = (glimpse.page, page) {
            let taken = before.bound.iter().position(|bound| *bound == Some(page));
            let hidden = self.glimpsed.watched.contains(&number) && before.unseen.contains(&page);
            if hidden || taken.is_some_and(|taken| taken != number) {
                return None;
            }
            if before.bound[number].is_some_and(|bound| bound != page) {
                return None;
            }
            after.bound[number] = Some(page);
        }
        Some(after)
    }

    /// Nobody saw it.
    fn unseen(&self, before: &Progress, verb: Verb, page: Option<PageId>) -> Option<Progress> {
        if self.glimpsed.shown.contains(&verb) && !(verb == Verb::Notify && self.is_at_end(before)) {
            return None;
        }
        let mut after = before.clone();
        if let (true, Some(page)) = (writes_entry(verb), page) {
            let mut watched = self.glimpsed.watched.iter();
            if watched.any(|number| before.bound.get(*number) == Some(&Some(page))) {
                return None;
            }
            after.unseen.insert(page);
        }
        Some(after)
    }

    /// Whether the end of a range is what is seen next, and may notify before that is over.
    fn is_at_end(&self, progress: &Progress) -> bool {
        let next = self.told.get(progress.met).map(|index| self.glimpsed.glimpses[*index].verb);
        self.glimpsed.ends_notify && next == Some(Verb::NotifyEnd)
    }

    /// Whether the program has a way through the glimpses, if nothing ever hinders it.
    fn is_possible(&self) -> bool {
        let program = &self.lowered.model.agents[self.agent];
        let first = (Pc(0), self.start());
        let (mut known, mut open) = (BTreeSet::from([first.clone()]), vec![first]);
        while let Some((pc, progress)) = open.pop() {
            if self.is_met(&progress) && program.ends_at(pc) {
                return true;
            }
            let Some(instruction) = program.program.get(usize::from(pc.0)) else { continue };
            for (index, way) in instruction.alternatives.iter().enumerate() {
                for after in self.after(&progress, &self.shown(pc, index)) {
                    let next = (way.next, after);
                    if known.insert(next.clone()) {
                        open.push(next);
                    }
                }
            }
        }
        false
    }

    /// A run of the model. The agent goes first, and the others when it cannot.
    fn in_model(&self, most_states: usize) -> Searched {
        let model = &self.lowered.model;
        let first = (State::initial(model), self.start());
        // By node, the one before it and the step between them.
        let mut known: BTreeMap<(State, Progress), usize> = BTreeMap::from([(first.clone(), 0)]);
        let mut ways: Vec<(usize, Option<Move>, Option<usize>)> = vec![(0, None, None)];
        let mut open = vec![(first, 0)];
        while let Some(((state, progress), at)) = open.pop() {
            if self.is_met(&progress) && model.agents[self.agent].ends_at(state.at[self.agent]) {
                return self.found(&ways, at);
            }
            if known.len() >= most_states {
                return Searched::BoundHit;
            }
            let mut steps = state.steps(model);
            // What is pushed last is looked at first.
            steps.sort_by_key(|(step, _)| step.agent == self.agent);
            for (step, way) in steps.into_iter().filter(|(_, way)| way.violates.is_none()) {
                let mine = step.agent == self.agent;
                let shown = if mine { self.shown(step.pc, step.alternative) } else { Vec::new() };
                for after in self.after(&progress, &shown) {
                    let glimpse = (after.met > progress.met).then(|| self.told[progress.met]);
                    let next = (state.after(step.agent, way), after);
                    if !known.contains_key(&next) {
                        known.insert(next.clone(), ways.len());
                        open.push((next, ways.len()));
                        ways.push((at, Some(step), glimpse));
                    }
                }
            }
        }
        Searched::Nothing
    }

    fn found(&self, ways: &[(usize, Option<Move>, Option<usize>)], last: usize) -> Searched {
        let (mut moves, mut seen, mut at) = (Vec::new(), Vec::new(), last);
        while let (before, Some(step), glimpse) = ways[at] {
            moves.push(step);
            seen.push(glimpse);
            at = before;
        }
        moves.reverse();
        seen.reverse();
        let (changes, last) = replay(&self.lowered.model, &moves).expect("each step was found in the model");
        let step = |(step, changes): (&Move, _)| {
            let Move { agent, pc, alternative } = *step;
            Step { agent, pc, alternative, changes }
        };
        let steps = moves.iter().zip(changes).map(step).collect();
        Searched::Found { trace: Trace { steps, last, round: None }, seen }
    }
}
