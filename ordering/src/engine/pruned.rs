//! The model without the instructions and alternatives that cannot happen; what the reductions are computed from.
//!
//! Invariant: places are numbered through over all agents, in the order of agents and instructions. Every agent has at
//! least one place, and its first one is where it starts.

use super::options::Stop;
use super::reach::Reach;
use super::too_large::TooLarge;
use crate::model::{Alternative, Model};

/// A model without what cannot happen.
pub(super) struct Pruned<'m> {
    pub(super) model: &'m Model,
    pub(super) reach: Reach,
    /// Of all agents, one after the other.
    pub(super) places: Vec<Place<'m>>,
    /// For each agent, the number of its first place; then the number of places.
    pub(super) first: Vec<usize>,
}

/// An instruction of an agent, or its end.
pub(super) struct Place<'m> {
    pub(super) agent: usize,
    /// Index of the instruction; that of the end is the length of the program.
    pub(super) pc: usize,
    /// What can be taken there.
    pub(super) ways: Vec<Way<'m>>,
}

/// An alternative that can be taken.
pub(super) struct Way<'m> {
    /// Its index in the instruction.
    pub(super) index: usize,
    pub(super) alternative: &'m Alternative,
    /// The place it leads to.
    pub(super) next: usize,
}

impl<'m> Pruned<'m> {
    pub(super) fn of(model: &'m Model, stop: Option<&Stop>) -> Result<Self, TooLarge> {
        let reach = Reach::of(model, stop)?;
        let mut pruned = Self { model, reach, places: Vec::new(), first: vec![0] };
        for agent in 0..model.agents.len() {
            pruned.add_agent(agent);
            pruned.first.push(pruned.places.len());
        }
        Ok(pruned)
    }

    /// The places of an agent.
    pub(super) fn of_agent(&self, agent: usize) -> std::ops::Range<usize> {
        self.first[agent]..self.first[agent + 1]
    }

    /// Whether an agent has ended at this place of its own.
    pub(super) fn is_end(&self, place: usize) -> bool {
        let Place { agent, pc, .. } = self.places[place];
        self.model.agents[agent].program.get(pc).is_none_or(|instruction| instruction.may_end)
    }

    fn add_agent(&mut self, agent: usize) {
        let base = self.places.len();
        let pcs: Vec<usize> = self.reach.places(agent).collect();
        for &pc in &pcs {
            let ways = self.ways(agent, pc, &pcs, base);
            self.places.push(Place { agent, pc, ways });
        }
    }

    fn ways(&self, agent: usize, pc: usize, pcs: &[usize], base: usize) -> Vec<Way<'m>> {
        let Some(instruction) = self.model.agents[agent].program.get(pc) else { return Vec::new() };
        let possible = |alternative: &Alternative| self.reach.possible(agent, pc, alternative);
        let next = |alternative: &Alternative| pcs.binary_search(&usize::from(alternative.next.0));
        let alternatives = instruction.alternatives.iter().enumerate();
        let taken = alternatives.filter(|(_, alternative)| possible(alternative));
        taken
            .filter_map(|(index, alternative)| {
                let next = base + next(alternative).ok()?;
                Some(Way { index, alternative, next })
            })
            .collect()
    }
}

impl Way<'_> {
    pub(super) fn writes(&self) -> impl Iterator<Item = usize> + '_ {
        self.alternative.updates.iter().map(|update| usize::from(update.written().0))
    }
}
