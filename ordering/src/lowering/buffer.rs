//! Store buffers (x86-TSO): a plain store waits in its agent's buffer until the hardware lets it reach memory.
//!
//! Invariant: stores of an agent reach memory in their order. The agent itself sees its newest store, everybody else only
//! memory. What is no plain store acts on memory at once, and if it writes, it waits until the own buffer is empty, so it
//! comes behind all stores before it. Source: Sewell and others, x86-TSO, 2010; Intel SDM volume 3, chapter "memory
//! ordering".

use steps::EntryOf;

use crate::language::Diagnostic;
use crate::language::syntax::{Assignment, Node, Step};
use crate::model::{Guard, Update, Var};

use super::deed::Part;
use super::emitter::Emitter;
use super::fifo::Fifo;
use super::program::{Goal, Place, Way};
use super::state::{AgentId, Key, State, number};

/// Slots of a buffer at most.
pub(super) const MOST_SLOTS: u32 = 4;

/// What may wait in the buffer of one agent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Buffer {
    /// What it stores to.
    pub(super) places: Vec<Key>,
    pub(super) slots: u32,
}

/// How a step goes to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    /// Reads and stores go through the buffer.
    Buffer,
    /// Waits for the buffer, then acts on memory: a locked instruction, a fence.
    Drained,
    /// Past the buffer: page walks, and what others do meanwhile.
    Memory,
}

impl Route {
    pub(super) fn of(node: &Node) -> Self {
        match node {
            Node::Step(spoken) => Self::of_step(&spoken.step),
            Node::Assign(_, Assignment::Add | Assignment::Subtract, _) => Self::Drained,
            Node::Assign(_, Assignment::Set, _)
            | Node::Operation(_)
            | Node::Repeat(..)
            | Node::Choice(_)
            | Node::If(..)
            | Node::When(..)
            | Node::Check(..)
            | Node::Goto(_)
            | Node::Label(_)
            | Node::Atomic(_)
            | Node::End => Self::Buffer,
        }
    }

    /// Of a step.
    const fn of_step(step: &Step) -> Self {
        match step {
            Step::Entry(_, EntryOf::Set(_) | EntryOf::Read)
            | Step::Unlock(_)
            | Step::Read(_)
            | Step::GupFast { .. }
            | Step::Peek { .. }
            | Step::Forget(_)
            | Step::Enter(_)
            | Step::Leave(_) => Self::Buffer,
            Step::Walk(_) | Step::Load(_) | Step::Store(..) | Step::DmaRead(_) | Step::DmaWrite(..) => {
                Self::Memory
            }
            Step::Entry(_, EntryOf::Clear | EntryOf::Modify(_))
            | Step::Lock(..)
            | Step::Trylock(..)
            | Step::Fence
            | Step::IpiSync
            | Step::SynchronizeRcu
            | Step::Invalidate(_)
            | Step::SetPasid(..)
            | Step::Switch(..)
            | Step::SetPasidHalf(..)
            | Step::InvWait(..)
            | Step::ZapSpmd(_)
            | Step::SetSpmd(..)
            | Step::Unplug(_)
            | Step::PageRequest(_)
            | Step::PageResponse(_)
            | Step::DrainRequests
            | Step::NotifyStart(_)
            | Step::NotifyEnd(_)
            | Step::ChangePte(_)
            | Step::ZapSpte(_)
            | Step::SetSpte(..)
            | Step::TryGet { .. }
            | Step::Write(..)
            | Step::Copy(..)
            | Step::Count(..) => Self::Drained,
        }
    }
}

/// A place of a buffer as the model has it.
#[derive(Clone, Copy)]
struct Stored {
    var: Var,
    /// The value of a slot that holds the place's value 0.
    first: u32,
    count: u32,
}

impl State {
    /// The buffer of an agent; empty if it has none.
    pub(super) fn buffer(&mut self, agent: AgentId) -> Fifo {
        let slots = self.domains.buffers.get(agent).map_or(0, |buffer| buffer.slots);
        Fifo((0..slots).map(|slot| self.var(&Key::Store(agent, slot))).collect())
    }

    fn stored(&mut self, agent: AgentId) -> Vec<Stored> {
        let places = self.domains.buffers.get(agent).map_or(Vec::new(), |buffer| buffer.places.clone());
        let mut first = 1;
        let mut found = Vec::new();
        for place in places {
            let var = self.var(&place);
            let count = self.size(var);
            found.push(Stored { var, first, count });
            first += count;
        }
        found
    }
}

impl Stored {
    /// What a slot holds that stores `value` here.
    fn slot(self, value: u32) -> u32 {
        self.first + value
    }

    /// That none of `slots` stores here.
    fn is_in_none(self, slots: &[Var]) -> Vec<Guard> {
        let none = |slot: &Var| {
            (0..self.count).map(|value| Guard::IsNot(*slot, self.slot(value))).collect::<Vec<_>>()
        };
        slots.iter().flat_map(none).collect()
    }

