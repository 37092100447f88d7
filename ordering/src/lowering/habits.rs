//! What others must know of an agent before any program is lowered: the locks it shares, the sections it enters.
//!
//! Invariant: what an agent is not said to do here, no step of it does; so nobody waits for those who need not answer.

use std::collections::BTreeSet;

use steps::{CacheKind, LockMode, Scope, Section};

use crate::language::syntax::{Agent, Scenario, Step, UserKind};

use super::buffer::Buffer;
use super::deed::Party;
use super::names::{ANY, Meaning, Names, UserId};
use super::options::{Flush, Options};
use super::state::AgentId;
use super::stores::{Shared, buffer};
use super::visit::visit_steps;

/// One agent's.
#[derive(Clone, Debug, Default)]
pub(super) struct Habits {
    /// The CPU it runs on.
    pub(super) cpu: Option<UserId>,
    /// The device it is,
    device: Option<UserId>,
    /// and the pages that it accesses, by name.
    dma: BTreeSet<String>,
    /// Locks that it shares with others.
    pub(super) shares: BTreeSet<String>,
    /// Sections that it enters.
    pub(super) sections: BTreeSet<Section>,
    /// Its store buffer, without slots if it has none.
    pub(super) buffer: Buffer,
    /// Whether it interrupts other CPUs.
    pub(super) interrupts: bool,
    waits_for_readers: bool,
    /// Whether `gup_fast` switches interrupts off and on: if somebody waits for that, and the program does not itself.
    pub(super) gup_masks: bool,
}

impl Habits {
    /// Those of every agent, in order.
    pub(super) fn of_all(scenario: &Scenario, names: &Names, options: Options) -> Vec<Self> {
        let mut all: Vec<Self> =
            scenario.agents.iter().map(|agent| Self::of(agent, names, options)).collect();
        if options.store_buffers {
            let shared = Shared::of(scenario, names);
            for (habits, agent) in all.iter_mut().zip(&scenario.agents) {
                habits.buffer = buffer(agent, names, &shared);
            }
        }
        let awaited = all.iter().any(|habits| habits.interrupts || habits.waits_for_readers);
        for habits in &mut all {
            habits.gup_masks &= awaited && !habits.sections.contains(&Section::Interrupts);
            habits.sections.extend(habits.gup_masks.then_some(Section::Interrupts));
        }
        all
    }

    fn of(agent: &Agent, names: &Names, options: Options) -> Self {
        let (cpu, device) = (on(agent, names, UserKind::Cpu), on(agent, names, UserKind::Device));
        let mut habits = Self { cpu, device, ..Self::default() };
        visit_steps(&agent.body, &mut |spoken, _, _| habits.step(&spoken.step, options));
        habits
    }

    /// Who answers an interrupt for the agent.
    pub(super) fn party(&self, agent: AgentId) -> Party {
        self.cpu.map_or(Party::CpuOf(agent), Party::Cpu)
    }

    /// Whether the agent is that device and accesses the page with that name.
    pub(super) fn accesses(&self, device: UserId, page: &str) -> bool {
        self.device == Some(device) && (self.dma.contains(page) || self.dma.contains(ANY))
    }

    fn step(&mut self, step: &Step, options: Options) {
        match step {
            Step::IpiSync => self.interrupts = true,
            Step::Invalidate(invalidation) => {
                let is_sent = invalidation.scope != Scope::Own && invalidation.caches() == CacheKind::Cpus;
                self.interrupts |= options.flush == Flush::Ipi && is_sent;
            }
            Step::SynchronizeRcu => self.waits_for_readers = true,
            Step::GupFast { .. } => self.gup_masks = true,
            Step::DmaRead(page) | Step::DmaWrite(page, _) => drop(self.dma.insert(page.node.clone())),
            Step::Enter(section) => drop(self.sections.insert(*section)),
            Step::Lock(lock, LockMode::Shared) | Step::Trylock(lock, LockMode::Shared, _) => {
                self.shares.insert(lock.text());
            }
            Step::Lock(_, LockMode::Exclusive)
            | Step::Trylock(_, LockMode::Exclusive, _)
            | Step::Unlock(_)
            | Step::Fence
            | Step::Leave(_)
            | Step::Entry(..)
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
            | Step::TryGet { .. }
            | Step::Peek { .. }
            | Step::Forget(_)
            | Step::Write(..)
            | Step::Read(_)
            | Step::Copy(..)
            | Step::Count(..) => {}
        }
    }
}

/// Where the agent runs, if that is of such a kind.
fn on(agent: &Agent, names: &Names, kind: UserKind) -> Option<UserId> {
    let Some(Meaning::User(user)) = names.meaning(&agent.place().node) else { return None };
    (names.kinds[user.0] == kind).then_some(user)
}
