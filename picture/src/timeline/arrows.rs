//! What leads from a change of a table to the steps that empty its caches, and to the use of what is stale.
//!
//! Invariant: an arrow goes from an earlier row to a later one. An invalidation that nothing was stale for, and before
//! which no table of the cache has changed, has none: it came too early, or was not needed.

use std::collections::BTreeMap;

use ordering::model::Var;

use super::lanes::{blamed, tables};
use super::parts::{Arrow, End, Kind, Lane};
use super::states::{NOTHING, States};

/// All arrows; the one to a use is that to the last of the rows up to `last`.
pub(super) fn arrows(states: &States<'_>, lanes: &[Lane], vars: &[Var], last: usize) -> Vec<Arrow> {
    let caches = || (0..).zip(lanes).zip(vars).filter(|((_, lane), _)| lane.kind != Kind::Table);
    let mut found: BTreeMap<(usize, usize, End), Vec<usize>> = BTreeMap::new();
    for ((index, lane), var) in caches() {
        for row in &lane.emptied {
            if let Some(from) = told_of(states, lane, *var, *row) {
                found.entry((from, *row, End::Told)).or_default().push(index);
            }
        }
    }
    let stale = |row: &usize| {
        let uses = caches().filter(|((_, lane), _)| lane.used.contains(row));
        let from = |((index, _), var): ((usize, &Lane), &Var)| Some((index, since(states, *var, *row)?));
        uses.filter_map(from).last()
    };
    let used = (1..=last).rev().find_map(|row| Some((row, stale(&row)?)));
    if let Some((row, (index, from))) = used {
        found.entry((from, row, End::Used)).or_default().push(index);
    }
    found.into_iter().map(|((from, to, end), lanes)| Arrow { from, to, end, lanes }).collect()
}

/// The row since which what `var` holds before `row` is stale, if it is.
fn since(states: &States<'_>, var: Var, row: usize) -> Option<usize> {
    let value = states.value(var, row - 1);
    if value == NOTHING {
        return None;
    }
    let blamed = blamed(states, var, value, row - 1)?;
    let disagrees = |at: usize| blamed.disagrees(states, value, at);
    (1..row).rev().find(|at| disagrees(*at) && !disagrees(at - 1))
}

/// The change that the invalidation of `row` tells of.
fn told_of(states: &States<'_>, lane: &Lane, var: Var, row: usize) -> Option<usize> {
    let since_last = lane.emptied.iter().copied().filter(|before| *before < row).max();
    let tables = tables(states, var);
    let moves =
        |at: &usize| tables.iter().any(|table| states.value(*table, *at) != states.value(*table, at - 1));
    let changed = || (1..=row).rev().find(moves).filter(|at| *at < row && Some(*at) > since_last);
    since(states, var, row).or_else(changed)
}
