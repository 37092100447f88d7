//! Which variables can still be read, by agent and place: a variable that nobody can read any more before he overwrites
//! it himself is set to zero, and states that differ only there become one.
//!
//! Invariant: a variable that a property of states reads is never dropped. The cleared and the uncleared state have the
//! same steps, and these lead to states that again differ only in dead variables (a bisimulation): verdict, shortest
//! trace and number of runs stay.

use super::bits::Bits;
use super::pruned::{Pruned, Way};
use crate::model::{Alternative, Check, Guard, Model, Update};

/// The variables on which anything depends: a guard or a property reads them, they are counted in, which has bounds, or
/// they are copied to one of these.
pub(super) fn needed(model: &Model) -> Bits {
    let mut needed = observed(model);
    let programs = model.agents.iter().flat_map(|agent| &agent.program);
    let ways: Vec<&Alternative> = programs.flat_map(|instruction| &instruction.alternatives).collect();
    ways.iter().flat_map(|way| looks_at(way)).for_each(|var| needed.insert(var));
    let mut grown = true;
    while grown {
        grown = false;
        for (to, from) in ways.iter().flat_map(|way| copies(way)) {
            if needed.contains(to) && !needed.contains(from) {
                needed.insert(from);
                grown = true;
            }
        }
    }
    needed
}

/// For each place, the variables that its agent may read from there on before it writes them; what is copied to where
/// nothing depends on it is not read.
pub(super) fn live(pruned: &Pruned<'_>, needed: &Bits) -> Vec<Bits> {
    let none = Bits::none(pruned.model.variables.len());
    let mut live = vec![none; pruned.places.len()];
    let mut grown = true;
    while grown {
        grown = false;
        for place in (0..live.len()).rev() {
            for way in &pruned.places[place].ways {
                let before = before(way, &live, needed);
                grown |= live[place].extend(&before);
            }
        }
    }
    live
}

/// The variables that properties of states read.
pub(super) fn observed(model: &Model) -> Bits {
    let mut observed = Bits::none(model.variables.len());
    for property in &model.properties {
        if let Check::Always(any) | Check::Finally(any) = &property.check {
            read_by(any).for_each(|var| observed.insert(var));
        }
    }
    observed
}

/// The variables that a formula reads.
pub(super) fn read_by(any: &[Vec<Guard>]) -> impl Iterator<Item = usize> + '_ {
    any.iter().flatten().flat_map(Guard::reads).flatten().map(|var| usize::from(var.0))
}

fn before(way: &Way<'_>, live: &[Bits], needed: &Bits) -> Bits {
    let mut before = live[way.next].clone();
    way.writes().for_each(|var| before.remove(var));
    looks_at(way.alternative).for_each(|var| before.insert(var));
    copies(way.alternative).filter(|&(to, _)| needed.contains(to)).for_each(|(_, from)| before.insert(from));
    before
}

/// The variables that decide whether a way can be taken: those of its guards, and those that it counts in.
fn looks_at(way: &Alternative) -> impl Iterator<Item = usize> + '_ {
    let guards = way.guard.iter().flat_map(Guard::reads).flatten();
    let counted = way.updates.iter().filter_map(|update| match *update {
        Update::Increment(var) | Update::Decrement(var) => Some(var),
        Update::Set(..) | Update::Copy { .. } => None,
    });
    guards.chain(counted).map(|var| usize::from(var.0))
}

/// What a way copies: the variable that is written, and the one that is read.
fn copies(way: &Alternative) -> impl Iterator<Item = (usize, usize)> + '_ {
    way.updates.iter().filter_map(|update| match *update {
        Update::Copy { to, from } => Some((usize::from(to.0), usize::from(from.0))),
        Update::Set(..) | Update::Increment(_) | Update::Decrement(_) => None,
    })
}
