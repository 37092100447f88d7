//! A `trace` held against the scenario's programs: each row must be able to happen where it stands.
//!
//! Invariant: a row that could be taken in several ways is taken in all of them; it is refused only if no earlier
//! choice makes it possible. A refusal says what the step waits for.

use std::collections::BTreeSet;

use crate::language::syntax::Row;
use crate::language::{Diagnostic, did_you_mean};
use crate::model::{Alternative, Guard, Model, Update, Var};

/// States that are followed at once.
const MOST: usize = 4096;

/// Values of the variables, then the places of the agents.
type State = Vec<u32>;

/// Replays `rows`.
///
/// # Errors
/// The first row that cannot happen.
pub(super) fn replay(model: &Model, rows: &[Row], source: &str) -> Result<(), Diagnostic> {
    let mut start: State = model.variables.iter().map(|variable| variable.initial).collect();
    start.extend(model.agents.iter().map(|_| 0));
    let mut states = BTreeSet::from([start]);
    for row in rows {
        let Some(name) = &row.agent else { continue };
        let text = super::text(source, row.span);
        let Some(agent) = model.agents.iter().position(|agent| agent.name == name.node) else {
            let known: Vec<_> = model.agents.iter().map(|agent| agent.name.as_str()).collect();
            let help = did_you_mean(&name.node, &known, &format!("the agents are {}", known.join(", ")));
            return Err(Diagnostic::new(name.span, format!("there is no agent `{}`", name.node), help));
        };
        let mut next = BTreeSet::new();
        for state in &states {
            let ways =
                at(model, state, agent).iter().filter(|way| is(way, &text) && blocking(way, state).is_none());
            next.extend(ways.map(|way| applied(model, state, agent, way)));
        }
        if next.is_empty() {
            return Err(refused(model, &states, agent, row, &text));
        }
        if next.len() > MOST {
            return Err(Diagnostic::new(
                row.span,
                "this trace can be read in too many ways",
                "name every step",
            ));
        }
        states = next;
    }
    Ok(())
}

/// The ways on of an agent.
fn at<'m>(model: &'m Model, state: &State, agent: usize) -> &'m [Alternative] {
    let pc = state[model.variables.len() + agent] as usize;
    model.agents[agent].program.get(pc).map_or(&[], |instruction| &instruction.alternatives)
}

/// Whether a row says this; what a read returns may be left out.
fn is(way: &Alternative, text: &str) -> bool {
    way.text.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with(" = "))
}

fn value(state: &State, var: Var) -> u32 {
    state[usize::from(var.0)]
}

/// The first guard that does not hold, and how many do before it.
fn blocking(way: &Alternative, state: &State) -> Option<(usize, Guard)> {
    let fails = |guard: &Guard| match *guard {
        Guard::Is(var, wanted) => value(state, var) != wanted,
        Guard::IsNot(var, other) => value(state, var) == other,
        Guard::Same(one, other) => value(state, one) != value(state, other),
        Guard::Differ(one, other) => value(state, one) == value(state, other),
        Guard::Below(var, bound) => value(state, var) >= bound,
    };
    way.guard.iter().enumerate().find(|(_, guard)| fails(guard)).map(|(index, guard)| (index, *guard))
}

fn applied(model: &Model, state: &State, agent: usize, way: &Alternative) -> State {
    let mut next = state.clone();
    for update in &way.updates {
        let (var, new) = match *update {
            Update::Set(var, new) => (var, new),
            Update::Copy { to, from } => (to, value(state, from)),
            Update::Increment(var) => (var, value(state, var).saturating_add(1)),
            Update::Decrement(var) => (var, value(state, var).saturating_sub(1)),
        };
        next[usize::from(var.0)] = new;
    }
    next[model.variables.len() + agent] = u32::from(way.next.0);
    next
}

fn refused(model: &Model, states: &BTreeSet<State>, agent: usize, row: &Row, text: &str) -> Diagnostic {
    let name = &model.agents[agent].name;
    let message = format!("`{name}` cannot take this step here");
    for state in states {
        let ways = at(model, state, agent);
        // The way that comes nearest says best what is missing.
        let waits = ways.iter().filter(|way| is(way, text)).filter_map(|way| blocking(way, state));
        if let Some((_, guard)) = waits.max_by_key(|(index, _)| *index) {
            let help = "put the step that it waits for on a row above";
            return Diagnostic::new(row.span, message, help).with_label(reason(model, state, guard));
        }
    }
    let texts: BTreeSet<_> =
        states.iter().flat_map(|state| at(model, state, agent)).map(|way| &way.text).collect();
    let known: Vec<_> = texts.into_iter().take(4).map(|text| format!("`{text}`")).collect();
    let help = match known.is_empty() {
        true => format!("the program of `{name}` has ended"),
        false => format!("its next step is {}", known.join(" or ")),
    };
    Diagnostic::new(row.span, message, help)
}

/// What a guard waits for, in the words of the state.
fn reason(model: &Model, state: &State, guard: Guard) -> String {
    let name = |var: Var| &model.variables[usize::from(var.0)].name;
    let shown = |var: Var, value: u32| &model.variables[usize::from(var.0)].values[value as usize];
    let now = |var: Var| format!("{} is {}", name(var), shown(var, value(state, var)));
    match guard {
        Guard::Is(var, wanted) => {
            format!("waits for {} to be {}: {}", name(var), shown(var, wanted), now(var))
        }
        Guard::IsNot(var, _) => format!("waits for {} to change: {}", name(var), now(var)),
        Guard::Same(one, other) => format!("waits for the same: {}, {}", now(one), now(other)),
        Guard::Differ(one, other) => format!("waits for a difference: {}, {}", now(one), now(other)),
        Guard::Below(var, bound) => format!("waits for less than {bound}: {}", now(var)),
    }
}
