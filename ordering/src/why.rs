//! Why a run breaks its property, in a few sentences: what the last step relied on, since which row that is so, and
//! which step is missing that would have kept it from being so.
//!
//! Invariant: every sentence is read from the model and the run; what cannot be told from them is not said. A violation
//! has a reason, and says what is missing or that no cache has to do with it.
//!
//! Reading order: `run` (the states that it passes), `facts` (what was so), `stale` (caches that are behind their
//! tables), `missing` (what would have emptied them), `tagged` (what is under a tag), `reference` (who should have waited), `waiting` (who still does).

mod facts;
mod missing;
mod reference;
mod run;
mod stale;
mod tagged;
mod waiting;

use crate::engine::Trace;
use crate::lowering::{Lowered, Role};
use crate::model::{Check, Guard, PropertyId, Update, Var};

use facts::{Unchanged, any_changed, events, facts, late_stores, looks, outdated};
use missing::{behind_walk, missing};
use run::Run;
use stale::{How, Stale};
use tagged::foreign;

/// Why `trace` breaks `broken`: sentences for people.
pub(crate) fn why(lowered: &Lowered, trace: &Trace, broken: PropertyId) -> Vec<String> {
    let run = Run::new(lowered, trace);
    match &lowered.model.properties[usize::from(broken.0)].check {
        Check::Step => of_step(&run),
        Check::Always(any) | Check::Finally(any) => of_formula(&run, any),
        Check::Deadlock => vec![because(&waiting::of_deadlock(&run))],
        Check::Livelock => vec![because(&waiting::of_livelock(&run))],
    }
}

fn because(told: &[String]) -> String {
    format!("why: {}", told.join("; "))
}

/// The last step did what must not be done.
fn of_step(run: &Run<'_>) -> Vec<String> {
    let last = run.steps.len().checked_sub(1).expect("a property that steps break is broken by one");
    let (mut told, mut missing) = (Vec::new(), None);
    if let Some((relies, emptied)) = foreign(run, last) {
        told.push(relies);
        missing = Some(emptied);
    } else if let Some(stale) = stale_use(run, last, How::Allowing) {
        told.push(relied(run, &stale, last));
        missing = Some(self::missing(run, &stale, last));
    } else if let Some((relies, stopped)) = behind_walk(run, last) {
        told.push(relies);
        missing = Some(stopped);
    } else {
        told.extend(facts(run, run.way(last).guard.iter(), last, Unchanged::Instead, &[]));
        if run.goes_through(last).next().is_none() {
            missing = reference::unguarded(run, last);
        }
    }
    told.extend(events(run, last));
    let missing = missing.or_else(|| used_before(run, last, &mut told));
    let handle = || run.holding(last).find(|var| matches!(run.role(*var), Role::Handle(_)));
    let missing = missing.or_else(|| reference::missing(run, handle()?, last));
    told.extend(late_stores(run));
    if missing.is_none() {
        told.extend(outdated(run, last + 1));
    }
    if missing.is_none() && !any_changed(run, last) {
        told.splice(..0, looks(run, last));
    }
    if told.is_empty() {
        told.push(format!("{} can be taken", run.row(last)));
    }
    sentences(run, &told, missing)
}

/// A state is not as it should be.
fn of_formula(run: &Run<'_>, any: &[Vec<Guard>]) -> Vec<String> {
    let end = run.steps.len();
    let guards = || any.iter().flatten();
    let stale = |how| guards().flat_map(looked_at).find_map(|var| Stale::of(run, var, end, how));
    let stale = stale(How::Allowing).or_else(|| stale(How::Whole));
    let but: Vec<Var> = stale.iter().map(|stale| stale.cache).collect();
    let mut told = facts(run, guards(), end, Unchanged::Told, &but);
    if end == 0 {
        let so = told.iter().map(|fact| fact.trim_end_matches(" from the start")).collect::<Vec<_>>();
        told = vec![format!("at the start, {}", so.join("; "))];
    }
    let mut missing = None;
    if let Some(stale) = &stale {
        let (cache, holds) = (run.name(stale.cache), run.shown(stale.cache, end));
        told.push(format!("whoever uses {cache} relies on {holds}, {}", origin(run, stale)));
        missing = Some(self::missing(run, stale, end));
    }
    let missing = missing.or_else(|| used_before(run, end, &mut told));
    let missing = missing.or_else(|| reference::missing(run, handle(run, any)?, end));
    told.extend(late_stores(run));
    if missing.is_none() {
        told.extend(outdated(run, end));
    }
    sentences(run, &told, missing)
}

