//! The properties of states, as conditions over packed states.
//!
//! Invariant: of several broken properties the one with the lowest index is reported.

use super::condition::Condition;
use super::layout::{Field, Layout};
use super::pruned::Pruned;
use super::word::Word;
use crate::model::{Check, Guard, PropertyId};

/// What is looked at in every state.
#[derive(Clone, Debug)]
pub(super) struct Properties<W> {
    always: Vec<(PropertyId, Vec<Condition<W>>)>,
    finally: Vec<(PropertyId, Vec<Condition<W>>)>,
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
}

impl<W: Word> Ended<W> {
    fn of(pruned: &Pruned<'_>, layout: &Layout) -> Self {
        let (mut at, mut among) = (Vec::new(), Vec::new());
        let awaited = (0..pruned.model.agents.len()).filter(|&agent| !pruned.model.agents[agent].spontaneous);
        for agent in awaited {
            let ends: Box<[bool]> = pruned.of_agent(agent).map(|place| pruned.is_end(place)).collect();
            let mut places = (0..).zip(&ends).filter(|(_, end)| **end);
            match (places.next(), places.next()) {
                (Some((only, _)), None) => at.push((layout.counters[agent], only)),
                (None | Some(_), _) => among.push((layout.counters[agent], ends)),
            }
        }
        Self { at: Condition::all(at), among }
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

/// The formulas that do not hold in the state.
fn broken<W: Word>(
    formulas: &[(PropertyId, Vec<Condition<W>>)],
    state: W,
) -> impl Iterator<Item = PropertyId> {
    let fails = move |(_, any): &&(PropertyId, Vec<Condition<W>>)| !any.iter().any(|all| all.holds(state));
    formulas.iter().filter(fails).map(|(id, _)| *id)
}

fn conditions<W: Word>(layout: &Layout, any: &[Vec<Guard>]) -> Vec<Condition<W>> {
    any.iter().filter_map(|all| Condition::of(layout, all)).collect()
}
