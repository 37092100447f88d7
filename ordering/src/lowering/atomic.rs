//! `atomic { … }`: several steps taken as one.
//!
//! Invariant: the one step does what its parts do one after the other with nobody in between. It can be taken only if
//! all of its parts can; what a later part looks at is what an earlier one has written.

use std::collections::BTreeMap;

use crate::model::{Guard, Update, Var};

use super::program::{Builder, Goal, Place, Way};
use super::state::State;

/// Ways through one block at most, and steps on one way.
const MOST: usize = 4096;
const LONGEST: usize = 64;

/// What a variable holds after some updates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Value(u32),
    /// What that variable held before, with a number added.
    Was(Var, i64),
}

/// The block is too large, loops, or looks at a count after changing it in a way that one step cannot say.
pub(super) struct CannotMerge;

/// Every way from the node `start` to any place from `end` on, or outside of the nodes between, as one step.
pub(super) fn merged(
    builder: &Builder,
    state: &State,
    start: usize,
    end: usize,
) -> Result<Vec<Way>, CannotMerge> {
    let first = Way { happens: Vec::new(), ..Way::new(Vec::new(), Vec::new(), "") };
    let mut open = vec![(start, first, 0)];
    let mut found = Vec::new();
    while let Some((at, so_far, length)) = open.pop() {
        if found.len() + open.len() > MOST || length > LONGEST {
            return Err(CannotMerge);
        }
        let goals: Vec<(Goal, Way)> = match &builder.nodes[at] {
            Place::Silent(goals) => goals.iter().map(|goal| (*goal, so_far.clone())).collect(),
            Place::Step(ways, _) => {
                let mut both = Vec::new();
                for way in ways {
                    if let Some(joined) = then(&so_far, way, state)? {
                        both.push((way.goal, joined));
                    }
                }
                both
            }
        };
        for (goal, way) in goals {
            // A label that is not bound yet lies outside.
            let outside = matches!(goal, Goal::End)
                || matches!(goal, Goal::Label(label) if builder.labels[label].is_none());
            let target = builder.target(at, goal);
            if way.violates.is_some() || outside || target >= end || target < start {
                let goal = if target == end && !outside { Goal::Next } else { goal };
                found.push(way.to(goal));
            } else {
                open.push((target, way, length + 1));
            }
        }
    }
    Ok(found)
}

/// `one` and then `other`; none if the guards exclude each other.
fn then(one: &Way, other: &Way, state: &State) -> Result<Option<Way>, CannotMerge> {
    let held = held(&one.updates);
    let now = |var: Var| held.get(&var).map_or(Held::Was(var, 0), |held| *held);
    let mut guard = one.guard.clone();
    for test in &other.guard {
        match before(*test, &now)? {
            Some(Some(earlier)) if never(earlier, state) => return Ok(None),
            Some(Some(earlier)) if !guard.contains(&earlier) && !always(earlier, state) => {
                guard.push(earlier);
            }
            Some(_) => {}
            None => return Ok(None),
        }
    }
    if contradicts(&guard) {
        return Ok(None);
    }
    let mut after = held.clone();
    for update in &other.updates {
        let (var, value) = match *update {
            Update::Set(var, value) => (var, Held::Value(value)),
            Update::Copy { to, from } => (to, now(from)),
            Update::Increment(var) => (var, plus(now(var), 1)?),
            Update::Decrement(var) => (var, plus(now(var), -1)?),
        };
        after.insert(var, value);
    }
    let updates =
        after.into_iter().map(write).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let text = [one.text.as_str(), other.text.as_str()]
        .iter()
        .filter(|text| !text.is_empty())
        .copied()
        .collect::<Vec<_>>();
    let happens = [one.happens.clone(), other.happens.clone()].concat();
    let marks = [one.marks.as_slice(), &other.marks].concat();
    let deeds = [one.deeds.as_slice(), &other.deeds].concat();
    Ok(Some(Way {
        guard,
        updates,
        goal: other.goal,
        violates: other.violates,
        text: text.join("; "),
        happens,
        marks,
        part: other.part,
        deeds,
    }))
}

fn held(updates: &[Update]) -> BTreeMap<Var, Held> {
    let value = |update: &Update| match *update {
        Update::Set(var, value) => (var, Held::Value(value)),
        Update::Copy { to, from } => (to, Held::Was(from, 0)),
        Update::Increment(var) => (var, Held::Was(var, 1)),
        Update::Decrement(var) => (var, Held::Was(var, -1)),
    };
    updates.iter().map(value).collect()
}

