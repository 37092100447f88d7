//! References that GUP has taken, and frames that are freed under their users: who should have waited for whom.
//!
//! Invariant: an interrupt or a grace period is named only where the run shows somebody inside of what it waits for.

use crate::lowering::Role;
use crate::model::{Guard, Var};

use super::looked_at;
use super::run::Run;

/// What somebody remembers of an entry that has changed since.
struct Remembered {
    table: Var,
    read: usize,
    changed: usize,
}

/// What lets a reference be there that the property forbids: whoever counted did so too early, or did not wait.
pub(super) fn missing(run: &Run<'_>, handle: Var, row: usize) -> Option<String> {
    let taken = run.since(handle, row)?;
    let frame = run.shown(handle, row);
    let user = run.steps[taken].agent;
    let counts = |var: Var| match run.role(var) {
        Role::References(name) | Role::Counted(name) => name == frame,
        Role::Table
        | Role::Cache(_)
        | Role::Buffer(_)
        | Role::OnTheWay(_)
        | Role::Event
        | Role::Handle(_)
        | Role::Remembered { .. }
        | Role::Section { .. }
        | Role::Queue
        | Role::Other => false,
    };
    let counted = (0..taken).rfind(|look| {
        let other = run.steps[*look].agent != user && run.is_look(*look);
        other && run.way(*look).guard.iter().flat_map(looked_at).any(counts)
    })?;
    let late = format!("{} came before {} took the reference", run.row(counted), run.row(taken));
    match remembered(run, user, taken, counted) {
        Some(old) => Some(format!("{late}: {}", did_not_wait(run, user, &old, counted))),
        None => too_early(run, taken, counted).map(|early| format!("{late}: {early}")),
    }
}

/// The entry could still be read after the count.
fn too_early(run: &Run<'_>, taken: usize, counted: usize) -> Option<String> {
    let user = run.steps[taken].agent;
    let (table, read) = memories(run, user, taken).find(|(_, read)| *read > counted)?;
    let agent = run.steps[counted].agent;
    let of_agent = |row: &usize| {
        let buffer = |change: &crate::engine::replay::Change| *run.role(change.var) == Role::Buffer(agent);
        run.steps[*row].agent == agent || run.steps[*row].changes.iter().any(buffer)
    };
    let changed = (read..run.steps.len()).find(|row| run.value(table, *row) != run.value(table, row + 1));
    let changed = changed.filter(of_agent)?;
    Some(format!("{} changed in row {} only", run.name(table), changed + 1))
}

/// What `user` had read before the row `by`, and what has changed since, but before `by`.
fn remembered(run: &Run<'_>, user: usize, taken: usize, by: usize) -> Option<Remembered> {
    memories(run, user, taken).find_map(|(table, read)| {
        let changed = (read..by).find(|row| run.value(table, *row) != run.value(table, row + 1))?;
        Some(Remembered { table, read, changed })
    })
}

/// The entries that `user` remembers before `row`, each with the row in which it read it.
fn memories<'r>(run: &'r Run<'_>, user: usize, row: usize) -> impl Iterator<Item = (Var, usize)> + 'r {
    run.vars().filter_map(move |var| {
        let Role::Remembered { agent, of } = run.role(var) else { return None };
        let table = (*of).filter(|_| *agent == user)?;
        Some((table, run.written(var, row)?))
    })
}

/// The row `by` went on although `user` had read what was no more.
fn did_not_wait(run: &Run<'_>, user: usize, old: &Remembered, by: usize) -> String {
    let name = &run.model().agents[user].name;
    let read = format!("who had read {} in row {}", run.name(old.table), old.read + 1);
    let rounds = [("ipi_sync", "with interrupts on"), ("synchronize_rcu", "outside of every read side")];
    let round = |row: usize| {
        let text = &run.way(row).text;
        Some((row, rounds.iter().find(|(step, _)| text.starts_with(step))?.1))
    };
    if let Some((round, outside)) = (old.changed..by).rev().find_map(round) {
        return format!("{} did not wait for {name}, {read} {outside}", run.row(round));
    }
    let waits = waits_for(run, user, by);
    let waits = waits.map_or_else(String::new, |step| format!(": `{step}` before it would have"));
    format!("row {} did not wait for {name}, {read}{waits}", by + 1)
}

