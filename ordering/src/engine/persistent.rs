//! Persistent sets: in which states it is enough to let some of the agents move.
//!
//! Invariant: what agents outside the chosen set can ever do neither changes nor is changed by what the agents inside do
//! next, so that a move inside can be taken first in every run. Each cycle of the reduced graph has a state that is
//! expanded fully, because a set whose move goes back in a program is not used: nobody is put off for ever. Then every
//! deadlock and every violation that can be reached is reached, though not by the shortest way.
//!
//! What an agent does next is the steps that it can take, with all they read and write, and for each step that it cannot
//! take one guard that does not hold: while nobody outside writes what that guard reads, the step stays impossible.
//!
//! A property of states acts like one more agent, which reads the property's variables and moves when it is broken.
//!
//! Source: Godefroid, Partial-Order Methods for the Verification of Concurrent Systems, 1996, chapter 4; Kurshan and
//! others, Static Partial Order Reduction, 1998.

use super::bits::Bits;
use super::layout::Layout;
use super::liveness::read_by;
use super::pruned::{Pruned, Way};
use super::word::Word;
use crate::model::{Check, Model};

/// A set of agents, one bit each; the two highest bits are the observers.
pub(super) type Agents = u64;

/// The properties that hold always, as an agent.
const ALWAYS: Agents = 1 << 63;
/// The properties that hold at the end, as an agent.
const FINALLY: Agents = 1 << 62;

/// Fields that somebody reads and writes. A variable that never changes has no field and concerns nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Access<W> {
    pub(super) reads: W,
    pub(super) writes: W,
}

/// Who depends on whom.
#[derive(Clone, Debug)]
pub(super) struct Dependence<W> {
    /// For each place: what its agent may read and write from there on.
    ever: Vec<Access<W>>,
    /// What the properties that hold always read.
    always: W,
    /// What the properties that hold at the end read.
    finally: W,
    /// Agents whose end is awaited.
    awaited: Agents,
    /// For each agent, the place where it has ended.
    ends: Vec<Option<usize>>,
}

impl<W: Word> Dependence<W> {
    pub(super) fn of(pruned: &Pruned<'_>, layout: &Layout) -> Self {
        let agents = 0..pruned.model.agents.len();
        let awaited = agents.clone().filter(|&agent| !pruned.model.agents[agent].spontaneous);
        let (always, finally) = observed(pruned.model);
        Self {
            ever: ever(pruned, layout),
            always: layout.mask(&always),
            finally: layout.mask(&finally),
            awaited: awaited.fold(0, |set, agent| set | 1 << agent),
            ends: agents.map(|agent| pruned.end(agent)).collect(),
        }
    }

    /// What an agent may read and write from its place on.
    #[inline]
    pub(super) fn ever(&self, place: u32) -> Access<W> {
        self.ever[place as usize]
    }

    /// Whom an agent's next step drags into its set: everybody who can ever conflict with it. `ever[other]` is what an
    /// agent can do from its place on.
    #[inline]
    pub(super) fn dragged(&self, next: &Access<W>, ever: &[Access<W>]) -> Agents {
        let (mut set, mut bit) = (0, 1);
        for other in ever {
            set |= if next.conflicts(other) { bit } else { 0 };
            bit <<= 1;
        }
        if next.writes & (self.always | self.finally) != W::ZERO {
            set |= self.concerned(next);
        }
        set
    }

    /// The observers of what a step writes.
    #[cold]
    fn concerned(&self, next: &Access<W>) -> Agents {
        let always = if next.writes & self.always == W::ZERO { 0 } else { ALWAYS };
        let finally = if next.writes & self.finally == W::ZERO { 0 } else { FINALLY };
        always | finally
    }

    /// Whom an observer drags into its set; `observer` is its bit.
    pub(super) fn observed(&self, observer: usize, at: &[u32]) -> Agents {
        if 1 << observer == ALWAYS { self.writers(self.always, at) } else { self.enablers(at) }
    }

