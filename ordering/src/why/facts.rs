//! What the variables are that a step or a property looks at, and since when.
//!
//! Invariant: what has changed in the run comes first; what has not is told too, for that is often the reason.

use crate::lowering::Role;
use crate::model::{Guard, Update, Var};

use super::looked_at;
use super::run::Run;

/// Facts of a formula that are told at most.
const MOST_FACTS: usize = 4;

/// Whether what has never changed is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unchanged {
    /// Always.
    Told,
    /// Only if nothing has changed.
    Instead,
}

/// What the variables of the guards are before `row`, but for those in `but`.
pub(super) fn facts<'g>(
    run: &Run<'_>,
    guards: impl Iterator<Item = &'g Guard>,
    row: usize,
    unchanged: Unchanged,
    but: &[Var],
) -> Vec<String> {
    let mut vars: Vec<Var> = Vec::new();
    for var in guards.flat_map(looked_at) {
        if is_told(run.role(var)) && !vars.contains(&var) && !but.contains(&var) {
            vars.push(var);
        }
    }
    let (mut told, still): (Vec<Var>, Vec<Var>) =
        vars.into_iter().partition(|var| run.since(*var, row).is_some());
    if told.is_empty() || unchanged == Unchanged::Told {
        told.extend(still);
    }
    told.into_iter().take(MOST_FACTS).map(|var| run.fact(var, row)).collect()
}

/// Whether anything that the row looks at has changed in the run.
pub(super) fn any_changed(run: &Run<'_>, row: usize) -> bool {
    let told = |var: &Var| is_told(run.role(*var)) && run.since(*var, row).is_some();
    run.way(row).guard.iter().flat_map(looked_at).any(|var| told(&var))
}

/// The last row before `row` that went by what its agent remembered of an entry, when that had changed: told.
pub(super) fn outdated(run: &Run<'_>, row: usize) -> Option<String> {
    (0..row).rev().find_map(|used| {
        let copied = run.way(used).updates.iter().filter_map(copied);
        let mut read = run.way(used).guard.iter().flat_map(looked_at).chain(copied);
        read.find_map(|var| outdated_memory(run, var, used))
    })
}

fn copied(update: &Update) -> Option<Var> {
    match *update {
        Update::Copy { from, .. } => Some(from),
        Update::Set(..) | Update::Increment(_) | Update::Decrement(_) => None,
    }
}

fn outdated_memory(run: &Run<'_>, var: Var, used: usize) -> Option<String> {
    let Role::Remembered { agent, of } = run.role(var) else { return None };
    let table = (*of).filter(|_| *agent == run.steps[used].agent)?;
    let (read, changed) = (run.written(var, used)?, run.since(table, used)?);
    // A step that changes an entry remembers it in the same row; what comes behind is others' or the own hardware's.
    let behind = changed > read && run.value(var, used) != run.value(table, used);
    behind.then(|| {
        let (name, holds) = (run.name(var), run.shown(var, used));
        let since = format!("{} has not said so since {}", run.name(table), run.row(changed));
        format!("row {} relies on {name} = {holds}, of row {}; {since}", used + 1, read + 1)
    })
}

/// References and events have sentences of their own.
fn is_told(role: &Role) -> bool {
    match role {
        Role::Event | Role::References(_) | Role::Buffer(_) => false,
        Role::Table
        | Role::Cache(_)
        | Role::OnTheWay(_)
        | Role::Counted(_)
        | Role::Handle(_)
        | Role::Remembered { .. }
        | Role::Section { .. }
        | Role::Queue
        | Role::Other => true,
    }
}

/// What the agent of `row` had seen when it decided to come there: its last looks.
pub(super) fn looks(run: &Run<'_>, row: usize) -> Vec<String> {
    let agent = run.steps[row].agent;
    let own = (0..row).rev().filter(|before| run.steps[*before].agent == agent && run.is_look(*before));
    let mut told: Vec<String> = own.take(2).filter_map(|look| seen(run, look)).collect();
    told.reverse();
    told
}

fn seen(run: &Run<'_>, look: usize) -> Option<String> {
    let facts = facts(run, run.way(look).guard.iter(), look, Unchanged::Told, &[]);
    (!facts.is_empty()).then(|| format!("in {} {}", run.row(look), facts.join(", ")))
}

/// The free frames that a step uses, and what had happened that the property names.
pub(super) fn events(run: &Run<'_>, row: usize) -> Vec<String> {
    let event = |guard: &Guard| match *guard {
        Guard::Is(var, value) => event(run, var, value, row),
        Guard::IsNot(..) | Guard::Same(..) | Guard::Differ(..) | Guard::Below(..) => None,
    };
    run.way(row).guard.iter().filter_map(event).collect()
}

fn event(run: &Run<'_>, var: Var, value: u32, row: usize) -> Option<String> {
    match run.role(var) {
        Role::References(frame) if value == 0 => {
            let since = run.since(var, row).map_or_else(|| "the start".to_owned(), |row| run.row(row));
            Some(format!("{frame} is free since {since}"))
        }
        Role::Event if value == 1 => {
            run.set(var, 1, row).map(|since| format!("{} came before", run.row(since)))
        }
        Role::References(_)
        | Role::Event
        | Role::Table
        | Role::Cache(_)
        | Role::Buffer(_)
        | Role::OnTheWay(_)
        | Role::Counted(_)
        | Role::Handle(_)
        | Role::Remembered { .. }
        | Role::Section { .. }
        | Role::Queue
        | Role::Other => None,
    }
}

/// Plain stores that reached memory behind what their agent did next.
pub(super) fn late_stores(run: &Run<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for agent in 0..run.model().agents.len() {
        let own = |row: &usize| run.steps[*row].agent == agent;
        let buffer = |row: &usize| {
            run.steps[*row].changes.iter().any(|change| *run.role(change.var) == Role::Buffer(agent))
        };
        let moved: Vec<usize> = (0..run.steps.len()).filter(buffer).collect();
        let stored = moved.iter().filter(|row| own(row));
        let reached = moved.iter().filter(|row| !own(row));
        // Stores leave the buffer in their order.
        for (stored, reached) in stored.zip(reached) {
            let next = (stored + 1..*reached).rfind(|row| own(row) && !moved.contains(row));
            found.extend(next.map(|next| {
                let (stored, next) = (run.row(*stored), run.row(next));
                format!("{stored} reached memory in row {} only, behind {next}", reached + 1)
            }));
        }
    }
    found
}
