//! The number of interleavings: runs from the start until nobody can move, summed over the graph.
//!
//! Invariant: a state is counted when all ways to it have been, so every run is counted once; if some state never is, the
//! graph has a cycle. Liveness and symmetry keep the number, because a state and the one that stands for it have the same
//! steps; persistent sets do not, so they are not used here.

use super::expand::Expander;
use super::options::{Counting, Options, PersistentSets, Reductions};
use super::outcome::Interleavings;
use super::plan::Plan;
use super::search::{End, Searched};
use super::tables::Tables;
use super::word::Word;

const FOUND: &str = "a search that is exhausted has found each successor";

/// What is kept beside each slot of the set.
const BESIDE: usize = size_of::<u32>() + size_of::<f64>();

/// Counts the runs of a model in which nothing breaks; `proof` is the search that has shown that, if it was one of the
/// whole. Where it was made without persistent sets and with all else that keeps the number, its graph is the one that
/// is counted: a graph that is not reduced has a hundred times the states, and the same number.
pub(super) fn interleavings<W: Word>(
    tables: &Tables<W>,
    options: &Options,
    proof: Option<Searched<W>>,
) -> Interleavings {
    let reductions = Reductions::ALL.with(PersistentSets::Off);
    let plan = Plan { reductions, ..options.plan_with::<W>(BESIDE) };
    let is_whole = proof.is_some() && options.reductions.persistent_sets == PersistentSets::Off;
    let counted = match options.interleavings {
        Counting::Off => false,
        Counting::OfProof => is_whole,
        Counting::On => true,
    };
    if !counted {
        return Interleavings::NotCounted;
    }
    let searched = match proof {
        Some(proof) if options.reductions == reductions => proof,
        other => {
            drop(other);
            Searched::run(tables, &plan)
        }
    };
    if searched.end != End::Exhausted || searched.states > plan.max_states {
        return Interleavings::NotCounted;
    }
    let mut expander = Expander::new(tables, plan.reductions);
    let initial = expander.canonical(tables.initial);
    match Ways::of(&searched, expander, plan) {
        Some(mut ways) => ways.sum(initial),
        None => Interleavings::NotCounted,
    }
}

/// By place in the search.
struct Ways<'t, W: Word> {
    searched: &'t Searched<W>,
    plan: Plan<'t>,
    expander: Expander<'t, W>,
    /// Steps to the state that have not been counted yet.
    pending: Vec<u32>,
    /// Runs to the state.
    runs: Vec<f64>,
}

impl<'t, W: Word> Ways<'t, W> {
    /// None if it was told to stop.
    fn of(searched: &'t Searched<W>, mut expander: Expander<'t, W>, plan: Plan<'t>) -> Option<Self> {
        let mut pending = vec![0; searched.capacity()];
        for state in (0..=searched.depth()).flat_map(|depth| searched.states_at(depth)) {
            if plan.is_stopped() {
                return None;
            }
            expander.expand_counted(state, 0, |successor, times| {
                pending[searched.place(successor).expect(FOUND)] += times;
            });
        }
        Some(Self { searched, plan, expander, pending, runs: vec![0.0; searched.capacity()] })
    }

    fn sum(&mut self, initial: W) -> Interleavings {
        let Some(start) = self.searched.place(initial).filter(|&place| self.pending[place] == 0) else {
            return Interleavings::Cyclic;
        };
        self.runs[start] = 1.0;
        let (mut ready, mut counted, mut complete) = (vec![initial], 0, 0.0);
        while let Some(state) = ready.pop() {
            if self.plan.is_stopped() {
                return Interleavings::NotCounted;
            }
            counted += 1;
            let runs = self.runs[self.searched.place(state).expect(FOUND)];
            if !self.pass_on(state, runs, &mut ready) {
                complete += runs;
            }
        }
        if counted == self.searched.states { Interleavings::Count(complete) } else { Interleavings::Cyclic }
    }

    /// Adds the runs to every successor; whether there is one.
    fn pass_on(&mut self, state: W, runs: f64, ready: &mut Vec<W>) -> bool {
        let (searched, pending, sums) = (self.searched, &mut self.pending, &mut self.runs);
        let before = self.expander.transitions;
        self.expander.expand_counted(state, 0, |successor, times| {
            let place = searched.place(successor).expect(FOUND);
            sums[place] += runs * f64::from(times);
            pending[place] -= times;
            if pending[place] == 0 {
                ready.push(successor);
            }
        });
        self.expander.transitions > before
    }
}
