//! Which values a variable can take, and which instructions and alternatives can be reached: an over-approximation by a
//! fixpoint that looks at one variable at a time.
//!
//! Invariant: a value, an instruction or an alternative that occurs in some run is in the result. A variable that only
//! one agent writes is followed through that agent's program; any other has one set for the whole run.

use super::bits::Bits;
use super::options::Stop;
use super::too_large::TooLarge;
use crate::model::{Alternative, Guard, Model, Pc, Update, Var};

/// What can be reached.
pub(super) struct Reach {
    /// Values of each variable, over the whole run.
    pub(super) values: Vec<Bits>,
    /// For each agent and instruction, the end included: what its own variables can hold there; none: not reachable.
    places: Vec<Vec<Option<Place>>>,
    /// For each variable, its only writer.
    writers: Vec<Writer>,
    /// For each variable, the size of its domain.
    sizes: Vec<usize>,
}

/// Values of the variables that only this agent writes, by variable; the others are empty.
type Place = Vec<Bits>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    Nobody,
    Only(usize),
    Several,
}

impl Reach {
    /// The fixpoint over `model`.
    pub(super) fn of(model: &Model, stop: Option<&Stop>) -> Result<Self, TooLarge> {
        let mut reach = Self::start(model);
        while reach.pass(model, stop)? {}
        Ok(reach)
    }

