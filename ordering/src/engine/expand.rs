//! The successors of a state, with or without reductions.
//!
//! Invariant: what is expanded is canonical, and so is every successor. A violating step has no successor; it is noted,
//! and of several the least, so that the order in which states are expanded does not show.

use super::cases::{Choice, Kind};
use super::coverage::Seen;
use super::options::{PersistentSets, Reduction, Reductions};
use super::persistent::{Agents, Chooser};
use super::plan::Violations;
use super::symmetry::{Alike, canonical};
use super::tables::{Entry, Origin, Tables};
use super::word::Word;
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
    violations: Violations,
    symmetries: &'t [Alike<W>],
    chooser: Chooser<'t, W>,
    /// Place of each agent in the state at hand.
    at: Vec<u32>,
    /// For how many agents each stands in the state at hand, itself included.
    times: Vec<u32>,
    /// Fields that are kept in the state at hand whichever agent moves.
    kept: W,
    /// Fields that one agent alone may still read, as far as they are not kept.
    live_once: W,
    /// All agents, without the observers.
    agents: Agents,
    pub(super) transitions: u64,
    pub(super) broken: Option<Broken<W>>,
    pub(super) seen: Seen,
}

impl<'t, W: Word> Expander<'t, W> {
    pub(super) fn new(tables: &'t Tables<W>, reductions: Reductions) -> Self {
        let symmetric = reductions.symmetry == Reduction::On;
        Self {
            tables,
            reductions,
            violations: Violations::End,
            symmetries: if symmetric { &tables.alike } else { &[] },
            chooser: Chooser::new(tables),
            at: vec![0; tables.counters.len()],
            times: vec![1; tables.counters.len()],
            kept: !W::ZERO,
            live_once: W::ZERO,
            agents: (1 << tables.counters.len()) - 1,
            transitions: 0,
            broken: None,
            seen: Seen::nothing(tables.ways.len()),
        }
    }

    /// This one, for a search that does so with what is broken.
    pub(super) fn with(self, violations: Violations) -> Self {
        Self { violations, ..self }
    }

    /// The state that stands for all that differ from this one only where it does not matter.
    pub(super) fn canonical(&mut self, state: W) -> W {
        let mut cleared = state;
        if self.reductions.liveness == Reduction::On {
            self.locate(state);
            let live = |kept: W, &place: &u32| kept | self.tables.live[place as usize];
            cleared = state & self.at.iter().fold(self.tables.kept, live);
        }
        canonical(cleared, !W::ZERO, self.symmetries)
    }

    /// Every step from a state in the order of the model, with the state after it as it is, not canonical.
    pub(super) fn steps(&mut self, state: W) -> Vec<(&'t Entry<W>, W)> {
        self.locate(state);
        let cases = &self.tables.cases;
        let switches = self.at.iter().flat_map(|&place| cases.at(place));
        let choices = switches.flat_map(|switch| switch.choices(state));
        let entries = choices.map(|choice| &self.tables.ways[choice.way as usize]);
        let taken = entries.filter(|entry| entry.guard.holds(state));
        let mut steps: Vec<_> = taken.map(|entry| (entry, entry.apply(state))).collect();
        steps.sort_by_key(|(entry, _)| entry.origin);
        steps
    }

    /// Hands every successor to `successor` and notes what is broken; `depth` is the state's own.
    #[inline]
    pub(super) fn expand(&mut self, state: W, depth: usize, mut successor: impl FnMut(W)) {
        self.expand_counted(state, depth, |after, _| successor(after));
    }

    /// The same, with how many agents lead to the successor that way: those that are alike are tried once.
    #[inline]
    pub(super) fn expand_counted(&mut self, state: W, depth: usize, mut successor: impl FnMut(W, u32)) {
        let before = self.transitions;
        self.look_at(state);
        self.seen.end |= self.tables.properties.ended(state);
        if self.tables.properties.concern_states() {
            self.note(self.tables.properties.broken(state), depth, state, None);
            if self.violations == Violations::Pass && self.tables.properties.always_broken(state).is_some() {
                return;
            }
        }
        let chosen = if self.reductions.persistent_sets != PersistentSets::Off {
            self.choose(state, depth)
        } else {
            Agents::MAX
        };
        if !self.symmetries.is_empty() {
            self.gather(state, chosen);
        }
        if chosen == Agents::MAX {
            (0..self.at.len()).for_each(|agent| self.expand_agent(agent, state, depth, &mut successor));
        } else {
            let mut rest = chosen & self.agents;
            while rest != 0 {
                self.expand_agent(rest.trailing_zeros() as usize, state, depth, &mut successor);
                rest &= rest - 1;
            }
        }
        if self.transitions == before {
            self.note(self.tables.properties.stuck(state), depth, state, None);
        }
    }

