//! Claims about what is left out of programs: random ones, in which every order of ways is tried.
//!
//! Invariant: a seed gives the same programs on every machine.

use std::collections::BTreeSet;

use super::{Emitted, leave_out_others};
use crate::lowering::emitter::Output;
use crate::lowering::event::Happening;
use crate::lowering::load;
use crate::lowering::program::{Place, Way};
use crate::model::{Guard, Update, Var, Variable};

/// Values of each variable.
const VALUES: u32 = 4;
const VARIABLES: u16 = 4;

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 % u64::from(bound)).unwrap()
    }

    fn var(&mut self) -> Var {
        Var(u16::try_from(self.below(VARIABLES.into())).unwrap())
    }

    fn guard(&mut self) -> Guard {
        let (var, other, value) = (self.var(), self.var(), self.below(VALUES));
        match self.below(6) {
            0 => Guard::IsNot(var, value),
            1 => Guard::Below(var, value),
            2 => Guard::Same(var, other),
            3 => Guard::Differ(var, other),
            _ => Guard::Is(var, value),
        }
    }

    fn update(&mut self) -> Update {
        let (var, other, value) = (self.var(), self.var(), self.below(VALUES));
        match self.below(5) {
            0 => Update::Copy { to: var, from: other },
            1 => Update::Increment(var),
            2 => Update::Decrement(var),
            _ => Update::Set(var, value),
        }
    }

    /// A way that is found again by its number, and shown as one of two kinds.
    fn way(&mut self, number: usize) -> Way {
        let guards = 1 + self.below(3);
        let guard = (0..guards).map(|_| self.guard()).collect();
        let mut updates: Vec<Update> = Vec::new();
        for _ in 0..self.below(3) {
            let update = self.update();
            if updates.iter().all(|other| other.written() != update.written()) {
                updates.push(update);
            }
        }
        let kind = if self.below(2) == 0 { "one" } else { "other" };
        Way::new(guard, updates, kind).happening(Happening::Assign(number.to_string()))
    }

    fn agents(&mut self) -> Vec<Emitted> {
        let mut number = 0;
        let mut agent = |name: &str| {
            let mut out = Output::default();
            for _ in 0..2 + self.below(3) {
                let ways = 1 + self.below(5);
                let ways = (0..ways).map(|_| {
                    number += 1;
                    self.way(number)
                });
                out.builder.nodes.push(Place::Step(ways.collect(), 0));
            }
            Emitted { name: name.to_owned(), spontaneous: false, out }
        };
        vec![agent("A"), agent("B")]
    }
}

fn number(way: &Way) -> usize {
    let Some(Happening::Assign(number)) = way.happens.first() else { panic!("it has a number") };
    number.parse().unwrap()
}

fn holds(guard: &Guard, values: &[u32]) -> bool {
    let value = |var: Var| values[usize::from(var.0)];
    match *guard {
        Guard::Is(var, wanted) => value(var) == wanted,
        Guard::IsNot(var, other) => value(var) != other,
        Guard::Same(one, other) => value(one) == value(other),
        Guard::Differ(one, other) => value(one) != value(other),
        Guard::Below(var, bound) => value(var) < bound,
    }
}

/// None if a count is at its end.
fn after(way: &Way, values: &[u32]) -> Option<Vec<u32>> {
    let mut after = values.to_vec();
    for update in &way.updates {
        after[usize::from(update.written().0)] = match *update {
            Update::Set(_, value) => value,
            Update::Copy { from, .. } => values[usize::from(from.0)],
            Update::Increment(var) => Some(values[usize::from(var.0)] + 1).filter(|more| *more < VALUES)?,
            Update::Decrement(var) => values[usize::from(var.0)].checked_sub(1)?,
        };
    }
    Some(after)
}

/// The numbers of the ways that are taken in some order of all.
fn taken(agents: &[Emitted], start: Vec<u32>) -> BTreeSet<usize> {
    let ways: Vec<&Way> = agents.iter().flat_map(Emitted::steps).flatten().collect();
    let (mut known, mut open) = (BTreeSet::from([start.clone()]), vec![start]);
    let mut taken = BTreeSet::new();
    while let Some(values) = open.pop() {
        for way in ways.iter().filter(|way| way.guard.iter().all(|guard| holds(guard, &values))) {
            let Some(after) = after(way, &values) else { continue };
            taken.insert(number(way));
            if known.insert(after.clone()) {
                open.push(after);
            }
        }
    }
    taken
}

#[test]
fn a_way_that_any_order_takes_stays_and_so_does_one_of_each_kind() {
    let mut left_out = 0;
    for seed in 1..1500 {
        let mut random = Random(seed * 0x9E37_79B9);
        let mut agents = random.agents();
        let start: Vec<u32> = (0..VARIABLES).map(|_| random.below(VALUES)).collect();
        let variable = |initial: &u32| Variable {
            name: "v".to_owned(),
            values: (0..VALUES).map(|value| value.to_string()).collect(),
            initial: *initial,
        };
        let variables: Vec<Variable> = start.iter().map(variable).collect();
        let numbers = |agents: &[Emitted]| -> BTreeSet<usize> {
            agents.iter().flat_map(Emitted::steps).flatten().map(number).collect()
        };
        let kinds = |agents: &[Emitted]| -> Vec<BTreeSet<String>> {
            let of = |ways: &Vec<Way>| ways.iter().map(|way| way.text.clone()).collect();
            agents.iter().flat_map(Emitted::steps).map(of).collect()
        };
        let (all, shown, taken) = (numbers(&agents), kinds(&agents), taken(&agents, start));
        leave_out_others(&mut agents, &variables);
        let stay = numbers(&agents);
        assert!(taken.is_subset(&stay), "seed {seed}: {:?} is gone", taken.difference(&stay));
        assert_eq!(kinds(&agents), shown, "seed {seed}");
        left_out += all.len() - stay.len();
    }
    assert!(left_out > 1000, "{left_out} ways were left out");
}

#[test]
fn an_access_has_ways_for_the_entries_of_its_page_alone() {
    let source = "scenario s\npage A, B\nframe a = 0, b = 0, c = 0\nmap A -> a ro, B -> b ro\ncpu X\n\
                  agent X\n  load A\nagent Y\n  pte_clear B\n  set_pte B -> c rw\n";
    let lowered = load(source).unwrap().remove(0).1;
    let loads = lowered.model.agents[0].program.iter().flat_map(|instruction| &instruction.alternatives);
    let fills = loads.clone().filter(|way| way.text.starts_with("walk")).count();
    assert_eq!(fills, 1, "A is never mapped but as it is at the start");
    assert_eq!(loads.filter(|way| way.text == "load A = 0").count(), 1);
}