    /// Agents that can still change one of the fields.
    fn writers(&self, fields: W, at: &[u32]) -> Agents {
        let writes = |place: u32| self.ever[place as usize].writes & fields != W::ZERO;
        at.iter().enumerate().fold(0, |set, (agent, &place)| set | Agents::from(writes(place)) << agent)
    }

    /// Agents without whose steps no property of the end can break from here on: somebody who has not ended, and if all
    /// have, whoever can still change a variable.
    fn enablers(&self, at: &[u32]) -> Agents {
        let running =
            |&agent: &usize| self.awaited >> agent & 1 == 1 && self.ends[agent] != Some(at[agent] as usize);
        match (0..at.len()).find(running) {
            Some(agent) => 1 << agent,
            None => self.writers(self.finally, at),
        }
    }
}

impl<W: Word> Access<W> {
    pub(super) const NONE: Self = Self { reads: W::ZERO, writes: W::ZERO };

    pub(super) fn of_way(way: &Way<'_>, layout: &Layout) -> Self {
        let fields = |mask: W, var: usize| mask | layout.slots[var].mask();
        Self { reads: way.reads().fold(W::ZERO, fields), writes: way.writes().fold(W::ZERO, fields) }
    }

    #[inline]
    pub(super) fn and(self, other: Self) -> Self {
        Self { reads: self.reads | other.reads, writes: self.writes | other.writes }
    }

    #[inline]
    fn conflicts(&self, later: &Self) -> bool {
        self.writes & (later.reads | later.writes) | self.reads & later.writes != W::ZERO
    }
}

fn ever<W: Word>(pruned: &Pruned<'_>, layout: &Layout) -> Vec<Access<W>> {
    let mut ever = vec![Access::NONE; pruned.places.len()];
    let mut grown = true;
    while grown {
        grown = false;
        for (place, known) in pruned.places.iter().enumerate().rev() {
            let ways = known.ways.iter().map(|way| Access::of_way(way, layout).and(ever[way.next]));
            let access = ways.fold(ever[place], Access::and);
            grown |= access != ever[place];
            ever[place] = access;
        }
    }
    ever
}

/// The variables that properties read which hold always, and those which hold at the end.
fn observed(model: &Model) -> (Bits, Bits) {
    let none = Bits::none(model.variables.len());
    let (mut always, mut finally) = (none.clone(), none);
    for property in &model.properties {
        match &property.check {
            Check::Always(any) => read_by(any).for_each(|var| always.insert(var)),
            Check::Finally(any) => read_by(any).for_each(|var| finally.insert(var)),
            Check::Step | Check::Deadlock => {}
        }
    }
    (always, finally)
}

/// For each place and way: whether it goes back, that is, to a place from which the search through the program came.
/// Every cycle of a program has such a way.
pub(super) fn backward(pruned: &Pruned<'_>) -> Vec<Vec<bool>> {
    let mut back: Vec<Vec<bool>> = pruned.places.iter().map(|place| vec![false; place.ways.len()]).collect();
    let mut seen = vec![Seen::Never; back.len()];
    for &first in &pruned.first[..pruned.first.len() - 1] {
        let mut path = vec![(first, 0)];
        seen[first] = Seen::OnPath;
        while let Some((place, way)) = path.pop() {
            let Some(taken) = pruned.places[place].ways.get(way) else {
                seen[place] = Seen::Done;
                continue;
            };
            path.push((place, way + 1));
            match seen[taken.next] {
                Seen::OnPath => back[place][way] = true,
                Seen::Done => {}
                Seen::Never => {
                    seen[taken.next] = Seen::OnPath;
                    path.push((taken.next, 0));
                }
            }
        }
    }
    back
}

#[derive(Clone, Copy)]
enum Seen {
    Never,
    OnPath,
    Done,
}
