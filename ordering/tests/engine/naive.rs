//! The plain explorer: breadth first over literal states in a `HashSet`, by the replay's rules.
//!
//! Invariant: it reduces nothing and packs nothing.

use std::collections::{HashMap, HashSet};

use ordering::engine::replay::{Move, State};
use ordering::model::{Alternative, Check, MarkId, Model, PropertyId, Update, Var};

/// What it found.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Found {
    /// The broken property and the length of the shortest run to it.
    pub(crate) broken: Option<(usize, PropertyId)>,
    pub(crate) states: usize,
    pub(crate) transitions: u64,
    /// Marks that no step carries that was taken.
    pub(crate) unseen: Vec<MarkId>,
    /// Whether all agents whose end is awaited have ended in some state.
    pub(crate) end: bool,
}

/// The model in which what nothing depends on stays as it is at the start: no guard and no property reads it, it is not
/// counted in, and it is copied only to its like.
pub(crate) fn without_unread(model: &Model) -> Model {
    let mut model = model.clone();
    let formulas = model.properties.iter().flat_map(|property| match &property.check {
        Check::Always(any) | Check::Finally(any) => any.as_slice(),
        Check::Step | Check::Deadlock | Check::Livelock => &[],
    });
    let asked = formulas.flatten().flat_map(|guard| guard.reads()).flatten();
    let mut read: HashSet<Var> = asked.collect();
    let before = |read: &HashSet<Var>| {
        let ways = model.agents.iter().flat_map(|agent| &agent.program).flat_map(|at| &at.alternatives);
        let of = |way: &Alternative| -> Vec<Var> {
            let guards = way.guard.iter().flat_map(|guard| guard.reads()).flatten();
            let updates = way.updates.iter().filter_map(|update| match *update {
                Update::Set(..) => None,
                Update::Copy { to, from } => read.contains(&to).then_some(from),
                Update::Increment(var) | Update::Decrement(var) => Some(var),
            });
            guards.chain(updates).collect()
        };
        ways.flat_map(of).collect::<HashSet<Var>>()
    };
    loop {
        let more = before(&read);
        if more.is_subset(&read) {
            break;
        }
        read.extend(more);
    }
    let programs = model.agents.iter_mut().flat_map(|agent| &mut agent.program);
    for way in programs.flat_map(|at| &mut at.alternatives) {
        way.updates.retain(|update| read.contains(&update.written()));
    }
    model
}

/// Explores every state, level by level; none if there are more than `limit`.
pub(crate) fn explore(model: &Model, limit: usize) -> Option<Found> {
    let start = State::initial(model);
    let mut seen = HashSet::from([start.clone()]);
    let mut levels = vec![vec![start]];
    let mut found = Found { broken: None, states: 1, transitions: 0, unseen: Vec::new(), end: false };
    let mut carried = HashSet::new();
    while levels.last().is_some_and(|level| !level.is_empty()) && found.broken.is_none() {
        let (depth, level) = (levels.len() - 1, levels.last().expect("there is a level"));
        let mut next = Vec::new();
        let here = level.iter().filter_map(|state| state.broken(model)).min().map(|id| (depth, id));
        let mut taken = None;
        for state in level {
            found.end |= state.ended(model);
            for (step, alternative) in state.steps(model) {
                found.transitions += 1;
                if let Some(id) = alternative.violates {
                    taken =
                        Some(taken.map_or((depth + 1, id), |least: (usize, PropertyId)| {
                            least.min((depth + 1, id))
                        }));
                    continue;
                }
                carried.extend(alternative.marks.iter().copied());
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
        levels.push(next);
    }
    found.broken = found.broken.or_else(|| livelock(model, &levels));
    found.unseen = (0..).map(MarkId).take(model.marks.len()).filter(|mark| !carried.contains(mark)).collect();
    Some(found)
}

/// The depth of the first state from which neither an end nor a state without steps can be reached.
fn livelock(model: &Model, levels: &[Vec<State>]) -> Option<(usize, PropertyId)> {
    let index = model.properties.iter().position(|property| property.check == Check::Livelock)?;
    let mut hopeful: HashSet<&State> = HashSet::new();
    loop {
        let before = hopeful.len();
        for state in levels.iter().flatten() {
            let steps = state.steps(model);
            let next = |(step, way): &(Move, &Alternative)| hopeful.contains(&state.after(step.agent, way));
            if state.ended(model) || steps.is_empty() || steps.iter().any(next) {
                hopeful.insert(state);
            }
        }
        if hopeful.len() == before {
            break;
        }
    }
    let depth = levels.iter().position(|level| level.iter().any(|state| !hopeful.contains(state)))?;
    Some((depth, PropertyId(u16::try_from(index).expect("few properties"))))
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
