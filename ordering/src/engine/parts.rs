//! Parts of a model that are searched one by one: an agent with all those who change what it reads, or all those who
//! change what a formula reads, with those who change what they read, and so on.
//!
//! Invariant: nobody outside a part writes what is read inside. So a run of the model without the steps of those
//! outside is a run of the part, through states that agree in all that the part reads; and a run of the part is one of
//! the model. What breaks in the model then breaks in a part: a step of an agent in the part made for that agent; a
//! formula in the part of those who change what it reads; where nobody can move, nobody of any part can, and somebody
//! whose end is awaited has a part. And a way is taken in some run of the model if and only if it is in a run of a
//! part.
//!
//! Whether all can end is a question to a part with all whose end is awaited. From a state of the model from which they
//! cannot, they cannot in the part either, or somebody is stuck there, which must be asked for. Where no way goes back
//! for ever and somebody who is stuck is asked for, no such part is needed: every run ends, and not by being stuck.
//!
//! A step that breaks something, or a state in which a formula does that holds always, is reached in its part by a run
//! that is no longer than in the model, and each run of a part is one of the model: so the shortest of all parts is a
//! shortest of the model. All else that breaks may need steps of others, too: it is looked for in the whole.
//!
//! Where parts are exchanged by a symmetry of the model, one of them is searched.

use super::counting;
use super::coverage::{self, Seen};
use super::expand::Broken;
use super::livelock::{self, Hope};
use super::options::{Options, PersistentSets, Reduction};
use super::outcome::{Coverage, Interleavings, LAST_LEVELS, Length, Outcome, Statistics, Verdict};
use super::persistent::Agents;
use super::search::{End, Searched};
use super::tables::Tables;
use super::whole;
use super::word::Word;
use crate::model::{Member, Model, Symmetry};

/// What the parts say of the model.
pub(super) enum Apart<W: Word> {
    /// Nothing breaks.
    Proved(Proof),
    /// Something breaks, and not sooner in any other run.
    Broken(Box<Counterexample<W>>),
    /// They say nothing, or there are none.
    Silent,
    /// A limit was hit.
    TooMany,
}

/// A proof of all parts.
pub(super) struct Proof {
    parts: Vec<Agents>,
    ends: Ends,
    seen: Seen,
    /// Whether some search has left out steps.
    reduced: bool,
    statistics: Statistics,
}

/// What breaks in a part.
pub(super) struct Counterexample<W: Word> {
    part: Tables<W>,
    searched: Searched<W>,
    broken: Broken<W>,
    parts: usize,
}

/// Who knows that all whose end is awaited can end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ends {
    /// Every run ends, and not by being stuck.
    Always,
    /// A part with all of these.
    OfPart(Agents),
}

impl<W: Word> Apart<W> {
    /// Searches every part, all of them together within the limits.
    pub(super) fn search(tables: &Tables<W>, options: &Options) -> Self {
        let Some((parts, ends)) = parts(tables, options.reductions.symmetry) else { return Self::Silent };
        let mut proof = Proof::nothing(parts, ends, tables.ways.len());
        for agents in proof.parts.clone() {
            let part = tables.part(agents);
            let room = options.max_states.saturating_sub(proof.statistics.states);
            let options = Options { max_states: room, ..*options };
            let (searched, with) = whole::searched(&part, &options);
            match searched.end {
                End::Exhausted if ends.are_reached(agents, &part, &with, &searched) => {}
                End::Exhausted => return Self::Silent,
                End::Broken(found) => {
                    return Self::soonest(tables, &proof.parts, found.depth, &options);
                }
                End::Full | End::Stopped => return Self::TooMany,
            }
            proof.reduced |= with.reductions.persistent_sets != PersistentSets::Off;
            proof.add(agents, &searched.seen);
            proof.count(&searched.statistics());
        }
        Self::Proved(proof)
    }

    /// What breaks first, if it breaks in the model as soon; something breaks in a part at this depth.
    fn soonest(tables: &Tables<W>, parts: &[Agents], mut depth: usize, options: &Options) -> Self {
        let mut first: Option<Counterexample<W>> = None;
        for agents in parts {
            let part = tables.part(*agents);
            let searched = Searched::run(&part, &options.plan::<W>().0.shortest(depth));
            let broken = match searched.end {
                End::Exhausted => continue,
                End::Broken(broken) => broken,
                End::Full | End::Stopped => return Self::TooMany,
            };
            let key = |broken: &Broken<W>| (broken.depth, broken.property);
            if first.as_ref().is_none_or(|first| key(&broken) < key(&first.broken)) {
                depth = broken.depth;
                first = Some(Counterexample { part, searched, broken, parts: parts.len() });
            }
        }
        match first {
            Some(first) if !tables.properties.concerns_ends(first.broken.property) => {
                Self::Broken(Box::new(first))
            }
            Some(_) | None => Self::Silent,
        }
    }
}

