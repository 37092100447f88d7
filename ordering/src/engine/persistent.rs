//! Persistent sets: in which states it is enough to let some of the agents move.
//!
//! Invariant: what agents outside the chosen set can ever do neither changes nor is changed by what the agents inside do
//! next, so that a move inside can be taken first in every run. Each cycle of the reduced graph has a state that is
//! expanded fully, because a set is not used whose move goes back in a program, as far as a run may do so without end
//! (`cycles`): nobody is put off for ever. Then every deadlock and every violation that can be reached is reached, though
//! not by the shortest way.
//!
//! What an agent does next is looked at in the state itself. It reads what decides its choices: while nobody outside
//! changes that, they stay as they are, those that it has and those that it does not have. To store what is already
//! there changes nothing for readers, and who can only store what is already there changes nothing for those that read
//! it next.
//!
//! A property of states acts like one more agent, which reads the property's variables and moves when it is broken. Who
//! may stop and goes on takes from those that look at the end what they wait for, so it is not independent of them.
//!
//! Source: Godefroid, Partial-Order Methods for the Verification of Concurrent Systems, 1996, chapter 4; Kurshan and
//! others, Static Partial Order Reduction, 1998.

use super::bits::Bits;
use super::layout::Layout;
use super::liveness::read_by;
use super::pruned::Pruned;
use super::tables::Entry;
use super::word::Word;
use crate::model::{Check, Model};

mod chooser;

pub(super) use self::chooser::Chooser;

/// A set of agents, one bit each; the two highest bits are the observers.
pub(super) type Agents = u64;

/// The properties that hold always, as an agent.
const ALWAYS: Agents = 1 << 63;
/// The properties that hold at the end, as an agent.
const FINALLY: Agents = 1 << 62;

/// What an agent's choices in a state read and write.
#[derive(Clone, Copy, Debug)]
struct Next<W> {
    /// Fields that decide which choices there are.
    reads: W,
    /// Fields that they write, with the agent's place.
    writes: W,
    /// Bits that they change.
    changes: W,
}

/// What an agent may do from its place on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Future<W> {
    reads: W,
    /// Bits that it may set.
    sets: W,
    /// Bits that it may clear.
    clears: W,
}

/// What an agent may do from a state on.
#[derive(Clone, Copy, Debug)]
struct Later<W> {
    reads: W,
    writes: W,
    /// Bits that it may change as they are now.
    changes: W,
}

/// Who depends on whom.
#[derive(Clone, Debug)]
pub(super) struct Dependence<W> {
    /// By place.
    futures: Vec<Future<W>>,
    /// What the properties that hold always read.
    always: W,
    /// What the properties that hold at the end read.
    finally: W,
    /// Agents whose end is awaited.
    awaited: Agents,
    /// By place, whether its agent has ended there.
    ends: Vec<bool>,
    /// Whether it matters when all agents whose end is awaited have ended.
    end_matters: bool,
}

impl<W: Word> Dependence<W> {
    /// `places` is, for each place, its range of `ways`.
    pub(super) fn of(pruned: &Pruned<'_>, layout: &Layout, ways: &[Entry<W>], places: &[(u32, u32)]) -> Self {
        let awaited = (0..pruned.model.agents.len()).filter(|&agent| !pruned.model.agents[agent].spontaneous);
        let (always, finally) = observed(pruned.model);
        Self {
            futures: futures(ways, places),
            always: layout.mask(&always),
            finally: layout.mask(&finally),
            awaited: awaited.fold(0, |set, agent| set | 1 << agent),
            ends: (0..pruned.places.len()).map(|place| pruned.is_end(place)).collect(),
            end_matters: end_matters(pruned.model),
        }
    }

    /// Agents whose end is awaited.
    pub(super) fn awaited(&self) -> Agents {
        self.awaited
    }

    /// That of a part of the model, in which these agents have the numbers of their places here.
    pub(super) fn part(&self, inside: &[usize]) -> Self {
        let bit = |(number, agent): (usize, &usize)| (self.awaited >> agent & 1) << number;
        let awaited = inside.iter().enumerate().map(bit).fold(0, |set, bit| set | bit);
        Self { awaited, ..self.clone() }
    }

    /// For each agent, the fields that it ever writes.
    pub(super) fn written(&self, pruned: &Pruned<'_>) -> Vec<W> {
        let agents = &pruned.first[..pruned.first.len() - 1];
        agents.iter().map(|&first| self.futures[first].sets | self.futures[first].clears).collect()
    }