/// What is held with a number added; a value below zero is none that one step can write.
fn plus(held: Held, number: i64) -> Result<Held, CannotMerge> {
    match held {
        Held::Value(value) => {
            let sum = u32::try_from(i64::from(value) + number);
            sum.map(Held::Value).map_err(|_| CannotMerge)
        }
        Held::Was(var, already) => Ok(Held::Was(var, already + number)),
    }
}

fn write((var, held): (Var, Held)) -> Result<Option<Update>, CannotMerge> {
    match held {
        Held::Value(value) => Ok(Some(Update::Set(var, value))),
        Held::Was(from, 0) if from == var => Ok(None),
        Held::Was(from, 0) => Ok(Some(Update::Copy { to: var, from })),
        Held::Was(from, 1) if from == var => Ok(Some(Update::Increment(var))),
        Held::Was(from, -1) if from == var => Ok(Some(Update::Decrement(var))),
        Held::Was(..) => Err(CannotMerge),
    }
}

/// The guard on what was held before: `None` if it cannot hold, `Some(None)` if it always does.
fn before(guard: Guard, now: &impl Fn(Var) -> Held) -> Result<Option<Option<Guard>>, CannotMerge> {
    let known = |holds: bool| Ok(holds.then_some(None));
    let shifted = |value: u32, add: i64| u32::try_from(i64::from(value) - add).ok();
    match guard {
        Guard::Is(var, value) => match now(var) {
            Held::Value(found) => known(found == value),
            Held::Was(var, add) => Ok(shifted(value, add).map(|value| Some(Guard::Is(var, value)))),
        },
        Guard::IsNot(var, value) => match now(var) {
            Held::Value(found) => known(found != value),
            Held::Was(var, add) => Ok(Some(shifted(value, add).map(|value| Guard::IsNot(var, value)))),
        },
        Guard::Below(var, value) => match now(var) {
            Held::Value(found) => known(found < value),
            Held::Was(var, add) => Ok(shifted(value, add).map(|value| Some(Guard::Below(var, value)))),
        },
        Guard::Same(one, other) => pair(now(one), now(other), true),
        Guard::Differ(one, other) => pair(now(one), now(other), false),
    }
}

fn pair(one: Held, other: Held, same: bool) -> Result<Option<Option<Guard>>, CannotMerge> {
    let known = |holds: bool| Ok((holds == same).then_some(None));
    match (one, other) {
        (Held::Value(one), Held::Value(other)) => known(one == other),
        (Held::Value(value), Held::Was(var, 0)) | (Held::Was(var, 0), Held::Value(value)) => {
            Ok(Some(Some(if same { Guard::Is(var, value) } else { Guard::IsNot(var, value) })))
        }
        (Held::Was(one, 0), Held::Was(other, 0)) if one == other => known(true),
        (Held::Was(one, 0), Held::Was(other, 0)) => {
            Ok(Some(Some(if same { Guard::Same(one, other) } else { Guard::Differ(one, other) })))
        }
        (Held::Value(_), Held::Was(..)) | (Held::Was(..), Held::Value(_) | Held::Was(..)) => Err(CannotMerge),
    }
}

/// Whether the guard asks for a value that the variable cannot have.
fn never(guard: Guard, state: &State) -> bool {
    matches!(guard, Guard::Is(var, value) if value >= state.size(var)) || matches!(guard, Guard::Below(_, 0))
}

/// Whether the guard excludes only values that the variable cannot have.
fn always(guard: Guard, state: &State) -> bool {
    matches!(guard, Guard::IsNot(var, value) | Guard::Below(var, value) if value >= state.size(var))
}

/// Whether two of the guards plainly exclude each other.
fn contradicts(guard: &[Guard]) -> bool {
    let excludes = |one: &Guard, other: &Guard| match (*one, *other) {
        (Guard::Is(a, x), Guard::Is(b, y)) => a == b && x != y,
        (Guard::Is(a, x), Guard::IsNot(b, y)) | (Guard::IsNot(b, y), Guard::Is(a, x)) => a == b && x == y,
        (Guard::Is(a, x), Guard::Below(b, y)) | (Guard::Below(b, y), Guard::Is(a, x)) => a == b && x >= y,
        (Guard::Same(a, b), Guard::Differ(c, d)) | (Guard::Differ(a, b), Guard::Same(c, d)) => {
            (a, b) == (c, d)
        }
        (
            Guard::Is(..) | Guard::IsNot(..) | Guard::Below(..) | Guard::Same(..) | Guard::Differ(..),
            Guard::Is(..) | Guard::IsNot(..) | Guard::Below(..) | Guard::Same(..) | Guard::Differ(..),
        ) => false,
    };
    guard.iter().enumerate().any(|(index, one)| guard[index + 1..].iter().any(|other| excludes(one, other)))
}