impl<W: Word> Counterexample<W> {
    /// The answer.
    pub(super) fn violated(&self, model: &Model, options: &Options) -> Outcome {
        let plan = options.plan::<W>().0;
        let mut outcome = self.searched.violated(model, &self.part, &plan, &self.broken, Length::Shortest);
        outcome.statistics.parts = self.parts;
        outcome
    }
}

impl Proof {
    fn nothing(parts: Vec<Agents>, ends: Ends, ways: usize) -> Self {
        let statistics = Statistics {
            parts: parts.len(),
            states: 0,
            transitions: 0,
            interleavings: Interleavings::NotCounted,
            depth: 0,
            bytes: 0,
            last_levels: [0; LAST_LEVELS],
        };
        let seen = Seen { end: ends == Ends::Always, ..Seen::nothing(ways) };
        Self { parts, ends, seen, reduced: false, statistics }
    }

    /// What a part has seen. That its agents end says nothing of others.
    fn add(&mut self, agents: Agents, seen: &Seen) {
        let end = self.seen.end || seen.end && self.ends.is_known_to(agents);
        self.seen.add(seen);
        self.seen.end = end;
    }

    /// States of all parts together, and the depth and the memory of the largest.
    fn count(&mut self, part: &Statistics) {
        self.statistics = Statistics {
            states: self.statistics.states + part.states,
            transitions: self.statistics.transitions + part.transitions,
            depth: self.statistics.depth.max(part.depth),
            bytes: self.statistics.bytes.max(part.bytes),
            last_levels: part.last_levels,
            ..self.statistics
        };
    }

    /// The answer.
    pub(super) fn proved<W: Word>(mut self, model: &Model, tables: &Tables<W>, options: &Options) -> Outcome {
        let coverage = Some(self.coverage(model, tables, options));
        let interleavings = counting::interleavings(tables, options, None);
        let statistics = Statistics { interleavings, ..self.statistics };
        Outcome { verdict: Verdict::Proved, statistics, coverage }
    }

    /// What some run does. What no search of a part has seen is looked for again without persistent sets.
    fn coverage<W: Word>(&mut self, model: &Model, tables: &Tables<W>, options: &Options) -> Coverage {
        let of = |seen: &Seen| coverage::unseen(model, tables, options.reductions, seen);
        let (unseen, end) = of(&self.seen);
        if unseen.is_empty() && end || !self.reduced {
            return Coverage { unseen, end, complete: true };
        }
        let mut complete = true;
        for agents in self.parts.clone() {
            let plan = options.plan::<W>().0.without_persistent_sets();
            let again = Searched::run(&tables.part(agents), &plan);
            complete &= again.end == End::Exhausted;
            self.add(agents, &again.seen);
        }
        let (unseen, end) = of(&self.seen);
        Coverage { complete: complete || (unseen.is_empty() && end), unseen, end }
    }
}

impl Ends {
    /// None if nobody knows.
    fn of<W: Word>(tables: &Tables<W>, parts: &[Agents]) -> Option<Self> {
        let every_run_ends = tables.ways.iter().all(|way| !way.back);
        let stuck_is_asked = tables.properties.stuck_is_asked();
        if every_run_ends && stuck_is_asked {
            return Some(Self::Always);
        }
        let awaited = tables.dependence.awaited();
        let is_known = parts.iter().any(|part| awaited & !part == 0);
        let hopeless_is_asked = tables.properties.livelock().is_some() && !every_run_ends;
        (is_known && (stuck_is_asked || !hopeless_is_asked)).then_some(Self::OfPart(awaited))
    }

    fn is_known_to(self, agents: Agents) -> bool {
        match self {
            Self::Always => false,
            Self::OfPart(awaited) => awaited & !agents == 0,
        }
    }

    /// Whether an end can be reached from everywhere, if that is for this part to say.
    fn are_reached<W: Word>(
        self,
        agents: Agents,
        part: &Tables<W>,
        with: &Options,
        searched: &Searched<W>,
    ) -> bool {
        !self.is_known_to(agents)
            || matches!(livelock::find(part, &with.plan::<W>().0, searched), Hope::Everywhere)
    }
}

