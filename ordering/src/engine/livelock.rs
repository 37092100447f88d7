//! States from which the agents whose end is awaited can never all end, although somebody can always take a step.
//!
//! Invariant: it is looked for in a graph that was searched to the end. A state is hopeless if none of those that can be
//! reached from it is an end or has no step. Persistent sets keep this: a run of the model is the beginning of one that
//! takes the same steps in another order in the reduced graph, and an agent that has ended stays so.

use super::expand::{Broken, Expander};
use super::search::{Plan, Searched};
use super::tables::Tables;
use super::word::Word;
use crate::model::PropertyId;

/// The hopeless state that is reached first, if there is one.
pub(super) fn find<W: Word>(tables: &Tables<W>, plan: &Plan, searched: &Searched<W>) -> Option<Broken<W>> {
    let property = tables.properties.livelock()?;
    // Without a way back in a program every run ends.
    if tables.ways.iter().all(|way| !way.back) {
        return None;
    }
    let mut hopes = Hopes::of(tables, plan, searched);
    while hopes.sweep() {}
    hopes.hopeless(property)
}

struct Hopes<'s, W> {
    searched: &'s Searched<W>,
    tables: &'s Tables<W>,
    expander: Expander<'s, W>,
    /// By place in the search: whether an end, or a state without a step, can be reached.
    hopeful: Vec<bool>,
    /// The states that are not known to be hopeful, by depth.
    open: Vec<Vec<W>>,
}

impl<'s, W: Word> Hopes<'s, W> {
    fn of(tables: &'s Tables<W>, plan: &Plan, searched: &'s Searched<W>) -> Self {
        let open = (0..=searched.depth()).map(|depth| searched.states_at(depth).collect()).collect();
        let expander = Expander::new(tables, plan.reductions);
        Self { searched, tables, expander, hopeful: vec![false; searched.capacity()], open }
    }

    /// Looks once at each state that is open, those of the greatest depth first; whether one turned out hopeful.
    fn sweep(&mut self) -> bool {
        let mut grown = false;
        for depth in (0..self.open.len()).rev() {
            let states = std::mem::take(&mut self.open[depth]);
            let before = states.len();
            self.open[depth] = states.into_iter().filter(|state| !self.becomes_hopeful(*state)).collect();
            grown |= self.open[depth].len() < before;
        }
        grown
    }

    fn becomes_hopeful(&mut self, state: W) -> bool {
        let (searched, hopeful) = (self.searched, &self.hopeful);
        let mut hope = self.tables.properties.ended(state);
        if !hope {
            let before = self.expander.transitions;
            // The depth is that of nothing: a proved model has no violation to note.
            self.expander.expand(state, 0, |successor| {
                hope |= searched.place(successor).is_some_and(|place| hopeful[place]);
            });
            hope |= self.expander.transitions == before;
        }
        if hope && let Some(place) = searched.place(state) {
            self.hopeful[place] = true;
        }
        hope
    }

    fn hopeless(&self, property: PropertyId) -> Option<Broken<W>> {
        let least = |(depth, states): (usize, &Vec<W>)| {
            states.iter().min().map(|state| Broken { depth, property, state: *state, step: None })
        };
        self.open.iter().enumerate().find_map(least)
    }
}
