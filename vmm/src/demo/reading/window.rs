//! Which of the recorder's events a violation came about among.
//!
//! Invariant: a violation belongs to the operation around whose turn its value was to be stored, however late it is
//! noticed; where several can be meant, the latest comes first.

use std::time::Instant;

use mmu::trace::{Action, Agent, Event, Run};

use crate::demo::options::Operation;
use crate::demo::recorder::Violation;

/// Users whose walks are looked at: a scenario with more takes long to check.
const MOST_WALKERS: usize = 4;

/// The events among which a violation came about.
pub(super) struct Window<'a> {
    pub(super) began: Instant,
    pub(super) events: Vec<&'a Event>,
    /// The turn to store what should have been read.
    pub(super) turn: Option<&'a Event>,
}

/// The windows in which the violation may have come about, the likeliest first.
pub(super) fn windows(operation: Operation, violation: &Violation) -> Vec<Window<'_>> {
    let events = &violation.before;
    let mut openings = match operation {
        // Whatever was cached before has been forgotten when the pages are shared.
        Operation::Cow | Operation::Control => shares(events),
        // What a merge finds in caches was cached before, and what it leaves there may outlive others: each may be meant.
        Operation::Ksm => merges(events),
    };
    openings.reverse();
    let closes = |index: usize| match operation {
        Operation::Cow | Operation::Control => index.checked_sub(1).map(|next| openings[next]),
        Operation::Ksm => None,
    };
    let window = |(index, began): (usize, &Instant)| {
        let is_in = |event: &&Event| {
            let lasts = operation == Operation::Ksm && matches!(event.action, Action::Walk(_));
            (event.ended >= *began || lasts) && closes(index).is_none_or(|closes| event.began < closes)
        };
        let turn = turn(violation, closes(index));
        let follows = |turn: &&Event| operation == Operation::Ksm || turn.began >= *began;
        let window = Window {
            began: *began,
            events: events.iter().filter(is_in).collect(),
            turn: turn.filter(follows),
        };
        (window.turn.is_some() || published(violation).is_none()).then_some(window)
    };
    openings.iter().enumerate().filter_map(window).collect()
}

impl Window<'_> {
    /// Whose walks matter: those of the victim and of whoever stores; where one is a vCPU also those of the first others,
    /// for vCPUs have one shadow page table.
    pub(super) fn walkers(&self, victim: Agent) -> Vec<Agent> {
        let mut found = vec![victim];
        found.extend(self.turn.map(|turn| turn.agent));
        if found.iter().any(|agent| matches!(agent, Agent::Vcpu(_))) {
            let walks = self.events.iter().filter(|event| matches!(event.action, Action::Walk(_)));
            let vcpus = walks.map(|event| event.agent).filter(|agent| matches!(agent, Agent::Vcpu(_)));
            for vcpu in vcpus {
                if found.len() < MOST_WALKERS && !found.contains(&vcpu) {
                    found.push(vcpu);
                }
            }
        }
        found
    }
}

fn shares(events: &[Event]) -> Vec<Instant> {
    events.iter().filter(|event| event.action == Action::Share).map(|event| event.began).collect()
}

fn merges(events: &[Event]) -> Vec<Instant> {
    let mut runs: Vec<Run> = Vec::new();
    let mut found = Vec::new();
    for event in events {
        if let Action::Line { run, .. } = event.action
            && run.program == "ksm_merge"
            && !runs.contains(&run)
        {
            runs.push(run);
            found.push(event.began);
        }
    }
    found
}

/// What had been published, if the violation tells.
fn published(violation: &Violation) -> Option<u64> {
    match violation.event.action {
        Action::StaleLoad { published, .. } | Action::LostStore { published, .. } => Some(published),
        Action::Line { .. }
        | Action::Share
        | Action::Exit
        | Action::Turn(_)
        | Action::Walk(_)
        | Action::Fault
        | Action::Load(_)
        | Action::Store(_)
        | Action::FreedUse => None,
    }
}

/// The turn to store what had been published, or the last turn of all.
fn turn(violation: &Violation, closes: Option<Instant>) -> Option<&Event> {
    let published = published(violation);
    let is_meant = |event: &&Event| match event.action {
        Action::Turn(value) => published.is_none_or(|published| value == published),
        Action::Line { .. }
        | Action::Share
        | Action::Exit
        | Action::Walk(_)
        | Action::Fault
        | Action::Load(_)
        | Action::Store(_)
        | Action::StaleLoad { .. }
        | Action::FreedUse
        | Action::LostStore { .. } => false,
    };
    let before = violation.before.iter().filter(|event| closes.is_none_or(|closes| event.began < closes));
    before.rev().find(is_meant)
}
