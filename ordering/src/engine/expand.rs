//! The successors of a state, with or without reductions.
//!
//! Invariant: what is expanded is canonical, and so is every successor. A violating step has no successor; it is noted,
//! and of several the least, so that the order in which states are expanded does not show.

use super::layout::Field;
use super::persistent::{Access, Agents};
use super::symmetry::canonical;
use super::tables::{Entry, Origin, Tables};
use super::word::Word;
use super::{Reduction, Reductions};
use crate::model::PropertyId;

/// A violation: the least in this order is reported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Broken<W> {
    /// Steps of the shortest run to it, the violating step included.
    pub(super) depth: usize,
    pub(super) property: PropertyId,
    /// The state that breaks the property, or in which the violating step is taken.
    pub(super) state: W,
    pub(super) step: Option<Origin>,
}

/// Expands states and keeps account.
pub(super) struct Expander<'t, W> {
    tables: &'t Tables<W>,
    reductions: Reductions,
    symmetries: &'t [Vec<Field>],
    /// The state at hand, if steps from it are chosen.
    state: W,
    /// Place of each agent in the state at hand.
    at: Vec<u32>,
    enabled: Vec<Enabled<'t, W>>,
    /// Steps that each agent can take in it.
    counts: Vec<usize>,
    /// Agents that can take a step back in their program.
    goes_back: Agents,
    /// What the steps that each agent can take read and write.
    next: Vec<Access<W>>,
    /// What each agent can do from its place on.
    ever: Vec<Access<W>>,
    pub(super) transitions: u64,
    pub(super) broken: Option<Broken<W>>,
}

struct Enabled<'t, W> {
    agent: usize,
    entry: &'t Entry<W>,
}

impl<'t, W: Word> Expander<'t, W> {
    pub(super) fn new(tables: &'t Tables<W>, reductions: Reductions) -> Self {
        let symmetric = reductions.symmetry == Reduction::On;
        Self {
            tables,
            reductions,
            symmetries: if symmetric { &tables.layout.blocks } else { &[] },
            state: W::ZERO,
            at: vec![0; tables.counters.len()],
            enabled: Vec::new(),
            counts: vec![0; tables.counters.len()],
            goes_back: 0,
            next: vec![Access::NONE; tables.counters.len()],
            ever: vec![Access::NONE; tables.counters.len()],
            transitions: 0,
            broken: None,
        }
    }

    /// The state that stands for all that differ from this one only where it does not matter.
    pub(super) fn canonical(&mut self, state: W) -> W {
        let mut cleared = state;
        if self.reductions.liveness == Reduction::On {
            self.locate(state);
            let live = |kept: W, &place: &u32| kept | self.tables.live[place as usize];
            cleared = state & self.at.iter().fold(self.tables.kept, live);
        }
        canonical(cleared, self.symmetries)
    }

    /// Every step from a state, with the state after it as it is, not canonical.
    pub(super) fn steps(&mut self, state: W) -> Vec<(&'t Entry<W>, W)> {
        self.locate(state);
        self.enable(state);
        self.enabled.iter().map(|enabled| (enabled.entry, enabled.entry.apply(state))).collect()
    }

    /// Hands every successor to `successor` and notes what is broken; `depth` is the state's own.
    #[inline]
    pub(super) fn expand(&mut self, state: W, depth: usize, successor: impl FnMut(W)) {
        let before = self.transitions;
        self.locate(state);
        if self.tables.properties.concern_states() {
            self.note(self.tables.properties.broken(state), depth, state, None);
        }
        if self.reductions.persistent_sets == Reduction::On {
            self.expand_chosen(state, depth, successor);
        } else {
            self.expand_all(state, depth, successor);
        }
        if self.transitions == before {
            self.note(self.tables.properties.stuck(state), depth, state, None);
        }
    }

    fn expand_all(&mut self, state: W, depth: usize, mut successor: impl FnMut(W)) {
        for agent in 0..self.at.len() {
            let kept = self.kept_without(agent);
            for entry in self.tables.ways_at(self.at[agent]) {
                if entry.guard.holds(state) {
                    self.take(entry, kept, state, depth, &mut successor);
                }
            }
        }
    }

    fn expand_chosen(&mut self, state: W, depth: usize, mut successor: impl FnMut(W)) {
        self.enable(state);
        let chosen = self.choose();
        let enabled = std::mem::take(&mut self.enabled);
        for steps in enabled.chunk_by(|one, other| one.agent == other.agent) {
            if chosen >> steps[0].agent & 1 == 1 {
                let kept = self.kept_without(steps[0].agent);
                for step in steps {
                    self.take(step.entry, kept, state, depth, &mut successor);
                }
            } else {
                for Enabled { entry, .. } in steps {
                    self.note(entry.violates, depth + 1, state, Some(entry.origin));
                }
            }
        }
        self.enabled = enabled;
    }

