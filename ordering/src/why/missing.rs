//! The step that would have emptied a stale cache: whether it came too early, too late or not at all.
//!
//! Invariant: a step empties a cache if one of its updates says so, whoever takes it; what is still to come is what the
//! agent can reach from where it stands.

use crate::lowering::{Copied, Role};
use crate::model::{Alternative, Guard, Model, Pc, Update, Var};

use super::looked_at;
use super::run::Run;
use super::stale::Stale;
use super::tagged::other_tag;

/// Nothing: entries, PASIDs and caches that hold it are empty.
pub(super) const NOTHING: u32 = 0;

/// A step of a program that empties the cache.
pub(super) struct Remover<'a> {
    pub(super) agent: usize,
    pub(super) pc: Pc,
    pub(super) way: &'a Alternative,
}

/// What is missing for `stale` not to be, in a sentence about the run up to `row`.
pub(super) fn missing(run: &Run<'_>, stale: &Stale, row: usize) -> String {
    // Whoever still holds it fills the others again: the one nearest to the table comes first.
    let holds = |(var, since): &(Var, usize)| match run.cached(*var) {
        Some(_) if run.since(*var, row) == Some(*since) => Stale::of(run, *var, row, stale.how),
        Some(_) | None => None,
    };
    if let Some(nearer) = stale.through.iter().rev().find_map(holds) {
        return missing(run, &nearer, row);
    }
    let Some(changed) = stale.changed else { return made_up(run, stale, row) };
    if run.cached(stale.cache).is_some_and(|cached| cached.of == Copied::InFlight) {
        return not_awaited(run, stale, changed, row);
    }
    let nothing = format!("nothing emptied {} after row {}", run.name(stale.cache), changed + 1);
    let removers = removers(run, stale.cache);
    if let Some(outstanding) = outstanding(run, &removers, row) {
        return format!("{nothing}: {outstanding}");
    }
    let timed_out = (changed + 1..row).rfind(|at| gives_up(run, &removers, *at));
    if let Some(timed_out) = timed_out {
        return format!("{nothing}: {} gave up what would have", run.row(timed_out));
    }
    if let Some(early) = run.set(stale.cache, NOTHING, row) {
        let again = from_memory(run, stale.read).map_or_else(String::new, |from| format!(", with {from}"));
        return format!("{}{again}", too_early(run, stale, early, changed));
    }
    if let Some(other) = other_tag(run, stale.cache, &removers, changed + 1..row) {
        return format!("{nothing}: {other}");
    }
    match from_memory(run, stale.read).filter(|_| changed < stale.filled) {
        Some(from) => {
            let (filled, changed) = (run.row(stale.filled), run.row(changed));
            format!(
                "{filled} filled {} with {from}, and did not look again after {changed}",
                run.name(stale.cache)
            )
        }
        None => format!("{nothing}: {}", left_out(run, &removers, stale)),
    }
}

/// An access landed that had been translated before: nobody who emptied the cache that it came from waited for it.
fn not_awaited(run: &Run<'_>, stale: &Stale, changed: usize, row: usize) -> String {
    let (user, read) = (run.steps[stale.filled].agent, stale.filled + 1);
    let translated = format!("what {} had translated in row {read}", run.agent(stale.filled));
    let from = stale.through.first().map_or(stale.cache, |(cache, _)| *cache);
    let empties = |at: &usize| {
        run.steps[*at].agent != user && run.way(*at).updates.contains(&Update::Set(from, NOTHING))
    };
    if let Some(done) = (changed.max(stale.filled) + 1..row).rfind(empties) {
        return format!("{} did not wait for {translated}", run.row(done));
    }
    let removers = removers(run, from);
    let why = outstanding(run, &removers, row).unwrap_or_else(|| left_out(run, &removers, stale));
    format!("nothing waited for {translated}: {why}")
}

/// Whether the hardware gives up one of these steps in a row.
fn gives_up(run: &Run<'_>, removers: &[Remover<'_>], row: usize) -> bool {
    let given = run.way(row).text.strip_suffix(": times out");
    given.is_some_and(|given| removers.iter().any(|remover| remover.way.text == given))
}

/// What was cached never stood in the table.
fn made_up(run: &Run<'_>, stale: &Stale, row: usize) -> String {
    let (filled, table) = (run.row(stale.filled), run.name(stale.table));
    format!(
        "{filled} filled {} with what {table} never said: {}",
        run.name(stale.cache),
        run.fact(stale.table, row)
    )
}

/// What the step of `row` wrote from what its agent remembered, and since when that remembers it.
fn from_memory(run: &Run<'_>, row: usize) -> Option<String> {
    let agent = run.steps[row].agent;
    let remembers = |var: &Var| match run.role(*var) {
        Role::Handle(own) | Role::Remembered { agent: own, .. } => *own == agent,
        Role::Table
        | Role::Cache(_)
        | Role::Buffer(_)
        | Role::OnTheWay(_)
        | Role::Event
        | Role::References(_)
        | Role::Counted(_)
        | Role::Section { .. }
        | Role::Queue
        | Role::Other => false,
    };
    let var = run.way(row).guard.iter().flat_map(looked_at).find(remembers)?;
    let got = run.written(var, row)?;
    // A reference is got from an entry that was read before.
    let read =
        run.way(got).guard.iter().flat_map(looked_at).find(remembers).and_then(|seen| run.written(seen, got));
    let read = read.or(Some(got))?;
    Some(format!("what {} had read in row {}", run.agent(row), read + 1))
}