    #[inline(always)]
    fn expand_agent(&mut self, agent: usize, state: W, depth: usize, successor: &mut impl FnMut(W, u32)) {
        let times = self.times[agent];
        if times == 0 {
            return;
        }
        let (tables, symmetries, place) = (self.tables, self.symmetries, self.at[agent]);
        let kept = self.kept_without(place);
        let mut transitions = 0;
        tables.cases.for_each(place, state, |choice| {
            let after = match choice.kind {
                Kind::Plain => Some(choice.apply(state)),
                Kind::Special => self.take(choice, state, depth, times),
            };
            if let Some(after) = after {
                transitions += 1;
                self.seen.ways[choice.way as usize] = true;
                let after = after & (kept | choice.live);
                successor(canonical(after, after ^ state, symmetries), times);
            }
        });
        self.transitions += transitions * u64::from(times);
    }

    /// Of agents that are alike in this state, lets the first stand for all that move.
    #[inline]
    fn gather(&mut self, state: W, chosen: Agents) {
        self.times.fill(1);
        for alike in self.symmetries {
            alike.gather(state, |agent| chosen >> agent & 1 == 1, &mut self.times);
        }
    }

    /// The state after a choice that is not plain, if it can be taken and has one.
    #[cold]
    fn take(&mut self, choice: &Choice<W>, state: W, depth: usize, times: u32) -> Option<W> {
        let entry = &self.tables.ways[choice.way as usize];
        if !entry.guard.holds(state) {
            return None;
        }
        if entry.violates.is_some() {
            self.transitions += u64::from(times);
            self.note(entry.violates, depth + 1, state, Some(entry.origin));
            return None;
        }
        Some(entry.apply(state))
    }

    /// The agents to expand; what the others could break is noted.
    #[inline]
    fn choose(&mut self, state: W, depth: usize) -> Agents {
        let chosen = self.chooser.choose(state, &self.at);
        // A step that ends its run can be taken before no other.
        if self.violations == Violations::Pass && self.chooser.violating() & chosen != 0 {
            return Agents::MAX;
        }
        if self.chooser.violating() & !chosen != 0 {
            for (entry, _) in self.steps(state) {
                self.note(entry.violates, depth + 1, state, Some(entry.origin));
            }
        }
        chosen
    }

    /// Locates the agents, and finds out what is kept.
    #[inline]
    fn look_at(&mut self, state: W) {
        if self.reductions.liveness == Reduction::Off {
            self.locate(state);
            return;
        }
        let (mut kept, mut live_once) = (self.tables.kept, W::ZERO);
        for (place, counter) in self.at.iter_mut().zip(&self.tables.counters) {
            *place = counter.place(state);
            let live = self.tables.live[*place as usize];
            kept = kept | live_once & live;
            live_once = live_once | live;
        }
        (self.kept, self.live_once) = (kept, live_once);
    }

    #[inline]
    fn locate(&mut self, state: W) {
        for (place, counter) in self.at.iter_mut().zip(&self.tables.counters) {
            *place = counter.place(state);
        }
    }

    /// Fields that are kept whatever the agent at this place does.
    #[inline]
    fn kept_without(&self, place: u32) -> W {
        self.kept | self.live_once & !self.tables.live[place as usize]
    }

    fn note(&mut self, property: Option<PropertyId>, depth: usize, state: W, step: Option<Origin>) {
        let Some(property) = property else { return };
        let broken = Broken { depth, property, state, step };
        self.broken = Some(self.broken.map_or(broken, |least| least.min(broken)));
    }
}
