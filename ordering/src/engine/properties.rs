//! The properties of states, as conditions over packed states.
//!
//! Invariant: of several broken properties the one with the lowest index is reported.

use super::condition::Condition;
use super::layout::Layout;
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
    /// That all agents whose end is awaited have ended; none if that cannot be.
    ended: Option<Condition<W>>,
}

impl<W: Word> Properties<W> {
    pub(super) fn of(pruned: &Pruned<'_>, layout: &Layout) -> Self {
        let ended = ended(pruned, layout);
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
        self.ended.as_ref().is_some_and(|ended| ended.holds(state))
    }

    /// The first formula that is broken.
    pub(super) fn broken(&self, state: W) -> Option<PropertyId> {
        let broken = |(_, any): &&(PropertyId, Vec<Condition<W>>)| !any.iter().any(|all| all.holds(state));
        let always = self.always.iter().find(broken);
        let finally = if self.ended(state) { self.finally.iter().find(broken) } else { None };
        always.into_iter().chain(finally).map(|(id, _)| *id).min()
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

fn conditions<W: Word>(layout: &Layout, any: &[Vec<Guard>]) -> Vec<Condition<W>> {
    any.iter().filter_map(|all| Condition::of(layout, all)).collect()
}

fn ended<W: Word>(pruned: &Pruned<'_>, layout: &Layout) -> Option<Condition<W>> {
    let awaited = (0..pruned.model.agents.len()).filter(|&agent| !pruned.model.agents[agent].spontaneous);
    let fields = awaited.map(|agent| {
        let place = pruned.end(agent)? - pruned.first[agent];
        Some((layout.counters[agent], super::tables::number(place)))
    });
    Some(Condition::all(fields.collect::<Option<Vec<_>>>()?))
}