/// It came in row `early`, before the cache was filled; its table changed in row `changed`.
fn too_early(run: &Run<'_>, stale: &Stale, early: usize, changed: usize) -> String {
    let (done, filled) = (run.row(early), run.row(stale.filled));
    let name = run.name(stale.cache);
    let holder = stale.through.iter().find(|(_, since)| *since < early).map(|(var, _)| *var);
    match holder {
        Some(holder) if matches!(run.role(holder), Role::OnTheWay(_)) => format!(
            "{done} did not stop the walk that had read it in row {}: {filled} installed it afterwards",
            stale.read + 1
        ),
        Some(holder) => {
            format!("{done} came too early: {} still held it, and {filled} used that", run.name(holder))
        }
        None if early < changed => format!(
            "{done} came too early: {} changed in row {} only, and {filled} filled {name} again",
            run.name(stale.table),
            changed + 1
        ),
        None => format!("{done} came too early: {filled} filled {name} again"),
    }
}

/// A step that is to come: it is in the queue, or its agent can still take it.
pub(super) fn outstanding(run: &Run<'_>, removers: &[Remover<'_>], row: usize) -> Option<String> {
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
pub(super) fn left_out(run: &Run<'_>, removers: &[Remover<'_>], stale: &Stale) -> String {
    if let Some(passed) = removers.iter().find(|remover| work(run, remover).is_none()) {
        return format!("{} was passed over", named(run, passed));
    }
    let step = run.cached(stale.cache).and_then(|cached| cached.emptied_by(stale.table));
    let step = step.expect("a stale cache has a table, and a step that is made to empty it");
    let leaf = format!("{step} leaf");
    let leaves = steps(run.model(), |way| way.text == leaf || way.text == format!("{leaf} post"));
    if let Some(leaves) = leaves.first() {
        return format!("{} leaves what is kept of upper entries: `{step}` is missing", named(run, leaves));
    }
    // The same for others: its own, all others, or one of them.
    let narrower = |way: &Alternative| {
        let scope = way.text.strip_prefix(step).map(|rest| rest.trim_start_matches(" leaf"));
        scope.is_some_and(|scope| [" own", " others", " on "].iter().any(|word| scope.starts_with(word)))
    };
    match steps(run.model(), narrower).first() {
        Some(narrower) => {
            format!("{} leaves {}: `{step}` is missing", named(run, narrower), run.name(stale.cache))
        }
        None => format!("`{step}` is missing"),
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
pub(super) fn removers<'a>(run: &Run<'a>, cache: Var) -> Vec<Remover<'a>> {
    let empties = |way: &Alternative| {
        let looks = way.guard.iter().any(|guard| looked_at(guard).contains(&cache));
        !looks && way.updates.contains(&Update::Set(cache, NOTHING)) && !fills(run, way)
    };
    let mut found = steps(run.model(), empties);
    let works: Vec<u32> = found.iter().filter_map(|done| Some(work(run, done)?.1)).collect();
    let puts = |update: &Update| match update {
        Update::Set(var, work) => *run.role(*var) == Role::Queue && works.contains(work),
        Update::Copy { .. } | Update::Increment(_) | Update::Decrement(_) => false,
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
        let copies = matches!(run.role(update.written()), Role::Cache(_) | Role::OnTheWay(_));
        copies && !matches!(update, Update::Set(_, NOTHING))
    })
}

/// The place of the queue that the step takes its work from, and the work.
fn work(run: &Run<'_>, remover: &Remover<'_>) -> Option<(Var, u32)> {
    remover.way.guard.iter().find_map(|guard| match *guard {
        Guard::Is(var, work) if work != NOTHING && *run.role(var) == Role::Queue => Some((var, work)),
        Guard::Is(..) | Guard::IsNot(..) | Guard::Same(..) | Guard::Differ(..) | Guard::Below(..) => None,
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
        // Behind the last instruction is the end.
        for way in program.get(usize::from(pc.0)).iter().flat_map(|instruction| &instruction.alternatives) {
            if !known.contains(&way.next) {
                known.push(way.next);
                open.push(way.next);
            }
        }
    }
    false
}

/// A walk that goes on from an upper entry that it has kept in flight: what it relies on, and what did not stop it.
pub(super) fn behind_walk(run: &Run<'_>, row: usize) -> Option<(String, String)> {
    let kept = |var: Var| {
        let Role::OnTheWay(Some(gate)) = run.role(var) else { return None };
        (gate.opens == Some(run.value(var, row))).then_some((var, gate))
    };
    let (walk, gate) = run.holding(row).find_map(kept)?;
    let (pmd, read) = (gate.source.var, run.since(walk, row)?);
    let changed = run.since(pmd, row).filter(|changed| *changed > read)?;
    let (holds, name) = (run.shown(walk, row), run.name(walk));
    let since = format!("{} has not said so since {}", run.name(pmd), run.row(changed));
    let relies = format!("row {} relies on {name} = {holds}, of row {}; {since}", row + 1, read + 1);
    // The paging-structure cache that the same walk has filled, or gone through.
    let way = run.way(read);
    let touched = way.updates.iter().map(Update::written).chain(way.guard.iter().flat_map(looked_at));
    let of_pmd =
        |var: &Var| run.cached(*var).is_some_and(|cached| cached.sources().any(|table| table.var == pmd));
    let emptied: Vec<Update> = touched.filter(of_pmd).map(|cache| Update::Set(cache, NOTHING)).collect();
    let empties = |row: &usize| run.way(*row).updates.iter().any(|update| emptied.contains(update));
    let invalidated = (changed + 1..row).find(empties);
    let stopped = match invalidated {
        Some(done) => {
            format!("{} did not stop the walk that had read it in row {}", run.row(done), read + 1)
        }
        None => format!(
            "nothing stopped the walk after row {}: `{}` is missing",
            changed + 1,
            gate.source.emptied_by
        ),
    };
    Some((relies, stopped))
}
