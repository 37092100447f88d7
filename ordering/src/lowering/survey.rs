//! What all programs of a scenario use, before any of them is lowered: it sizes the domains.
//!
//! Invariant: a count is at least what any run can reach, up to a limit; beyond it a run breaks the built-in property
//! `out of range` instead of wrapping.

use std::collections::BTreeSet;

use steps::{CacheKind, Count};

use crate::language::span::Span;
use crate::language::syntax::{Scenario, Spoken, Step};

use super::habits::Habits;
use super::names::Names;
use super::options::Options;
use super::queue::{MOST_SLOTS, Posted, Work};
use super::state::AgentId;
use super::visit::visit_steps;

/// Counts of references and of open ranges at most.
const MOST_COUNT: u32 = 15;

/// What is used.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    /// Every content that can occur.
    pub(super) contents: BTreeSet<u32>,
    /// What each agent does.
    pub(super) habits: Vec<Habits>,
    /// Locks that somebody takes.
    pub(super) locks: Vec<String>,
    /// Whether any step tells device TLBs from IOTLBs.
    pub(super) device_tlbs: bool,
    /// What is posted, each kind once for an agent.
    pub(super) posted: Vec<Posted>,
    /// How often anything is posted.
    pub(super) posts: u32,
    /// Whose program is looked at.
    agent: AgentId,
    /// Whether programs zap and set shadow entries themselves.
    pub(super) explicit_shadow: bool,
    /// Whether PASID entries are written by halves.
    pub(super) pasid_halves: bool,
    /// Devices that are taken away.
    pub(super) unplugged: BTreeSet<String>,
    /// Pages that a device requests.
    pub(super) requested: BTreeSet<String>,
    /// Whether any frame can be freed.
    pub(super) frees: bool,
    /// Whether any frame can become a KSM page.
    pub(super) stabilizes: bool,
    /// References that can be taken.
    pub(super) gets: u32,
    /// Ranges that can be opened.
    pub(super) starts: u32,
}

impl Survey {
    /// Of all agents of `scenario`.
    pub(super) fn new(scenario: &Scenario, names: &Names, options: Options) -> Self {
        let mut survey = Self { habits: Habits::of_all(scenario, names, options), ..Self::default() };
        survey.contents.extend(scenario.frames.iter().map(|frame| frame.content));
        for (index, agent) in scenario.agents.iter().enumerate() {
            survey.agent = index;
            visit_steps(&agent.body, &mut |spoken, span, times| {
                survey.step(&spoken.step, times);
                survey.post(spoken, span, times);
            });
        }
        if survey.contents.is_empty() {
            survey.contents.insert(0);
        }
        survey.explicit_shadow |= !scenario.shadows.is_empty();
        survey.frees |= scenario.frames.iter().any(|frame| frame.free);
        survey
    }

    /// The largest count of references, if a frame starts with at most `initial`.
    pub(super) fn most_refs(&self, initial: u32) -> u32 {
        initial.saturating_add(self.gets).clamp(1, MOST_COUNT.max(initial))
    }

    /// The largest count of open ranges.
    pub(super) fn most_ranges(&self) -> u32 {
        self.starts.clamp(1, MOST_COUNT)
    }

    /// The entries that the queue needs.
    pub(super) fn slots(&self) -> u32 {
        self.posts.min(MOST_SLOTS)
    }

    fn post(&mut self, spoken: &Spoken, span: Span, times: u32) {
        let Some(work) = Work::of(&spoken.step) else { return };
        self.posts = self.posts.saturating_add(times);
        let text = work.text(&spoken.text);
        let known = self.posted.iter().any(|one| one.agent == self.agent && one.text == text);
        if !known {
            self.posted.push(Posted { agent: self.agent, work, text, span });
        }
    }

    fn step(&mut self, step: &Step, times: u32) {
        match step {
            Step::Count(Count::Get | Count::Pin | Count::Map | Count::Alloc, _)
            | Step::GupFast { .. }
            | Step::TryGet { .. } => self.gets = self.gets.saturating_add(times),
            Step::Count(Count::Put | Count::Unpin | Count::Unmap | Count::Free, _) => self.frees = true,
            Step::Count(Count::MarkStable, _) => self.stabilizes = true,
            Step::ZapSpte(_) | Step::SetSpte(..) | Step::ZapSpmd(_) | Step::SetSpmd(..) => {
                self.explicit_shadow = true;
            }
            Step::Invalidate(invalidation) => match invalidation.caches() {
                CacheKind::Vcpus => self.explicit_shadow = true,
                CacheKind::Iotlbs | CacheKind::DeviceTlbs => self.device_tlbs = true,
                CacheKind::Cpus | CacheKind::Devices | CacheKind::PasidCaches => {}
            },
            Step::Store(_, value) | Step::DmaWrite(_, value) | Step::Write(_, value) => {
                self.contents.insert(value.node);
            }
            Step::SetPasidHalf(..) => self.pasid_halves = true,
            Step::Unplug(device) => drop(self.unplugged.insert(device.node.clone())),
            Step::PageRequest(page) => drop(self.requested.insert(page.node.clone())),
            Step::NotifyStart(_) => self.starts = self.starts.saturating_add(times),
            Step::Lock(lock, _) | Step::Trylock(lock, ..) => self.locks.push(lock.text()),
            Step::Unlock(_)
            | Step::Fence
            | Step::Enter(_)
            | Step::Leave(_)
            | Step::IpiSync
            | Step::SynchronizeRcu
            | Step::Entry(..)
            | Step::Switch(..)
            | Step::SetPasid(..)
            | Step::InvWait(..)
            | Step::PageResponse(_)
            | Step::DrainRequests
            | Step::NotifyEnd(_)
            | Step::ChangePte(_)
            | Step::Walk(_)
            | Step::Load(_)
            | Step::Peek { .. }
            | Step::Forget(_)
            | Step::DmaRead(_)
            | Step::Read(_)
            | Step::Copy(..) => {}
        }
    }
}