/// The reference that a formula counts, or else the last one through which the run writes.
fn handle(run: &Run<'_>, any: &[Vec<Guard>]) -> Option<Var> {
    let end = run.steps.len();
    let counted = |var: Var| match run.role(var) {
        Role::Counted(frame) | Role::References(frame) => Some(frame),
        Role::Table
        | Role::Cache(_)
        | Role::Buffer(_)
        | Role::OnTheWay(_)
        | Role::Event
        | Role::Handle(_)
        | Role::Remembered { .. }
        | Role::Section { .. }
        | Role::Queue
        | Role::Other => None,
    };
    let frames: Vec<&String> = any.iter().flatten().flat_map(looked_at).filter_map(counted).collect();
    let mut handles = run.vars().filter(|var| matches!(run.role(*var), Role::Handle(_)));
    let counted = handles.find(|var| frames.iter().any(|frame| *frame == run.shown(*var, end)));
    counted.or_else(|| (0..end).rev().find_map(|row| written_through(run, row)))
}

/// The reference through which the step of a row writes.
fn written_through(run: &Run<'_>, row: usize) -> Option<Var> {
    let writes = |update: &Update| *run.role(update.written()) == Role::Other;
    let mut handles = run.holding(row).filter(|var| matches!(run.role(*var), Role::Handle(_)));
    handles.next().filter(|_| run.way(row).updates.iter().any(writes))
}

/// The last row before `row` that used a stale cache, a store if there is one: told, and what is missing for it.
fn used_before(run: &Run<'_>, row: usize, told: &mut Vec<String>) -> Option<String> {
    let last = |how, only: &dyn Fn(usize) -> bool| {
        let used = |row: usize| Some((row, stale_use(run, row, how)?));
        (0..row).rev().filter(|row| only(*row)).find_map(used)
    };
    if let Some((relies, missing)) = (0..row).rev().find_map(|row| foreign(run, row)) {
        told.push(relies);
        return Some(missing);
    }
    let found = last(How::Allowing, &|row| stores(run, row)).or_else(|| last(How::Allowing, &|_| true));
    let (row, stale) = found.or_else(|| last(How::Whole, &|_| true))?;
    told.push(relied(run, &stale, row));
    Some(missing(run, &stale, row))
}

/// The reasons, and what is missing; if nothing is, that caches have nothing to do with it.
fn sentences(run: &Run<'_>, told: &[String], missing: Option<String>) -> Vec<String> {
    let rest =
        missing.map_or_else(|| format!("no cache is stale: {}", uses(run)), |it| format!("missing: {it}"));
    vec![because(told), rest]
}

/// How the run uses caches, none of which is stale.
fn uses(run: &Run<'_>) -> String {
    let rows = 0..run.steps.len();
    let used = rows.rev().find_map(|row| Some((row, run.goes_through(row).next()?)));
    let Some((row, cache)) = used else { return "no row goes through one".to_owned() };
    let table = run.cached(cache).and_then(|cached| cached.sources().last());
    match table {
        Some(table) => {
            let (name, table) = (run.name(cache), run.name(table.var));
            format!("{} is the last to go through one, and {name} allows no more than {table}", run.row(row))
        }
        None => format!("no program ever writes what {} is copied from", run.name(cache)),
    }
}

/// The stale cache that the step of `row` goes through; of a look, that it looks at.
fn stale_use(run: &Run<'_>, row: usize, how: How) -> Option<Stale> {
    let looks =
        run.way(row).guard.iter().flat_map(looked_at).filter(|_| run.is_look(row) && how == How::Whole);
    run.goes_through(row).chain(looks).find_map(|cache| Stale::of(run, cache, row, how))
}

fn relied(run: &Run<'_>, stale: &Stale, row: usize) -> String {
    let (cache, holds) = (run.name(stale.cache), run.shown(stale.cache, row));
    format!("row {} relies on {cache} = {holds}, {}", row + 1, origin(run, stale))
}

/// From where a stale cache has what it holds.
fn origin(run: &Run<'_>, stale: &Stale) -> String {
    let (filled, table) = (stale.filled + 1, run.name(stale.table));
    match stale.changed {
        Some(changed) => format!("of row {filled}; {table} has not said so since {}", run.row(changed)),
        None => format!("of row {filled}; {table} never said so"),
    }
}

fn looked_at(guard: &Guard) -> Vec<Var> {
    match *guard {
        Guard::Is(var, _) | Guard::IsNot(var, _) | Guard::Below(var, _) => vec![var],
        Guard::Same(one, other) | Guard::Differ(one, other) => vec![one, other],
    }
}

/// Whether the step of a row goes through a translation and writes to what is behind it.
fn stores(run: &Run<'_>, row: usize) -> bool {
    let writes = |update: &Update| *run.role(update.written()) == Role::Other;
    run.goes_through(row).next().is_some() && run.way(row).updates.iter().any(writes)
}

#[cfg(test)]
mod tests;