/// The step that would have waited for `user` before `row`.
fn waits_for(run: &Run<'_>, user: usize, row: usize) -> Option<&'static str> {
    let section = section(run, user, row).map(|(_, step)| step);
    section.or_else(|| in_gup_fast(run, user, row).then_some("ipi_sync"))
}

/// Whether `user` is between two parts of a `gup_fast`, which runs with interrupts off, though nobody takes note of that
/// where nobody asks.
fn in_gup_fast(run: &Run<'_>, user: usize, row: usize) -> bool {
    let part = |text: &'_ str| text.rsplit_once(": ").map(|(step, _)| step.to_owned());
    let last = (0..row).rfind(|before| run.steps[*before].agent == user).map(|last| &run.way(last).text);
    let begun = last.filter(|text| text.starts_with("gup_fast ")).and_then(|text| part(text));
    let at = run.state(row).at[user];
    let next = run.model().agents[user].program.get(usize::from(at.0));
    let mut ways = next.into_iter().flat_map(|instruction| &instruction.alternatives);
    begun.is_some() && ways.any(|way| part(&way.text) == begun)
}

/// Where `user` is inside before `row`, and the step that waits for that.
fn section(run: &Run<'_>, user: usize, row: usize) -> Option<(Var, &'static str)> {
    run.vars().find_map(|var| {
        let Role::Section { agent, awaited_by } = run.role(var) else { return None };
        (*agent == user && run.value(var, row) != 0).then_some((var, *awaited_by))
    })
}

/// A frame that is used without a cache in between: what could have kept it.
pub(super) fn unguarded(run: &Run<'_>, row: usize) -> Option<String> {
    let free = |guard: &Guard| match *guard {
        Guard::Is(var, 0) if matches!(run.role(var), Role::References(_)) => Some(var),
        Guard::Is(..) | Guard::IsNot(..) | Guard::Same(..) | Guard::Differ(..) | Guard::Below(..) => None,
    };
    let refs = run.way(row).guard.iter().find_map(free)?;
    let freed = run.since(refs, row)?;
    let user = run.steps[row].agent;
    let name = run.agent(row);
    if let Some((var, step)) = section(run, user, freed) {
        let since = run.since(var, freed).map_or_else(|| "the start".to_owned(), |since| run.row(since));
        let inside = format!("who is inside since {since}");
        return Some(format!(
            "row {} did not wait for {name}, {inside}: `{step}` before it would have",
            freed + 1
        ));
    }
    let own = |row: &usize| run.steps[*row].agent == user;
    let taken = (0..freed).filter(own).rfind(|row| run.value(refs, *row) < run.value(refs, row + 1));
    let dropped = (0..freed).filter(own).rfind(|row| run.value(refs, *row) > run.value(refs, row + 1));
    if let (Some(taken), Some(dropped)) = (taken, dropped)
        && taken < dropped
    {
        let waited = format!("nothing made row {} wait for it", freed + 1);
        return Some(format!("{name} had dropped its reference in row {}, and {waited}", dropped + 1));
    }
    if let Some(old) = remembered(run, user, row, freed) {
        return Some(did_not_wait(run, user, &old, freed));
    }
    Some(match taken {
        Some(_) | None if own(&freed) => format!("{name} had freed it itself, in row {}", freed + 1),
        Some(taken) => format!("{} dropped the reference that row {} had taken", run.row(freed), taken + 1),
        None => format!("{name} has taken no reference, and nothing made row {} wait for it", freed + 1),
    })
}
