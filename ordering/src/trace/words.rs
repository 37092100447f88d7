//! The words of a trace: what was done, and what it changed.

use mmu::address::{Pfn, VirtAddr};
use mmu::program::Line;
use mmu::step::Step;
use mmu::trace::{Action, Agent, Event};

/// What the page and the frames of a trace are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Names {
    pub(super) page: VirtAddr,
    pub(super) old: Option<Pfn>,
    pub(super) new: Option<Pfn>,
}

impl Names {
    fn of(&self, frame: Option<Pfn>) -> String {
        match frame {
            None => "?".to_owned(),
            _ if frame == self.old => "old".to_owned(),
            _ if frame == self.new => "new".to_owned(),
            Some(pfn) => format!("frame {pfn}"),
        }
    }
}

/// What was done, with the name of who did it unless the column says it.
pub(super) fn deed(event: &Event, anonymous: bool) -> String {
    let deed = match event.action {
        Action::Line { line, held: true } => line.to_string(),
        Action::Line { line, held: false } => format!("{line}: no"),
        Action::Share => "fork: share A".to_owned(),
        Action::Walk(_) => "walk A".to_owned(),
        Action::Fault => "fault A".to_owned(),
        Action::Load(value) => format!("load A = {value}"),
        Action::Store(value) => format!("store A = {value}"),
        Action::StaleLoad { value, .. } => format!("load A = {value}"),
        Action::FreedUse => "use A".to_owned(),
        Action::LostStore { value, .. } => format!("A holds {value}"),
    };
    if anonymous { deed } else { format!("{}: {deed}", event.agent) }
}

/// What it changed.
pub(super) fn state_change(event: &Event, names: &Names) -> String {
    let frame = names.of(event.frame);
    match event.action {
        Action::Line { line: Line::Step(step), .. } => step_change(step),
        Action::Line { .. } | Action::Fault | Action::Load(_) => String::new(),
        Action::Share => format!("pte[A]: {frame} ro"),
        Action::Walk(permission) => format!("{}[A]: {frame} {permission}", cache(event.agent)),
        Action::Store(value) => format!("{frame}: {value}"),
        Action::StaleLoad { published, .. } => format!("STALE: {published} was published before"),
        Action::FreedUse => format!("USE AFTER FREE of {frame}"),
        Action::LostStore { published, .. } => format!("LOST: {published} was published before"),
    }
}

/// The cache that a walk of `agent` fills.
fn cache(agent: Agent) -> &'static str {
    match agent {
        Agent::Mm | Agent::Cpu(_) => "tlb",
        Agent::Vcpu(_) => "spte",
        Agent::Device(_) => "iotlb",
    }
}

fn step_change(step: Step) -> String {
    match step {
        Step::ClearPte => "pte[A]: none".to_owned(),
        Step::SetPte(role, permission) => format!("pte[A]: {role} {permission}"),
        Step::RestorePte => "pte[A]: as before".to_owned(),
        Step::FlushTlb => "tlb[A]: -".to_owned(),
        Step::Notify => "iotlb[A]: -".to_owned(),
        Step::RangeStart => "spte[A]: -, blocked".to_owned(),
        Step::RangeEnd => "spte[A]: may be filled".to_owned(),
        Step::Put(role) => format!("{role}: one reference less"),
        Step::Allocate
        | Step::LockPage(..)
        | Step::UnlockPage(..)
        | Step::Copy
        | Step::LockTable
        | Step::UnlockTable
        | Step::ChangePte
        | Step::MarkStable(..)
        | Step::Map(..)
        | Step::Unmap(..) => String::new(),
    }
}
