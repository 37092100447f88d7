//! The words of a trace: what was done, and what it changed.

use mmu::address::{Pfn, VirtAddr};
use mmu::trace::{Action, Agent, Event};
use steps::one_page::{Entry, Step};
use steps::program::Line;
use steps::{CacheKind, Count, EntryOf};

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
        Step::Entry(_, EntryOf::Clear) => "pte[A]: none".to_owned(),
        Step::Entry(_, EntryOf::Set(Entry::Orig)) => "pte[A]: as before".to_owned(),
        Step::Entry(_, EntryOf::Set(entry @ Entry::Maps(..))) => format!("pte[A]: {entry}"),
        Step::Entry(_, EntryOf::Modify(change)) => format!("pte[A]: {change}"),
        Step::Invalidate(invalidation) => match invalidation.caches() {
            CacheKind::Cpus => "tlb[A]: -".to_owned(),
            CacheKind::Vcpus => "vtlb[A]: -".to_owned(),
            CacheKind::Devices | CacheKind::Iotlbs => "iotlb[A]: -".to_owned(),
            CacheKind::DeviceTlbs => "devtlb[A]: -".to_owned(),
            CacheKind::PasidCaches => "pasidc: -".to_owned(),
        },
        Step::NotifyStart(_) => "spte[A]: -, blocked".to_owned(),
        Step::NotifyEnd(_) => "spte[A]: may be filled".to_owned(),
        Step::ZapSpte(_) => "spte[A]: -".to_owned(),
        Step::SetSpte(_, entry) => format!("spte[A]: {entry}"),
        Step::Count(Count::Put | Count::Unpin, role) => format!("{role}: one reference less"),
        Step::Count(Count::Free, role) => format!("{role}: free"),
        Step::Count(
            Count::Alloc | Count::Get | Count::Pin | Count::Map | Count::Unmap | Count::MarkStable,
            _,
        )
        | Step::Entry(_, EntryOf::Read)
        | Step::Lock(..)
        | Step::Trylock(..)
        | Step::Unlock(_)
        | Step::Fence
        | Step::Enter(_)
        | Step::Leave(_)
        | Step::IpiSync
        | Step::SynchronizeRcu
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
        | Step::ChangePte(_)
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
        | Step::Copy(..) => String::new(),
    }
}
