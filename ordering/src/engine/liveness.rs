//! Which variables can still be read, by agent and place: a variable that nobody can read any more before he overwrites
//! it himself is set to zero, and states that differ only there become one.
//!
//! Invariant: a variable that a property of states reads is never dropped. The cleared and the uncleared state have the
//! same steps, and these lead to states that again differ only in dead variables (a bisimulation): verdict, shortest
//! trace and number of runs stay.

use super::bits::Bits;
use super::pruned::{Pruned, Way};
use crate::model::{Check, Guard, Model};

/// For each place, the variables that its agent may read from there on before it writes them.
pub(super) fn live(pruned: &Pruned<'_>) -> Vec<Bits> {
    let none = Bits::none(pruned.model.variables.len());
    let mut live = vec![none; pruned.places.len()];
    let mut grown = true;
    while grown {
        grown = false;
        for place in (0..live.len()).rev() {
            for way in &pruned.places[place].ways {
                let before = before(way, &live);
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

fn before(way: &Way<'_>, live: &[Bits]) -> Bits {
    let mut before = live[way.next].clone();
    way.writes().for_each(|var| before.remove(var));
    way.reads().for_each(|var| before.insert(var));
    before
}
