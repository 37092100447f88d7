//! Which agents are alike: one program over variables of their own.
//!
//! Invariant: what is found is a guess from two programs; the explorer holds it against the whole model and drops it if
//! anything tells the agents apart, so a wrong one costs states and never a verdict.

use std::collections::BTreeMap;

use crate::model::{Agent, Alternative, Guard, Symmetry, Update, Var};

/// The groups of agents that are alike, each agent in one group at most.
pub(super) fn of(agents: &[Agent]) -> Vec<Symmetry> {
    let mut grouped = vec![false; agents.len()];
    let mut found = Vec::new();
    for first in 0..agents.len() {
        let alike = if grouped[first] { Vec::new() } else { like(agents, first, &grouped) };
        alike.iter().for_each(|(agent, _)| grouped[*agent] = true);
        if alike.len() > 1 {
            found.push(Symmetry { members: alike });
        }
    }
    found
}

/// An agent and those behind it that are like it, with the variables that they do not share.
fn like(agents: &[Agent], first: usize, grouped: &[bool]) -> Vec<(usize, Vec<Var>)> {
    let mut members: Vec<(usize, Vec<Var>)> = Vec::new();
    for other in (first + 1..agents.len()).filter(|&other| !grouped[other]) {
        let Some((own, theirs)) = Renaming::of(&agents[first], &agents[other]).and_then(Renaming::apart)
        else {
            continue;
        };
        if members.is_empty() {
            members.push((first, own.clone()));
        }
        let disjoint = members[1..].iter().all(|(_, known)| known.iter().all(|var| !theirs.contains(var)));
        if members[0].1 == own && disjoint {
            members.push((other, theirs));
        }
    }
    members
}

/// One agent's variables by another's.
#[derive(Default)]
struct Renaming(BTreeMap<Var, Var>);

impl Renaming {
    /// How one program becomes the other, if it does.
    fn of(one: &Agent, other: &Agent) -> Option<Self> {
        let mut renaming = Self::default();
        let same = one.spontaneous == other.spontaneous
            && one.program.len() == other.program.len()
            && one.program.iter().zip(&other.program).all(|(one, other)| {
                one.alternatives.len() == other.alternatives.len()
                    && one.alternatives.iter().zip(&other.alternatives).all(|pair| renaming.alternative(pair))
            });
        same.then_some(renaming)
    }

    /// The variables that are not shared, of both in the same order; none if one agent uses the other's.
    fn apart(self) -> Option<(Vec<Var>, Vec<Var>)> {
        let (own, theirs): (Vec<Var>, Vec<Var>) = self.0.iter().filter(|(one, other)| one != other).unzip();
        let meant_once = |index: usize| !theirs[..index].contains(&theirs[index]);
        let apart = theirs.iter().all(|var| !self.0.contains_key(var));
        (apart && (0..theirs.len()).all(meant_once)).then_some((own, theirs))
    }

    fn alternative(&mut self, (one, other): (&Alternative, &Alternative)) -> bool {
        one.next == other.next
            && one.violates == other.violates
            && one.guard.len() == other.guard.len()
            && one.updates.len() == other.updates.len()
            && one.guard.iter().zip(&other.guard).all(|(one, other)| self.guard(*one, *other))
            && one.updates.iter().zip(&other.updates).all(|(one, other)| self.update(*one, *other))
    }

    fn guard(&mut self, one: Guard, other: Guard) -> bool {
        match (one, other) {
            (Guard::Is(one, value), Guard::Is(other, wanted))
            | (Guard::IsNot(one, value), Guard::IsNot(other, wanted))
            | (Guard::Below(one, value), Guard::Below(other, wanted)) => {
                value == wanted && self.var(one, other)
            }
            (Guard::Same(one, left), Guard::Same(other, right))
            | (Guard::Differ(one, left), Guard::Differ(other, right)) => {
                self.var(one, other) && self.var(left, right)
            }
            _ => false,
        }
    }

    fn update(&mut self, one: Update, other: Update) -> bool {
        match (one, other) {
            (Update::Set(one, value), Update::Set(other, wanted)) => value == wanted && self.var(one, other),
            (Update::Copy { to: one, from: left }, Update::Copy { to: other, from: right }) => {
                self.var(one, other) && self.var(left, right)
            }
            (Update::Increment(one), Update::Increment(other))
            | (Update::Decrement(one), Update::Decrement(other)) => self.var(one, other),
            _ => false,
        }
    }

    fn var(&mut self, one: Var, other: Var) -> bool {
        *self.0.entry(one).or_insert(other) == other
    }
}
