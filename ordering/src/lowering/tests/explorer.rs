//! A naive search of every interleaving, to hold lowered scenarios against their expected verdicts.
//!
//! Invariant: breadth first over whole states in a hash set, no reduction; so a counterexample is a shortest one.

use std::collections::{HashMap, HashSet};

use crate::model::{Alternative, Check, Guard, Model, Pc, Update, Var};

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// So many states, none of them bad.
    Proved(usize),
    /// The property and the steps.
    Violated(String, Vec<String>),
    /// More states than allowed.
    TooMany,
}

type State = Vec<u32>;

/// The steps so far: who, which instruction, which alternative.
type Back = HashMap<State, Option<(State, String)>>;

fn holds(guard: &Guard, state: &State) -> bool {
    let value = |var: Var| state[usize::from(var.0)];
    match *guard {
        Guard::Is(var, wanted) => value(var) == wanted,
        Guard::IsNot(var, wanted) => value(var) != wanted,
        Guard::Same(one, other) => value(one) == value(other),
        Guard::Differ(one, other) => value(one) != value(other),
        Guard::Below(var, bound) => value(var) < bound,
    }
}

fn any(ways: &[Vec<Guard>], state: &State) -> bool {
    ways.iter().any(|way| way.iter().all(|guard| holds(guard, state)))
}

fn applied(alternative: &Alternative, state: &State, pc: usize, model: &Model) -> State {
    let mut next = state.clone();
    for update in &alternative.updates {
        let (var, value) = match *update {
            Update::Set(var, value) => (var, value),
            Update::Copy { to, from } => (to, state[usize::from(from.0)]),
            Update::Increment(var) => (var, state[usize::from(var.0)] + 1),
            Update::Decrement(var) => (var, state[usize::from(var.0)] - 1),
        };
        let size = model.variables[usize::from(var.0)].values.len();
        assert!(
            (value as usize) < size,
            "{} left its domain by `{}`",
            model.variables[usize::from(var.0)].name,
            alternative.text
        );
        next[usize::from(var.0)] = value;
    }
    next[pc] = u32::from(alternative.next.0);
    next
}

pub(crate) fn explore(model: &Model, most: usize) -> Found {
    let variables = model.variables.len();
    let mut start: State = model.variables.iter().map(|variable| variable.initial).collect();
    start.extend(model.agents.iter().map(|_| 0));
    let mut back: Back = HashMap::from([(start.clone(), None)]);
    let mut level = vec![start];
    let mut order = level.clone();
    let mut edges: Vec<(State, State)> = Vec::new();
    while !level.is_empty() {
        let mut next_level = Vec::new();
        for state in &level {
            if let Some(bad) = bad_state(model, state) {
                return Found::Violated(bad, path(&back, state));
            }
            let mut moved = false;
            let mut all_ended = true;
            for (index, agent) in model.agents.iter().enumerate() {
                let pc = variables + index;
                let Some(instruction) = agent.program.get(state[pc] as usize) else { continue };
                all_ended &= agent.spontaneous || instruction.may_end;
                for alternative in &instruction.alternatives {
                    if !alternative.guard.iter().all(|guard| holds(guard, state)) {
                        continue;
                    }
                    moved = true;
                    let text = format!("{}: {}", agent.name, alternative.text);
                    if let Some(property) = alternative.violates {
                        let mut steps = path(&back, state);
                        steps.push(text);
                        return Found::Violated(
                            model.properties[usize::from(property.0)].text.clone(),
                            steps,
                        );
                    }
                    let next = applied(alternative, state, pc, model);
                    edges.push((state.clone(), next.clone()));
                    if !back.contains_key(&next) {
                        back.insert(next.clone(), Some((state.clone(), text)));
                        next_level.push(next);
                    }
                }
            }
            let deadlock = model.properties.iter().find(|property| property.check == Check::Deadlock);
            if let Some(property) = deadlock.filter(|_| !moved && !all_ended) {
                return Found::Violated(property.text.clone(), path(&back, state));
            }
            if back.len() > most {
                return Found::TooMany;
            }
        }
        order.extend(next_level.iter().cloned());
        level = next_level;
    }
    match (livelock(model), doomed(model, &order, &edges)) {
        (Some(property), Some(state)) => Found::Violated(property, path(&back, state)),
        _ => Found::Proved(back.len()),
    }
}

fn livelock(model: &Model) -> Option<String> {
    let found = model.properties.iter().find(|property| property.check == Check::Livelock);
    found.map(|property| property.text.clone())
}

/// The first state from which no order ends, and none comes to a state in which nobody can go on.
fn doomed<'a>(model: &Model, order: &'a [State], edges: &[(State, State)]) -> Option<&'a State> {
    let mut before: HashMap<&State, Vec<&State>> = HashMap::new();
    for (from, to) in edges {
        before.entry(to).or_default().push(from);
    }
    let moves: HashSet<&State> = edges.iter().map(|(from, _)| from).collect();
    let comes_to_rest = |state: &&State| all_ended(model, state) || !moves.contains(*state);
    let mut open: Vec<&State> = order.iter().filter(comes_to_rest).collect();
    let mut ends: HashSet<&State> = open.iter().copied().collect();
    while let Some(state) = open.pop() {
        for from in before.get(state).into_iter().flatten() {
            if ends.insert(from) {
                open.push(from);
            }
        }
    }
    order.iter().find(|state| !ends.contains(state))
}

fn all_ended(model: &Model, state: &State) -> bool {
    model.agents.iter().enumerate().all(|(index, agent)| {
        agent.spontaneous || agent.ends_at(Pc(u16::try_from(state[model.variables.len() + index]).unwrap()))
    })
}

fn bad_state(model: &Model, state: &State) -> Option<String> {
    let broken = model.properties.iter().find(|property| match &property.check {
        Check::Always(ways) => !any(ways, state),
        Check::Finally(ways) => all_ended(model, state) && !any(ways, state),
        _ => false,
    });
    broken.map(|property| property.text.clone())
}

fn path(back: &Back, state: &State) -> Vec<String> {
    let mut steps = Vec::new();
    let mut at = state;
    while let Some(Some((before, text))) = back.get(at) {
        steps.push(text.clone());
        at = before;
    }
    steps.reverse();
    steps
}
