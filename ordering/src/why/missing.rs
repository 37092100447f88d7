//! The step that would have emptied a stale cache: whether it came too early, too late or not at all.
//!
//! Invariant: a step empties a cache if one of its updates says so, whoever takes it; what is still to come is what the
//! agent can reach from where it stands.

use crate::lowering::Role;
use crate::model::{Alternative, Guard, Model, Pc, Update, Var};

use super::looked_at;
use super::run::Run;
use super::stale::Stale;

/// Nothing: entries, PASIDs and caches that hold it are empty.
const NOTHING: u32 = 0;

/// A step of a program that empties the cache.
struct Remover<'a> {
    agent: usize,
    pc: Pc,
    way: &'a Alternative,
}

/// What is missing for `stale` not to be, in a sentence about the run up to `row`.
pub(super) fn missing(run: &Run<'_>, stale: &Stale, row: usize) -> String {
    // Whoever still holds it fills the others again: the one nearest to the table comes first.
    let holds = |(var, since): &(Var, usize)| match run.role(*var) {
        Role::Cache { .. } if run.since(*var, row) == Some(*since) => Stale::of(run, *var, row),
        _ => None,
    };
    if let Some(nearer) = stale.through.iter().rev().find_map(holds) {
        return missing(run, &nearer, row);
    }
    let nothing = format!("nothing emptied {} after row {}", run.name(stale.cache), stale.changed + 1);
    let removers = removers(run, stale.cache);
    if let Some(outstanding) = outstanding(run, &removers, row) {
        return format!("{nothing}: {outstanding}");
    }
    match run.set(stale.cache, NOTHING, row) {
        Some(early) => too_early(run, stale, early),
        None => format!("{nothing}: {}", left_out(run, &removers, stale.cache)),
    }
}

/// It came in row `early`, before the cache was filled.
fn too_early(run: &Run<'_>, stale: &Stale, early: usize) -> String {
    let (done, filled) = (run.row(early), run.row(stale.filled));
    let name = run.name(stale.cache);
    let holder = stale.through.iter().find(|(_, since)| *since < early).map(|(var, _)| *var);
    match holder {
        Some(holder) if *run.role(holder) == Role::OnTheWay => format!(
            "{done} did not stop the walk that had read it in row {}: {filled} installed it afterwards",
            stale.read + 1
        ),
        Some(holder) => {
            format!("{done} came too early: {} still held it, and {filled} used that", run.name(holder))
        }
        None if early < stale.changed => format!(
            "{done} came too early: {} changed in row {} only, and {filled} filled {name} again",
            run.name(stale.table),
            stale.changed + 1
        ),
        None => format!("{done} came too early: {filled} filled {name} again"),
    }
}

/// A step that is to come: it is in the queue, or its agent can still take it.
fn outstanding(run: &Run<'_>, removers: &[Remover<'_>], row: usize) -> Option<String> {
    if let Some(posted) = removers.iter().find_map(|remover| posted(run, remover, row)) {
        return Some(format!("{} only put it into the queue, and nobody has waited for it", run.row(posted)));
    }
    let comes = |remover: &&Remover<'_>| {
        let at = run.state(row).at[remover.agent];
        work(run, remover).is_none() && reachable(run.model(), remover, at)
    };
    removers.iter().find(comes).map(|late| format!("{} comes too late", named(run, late)))
}

/// No step has emptied it, and none will.
fn left_out(run: &Run<'_>, removers: &[Remover<'_>], cache: Var) -> String {
    match (removers.iter().find(|remover| work(run, remover).is_none()), run.role(cache)) {
        (Some(passed), _) => format!("{} was passed over", named(run, passed)),
        (None, Role::Cache { emptied_by, .. }) => format!("`{emptied_by}` is missing"),
        (None, _) => "no step does that".to_owned(),
    }
}

/// A step with whose it is and where it stands.
fn named(run: &Run<'_>, remover: &Remover<'_>) -> String {
    let agent = &run.model().agents[remover.agent].name;
    let line = if remover.way.line == 0 { String::new() } else { format!(" (line {})", remover.way.line) };
    format!("`{}` of {agent}{line}", remover.way.text)
}

/// The steps that empty `cache`, and those that put one into the queue; not those that look at it, nor walks, which lose
/// one entry to fill another.
fn removers<'a>(run: &Run<'a>, cache: Var) -> Vec<Remover<'a>> {
    let empties = |way: &Alternative| {
        let looks = way.guard.iter().any(|guard| looked_at(guard).contains(&cache));
        !looks && way.updates.contains(&Update::Set(cache, NOTHING)) && !fills(run, way)
    };
    let mut found = steps(run.model(), empties);
    let works: Vec<u32> = found.iter().filter_map(|done| Some(work(run, done)?.1)).collect();
    let puts = |update: &Update| match update {
        Update::Set(var, work) => *run.role(*var) == Role::Queue && works.contains(work),
        _ => false,
    };
    found.extend(steps(run.model(), |way| way.updates.iter().any(puts)));
    found
}

/// The ways of all programs that are `wanted`.
fn steps(model: &Model, wanted: impl Fn(&Alternative) -> bool) -> Vec<Remover<'_>> {
    let mut found = Vec::new();
    for (agent, program) in model.agents.iter().enumerate() {
        for (instruction, pc) in program.program.iter().zip(0..) {
            let ways = instruction.alternatives.iter().filter(|way| wanted(way));
            found.extend(ways.map(|way| Remover { agent, pc: Pc(pc), way }));
        }
    }
    found
}

fn fills(run: &Run<'_>, way: &Alternative) -> bool {
    way.updates.iter().any(|update| {
        let copies = matches!(run.role(update.written()), Role::Cache { .. } | Role::OnTheWay);
        copies && !matches!(update, Update::Set(_, NOTHING))
    })
}

/// The place of the queue that the step takes its work from, and the work.
fn work(run: &Run<'_>, remover: &Remover<'_>) -> Option<(Var, u32)> {
    remover.way.guard.iter().find_map(|guard| match *guard {
        Guard::Is(var, work) if work != NOTHING && *run.role(var) == Role::Queue => Some((var, work)),
        _ => None,
    })
}

/// The row that put the step into the queue, where it still is before `row`.
fn posted(run: &Run<'_>, remover: &Remover<'_>, row: usize) -> Option<usize> {
    let (slot, work) = work(run, remover)?;
    if run.value(slot, row) == work { run.since(slot, row) } else { None }
}

/// Whether the agent can come to the step from `at`.
fn reachable(model: &Model, remover: &Remover<'_>, at: Pc) -> bool {
    let program = &model.agents[remover.agent].program;
    let (mut open, mut known) = (vec![at], vec![at]);
    while let Some(pc) = open.pop() {
        if pc == remover.pc {
            return true;
        }
        let next = program.get(usize::from(pc.0)).map_or(&[][..], |instruction| &instruction.alternatives);
        for way in next {
            if !known.contains(&way.next) {
                known.push(way.next);
                open.push(way.next);
            }
        }
    }
    false
}
