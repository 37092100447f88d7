//! From a violation back to the start, without parent pointers.
//!
//! Invariant: the trace is a run of the model itself, not of its reduction: the levels give the canonical states that it
//! passes, and a second walk from the start finds steps of the model that pass them. Of several ways the least is taken.

use std::convert::Infallible;

use super::expand::{Broken, Expander};
use super::outcome::{Step, Trace};
use super::replay::{Change, Move, replay};
use super::search::Searched;
use super::tables::Origin;
use super::word::Word;
use crate::model::{Model, Pc};

/// The steps to what is broken.
pub(super) fn to<W: Word>(
    searched: &Searched<W>,
    expander: &mut Expander<'_, W>,
    initial: W,
    broken: &Broken<W>,
) -> Vec<Move> {
    let least = |level, leads: &mut dyn FnMut(&W) -> bool| {
        Ok::<_, Infallible>(searched.states_at(level).filter(|state| leads(state)).min())
    };
    match through(least, expander, initial, broken) {
        Ok(moves) => moves,
        Err(never) => match never {},
    }
}

/// The same; `least` finds the least state of a level that leads somewhere.
pub(super) fn through<W: Word, E>(
    least: impl FnMut(usize, &mut dyn FnMut(&W) -> bool) -> Result<Option<W>, E>,
    expander: &mut Expander<'_, W>,
    initial: W,
    broken: &Broken<W>,
) -> Result<Vec<Move>, E> {
    let before = broken.depth - usize::from(broken.step.is_some());
    let passed = backward(least, expander, broken.state, before)?;
    let (mut moves, last) = forward(expander, initial, &passed);
    if let Some(step) = broken.step {
        moves.push(violating(expander, last, broken, step));
    }
    Ok(moves)
}

/// The moves with what they change.
pub(super) fn shown(model: &Model, moves: &[Move]) -> Trace {
    let (changes, last) = replay(model, moves)
        .unwrap_or_else(|wrong| panic!("a trace of the packed model must be a run of the model: {wrong}"));
    let step = |(taken, changes): (&Move, Vec<Change>)| {
        let Move { agent, pc, alternative } = *taken;
        Step { agent, pc, alternative, changes }
    };
    Trace { steps: moves.iter().zip(changes).map(step).collect(), last, round: None }
}

/// The canonical states from after the start to `last`.
fn backward<W: Word, E>(
    mut least: impl FnMut(usize, &mut dyn FnMut(&W) -> bool) -> Result<Option<W>, E>,
    expander: &mut Expander<'_, W>,
    last: W,
    depth: usize,
) -> Result<Vec<W>, E> {
    let mut passed = vec![last];
    for level in (1..depth).rev() {
        let target = passed[passed.len() - 1];
        let mut leads = |state: &W| {
            let mut leads = false;
            expander.expand(*state, level, |successor| leads |= successor == target);
            leads
        };
        passed.extend(least(level, &mut leads)?);
    }
    passed.truncate(depth);
    passed.reverse();
    Ok(passed)
}

/// Steps of the model that pass these canonical states, and the state they lead to.
fn forward<W: Word>(expander: &mut Expander<'_, W>, initial: W, passed: &[W]) -> (Vec<Move>, W) {
    let (mut state, mut moves) = (initial, Vec::new());
    for &target in passed {
        let steps = expander.steps(state);
        let Some((entry, after)) = steps.into_iter().find(|&(_, after)| expander.canonical(after) == target)
        else {
            break;
        };
        moves.push(entry.origin.into());
        state = after;
    }
    (moves, state)
}

/// The violating step as the model can take it in this state: symmetry may have exchanged its agent.
fn violating<W: Word>(expander: &mut Expander<'_, W>, state: W, broken: &Broken<W>, step: Origin) -> Move {
    let breaks =
        expander.steps(state).into_iter().filter(|(entry, _)| entry.violates == Some(broken.property));
    let origins: Vec<Origin> = breaks.map(|(entry, _)| entry.origin).collect();
    let same = origins.contains(&step).then_some(step);
    let exchanged = || origins.iter().copied().min();
    same.or_else(exchanged).expect("some agent takes the violating step").into()
}

impl From<Origin> for Move {
    fn from(origin: Origin) -> Self {
        let pc = Pc(u16::try_from(origin.pc).expect("a validated program has fewer instructions"));
        Self { agent: origin.agent, pc, alternative: origin.alternative }
    }
}
