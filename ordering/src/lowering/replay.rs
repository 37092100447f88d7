//! A `trace` held against the scenario's programs: each row must be able to happen where it stands.
//!
//! Invariant: a row that could be taken in several ways is taken in all of them; it is refused only if no earlier
//! choice makes it possible. A row is what a trace prints or what the program says; of several readings of a trace, the
//! one that takes most rows as they are printed is shown. A refusal says what the step waits for.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::replay::{Move, State};
use crate::engine::{Step, Trace};
use crate::language::span::Name;
use crate::language::syntax::Row;
use crate::language::{Code, Diagnostic, did_you_mean};
use crate::model::{Alternative, Guard, Model, PropertyId, Var};

/// States that are followed at once.
const MOST: usize = 4096;

/// A trace that can happen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replayed {
    /// Its steps up to the first that breaks a property, with what they change.
    pub trace: Trace,
    /// The property that the last of them breaks.
    pub broken: Option<PropertyId>,
}

/// A way through the rows so far.
#[derive(Clone)]
struct Reading {
    /// Rows that say less than a trace would print.
    short: usize,
    moves: Vec<Move>,
}

/// The states that the rows so far can lead to, each with the best way there.
type Reached = BTreeMap<State, Reading>;

/// Takes the steps of `rows`, a trace that was read from `source`. Of several ways to read it, one whose last row breaks
/// a property is taken, if there is one.
///
/// # Errors
/// The first row that cannot happen.
pub fn replay(model: &Model, rows: &[Row], source: &str) -> Result<Replayed, Diagnostic> {
    let start = Reading { short: 0, moves: Vec::new() };
    let mut reached = Reached::from([(State::initial(model), start)]);
    let mut breaking = Vec::new();
    for row in rows {
        let Some(name) = &row.agent else { continue };
        let agent = named(model, name)?;
        (reached, breaking) = taken(model, &reached, agent, row, &super::text(source, row.span))?;
    }
    let mut readings: Vec<&Reading> = breaking.iter().chain(reached.values()).collect();
    readings.sort_by_key(|reading| reading.short);
    let ways: Vec<Replayed> = readings.into_iter().map(|reading| shown(model, &reading.moves)).collect();
    let whole = |way: &&Replayed| way.broken.is_some() && way.trace.steps.len() == length(rows);
    let best = ways.iter().find(whole).or(ways.first());
    Ok(best.cloned().expect("a trace without a refused row leads somewhere"))
}

fn length(rows: &[Row]) -> usize {
    rows.iter().filter(|row| row.agent.is_some()).count()
}

fn named(model: &Model, name: &Name) -> Result<usize, Diagnostic> {
    model.agents.iter().position(|agent| agent.name == name.node).ok_or_else(|| {
        let known: Vec<_> = model.agents.iter().map(|agent| agent.name.as_str()).collect();
        let help = did_you_mean(&name.node, &known, &format!("the agents are {}", known.join(", ")));
        Diagnostic::new(Code::UnknownAgent, name.span, format!("there is no agent `{}`", name.node), help)
    })
}

/// What the row leads to, and the ways of which its step breaks a property.
fn taken(
    model: &Model,
    reached: &Reached,
    agent: usize,
    row: &Row,
    text: &str,
) -> Result<(Reached, Vec<Reading>), Diagnostic> {
    let (mut next, mut breaking) = (Reached::new(), Vec::new());
    for (state, reading) in reached {
        for (taken, way) in state.steps_of(agent, model).filter(|(_, way)| says(way, text)) {
            let short = reading.short + usize::from(way.text != text);
            let further = Reading { short, moves: [reading.moves.as_slice(), &[taken]].concat() };
            if way.violates.is_some() {
                breaking.push(further.clone());
            }
            let after = state.after(agent, way);
            if next.get(&after).is_none_or(|known| known.short > short) {
                next.insert(after, further);
            }
        }
    }
    if next.is_empty() {
        return Err(refused(model, reached, agent, row, text));
    }
    if next.len() > MOST {
        let message = "this trace can be read in too many ways";
        return Err(Diagnostic::new(Code::CannotHappen, row.span, message, "name every step"));
    }
    Ok((next, breaking))
}

/// The steps up to the first that breaks a property.
fn shown(model: &Model, moves: &[Move]) -> Replayed {
    let mut state = State::initial(model);
    let mut steps = Vec::new();
    let mut broken = state.broken(model);
    for taken in moves {
        if broken.is_some() {
            break;
        }
        let way = &model.agents[taken.agent].program[usize::from(taken.pc.0)].alternatives[taken.alternative];
        let after = state.after(taken.agent, way);
        let Move { agent, pc, alternative } = *taken;
        steps.push(Step { agent, pc, alternative, changes: state.changes(&after) });
        broken = way.violates.or_else(|| after.broken(model));
        state = after;
    }
    Replayed { trace: Trace { steps, last: state, round: None }, broken }
}

/// The ways on of an agent.
fn at<'m>(model: &'m Model, state: &State, agent: usize) -> &'m [Alternative] {
    let instruction = model.agents[agent].program.get(usize::from(state.at[agent].0));
    instruction.map_or(&[], |instruction| &instruction.alternatives)
}

/// Whether a row says this. It may leave out what became of the step: what a read returned, that the frame was free or
/// that there was none, which of its parts it is. Of a look, `if C` is that C held; `check C else L` may be either.
pub(crate) fn says(way: &Alternative, text: &str) -> bool {
    let looks = ["if ", "when ", "check "].iter().any(|look| text.starts_with(look));
    let (text, either) = match text.rsplit_once(" else ") {
        Some((look, _)) if looks => (look, true),
        Some(_) | None => (text, !looks),
    };
    let Some(rest) = way.text.strip_prefix(text) else { return false };
    let said = rest.is_empty() || rest.starts_with(" = ") || rest.starts_with(" in freed ");
    said || either && rest.starts_with(": ")
}

fn value(state: &State, var: Var) -> u32 {
    state.values[usize::from(var.0)]
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

fn refused(model: &Model, reached: &Reached, agent: usize, row: &Row, text: &str) -> Diagnostic {
    let name = &model.agents[agent].name;
    let message = format!("`{name}` cannot take this step here");
    for state in reached.keys() {
        let ways = at(model, state, agent);
        // The way that comes nearest says best what is missing.
        let waits = ways.iter().filter(|way| says(way, text)).filter_map(|way| blocking(way, state));
        if let Some((_, guard)) = waits.max_by_key(|(index, _)| *index) {
            let help = "put the step that it waits for on a row above";
            return Diagnostic::new(Code::CannotHappen, row.span, message, help)
                .with_label(reason(model, state, guard));
        }
    }
    let texts: BTreeSet<_> =
        reached.keys().flat_map(|state| at(model, state, agent)).map(|way| &way.text).collect();
    let known: Vec<_> = texts.into_iter().take(4).map(|text| format!("`{text}`")).collect();
    let help = match known.is_empty() {
        true => format!("the program of `{name}` has ended"),
        false => format!("its next step is {}", known.join(" or ")),
    };
    Diagnostic::new(Code::CannotHappen, row.span, message, help)
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