/// The parts that no other contains, of those that are alike the first; none if the whole is the only one, or if what
/// is true of all parts says nothing of the whole.
fn parts<W: Word>(tables: &Tables<W>, symmetry: Reduction) -> Option<(Vec<Agents>, Ends)> {
    let influence = Influence::of(tables);
    let agents = (0..tables.counters.len()).map(|agent| 1 << agent);
    let formulas = tables.properties.formulas().map(|fields| influence.writers(fields));
    let mut closed: Vec<Agents> = agents.chain(formulas).map(|set| influence.closure(set)).collect();
    closed.sort_by_key(|set| (std::cmp::Reverse(set.count_ones()), *set));
    let mut parts: Vec<Agents> = Vec::new();
    for set in closed {
        if !parts.iter().any(|part| set & !part == 0) {
            parts.push(set);
        }
    }
    if parts.len() == 1 {
        return None;
    }
    let ends = Ends::of(tables, &parts)?;
    if symmetry == Reduction::On {
        let mut known = Vec::new();
        parts.retain(|part| {
            let image = in_order(*part, &tables.symmetries);
            let is_new = !known.contains(&image);
            known.push(image);
            is_new
        });
    }
    Some((parts, ends))
}

impl<W: Word> Tables<W> {
    /// The part of these agents: the others stay where they start, and nothing is kept for them.
    fn part(&self, agents: Agents) -> Self {
        let inside: Vec<usize> = (0..self.counters.len()).filter(|agent| agents >> agent & 1 == 1).collect();
        let place = |agent: usize| inside.binary_search(&agent).ok();
        let influence = Influence::of(self);
        let outside = (0..self.counters.len()).filter(|agent| agents >> agent & 1 == 0);
        let dropped = outside.fold(W::ZERO, |mask, agent| mask | self.counters[agent].mask());
        Self {
            counters: inside.iter().map(|&agent| self.counters[agent]).collect(),
            kept: self.kept & !dropped,
            alike: self.alike.iter().filter_map(|alike| alike.among(place)).collect(),
            dependence: self.dependence.part(&inside),
            properties: self.properties.part(agents, |fields| influence.writers(fields) & !agents == 0),
            ..self.clone()
        }
    }
}

/// What each agent reads and writes.
struct Influence<W> {
    reads: Vec<W>,
    writes: Vec<W>,
}

impl<W: Word> Influence<W> {
    fn of(tables: &Tables<W>) -> Self {
        let nothing = vec![W::ZERO; tables.counters.len()];
        let mut influence = Self { reads: nothing.clone(), writes: nothing };
        for way in &tables.ways {
            let agent = way.origin.agent;
            influence.reads[agent] = influence.reads[agent] | way.reads();
            influence.writes[agent] = influence.writes[agent] | way.writes();
        }
        influence
    }

    /// Those who write some of the fields.
    fn writers(&self, fields: W) -> Agents {
        let writes = |(agent, written): (usize, &W)| Agents::from(*written & fields != W::ZERO) << agent;
        self.writes.iter().enumerate().map(writes).fold(0, |set, writer| set | writer)
    }

    /// The smallest set with these of which nobody reads what somebody else writes.
    fn closure(&self, mut set: Agents) -> Agents {
        loop {
            let inside = self.reads.iter().enumerate().filter(|(agent, _)| set >> agent & 1 == 1);
            let more = inside.fold(set, |more, (_, reads)| more | self.writers(*reads));
            if more == set {
                return set;
            }
            set = more;
        }
    }
}

/// Of all sets that exchanges of members make of this one, the one with the first members.
fn in_order(set: Agents, symmetries: &[Symmetry]) -> Agents {
    symmetries.iter().fold(set, |set, Symmetry { members }| {
        let inside = |member: &Member| -> Vec<bool> {
            member.agents.iter().map(|agent| set >> agent & 1 == 1).collect()
        };
        let mut patterns: Vec<Vec<bool>> = members.iter().map(inside).collect();
        patterns.sort_unstable_by(|one, other| other.cmp(one));
        let places =
            members.iter().zip(&patterns).flat_map(|(member, pattern)| member.agents.iter().zip(pattern));
        places.fold(set, |set, (agent, &is_in)| set & !(1 << agent) | Agents::from(is_in) << agent)
    })
}
