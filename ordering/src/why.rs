//! Why a run breaks its property, in a few sentences: what the last step relied on, since which row that is so, and
//! which step is missing that would have kept it from being so.
//!
//! Invariant: every sentence is read from the model and the run; what cannot be told from them is not said.
//!
//! Reading order: `run` (the states that it passes), `stale` (caches that are behind their tables), `missing` (what
//! would have emptied them).

mod missing;
mod run;
mod stale;

use crate::engine::Trace;
use crate::lowering::{Lowered, Role};
use crate::model::{Check, Guard, PropertyId, Update, Var};

use missing::missing;
use run::Run;
use stale::Stale;

/// Facts of a formula that are told at most.
const MOST_FACTS: usize = 4;

/// Why `trace` breaks `broken`: sentences for people.
pub(crate) fn why(lowered: &Lowered, trace: &Trace, broken: PropertyId) -> Vec<String> {
    let run = Run::new(lowered, trace);
    match &lowered.model.properties[usize::from(broken.0)].check {
        Check::Step => of_step(&run),
        Check::Always(any) | Check::Finally(any) => of_formula(&run, any),
        Check::Deadlock => of_deadlock(&run),
        Check::Livelock => Vec::new(),
    }
}

/// The last step did what must not be done.
fn of_step(run: &Run<'_>) -> Vec<String> {
    let Some(last) = run.steps.len().checked_sub(1) else { return Vec::new() };
    let mut told = Vec::new();
    let mut missing = match stale_use(run, last) {
        Some(stale) => {
            told.push(relied(run, &stale, last));
            Some(missing(run, &stale, last))
        }
        None => {
            told.push(facts(run, run.way(last).guard.iter(), last));
            if run.goes_through(last).next().is_none() { unguarded(run, last) } else { None }
        }
    };
    told.extend(events(run, last));
    if missing.is_none() {
        missing = stray_store(run, last, &mut told);
    }
    told.extend(late_stores(run));
    sentences(told, missing)
}

/// A state is not as it should be.
fn of_formula(run: &Run<'_>, any: &[Vec<Guard>]) -> Vec<String> {
    let end = run.steps.len();
    let mut told = vec![facts(run, any.iter().flatten(), end)];
    let cached = any.iter().flatten().flat_map(looked_at).filter_map(|var| Stale::of(run, var, end));
    let missing = cached.map(|stale| missing(run, &stale, end)).next();
    let missing = missing.or_else(|| stray_store(run, end, &mut told));
    told.extend(late_stores(run));
    sentences(told, missing)
}

/// The last store before `row` that went through a stale cache: told, and what is missing for it.
fn stray_store(run: &Run<'_>, row: usize, told: &mut Vec<String>) -> Option<String> {
    let stray = |row: usize| Some((row, stale_use(run, row)?));
    let (row, stale) = (0..row).rev().filter(|row| stores(run, *row)).find_map(stray)?;
    told.push(relied(run, &stale, row));
    Some(missing(run, &stale, row))
}

/// Everybody waits.
fn of_deadlock(run: &Run<'_>) -> Vec<String> {
    let end = run.steps.len();
    let waits = |(agent, known): (usize, &crate::model::Agent)| {
        let instruction = known.program.get(usize::from(run.state(end).at[agent].0))?;
        let way = instruction.alternatives.first().filter(|_| !known.spontaneous)?;
        let facts = facts(run, way.guard.iter(), end);
        Some(format!("{} waits for `{}`: {facts}", known.name, way.text))
    };
    sentences(run.model().agents.iter().enumerate().filter_map(waits).collect(), None)
}

fn sentences(told: Vec<String>, missing: Option<String>) -> Vec<String> {
    let told: Vec<String> = told.into_iter().filter(|fact| !fact.is_empty()).collect();
    let why = (!told.is_empty()).then(|| format!("why: {}", told.join("; ")));
    why.into_iter().chain(missing.map(|missing| format!("missing: {missing}"))).collect()
}

/// The stale cache that the step of `row` goes through.
fn stale_use(run: &Run<'_>, row: usize) -> Option<Stale> {
    run.goes_through(row).find_map(|cache| Stale::of(run, cache, row))
}

fn relied(run: &Run<'_>, stale: &Stale, row: usize) -> String {
    let (cache, table) = (stale.cache, stale.table);
    let holds = run.shown(cache, row);
    format!(
        "row {} relies on {} = {holds}, of row {}; {} has not said so since {}",
        row + 1,
        run.name(cache),
        stale.filled + 1,
        run.name(table),
        run.row(stale.changed)
    )
}

fn looked_at(guard: &Guard) -> Vec<Var> {
    match *guard {
        Guard::Is(var, _) | Guard::IsNot(var, _) | Guard::Below(var, _) => vec![var],
        Guard::Same(one, other) | Guard::Differ(one, other) => vec![one, other],
    }
}

/// What the variables of the guards are, those that changed in the run.
fn facts<'g>(run: &Run<'_>, guards: impl Iterator<Item = &'g Guard>, row: usize) -> String {
    let mut vars: Vec<Var> = Vec::new();
    for var in guards.flat_map(looked_at) {
        let told = matches!(run.role(var), Role::Event | Role::References(_) | Role::Buffer(_));
        if !told && !vars.contains(&var) && run.since(var, row).is_some() {
            vars.push(var);
        }
    }
    let facts = vars.into_iter().take(MOST_FACTS).map(|var| run.fact(var, row));
    facts.collect::<Vec<_>>().join("; ")
}

/// Plain stores that reached memory behind what their agent did next.
fn late_stores(run: &Run<'_>) -> Vec<String> {
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

/// The free frames that a step uses, and what had happened that the property names.
fn events(run: &Run<'_>, row: usize) -> Vec<String> {
    let event = |guard: &Guard| match *guard {
        Guard::Is(var, 0) => match run.role(var) {
            Role::References(frame) => {
                let since = run.since(var, row).map_or_else(|| "the start".to_owned(), |row| run.row(row));
                Some(format!("{frame} is free since {since}"))
            }
            _ => None,
        },
        Guard::Is(var, _) if *run.role(var) == Role::Event => {
            run.set(var, 1, row).map(|since| format!("{} came before", run.row(since)))
        }
        _ => None,
    };
    run.way(row).guard.iter().filter_map(event).collect()
}

/// A frame that is used without a cache in between: what could have kept it.
fn unguarded(run: &Run<'_>, row: usize) -> Option<String> {
    let freed = run.way(row).guard.iter().find_map(|guard| match *guard {
        Guard::Is(var, 0) if matches!(run.role(var), Role::References(_)) => run.since(var, row),
        _ => None,
    })?;
    let user = run.steps[row].agent;
    let name = &run.model().agents[user].name;
    let sections = (0..).map(Var).take(run.model().variables.len());
    let inside = sections
        .filter(|var| *run.role(*var) == Role::Section(user))
        .find_map(|var| (run.value(var, freed) != 0).then(|| run.since(var, freed)).flatten());
    let freed = freed + 1;
    Some(match inside {
        Some(since) => format!("row {freed} did not wait for {name}, who is inside since {}", run.row(since)),
        None => format!("{name} holds no reference, and nothing made row {freed} wait for it"),
    })
}

/// Whether the step of a row goes through a translation and writes to what is behind it.
fn stores(run: &Run<'_>, row: usize) -> bool {
    let writes = |update: &Update| *run.role(update.written()) == Role::Other;
    run.goes_through(row).next().is_some() && run.way(row).updates.iter().any(writes)
}

#[cfg(test)]
mod tests;
