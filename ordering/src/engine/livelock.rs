//! States from which the agents whose end is awaited can never all end, although somebody can always take a step.
//!
//! Invariant: it is looked for in a graph that was searched to the end. A state is hopeless if none of those that can be
//! reached from it is an end, has no step or breaks a property. Persistent sets keep this: a run of the model is the
//! beginning of one that takes the same steps in another order in the reduced graph, and who stops may go on there. Steps
//! of the model that the reduced graph leaves out count, too, where they lead from one of its states to another.

use super::expand::{Broken, Expander};
use super::plan::Plan;
use super::search::Searched;
use super::tables::Tables;
use super::word::Word;

const FOUND: &str = "a search has a place for each state that it found";

/// Whether an end can be reached from everywhere.
pub(super) enum Hope<W> {
    /// It can, or nobody asks.
    Everywhere,
    /// Not from this state, which is the first.
    Lost(Broken<W>),
    /// The search was told to stop.
    Unknown,
}

/// Looks for a state from which no end can be reached.
pub(super) fn find<W: Word>(tables: &Tables<W>, plan: &Plan<'_>, searched: &Searched<W>) -> Hope<W> {
    let Some(property) = tables.properties.livelock() else { return Hope::Everywhere };
    match hopeless(tables, plan, searched) {
        None => Hope::Unknown,
        Some(None) => Hope::Everywhere,
        Some(Some((depth, state))) => Hope::Lost(Broken { depth, property, state, step: None }),
    }
}

/// The first state from which no end can be reached, with its depth, whether a property asks for it or not. None if the
/// search was told to stop.
pub(super) fn hopeless<W: Word>(
    tables: &Tables<W>,
    plan: &Plan<'_>,
    searched: &Searched<W>,
) -> Option<Option<(usize, W)>> {
    // Without a way back in a program every run ends.
    if tables.ways.iter().all(|way| !way.back) {
        return Some(None);
    }
    // All steps are looked at: choosing some would cost more than they do.
    let expander = plan.without_persistent_sets().expander(tables);
    let hopeful = vec![false; searched.capacity()];
    let mut hopes = Hopes { plan, searched, tables, expander, hopeful };
    while hopes.sweep()? {}
    Some(hopes.lost())
}

struct Hopes<'s, W: Word> {
    plan: &'s Plan<'s>,
    searched: &'s Searched<W>,
    tables: &'s Tables<W>,
    expander: Expander<'s, W>,
    /// By place in the search: whether an end, or a state without a step, can be reached.
    hopeful: Vec<bool>,
}

impl<W: Word> Hopes<'_, W> {
    /// Looks once at each state that is not known to be hopeful, those of the greatest depth first; whether one turned out
    /// to be. None if it was told to stop.
    fn sweep(&mut self) -> Option<bool> {
        let mut grown = false;
        let searched = self.searched;
        for state in (0..=searched.depth()).rev().flat_map(|depth| searched.states_at(depth)) {
            let place = self.place(state);
            if !self.hopeful[place] && self.becomes_hopeful(state) {
                self.hopeful[place] = true;
                grown = true;
            }
            if self.plan.is_stopped() {
                return None;
            }
        }
        Some(grown)
    }

    fn becomes_hopeful(&mut self, state: W) -> bool {
        if self.tables.properties.ended(state) {
            return true;
        }
        let (searched, hopeful, mut hope) = (self.searched, &self.hopeful, false);
        let before = self.expander.transitions;
        // The depth is that of nothing: where something breaks a run ends, and how early is not asked.
        self.expander.expand(state, 0, |successor| {
            hope |= searched.place(successor).is_some_and(|place| hopeful[place]);
        });
        let broken = self.expander.broken.take().is_some();
        hope || broken || self.expander.transitions == before
    }

    fn lost(&self) -> Option<(usize, W)> {
        let open = |state: &W| !self.hopeful[self.place(*state)];
        let least = |depth| Some((depth, self.searched.states_at(depth).filter(open).min()?));
        (0..=self.searched.depth()).find_map(least)
    }

    fn place(&self, state: W) -> usize {
        self.searched.place(state).expect(FOUND)
    }
}
