//! What others must know of an agent before any program is lowered: the locks it shares, the sections it enters.
//!
//! Invariant: what an agent is not said to do here, no step of it does; so nobody waits for those who need not answer.

use std::collections::BTreeSet;

use crate::language::syntax::{Agent, Lock, LockMode, Scenario, Step, UserKind};
use crate::language::vocabulary::Verb;

use super::buffer::Buffer;
use super::names::{Meaning, Names, UserId};
use super::options::{Flush, Options};
use super::round::Party;
use super::state::AgentId;
use super::stores::{Shared, buffer};
use super::visit::visit_steps;

/// A stretch of a program that others can wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Section {
    /// Its interrupts are off.
    Interrupts,
    /// It reads under RCU.
    Rcu,
}

/// One agent's.
#[derive(Clone, Debug, Default)]
pub(super) struct Habits {
    /// The CPU it runs on.
    pub(super) cpu: Option<UserId>,
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
        let mut habits = Self { cpu: cpu(agent, names), ..Self::default() };
        visit_steps(&agent.body, &mut |step, _, _| habits.step(step, options));
        habits
    }

    /// Who answers an interrupt for the agent.
    pub(super) fn party(&self, agent: AgentId) -> Party {
        self.cpu.map_or(Party::CpuOf(agent), Party::Cpu)
    }

    fn step(&mut self, step: &Step, options: Options) {
        let flushes = [Verb::FlushTlb, Verb::FlushTlbMm, Verb::FlushPmd].contains(&step.verb);
        self.interrupts |= step.verb == Verb::IpiSync || (flushes && options.flush == Flush::Ipi);
        self.waits_for_readers |= step.verb == Verb::SynchronizeRcu;
        self.gup_masks |= step.verb == Verb::GupFast;
        self.sections.extend((step.verb == Verb::IrqOff).then_some(Section::Interrupts));
        self.sections.extend((step.verb == Verb::RcuReadLock).then_some(Section::Rcu));
        let shared = step.lock.as_ref().filter(|lock| lock.mode == LockMode::Shared);
        self.shares.extend(shared.map(Lock::text));
    }
}

fn cpu(agent: &Agent, names: &Names) -> Option<UserId> {
    let Some(Meaning::User(user)) = names.meaning(&agent.place().node) else { return None };
    (names.kinds[user.0] == UserKind::Cpu).then_some(user)
}
