//! Which plain stores an agent makes, and how many of them its buffer must hold.
//!
//! Invariant: every place that a plain store of the agent can reach is among them. A variable that one agent alone mentions
//! is a register: nobody else can see when it reaches memory.

use std::collections::{HashMap, HashSet};

use steps::{EntryAt, EntryOf, Unanswered};

use crate::language::span::Name;
use crate::language::syntax::{Agent, Assignment, Condition, Node, Operand, Scenario, Step, Term, UserKind};

use super::buffer::{Buffer, MOST_SLOTS};
use super::names::{Meaning, Names};
use super::state::Key;
use super::visit::visit;

/// The user variables that more than one agent mentions.
pub(super) struct Shared(HashSet<usize>);

impl Shared {
    pub(super) fn of(scenario: &Scenario, names: &Names) -> Self {
        let mut by: HashMap<usize, HashSet<usize>> = HashMap::new();
        for (index, agent) in scenario.agents.iter().enumerate() {
            visit(&agent.body, 1, &mut |statement, _| {
                for name in mentioned(&statement.node) {
                    if let Some(Meaning::Variable(variable)) = names.meaning(&name.node) {
                        by.entry(variable).or_default().insert(index);
                    }
                }
            });
        }
        Self(by.into_iter().filter(|(_, agents)| agents.len() > 1).map(|(variable, _)| variable).collect())
    }
}

/// The words of a statement that may be variables.
fn mentioned(node: &Node) -> Vec<&Name> {
    let mut found = Vec::new();
    match node {
        Node::Assign(name, _, operand) => {
            found.push(name);
            found.extend(word(operand));
        }
        Node::If(condition, ..) | Node::When(condition, _) | Node::Check(condition, _) => {
            words(condition, &mut found);
        }
        Node::Step(_)
        | Node::Operation(_)
        | Node::Repeat(..)
        | Node::Choice(_)
        | Node::Goto(_)
        | Node::Label(_)
        | Node::Atomic(_)
        | Node::End => {}
    }
    found
}

fn words<'c>(condition: &'c Condition, found: &mut Vec<&'c Name>) {
    match condition {
        Condition::And(left, right) | Condition::Or(left, right) => {
            words(left, found);
            words(right, found);
        }
        Condition::Not(inner) => words(inner, found),
        Condition::Compare(left, _, right) => found.extend(word(left).into_iter().chain(word(right))),
        Condition::Truth(operand) | Condition::Has(operand, _) => found.extend(word(operand)),
    }
}

fn word(operand: &Operand) -> Option<&Name> {
    match &operand.term {
        Term::Entry(written) => written.word(),
        Term::Number(_) | Term::Call(..) => None,
    }
}

/// The store buffer of `agent`; a device has none.
pub(super) fn buffer(agent: &Agent, names: &Names, shared: &Shared) -> Buffer {
    let mut stores = Stores { names, shared, places: Vec::new(), count: 0 };
    let on = names.meaning(&agent.place().node);
    if matches!(on, Some(Meaning::User(user)) if names.kinds[user.0] == UserKind::Device) {
        return Buffer::default();
    }
    let mut labels = HashSet::new();
    let mut loops = false;
    visit(&agent.body, 1, &mut |statement, times| match &statement.node {
        Node::Label(name) => drop(labels.insert(name.node.clone())),
        Node::Goto(name) | Node::Check(_, name) => loops |= labels.contains(&name.node),
        Node::Assign(name, Assignment::Set, _) => stores.assignment(name, times),
        Node::Step(spoken) => {
            loops |= otherwise(&spoken.step).is_some_and(|label| labels.contains(&label.node));
            stores.step(&spoken.step, times);
        }
        Node::Assign(_, Assignment::Add | Assignment::Subtract, _)
        | Node::Operation(_)
        | Node::Repeat(..)
        | Node::Choice(_)
        | Node::If(..)
        | Node::When(..)
        | Node::Atomic(_)
        | Node::End => {}
    });
    let slots = match stores.count {
        0 => 0,
        _ if loops => MOST_SLOTS,
        count => count.min(MOST_SLOTS),
    };
    Buffer { places: stores.places, slots }
}

/// Where a step may go on elsewhere.
const fn otherwise(step: &Step) -> Option<&Name> {
    if let Step::Trylock(_, _, label) | Step::InvWait(_, Unanswered::GoesTo(label)) = step {
        return Some(label);
    }
    None
}

struct Stores<'a> {
    names: &'a Names,
    shared: &'a Shared,
    places: Vec<Key>,
    count: u32,
}

impl Stores<'_> {
    fn assignment(&mut self, name: &Name, times: u32) {
        if let Some(Meaning::Variable(index)) = self.names.meaning(&name.node)
            && self.shared.0.contains(&index)
        {
            self.at(Key::User(index), times);
        }
    }

    /// A place that is not declared is reported where it is lowered.
    fn step(&mut self, step: &Step, times: u32) {
        let place = match step {
            Step::Entry(EntryAt::Pte(page), EntryOf::Set(_)) => self.names.page(page).ok().map(Key::Pte),
            Step::Entry(EntryAt::Pmd(pmd), EntryOf::Set(_)) => self.names.pmd(pmd).ok().map(Key::Pmd),
            Step::Unlock(lock) => Some(Key::Lock(lock.text())),
            Step::Entry(_, EntryOf::Read | EntryOf::Clear | EntryOf::Modify(_))
            | Step::Lock(..)
            | Step::Trylock(..)
            | Step::Fence
            | Step::Enter(_)
            | Step::Leave(_)
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
            | Step::Walk(_)
            | Step::Load(_)
            | Step::Store(..)
            | Step::DmaRead(_)
            | Step::DmaWrite(..)
            | Step::GupFast { .. }
            | Step::TryGet { .. }
            | Step::Peek { .. }
            | Step::Forget(_)
            | Step::Write(..)
            | Step::Read(_)
            | Step::Copy(..)
            | Step::Count(..) => None,
        };
        if let Some(place) = place {
            self.at(place, times);
        }
    }

    fn at(&mut self, place: Key, times: u32) {
        self.count = self.count.saturating_add(times);
        if !self.places.contains(&place) {
            self.places.push(place);
        }
    }
}
