//! One complete run of a model: depth first, until every agent whose end is awaited has ended.
//!
//! Invariant: no state is tried twice, so the search ends; the run breaks no property on its way.

use super::expand::Expander;
use super::options::{Options, PersistentSets, Reductions, Stop};
use super::replay::Move;
use super::set::Set;
use super::tables::{Origin, Tables};
use super::word::Word;
use crate::model::Model;

/// The way to the state at hand, and what was not tried beside it.
struct Path<W> {
    moves: Vec<Move>,
    /// For each state of the way, where its untried steps begin.
    begins: Vec<usize>,
    /// The next one to try is the last.
    untried: Vec<(Origin, W)>,
}

/// The steps of a complete run; of those that may stop or go on, one that goes on. None if there is none, or if a limit was
/// hit before one was found.
pub(super) fn find<W: Word>(model: &Model, tables: &Tables<W>, options: &Options) -> Option<Vec<Move>> {
    let reductions = Reductions::ALL.with(PersistentSets::Off);
    let mut expander = Expander::new(tables, reductions);
    let (mut seen, mut fresh) = (Set::new(), Vec::new());
    seen.insert_all(&[expander.canonical(tables.initial)], &mut fresh);
    let mut path = Path { moves: Vec::new(), begins: Vec::new(), untried: Vec::new() };
    let (mut state, mut stopped) = (tables.initial, None);
    loop {
        path.open(&mut expander, state);
        if tables.properties.ended(state) {
            if !path.goes_on(model) {
                return Some(path.moves);
            }
            stopped = stopped.or_else(|| Some(path.moves.clone()));
        }
        let used = seen.bytes_when_doubled().saturating_add(path.bytes());
        let told = options.stop.is_some_and(Stop::is_set);
        if told || used > options.memory_bytes || seen.len() > options.max_states {
            return stopped;
        }
        state = loop {
            let Some((origin, state)) = path.next() else { return stopped };
            fresh.clear();
            seen.insert_all(&[expander.canonical(state)], &mut fresh);
            if !fresh.is_empty() && tables.properties.broken(state).is_none() {
                path.moves.push(origin.into());
                break state;
            }
        };
    }
}

impl<W: Word> Path<W> {
    /// Goes on to a state: its steps that violate nothing are untried.
    fn open(&mut self, expander: &mut Expander<'_, W>, state: W) {
        self.begins.push(self.untried.len());
        let harmless = expander.steps(state).into_iter().filter(|(entry, _)| entry.violates.is_none());
        self.untried.extend(harmless.map(|(entry, after)| (entry.origin, after)).rev());
    }

    /// Whether an agent whose end is awaited can go on from the state at hand.
    fn goes_on(&self, model: &Model) -> bool {
        let here = self.begins.last().map_or(&[][..], |begin| &self.untried[*begin..]);
        here.iter().any(|(origin, _)| !model.agents[origin.agent].spontaneous)
    }

    /// The next step to try, after going back to where there is one.
    fn next(&mut self) -> Option<(Origin, W)> {
        while *self.begins.last()? == self.untried.len() {
            self.begins.pop();
            self.moves.pop();
        }
        self.untried.pop()
    }

    /// Twice what it holds: a list that grows is copied.
    fn bytes(&self) -> usize {
        let untried = self.untried.capacity() * size_of::<(Origin, W)>();
        2 * (untried
            + self.moves.capacity() * size_of::<Move>()
            + self.begins.capacity() * size_of::<usize>())
    }
}
