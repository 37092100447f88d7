//! The plain explorer: breadth first over literal states in a `HashSet`, by the replay's rules.
//!
//! Invariant: it reduces nothing and packs nothing.

use std::collections::{HashMap, HashSet};

use ordering::engine::replay::State;
use ordering::model::{Model, PropertyId};

/// What it found.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Found {
    /// The broken property and the length of the shortest run to it.
    pub(crate) broken: Option<(usize, PropertyId)>,
    pub(crate) states: usize,
    pub(crate) transitions: u64,
}

/// Explores every state, level by level; none if there are more than `limit`.
pub(crate) fn explore(model: &Model, limit: usize) -> Option<Found> {
    let start = State::initial(model);
    let mut seen = HashSet::from([start.clone()]);
    let (mut level, mut found) = (vec![start], Found { broken: None, states: 1, transitions: 0 });
    let mut depth = 0;
    while !level.is_empty() && found.broken.is_none() {
        let mut next = Vec::new();
        let here = level.iter().filter_map(|state| state.broken(model)).min().map(|id| (depth, id));
        let mut taken = None;
        for state in &level {
            for (step, alternative) in state.steps(model) {
                found.transitions += 1;
                if let Some(id) = alternative.violates {
                    taken =
                        Some(taken.map_or((depth + 1, id), |least: (usize, PropertyId)| {
                            least.min((depth + 1, id))
                        }));
                    continue;
                }
                let after = state.after(step.agent, alternative);
                if seen.insert(after.clone()) {
                    next.push(after);
                }
            }
        }
        found.broken = here.or(taken);
        found.states = seen.len();
        if found.states > limit {
            return None;
        }
        (level, depth) = (next, depth + 1);
    }
    Some(found)
}

/// The number of runs from the start until nobody can move; none if a run can return to a state.
pub(crate) fn runs(model: &Model) -> Option<u128> {
    let mut known = HashMap::new();
    runs_from(model, &State::initial(model), &mut known)
}

/// `known` holds `None` for a state whose runs are being counted.
fn runs_from(model: &Model, state: &State, known: &mut HashMap<State, Option<u128>>) -> Option<u128> {
    if let Some(known) = known.get(state) {
        return *known;
    }
    known.insert(state.clone(), None);
    let steps = state.steps(model);
    let mut runs = u128::from(steps.is_empty());
    for (step, alternative) in steps {
        runs += runs_from(model, &state.after(step.agent, alternative), known)?;
    }
    known.insert(state.clone(), Some(runs));
    Some(runs)
}