    /// `way` in each of the cases that the agent can see at this place.
    fn seen(self, way: Way, buffer: &Fifo) -> Vec<Way> {
        let reads = way.guard.iter().flat_map(Guard::reads).chain(way.updates.iter().map(Update::read));
        if !reads.flatten().any(|var| var == self.var) {
            return vec![way];
        }
        let mut found = vec![with(way.clone(), &self.is_in_none(&buffer.0))];
        for (index, slot) in buffer.0.iter().enumerate() {
            for value in 0..self.count {
                let newest =
                    [vec![Guard::Is(*slot, self.slot(value))], self.is_in_none(&buffer.0[index + 1..])];
                found.extend(self.knowing(&way, value).map(|way| with(way, &newest.concat())));
            }
        }
        found
    }

    /// `way` if the place reads as `value`; none if it cannot be taken then.
    fn knowing(self, way: &Way, value: u32) -> Option<Way> {
        let mut known = way.clone();
        known.guard.clear();
        for guard in &way.guard {
            match self.decided(*guard, value) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(open) => known.guard.push(open),
            }
        }
        for update in &mut known.updates {
            if let Update::Copy { to, from } = *update
                && from == self.var
            {
                *update = Update::Set(to, value);
            }
        }
        Some(known)
    }

    /// Whether the guard holds, or what is left of it.
    fn decided(self, guard: Guard, value: u32) -> Result<bool, Guard> {
        match guard {
            Guard::Is(var, wanted) if var == self.var => Ok(value == wanted),
            Guard::IsNot(var, other) if var == self.var => Ok(value != other),
            Guard::Below(var, bound) if var == self.var => Ok(value < bound),
            Guard::Same(one, other) if one == self.var => Err(Guard::Is(other, value)),
            Guard::Same(one, other) if other == self.var => Err(Guard::Is(one, value)),
            Guard::Differ(one, other) if one == self.var => Err(Guard::IsNot(other, value)),
            Guard::Differ(one, other) if other == self.var => Err(Guard::IsNot(one, value)),
            other => Err(other),
        }
    }

    /// `way` with its store to this place put into the buffer.
    fn buffered(self, way: Way, buffer: &Fifo) -> Vec<Way> {
        let Some(index) = way.updates.iter().position(|update| update.written() == self.var) else {
            return vec![way];
        };
        let (guards, values): (Vec<_>, Vec<u32>) = match way.updates[index] {
            Update::Set(_, value) => (vec![Vec::new()], vec![value]),
            Update::Copy { from, .. } => {
                (0..self.count).map(|value| (vec![Guard::Is(from, value)], value)).unzip()
            }
            // Counting is a locked instruction.
            Update::Increment(_) | Update::Decrement(_) => return vec![way],
        };
        let mut found = Vec::new();
        for (guard, value) in guards.into_iter().zip(values) {
            for (room, store) in buffer.append(self.slot(value)) {
                let mut way = with(way.clone(), &[guard.as_slice(), &room].concat());
                way.updates[index] = store;
                found.push(way);
            }
        }
        found
    }
}

fn with(mut way: Way, guard: &[Guard]) -> Way {
    way.guard.extend_from_slice(guard);
    way
}

impl Emitter<'_> {
    /// What a step waits for that stores past the buffer.
    pub(super) fn drained(&mut self) -> Option<Guard> {
        if self.manner.indivisible { None } else { self.state.buffer(self.own.agent).is_empty() }
    }

    /// The ways of a step as this agent's store buffer makes them.
    pub(super) fn routed(&mut self, ways: Vec<Way>) -> Vec<Way> {
        let buffer = self.state.buffer(self.own.agent);
        if buffer.0.is_empty() || self.manner.indivisible {
            return ways;
        }
        match self.manner.route {
            Route::Memory => ways,
            Route::Drained => {
                let drained: Vec<Guard> = buffer.is_empty().into_iter().collect();
                ways.into_iter().map(|way| with(way, &drained)).collect()
            }
            Route::Buffer => {
                let places = self.state.stored(self.own.agent);
                let seen = places.iter().fold(ways, |ways, place| {
                    ways.into_iter().flat_map(|way| place.seen(way, &buffer)).collect()
                });
                places.iter().fold(seen, |ways, place| {
                    ways.into_iter().flat_map(|way| place.buffered(way, &buffer)).collect()
                })
            }
        }
    }

    /// The one instruction of the hardware behind the buffer of `agent`: let the oldest store reach memory.
    pub(super) fn reach_memory(&mut self, agent: AgentId) -> Result<(), Diagnostic> {
        let buffer = self.state.buffer(agent);
        let Some(oldest) = buffer.0.first().copied() else { return Ok(()) };
        let mut ways = Vec::new();
        for place in self.state.stored(agent) {
            for value in 0..place.count {
                let stores = [&[Update::Set(place.var, value)], buffer.take(0).as_slice()].concat();
                let text = format!("{} reaches memory", self.state.shown(place.var, value));
                let way = Way::new(vec![Guard::Is(oldest, place.slot(value))], stores, text).to(Goal::Stay);
                ways.push(way.part(Part::ReachesMemory(number(agent))));
            }
        }
        self.out.builder.nodes.push(Place::Step(ways, 0));
        Ok(())
    }
}
