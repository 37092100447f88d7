//! What a CPU finds under a tag: translations of another address space, or those that a flush of the tag in use has left.
//!
//! Invariant: for which page a translation was filled, and to which page a row goes, is read from the keys of the model's
//! variables and from what its rows do.

use steps::Step;

use crate::lowering::{Act, Key, PageId, Part, TagId, UserId};
use crate::model::{Guard, Update, Var};

use super::missing::{NOTHING, Remover, left_out, outstanding, removers};
use super::run::Run;
use super::stale::{How, Stale};

/// A row that goes to a page through what was filled for another one at its address: what it relies on, and what is
/// missing.
pub(super) fn foreign(run: &Run<'_>, row: usize) -> Option<(String, String)> {
    let page = accessed(run, row)?;
    let other = |var: &Var| under(run, *var).is_some_and(|(_, filled_for, _)| filled_for != page);
    let cache = run.holding(row).find(other)?;
    let (user, ..) = under(run, cache)?;
    let filled = run.since(cache, row)?;
    let loaded = variable(run, &Key::LoadedMm(user))?;
    let (name, holds) = (run.name(cache), run.shown(cache, row));
    let relies = format!(
        "row {} relies on {name} = {holds}, of row {}; {}",
        row + 1,
        filled + 1,
        run.fact(loaded, row)
    );
    let given = run.since(loaded, row)?;
    if let Some(early) = run.set(cache, NOTHING, given) {
        let (done, filled) = (run.row(early), run.row(filled));
        return Some((relies, format!("{done} came too early: {filled} filled {name} again")));
    }
    let removers = removers(run, cache);
    let table = run.cached(cache)?.sources().last()?.var;
    let stale = Stale {
        cache,
        table,
        filled,
        read: filled,
        through: Vec::new(),
        changed: Some(given),
        how: How::Allowing,
    };
    let why = outstanding(run, &removers, row).unwrap_or_else(|| left_out(run, &removers, &stale));
    Some((relies, format!("nothing emptied {name} before {}: {why}", run.row(given))))
}

/// A flush between two rows that reached another tag than the one under which `cache` is.
pub(super) fn other_tag(
    run: &Run<'_>,
    cache: Var,
    removers: &[Remover<'_>],
    mut rows: impl DoubleEndedIterator<Item = usize>,
) -> Option<String> {
    let (user, _, tag) = under(run, cache)?;
    let used = variable(run, &Key::LoadedTag(user))?;
    let own = Guard::Is(used, u32::try_from(tag.0).ok()?);
    let goes_by_it = |row: &usize| {
        let step = &run.steps[*row];
        removers.iter().any(|remover| {
            remover.agent == step.agent
                && remover.pc == step.pc
                && remover.way.guard.contains(&own)
                && remover.way.text == run.way(*row).text
                && !run.way(*row).updates.contains(&Update::Set(cache, NOTHING))
        })
    };
    let flushed = rows.rfind(goes_by_it)?;
    Some(format!("{} reached the tag in use, and {}", run.row(flushed), run.fact(used, flushed)))
}

/// Whose cache under a tag the variable is, for which page it is filled, and under which tag.
fn under(run: &Run<'_>, var: Var) -> Option<(UserId, PageId, TagId)> {
    let Key::Tagged(user, page, tag) = &run.lowered.keys[usize::from(var.0)] else { return None };
    Some((*user, *page, *tag))
}

fn variable(run: &Run<'_>, key: &Key) -> Option<Var> {
    run.vars().find(|var| run.lowered.keys[usize::from(var.0)] == *key)
}

/// The page to which a row goes through a cache.
fn accessed(run: &Run<'_>, row: usize) -> Option<PageId> {
    let step = &run.steps[row];
    let mut deeds = run.lowered.deeds[step.agent].of(usize::from(step.pc.0), step.alternative);
    deeds.find_map(|deed| {
        let uses = matches!(deed.part, Part::Whole | Part::Returns(_));
        let Act::Step(step) = deed.act else { return None };
        if let Step::Load(page) | Step::Store(page, _) = **step { uses.then_some(page) } else { None }
    })
}
