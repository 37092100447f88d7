//! Programs without the ways that no run can take: an access has a way for each entry of the scenario, and most of
//! those are never in its page.
//!
//! Invariant: a way is left out only if one of its guards asks for a value that its variable never has, by a fixpoint
//! over all ways of all agents, in whatever order they are taken. So no run of the programs is lost, and none is
//! changed. Of ways that are shown alike, do the same and lead to the same place, one stays, whether it is possible or
//! not: what somebody waits for can still be said.

use crate::model::{Agent, Guard, Update, Var, Variable};

use super::deed::Deeds;
use super::emitter::Output;
use super::program::{Place, Way};

/// Rounds of the fixpoint at most; where they are not enough, nothing is left out.
const MOST_ROUNDS: usize = 64;

/// An agent whose program is written and not finished.
pub(super) struct Emitted {
    pub(super) name: String,
    pub(super) spontaneous: bool,
    pub(super) out: Output,
}

impl Emitted {
    /// The agent, and what its rows do.
    pub(super) fn finish(self) -> (Agent, Deeds) {
        let Self { name, spontaneous, out } = self;
        let (program, deeds) = out.finish(spontaneous);
        (Agent { name, program, spontaneous }, deeds)
    }

    fn steps(&self) -> impl DoubleEndedIterator<Item = &Vec<Way>> {
        self.out.builder.nodes.iter().filter_map(|place| match place {
            Place::Step(ways, _) => Some(ways),
            Place::Silent(_) => None,
        })
    }
}

/// Leaves out the ways that no run can take.
pub(super) fn leave_out_others(agents: &mut [Emitted], variables: &[Variable]) {
    let Some(held) = Held::of(agents, variables) else { return };
    for place in agents.iter_mut().flat_map(|agent| &mut agent.out.builder.nodes) {
        match place {
            Place::Step(ways, _) => held.leave_out_others(ways),
            Place::Silent(_) => {}
        }
    }
}

/// By variable and value, whether it can have that.
struct Held(Vec<Vec<bool>>);

impl Held {
    /// None if it takes too long to find out.
    fn of(agents: &[Emitted], variables: &[Variable]) -> Option<Self> {
        let mut held = Self(variables.iter().map(|variable| vec![false; variable.values.len()]).collect());
        for (values, variable) in held.0.iter_mut().zip(variables) {
            values[variable.initial as usize] = true;
        }
        // Values go up and down: each other round takes the ways backwards.
        for round in 0..MOST_ROUNDS {
            let mut grown = false;
            let ways = agents.iter().flat_map(Emitted::steps).flatten();
            if round % 2 == 0 {
                ways.for_each(|way| grown |= held.take(way));
            } else {
                ways.rev().for_each(|way| grown |= held.take(way));
            }
            if !grown {
                return Some(held);
            }
        }
        None
    }

    /// Takes the way where it may be taken; whether that brings a value.
    fn take(&mut self, way: &Way) -> bool {
        let mut grown = false;
        if self.allows(way) {
            way.updates.iter().for_each(|update| grown |= self.update(update));
        }
        grown
    }

    fn allows(&self, way: &Way) -> bool {
        way.guard.iter().all(|guard| match *guard {
            Guard::Is(var, value) => self.values(var)[value as usize],
            Guard::IsNot(var, other) => {
                self.values(var).iter().zip(0..).any(|(has, value)| *has && value != other)
            }
            Guard::Below(var, bound) => self.values(var).iter().take(bound as usize).any(|has| *has),
            Guard::Same(..) | Guard::Differ(..) => true,
        })
    }

    fn values(&self, var: Var) -> &[bool] {
        &self.0[usize::from(var.0)]
    }

    fn update(&mut self, update: &Update) -> bool {
        let written = usize::from(update.written().0);
        match *update {
            Update::Set(_, value) => add(&mut self.0[written][value as usize], true),
            Update::Copy { from, .. } => {
                let (from, mut grown) = (usize::from(from.0), false);
                for value in 0..self.0[from].len().min(self.0[written].len()) {
                    let has = self.0[from][value];
                    grown |= add(&mut self.0[written][value], has);
                }
                grown
            }
            Update::Increment(_) => {
                let last = self.0[written].len().saturating_sub(1);
                (0..last).fold(false, |grown, value| {
                    let has = self.0[written][value];
                    add(&mut self.0[written][value + 1], has) || grown
                })
            }
            Update::Decrement(_) => (1..self.0[written].len()).rev().fold(false, |grown, value| {
                let has = self.0[written][value];
                add(&mut self.0[written][value - 1], has) || grown
            }),
        }
    }

    fn leave_out_others(&self, ways: &mut Vec<Way>) {
        let possible: Vec<bool> = ways.iter().map(|way| self.allows(way)).collect();
        if possible.iter().all(|possible| *possible) {
            return;
        }
        // One of each kind is kept, a possible one where there is one.
        let mut kept: Vec<usize> = Vec::new();
        let (others, firsts): (Vec<usize>, Vec<usize>) = (0..ways.len()).partition(|way| !possible[*way]);
        for way in firsts.into_iter().chain(others) {
            if !kept.iter().rev().any(|other| alike(&ways[*other], &ways[way])) {
                kept.push(way);
            }
        }
        let mut index = 0;
        ways.retain(|_| {
            index += 1;
            possible[index - 1] || kept.contains(&(index - 1))
        });
    }
}

/// Whether it is new.
fn add(has: &mut bool, now: bool) -> bool {
    let new = now && !*has;
    *has |= now;
    new
}

/// Whether nobody who reads a run can tell the ways apart, but for the state in which they are taken.
fn alike(one: &Way, other: &Way) -> bool {
    one.goal == other.goal
        && one.violates == other.violates
        && one.text == other.text
        && one.marks == other.marks
        && one.deeds == other.deeds
}

#[cfg(test)]
mod tests;
