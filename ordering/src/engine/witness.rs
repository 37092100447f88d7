//! One complete run of a model: depth first, until every agent whose end is awaited has ended.
//!
//! Invariant: no state is tried twice, so the search ends; the run breaks no property on its way.

use super::Reduction;
use super::Reductions;
use super::expand::Expander;
use super::replay::Move;
use super::set::Set;
use super::tables::{Origin, Tables};
use super::word::Word;

/// The steps of a complete run.
pub(super) fn find<W: Word>(tables: &Tables<W>, max_states: usize) -> Option<Vec<Move>> {
    let reductions = Reductions { persistent_sets: Reduction::Off, ..Reductions::ALL };
    let mut expander = Expander::new(tables, reductions);
    let (mut seen, mut fresh) = (Set::new(0), Vec::new());
    let mut path: Vec<Move> = Vec::new();
    seen.insert_all(&[expander.canonical(tables.initial)], &mut fresh);
    let mut open = vec![untried(&mut expander, tables.initial)];
    if tables.properties.ended(tables.initial) {
        return Some(path);
    }
    while let Some(steps) = open.last_mut() {
        let Some((origin, state)) = steps.pop() else {
            open.pop();
            path.pop();
            continue;
        };
        let known = seen.len();
        seen.insert_all(&[expander.canonical(state)], &mut fresh);
        if seen.len() == known || tables.properties.broken(state).is_some() {
            continue;
        }
        path.push(origin.into());
        if tables.properties.ended(state) {
            return Some(path);
        }
        if seen.len() > max_states {
            return None;
        }
        open.push(untried(&mut expander, state));
    }
    None
}

/// The steps from a state that violate nothing; the next one to try is the last.
fn untried<W: Word>(expander: &mut Expander<'_, W>, state: W) -> Vec<(Origin, W)> {
    let harmless = expander.steps(state).into_iter().filter(|(entry, _)| entry.violates.is_none());
    harmless.map(|(entry, after)| (entry.origin, after)).rev().collect()
}
