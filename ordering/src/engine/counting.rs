//! The number of interleavings: runs from the start until nobody can move, summed over the graph.
//!
//! Invariant: a state is counted when all ways to it have been, so every run is counted once; if some state never is, the
//! graph has a cycle. Liveness and symmetry keep the number, because a state and the one that stands for it have the same
//! steps; persistent sets do not, so they are not used here.

use super::expand::Expander;
use super::options::Options;
use super::outcome::Interleavings;
use super::search::{End, Plan, Searched, Shards};
use super::set::Set;
use super::tables::Tables;
use super::word::Word;

const FOUND: &str = "a search that is exhausted has found each successor";

/// What is kept beside each slot of the set.
const BESIDE: usize = size_of::<u32>() + size_of::<f64>();

/// Counts the runs of a model in which nothing breaks.
pub(super) fn interleavings<W: Word>(tables: &Tables<W>, options: &Options) -> Interleavings {
    let plan = Plan { shards: Shards::One, ..options.plan_with::<W>(BESIDE).without_persistent_sets() };
    let searched = Searched::run(tables, &plan);
    if searched.end != End::Exhausted {
        return Interleavings::NotCounted;
    }
    let states = searched.states;
    let mut expander = Expander::new(tables, plan.reductions);
    let initial = expander.canonical(tables.initial);
    match Ways::of(searched, expander, plan) {
        Some(mut ways) => ways.sum(initial, states),
        None => Interleavings::NotCounted,
    }
}

/// By slot of the set.
struct Ways<'t, W> {
    set: Set<W>,
    plan: Plan,
    expander: Expander<'t, W>,
    /// Steps to the state that have not been counted yet.
    pending: Vec<u32>,
    /// Runs to the state.
    runs: Vec<f64>,
}

impl<'t, W: Word> Ways<'t, W> {
    /// None if it was told to stop.
    fn of(searched: Searched<W>, mut expander: Expander<'t, W>, plan: Plan) -> Option<Self> {
        let set = searched.set();
        let mut pending = vec![0; set.capacity()];
        for state in (0..=searched.depth()).flat_map(|depth| searched.states_at(depth)) {
            if plan.is_stopped() {
                return None;
            }
            expander.expand_counted(state, 0, |successor, times| {
                pending[set.slot(successor).expect(FOUND)] += times;
            });
        }
        let set = searched.into_set();
        Some(Self { runs: vec![0.0; set.capacity()], set, plan, expander, pending })
    }

    fn sum(&mut self, initial: W, states: usize) -> Interleavings {
        let Some(start) = self.set.slot(initial).filter(|&slot| self.pending[slot] == 0) else {
            return Interleavings::Cyclic;
        };
        self.runs[start] = 1.0;
        let (mut ready, mut counted, mut complete) = (vec![initial], 0, 0.0);
        while let Some(state) = ready.pop() {
            if self.plan.is_stopped() {
                return Interleavings::NotCounted;
            }
            counted += 1;
            let runs = self.runs[self.set.slot(state).expect(FOUND)];
            if !self.pass_on(state, runs, &mut ready) {
                complete += runs;
            }
        }
        if counted == states { Interleavings::Count(complete) } else { Interleavings::Cyclic }
    }

    /// Adds the runs to every successor; whether there is one.
    fn pass_on(&mut self, state: W, runs: f64, ready: &mut Vec<W>) -> bool {
        let (set, pending, sums) = (&self.set, &mut self.pending, &mut self.runs);
        let before = self.expander.transitions;
        self.expander.expand_counted(state, 0, |successor, times| {
            let slot = set.slot(successor).expect(FOUND);
            sums[slot] += runs * f64::from(times);
            pending[slot] -= times;
            if pending[slot] == 0 {
                ready.push(successor);
            }
        });
        self.expander.transitions > before
    }
}
