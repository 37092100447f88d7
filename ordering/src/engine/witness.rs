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
use crate::model::Model;

/// The steps of a complete run; of those that may stop or go on, one that goes on.
pub(super) fn find<W: Word>(model: &Model, tables: &Tables<W>, max_states: usize) -> Option<Vec<Move>> {
    let reductions = Reductions { persistent_sets: Reduction::Off, ..Reductions::ALL };
    let mut expander = Expander::new(tables, reductions);
    let (mut seen, mut fresh) = (Set::new(0), Vec::new());
    let (mut path, mut stopped): (Vec<Move>, Option<Vec<Move>>) = (Vec::new(), None);
    let goes_on =
        |steps: &[(Origin, W)]| steps.iter().any(|(origin, _)| !model.agents[origin.agent].spontaneous);
    seen.insert_all(&[expander.canonical(tables.initial)], &mut fresh);
    let mut state = tables.initial;
    let mut open: Vec<Vec<(Origin, W)>> = Vec::new();
    loop {
        let steps = untried(&mut expander, state);
        if tables.properties.ended(state) {
            if !goes_on(&steps) {
                return Some(path);
            }
            stopped = stopped.or_else(|| Some(path.clone()));
        }
        open.push(steps);
        state = loop {
            let Some(steps) = open.last_mut() else { return stopped };
            let Some((origin, state)) = steps.pop() else {
                open.pop();
                path.pop();
                continue;
            };
            let known = seen.len();
            seen.insert_all(&[expander.canonical(state)], &mut fresh);
            if seen.len() > max_states {
                return stopped;
            }
            if seen.len() > known && tables.properties.broken(state).is_none() {
                path.push(origin.into());
                break state;
            }
        };
    }
}

/// The steps from a state that violate nothing; the next one to try is the last.
fn untried<W: Word>(expander: &mut Expander<'_, W>, state: W) -> Vec<(Origin, W)> {
    let harmless = expander.steps(state).into_iter().filter(|(entry, _)| entry.violates.is_none());
    harmless.map(|(entry, after)| (entry.origin, after)).rev().collect()
}
