//! What all programs of a scenario use, before any of them is lowered: it sizes the domains.
//!
//! Invariant: a count is at least what any run can reach, up to a limit; beyond it a run breaks the built-in property
//! `out of range` instead of wrapping.

use std::collections::BTreeSet;

use crate::language::span::Span;
use crate::language::syntax::{Lock, Scenario, Step};
use crate::language::vocabulary::Verb;

use super::habits::Habits;
use super::names::Names;
use super::options::Options;
use super::queue::{MOST_SLOTS, Posted};
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
            visit_steps(&agent.body, &mut |step, span, times| {
                survey.step(step, times);
                survey.post(step, span, times);
            });
        }
        if survey.contents.is_empty() {
            survey.contents.insert(0);
        }
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

    fn post(&mut self, step: &Step, span: Span, times: u32) {
        if !step.post {
            return;
        }
        self.posts = self.posts.saturating_add(times);
        let known = self.posted.iter().any(|one| one.agent == self.agent && one.step.text == step.text);
        if !known {
            self.posted.push(Posted { agent: self.agent, step: step.clone(), span });
        }
    }

    fn step(&mut self, step: &Step, times: u32) {
        self.contents.extend(step.value.as_ref().map(|value| value.node));
        match step.verb {
            Verb::Get | Verb::Pin | Verb::Map | Verb::GupFast | Verb::TryGet | Verb::Alloc => {
                self.gets = self.gets.saturating_add(times);
            }
            Verb::ZapSpte | Verb::SetSpte | Verb::FlushVcpus => self.explicit_shadow = true,
            Verb::IotlbInv | Verb::DevtlbInv | Verb::IotlbInvPasid | Verb::DevtlbInvPasid => {
                self.device_tlbs = true;
            }
            Verb::PageRequest => self.requested.extend(step.page.as_ref().map(|page| page.node.clone())),
            Verb::NotifyStart => self.starts = self.starts.saturating_add(times),
            Verb::Put | Verb::Unpin | Verb::Unmap | Verb::Free => self.frees = true,
            Verb::MarkStable => self.stabilizes = true,
            Verb::Lock | Verb::Trylock => self.locks.extend(step.lock.as_ref().map(Lock::text)),
            Verb::Unlock
            | Verb::Fence
            | Verb::IrqOff
            | Verb::IrqOn
            | Verb::IpiSync
            | Verb::RcuReadLock
            | Verb::RcuReadUnlock
            | Verb::SynchronizeRcu
            | Verb::PteRead
            | Verb::PteClear
            | Verb::SetPte
            | Verb::PteModify
            | Verb::PmdRead
            | Verb::PmdClear
            | Verb::SetPmd
            | Verb::PmdModify
            | Verb::FlushTlb
            | Verb::Notify
            | Verb::FlushTlbMm
            | Verb::NotifyMm
            | Verb::FlushPmd
            | Verb::NotifyPmd
            | Verb::SetPasid
            | Verb::PasidInv
            | Verb::InvWait
            | Verb::PageResponse
            | Verb::DrainRequests
            | Verb::NotifyEnd
            | Verb::ChangePte
            | Verb::Walk
            | Verb::Load
            | Verb::Store
            | Verb::DmaRead
            | Verb::DmaWrite
            | Verb::Write
            | Verb::Read
            | Verb::Copy => {}
        }
    }
}