    /// What an agent may do from a state on; `place` is its own.
    #[inline]
    fn later(&self, place: u32, state: W) -> Later<W> {
        let Future { reads, sets, clears } = self.futures[place as usize];
        Later { reads, writes: sets | clears, changes: sets & !state | clears & state }
    }

    /// Whom an agent's choices drag into its set: everybody who can ever conflict with them.
    #[inline]
    fn dragged(&self, agent: usize, place: u32, next: &Next<W>, later: &[Later<W>]) -> Agents {
        let (mut set, mut bit) = (0, 1);
        for other in later {
            set |= if next.conflicts(other) { bit } else { 0 };
            bit <<= 1;
        }
        if next.changes & (self.always | self.finally) != W::ZERO {
            set |= self.concerned(next);
        }
        if self.end_matters && self.ends[place as usize] && self.awaited >> agent & 1 == 1 {
            set |= FINALLY;
        }
        set
    }

    /// The observers of what a step changes.
    #[cold]
    fn concerned(&self, next: &Next<W>) -> Agents {
        let always = if next.changes & self.always == W::ZERO { 0 } else { ALWAYS };
        let finally = if next.changes & self.finally == W::ZERO { 0 } else { FINALLY };
        always | finally
    }

    /// Whom an observer drags into its set; `observer` is its bit.
    #[cold]
    fn observed(&self, observer: usize, at: &[u32], later: &[Later<W>]) -> Agents {
        if 1 << observer == ALWAYS { changers(self.always, later) } else { self.enablers(at, later) }
    }

    /// Agents without whose steps no property of the end can break from here on: somebody who has not ended, and if all
    /// have, whoever can still change a variable.
    fn enablers(&self, at: &[u32], later: &[Later<W>]) -> Agents {
        let awaited = |&agent: &usize| self.awaited >> agent & 1 == 1;
        match (0..at.len()).filter(awaited).find(|&agent| !self.ends[at[agent] as usize]) {
            Some(agent) => 1 << agent,
            // Who could go on and changes nothing that they look at finds them as they are now, when he has come to his end.
            None => changers(self.finally, later),
        }
    }
}

/// Agents that can still change one of the fields.
fn changers<W: Word>(fields: W, later: &[Later<W>]) -> Agents {
    let changes = |later: &Later<W>| later.changes & fields != W::ZERO;
    later.iter().enumerate().fold(0, |set, (agent, later)| set | Agents::from(changes(later)) << agent)
}

impl<W: Word> Next<W> {
    #[inline]
    fn conflicts(&self, later: &Later<W>) -> bool {
        let read = self.reads & later.changes | self.changes & later.reads;
        read | self.writes & later.writes != W::ZERO
    }
}

impl<W: Word> Later<W> {
    const NONE: Self = Self { reads: W::ZERO, writes: W::ZERO, changes: W::ZERO };
}

impl<W: Word> Future<W> {
    const NONE: Self = Self { reads: W::ZERO, sets: W::ZERO, clears: W::ZERO };

    fn of(entry: &Entry<W>) -> Self {
        let (sets, clears) = entry.changes();
        Self { reads: entry.reads(), sets, clears }
    }

    fn and(self, other: Self) -> Self {
        Self {
            reads: self.reads | other.reads,
            sets: self.sets | other.sets,
            clears: self.clears | other.clears,
        }
    }
}

fn futures<W: Word>(ways: &[Entry<W>], places: &[(u32, u32)]) -> Vec<Future<W>> {
    let mut futures = vec![Future::NONE; places.len()];
    let mut grown = true;
    while grown {
        grown = false;
        for (place, &(first, end)) in places.iter().enumerate().rev() {
            let ways = ways[first as usize..end as usize].iter();
            let future = ways.fold(futures[place], |future, entry| {
                future.and(Future::of(entry)).and(futures[entry.next as usize])
            });
            grown |= future != futures[place];
            futures[place] = future;
        }
    }
    futures
}

/// Whether a property asks when all agents whose end is awaited have ended.
fn end_matters(model: &Model) -> bool {
    model.properties.iter().any(|property| matches!(property.check, Check::Finally(_) | Check::Livelock))
}

/// The variables that properties read which hold always, and those which hold at the end.
fn observed(model: &Model) -> (Bits, Bits) {
    let none = Bits::none(model.variables.len());
    let (mut always, mut finally) = (none.clone(), none);
    for property in &model.properties {
        match &property.check {
            Check::Always(any) => read_by(any).for_each(|var| always.insert(var)),
            Check::Finally(any) => read_by(any).for_each(|var| finally.insert(var)),
            Check::Step | Check::Deadlock | Check::Livelock => {}
        }
    }
    (always, finally)
}