    #[inline]
    fn take(&mut self, entry: &Entry<W>, kept: W, state: W, depth: usize, successor: &mut impl FnMut(W)) {
        self.transitions += 1;
        if entry.violates.is_some() {
            self.note(entry.violates, depth + 1, state, Some(entry.origin));
            return;
        }
        let mut after = entry.apply(state);
        if self.reductions.liveness == Reduction::On {
            after = after & (kept | self.tables.live[entry.next as usize]);
        }
        successor(canonical(after, self.symmetries));
    }

    #[inline]
    fn locate(&mut self, state: W) {
        for (place, &(field, first)) in self.at.iter_mut().zip(&self.tables.counters) {
            *place = first + field.read(state);
        }
    }

    /// Fills in who can do what.
    #[inline]
    fn enable(&mut self, state: W) {
        let tables = self.tables;
        self.state = state;
        self.enabled.clear();
        self.goes_back = 0;
        for (agent, &place) in self.at.iter().enumerate() {
            let (before, mut next) = (self.enabled.len(), Access::NONE);
            for entry in tables.ways_at(place) {
                if entry.guard.holds(state) {
                    self.goes_back |= Agents::from(entry.back) << agent;
                    next = next.and(entry.access);
                    self.enabled.push(Enabled { agent, entry });
                }
            }
            self.next[agent] = next;
            self.ever[agent] = tables.dependence.ever(place);
            self.counts[agent] = self.enabled.len() - before;
        }
    }

    /// The agents to expand: the persistent set with the fewest steps that does not go back, or all.
    #[inline]
    fn choose(&mut self) -> Agents {
        let (mut best, mut fewest) = (Agents::MAX, self.enabled.len());
        for start in 0..self.at.len() {
            // A set has at least the steps of the agent that it is built from.
            let promising = self.counts[start] != 0 && self.counts[start] < fewest;
            if let Some((set, count)) = promising.then(|| self.closure(start, fewest)).flatten() {
                (best, fewest) = (set, count);
            }
        }
        best
    }

    /// The smallest persistent set with this agent, and its steps; none if it goes back or has as many as `limit`.
    #[inline]
    fn closure(&self, start: usize, limit: usize) -> Option<(Agents, usize)> {
        let (mut set, mut done): (Agents, Agents) = (1 << start, 0);
        while set & !done != 0 {
            let member = (set & !done).trailing_zeros() as usize;
            done |= 1 << member;
            let Some(next) = self.next.get(member) else {
                set |= self.tables.dependence.observed(member, &self.at);
                continue;
            };
            // Most sets fail by what their agents can do; what they cannot do is looked at only if they do not.
            set |= self.tables.dependence.dragged(next, &self.ever);
            if set & self.goes_back != 0 || self.steps_of(set) >= limit {
                return None;
            }
            set |= self.tables.dependence.dragged(&self.awaited(member), &self.ever);
        }
        let steps = self.steps_of(set);
        (set & self.goes_back == 0 && steps < limit).then_some((set, steps))
    }

    /// Steps that the agents of a set can take.
    #[inline]
    fn steps_of(&self, mut set: Agents) -> usize {
        let mut steps = 0;
        for count in &self.counts {
            steps += if set & 1 == 1 { *count } else { 0 };
            set >>= 1;
        }
        steps
    }

    /// What would have to change for an agent's other steps to become possible.
    fn awaited(&self, agent: usize) -> Access<W> {
        let ways = self.tables.ways_at(self.at[agent]).iter();
        let impossible = ways.filter(|entry| !entry.guard.holds(self.state));
        let reads = impossible.fold(W::ZERO, |reads, entry| reads | entry.guard.hindrance(self.state));
        Access { reads, writes: W::ZERO }
    }

    /// Fields that are kept whatever this agent does.
    #[inline]
    fn kept_without(&self, agent: usize) -> W {
        if self.reductions.liveness == Reduction::Off {
            return !W::ZERO;
        }
        let others = self.at.iter().enumerate().filter(|&(other, _)| other != agent);
        others.fold(self.tables.kept, |kept, (_, &place)| kept | self.tables.live[place as usize])
    }

    fn note(&mut self, property: Option<PropertyId>, depth: usize, state: W, step: Option<Origin>) {
        let Some(property) = property else { return };
        let broken = Broken { depth, property, state, step };
        self.broken = Some(self.broken.map_or(broken, |least| least.min(broken)));
    }
}
