//! The properties of states, as conditions over packed states.
//!
//! Invariant: of several broken properties the one with the lowest index is reported.

use super::condition::Condition;
use super::layout::{Field, Layout};
use super::persistent::Agents;
use super::pruned::Pruned;
use super::word::Word;
use crate::model::{Check, Guard, PropertyId};

/// A property and the conjunctions of which one must hold.
type Formula<W> = (PropertyId, Vec<Condition<W>>);

/// What is looked at in every state.
#[derive(Clone, Debug)]
pub(super) struct Properties<W> {
    always: Vec<Formula<W>>,
    finally: Vec<Formula<W>>,
    deadlock: Option<PropertyId>,
    livelock: Option<PropertyId>,
    ended: Ended<W>,
}

/// That all agents whose end is awaited have ended.
#[derive(Clone, Debug)]
struct Ended<W> {
    /// Of those that can end at one place only.
    at: Condition<W>,
    /// Of the others, by place.
    among: Vec<(Field, Box<[bool]>)>,
    /// Where each of them has ended.
    each: Vec<Ends>,
}

/// Where an agent has ended.
#[derive(Clone, Debug)]
struct Ends {
    agent: usize,
    counter: Field,
    /// By place.
    at: Box<[bool]>,
}

impl<W: Word> Ended<W> {
    fn of(pruned: &Pruned<'_>, layout: &Layout) -> Self {
        let awaited = (0..pruned.model.agents.len()).filter(|&agent| !pruned.model.agents[agent].spontaneous);
        let ends = awaited.map(|agent| Ends {
            agent,
            counter: layout.counters[agent],
            at: pruned.of_agent(agent).map(|place| pruned.is_end(place)).collect(),
        });
        Self::all(ends.collect())
    }

    fn all(each: Vec<Ends>) -> Self {
        let (mut at, mut among) = (Vec::new(), Vec::new());
        for ends in &each {
            let mut places = (0..).zip(&ends.at).filter(|(_, end)| **end);
            match (places.next(), places.next()) {
                (Some((only, _)), None) => at.push((ends.counter, only)),
                (None | Some(_), _) => among.push((ends.counter, ends.at.clone())),
            }
        }
        Self { at: Condition::all(at), among, each }
    }

    #[inline]
    fn holds(&self, state: W) -> bool {
        self.at.holds(state) && self.among.iter().all(|(field, ends)| ends[field.read(state) as usize])
    }
}

impl<W: Word> Properties<W> {
    pub(super) fn of(pruned: &Pruned<'_>, layout: &Layout) -> Self {
        let ended = Ended::of(pruned, layout);
        let mut properties =
            Self { always: Vec::new(), finally: Vec::new(), deadlock: None, livelock: None, ended };
        for (property, index) in pruned.model.properties.iter().zip(0..) {
            let id = PropertyId(index);
            match &property.check {
                Check::Always(any) => properties.always.push((id, conditions(layout, any))),
                Check::Finally(any) => properties.finally.push((id, conditions(layout, any))),
                Check::Deadlock => properties.deadlock = properties.deadlock.or(Some(id)),
                Check::Livelock => properties.livelock = properties.livelock.or(Some(id)),
                Check::Step => {}
            }
        }
        properties
    }

    /// Those of the model that only these agents are in; a formula is looked at if they are all that change what it reads.
    pub(super) fn part(&self, agents: Agents, holds_all: impl Fn(W) -> bool) -> Self {
        let inside = |ends: &&Ends| agents >> ends.agent & 1 == 1;
        let own = |formulas: &[Formula<W>]| -> Vec<Formula<W>> {
            formulas.iter().filter(|formula| holds_all(fields(formula))).cloned().collect()
        };
        Self {
            always: own(&self.always),
            finally: own(&self.finally),
            ended: Ended::all(self.ended.each.iter().filter(inside).cloned().collect()),
            ..*self
        }
    }

    /// For each formula, the fields that it reads.
    pub(super) fn formulas(&self) -> impl Iterator<Item = W> + '_ {
        self.always.iter().chain(&self.finally).map(fields)
    }

    /// Whether the property asks how runs end, and not what a step or a state does on their way.
    pub(super) fn concerns_ends(&self, property: PropertyId) -> bool {
        let finally = self.finally.iter().any(|(id, _)| *id == property);
        finally || [self.deadlock, self.livelock].contains(&Some(property))
    }

    /// Whether a property asks if somebody is stuck.
    pub(super) fn stuck_is_asked(&self) -> bool {
        self.deadlock.is_some()
    }

    /// Whether there is anything to look at before it is known who can move.
    #[inline]
    pub(super) fn concern_states(&self) -> bool {
        !self.always.is_empty() || !self.finally.is_empty()
    }

    /// Whether the run may end here.
    #[inline]
    pub(super) fn ended(&self, state: W) -> bool {
        self.ended.holds(state)
    }

    /// The first formula that is broken.
    pub(super) fn broken(&self, state: W) -> Option<PropertyId> {
        let always = self.always_broken(state);
        let finally = if self.ended(state) { self.finally_broken(state).next() } else { None };
        always.into_iter().chain(finally).min()
    }

    /// The first formula that holds always and is broken.
    pub(super) fn always_broken(&self, state: W) -> Option<PropertyId> {
        broken(&self.always, state).next()
    }

    /// The formulas that hold at the end and do not hold in this state.
    pub(super) fn finally_broken(&self, state: W) -> impl Iterator<Item = PropertyId> {
        broken(&self.finally, state)
    }

    /// Whether any formula holds always.
    pub(super) fn hold_always(&self) -> bool {
        !self.always.is_empty()
    }

    /// The property that a state breaks from which nobody can end any more.
    pub(super) fn livelock(&self) -> Option<PropertyId> {
        self.livelock
    }

    /// The property that a state breaks in which nobody can move.
    pub(super) fn stuck(&self, state: W) -> Option<PropertyId> {
        if self.ended(state) { None } else { self.deadlock }
    }
}

fn fields<W: Word>((_, any): &Formula<W>) -> W {
    any.iter().fold(W::ZERO, |fields, all| fields | all.fields())
}

/// The formulas that do not hold in the state.
fn broken<W: Word>(formulas: &[Formula<W>], state: W) -> impl Iterator<Item = PropertyId> {
    let fails = move |(_, any): &&Formula<W>| !any.iter().any(|all| all.holds(state));
    formulas.iter().filter(fails).map(|(id, _)| *id)
}

fn conditions<W: Word>(layout: &Layout, any: &[Vec<Guard>]) -> Vec<Condition<W>> {
    any.iter().filter_map(|all| Condition::of(layout, all)).collect()
}