    /// Instructions that the agent can reach, in their order, the end included.
    pub(super) fn places(&self, agent: usize) -> impl Iterator<Item = usize> + '_ {
        self.places[agent].iter().enumerate().filter(|(_, place)| place.is_some()).map(|(pc, _)| pc)
    }

    /// Whether the alternative can ever be taken.
    pub(super) fn possible(&self, agent: usize, pc: usize, alternative: &Alternative) -> bool {
        let one = |var: Var| !self.restricted(agent, pc, alternative, var).is_empty();
        let singles = |one: &Bits, other: &Bits| one.len() == 1 && one == other;
        let differ = |guard: &Guard| match *guard {
            Guard::Differ(a, b) => a != b && !singles(&self.before(agent, pc, a), &self.before(agent, pc, b)),
            Guard::Is(..) | Guard::IsNot(..) | Guard::Same(..) | Guard::Below(..) => true,
        };
        let reads = alternative.guard.iter().flat_map(|guard| guard.reads()).flatten();
        let changed = alternative.updates.iter().filter_map(Update::read);
        reads.chain(changed).all(one) && alternative.guard.iter().all(differ)
    }

    /// Whether the guard holds whenever the agent is there, so that it need not be looked at.
    pub(super) fn certain(&self, agent: usize, pc: usize, guard: &Guard) -> bool {
        let values = |var: Var| self.before(agent, pc, var);
        match *guard {
            Guard::Is(var, value) => values(var).iter().all(|held| held == value as usize),
            Guard::IsNot(var, value) => !values(var).contains(value as usize),
            Guard::Below(var, bound) => values(var).iter().all(|held| held < bound as usize),
            Guard::Same(one, other) => {
                let (one, other) = (values(one), values(other));
                one.len() == 1 && one == other
            }
            Guard::Differ(one, other) => {
                let other = values(other);
                !values(one).iter().any(|held| other.contains(held))
            }
        }
    }

    fn start(model: &Model) -> Self {
        let values = model.variables.iter().map(|variable| {
            let mut bits = Bits::none(variable.values.len());
            bits.insert(variable.initial as usize);
            bits
        });
        let sizes = model.variables.iter().map(|variable| variable.values.len()).collect();
        let mut reach = Self { values: values.collect(), places: Vec::new(), writers: writers(model), sizes };
        for (index, agent) in model.agents.iter().enumerate() {
            let mut places = vec![None; agent.program.len() + 1];
            let own = |(var, initial): (usize, &Bits)| {
                if reach.writers[var] == Writer::Only(index) { initial.clone() } else { Bits::default() }
            };
            places[0] = Some(reach.values.iter().enumerate().map(own).collect());
            reach.places.push(places);
        }
        reach
    }

    /// Takes every alternative once; whether anything new was reached.
    fn pass(&mut self, model: &Model, stop: Option<&Stop>) -> Result<bool, TooLarge> {
        let mut grown = false;
        for (index, agent) in model.agents.iter().enumerate() {
            for (pc, instruction) in agent.program.iter().enumerate() {
                TooLarge::unless_stopped(stop)?;
                for alternative in &instruction.alternatives {
                    if self.places[index][pc].is_some() && self.possible(index, pc, alternative) {
                        grown |= self.take(index, pc, alternative);
                    }
                }
            }
        }
        Ok(grown)
    }

    fn take(&mut self, agent: usize, pc: usize, alternative: &Alternative) -> bool {
        let Some(mut place) = self.places[agent][pc].clone() else { return false };
        for guarded in alternative.guard.iter().flat_map(|guard| guard.reads()).flatten() {
            if self.writers[at(guarded)] == Writer::Only(agent) {
                place[at(guarded)] = self.restricted(agent, pc, alternative, guarded);
            }
        }
        let mut grown = false;
        for update in &alternative.updates {
            let written = at(update.written());
            let values = self.written(agent, pc, alternative, update);
            grown |= self.values[written].extend(&values);
            if self.writers[written] == Writer::Only(agent) {
                place[written] = values;
            }
        }
        self.arrive(agent, alternative.next, place) || grown
    }

    fn arrive(&mut self, agent: usize, next: Pc, place: Place) -> bool {
        match &mut self.places[agent][usize::from(next.0)] {
            Some(known) => {
                known.iter_mut().zip(&place).fold(false, |grown, (old, new)| old.extend(new) || grown)
            }
            unknown => {
                *unknown = Some(place);
                true
            }
        }
    }

    /// Values that the update can write.
    pub(super) fn written(
        &self,
        agent: usize,
        pc: usize,
        alternative: &Alternative,
        update: &Update,
    ) -> Bits {
        let mut values = Bits::none(self.capacity(update.written()));
        let shifted = |from: Bits, by: fn(usize) -> usize, values: &mut Bits| {
            from.iter().for_each(|value| values.insert(by(value)));
        };
        match *update {
            Update::Set(_, value) => values.insert(value as usize),
            Update::Copy { from, .. } => return self.restricted(agent, pc, alternative, from),
            Update::Increment(var) => {
                shifted(self.restricted(agent, pc, alternative, var), |value| value + 1, &mut values);
            }
            Update::Decrement(var) => {
                shifted(self.restricted(agent, pc, alternative, var), |value| value - 1, &mut values);
            }
        }
        values
    }

    /// Values of the variable with which the alternative may be taken.
    pub(super) fn restricted(&self, agent: usize, pc: usize, alternative: &Alternative, var: Var) -> Bits {
        let mut values = self.before(agent, pc, var);
        for guard in &alternative.guard {
            match *guard {
                Guard::Is(of, value) if of == var => values.retain(|held| held == value as usize),
                Guard::IsNot(of, value) if of == var => values.retain(|held| held != value as usize),
                Guard::Below(of, bound) if of == var => values.retain(|held| held < bound as usize),
                Guard::Same(one, other) if one == var || other == var => {
                    let other = self.before(agent, pc, if one == var { other } else { one });
                    values.retain(|held| other.contains(held));
                }
                Guard::Is(..) | Guard::IsNot(..) | Guard::Same(..) | Guard::Differ(..) | Guard::Below(..) => {
                }
            }
        }
        let last = self.capacity(var).saturating_sub(1);
        for update in &alternative.updates {
            match *update {
                Update::Increment(of) if of == var => values.retain(|held| held < last),
                Update::Decrement(of) if of == var => values.retain(|held| held > 0),
                Update::Set(..) | Update::Copy { .. } | Update::Increment(_) | Update::Decrement(_) => {}
            }
        }
        values
    }

    fn before(&self, agent: usize, pc: usize, var: Var) -> Bits {
        match &self.places[agent][pc] {
            Some(place) if self.writers[at(var)] == Writer::Only(agent) => place[at(var)].clone(),
            Some(_) | None => self.values[at(var)].clone(),
        }
    }

    fn capacity(&self, var: Var) -> usize {
        self.sizes[at(var)]
    }
}

fn at(var: Var) -> usize {
    usize::from(var.0)
}

fn writers(model: &Model) -> Vec<Writer> {
    let mut writers = vec![Writer::Nobody; model.variables.len()];
    for (index, agent) in model.agents.iter().enumerate() {
        let alternatives = agent.program.iter().flat_map(|instruction| &instruction.alternatives);
        for update in alternatives.flat_map(|alternative| &alternative.updates) {
            let writer = &mut writers[at(update.written())];
            *writer = match *writer {
                Writer::Nobody => Writer::Only(index),
                Writer::Only(only) if only == index => Writer::Only(index),
                Writer::Only(_) | Writer::Several => Writer::Several,
            };
        }
    }
    writers
}
