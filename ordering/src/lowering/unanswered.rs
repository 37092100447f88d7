//! Devices that are taken away, and invalidations that nobody answers.
//!
//! Invariant: a device that is gone does nothing, and what waits for its answer waits for ever; with `option timeout` what
//! was posted is given up instead, and with it the wait of everybody who has something in the queue: hardware completes no
//! wait that was pending then. Source: VT-d 6.5.2.11 (device-TLB invalidation time-outs), drivers/iommu/intel/dmar.c
//! qi_check_fault; SMMUv3 CERROR_ATC_INV_SYNC.

use steps::Invalidation;

use crate::language::span::Name;
use crate::language::syntax::{UserKind, Words};
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update, Var};

use super::deed::Part;
use super::emitter::Emitter;
use super::hardware::Level;
use super::names::{PageId, UserId};
use super::options::Timeout;
use super::program::{Goal, MOST_CASES, Way};
use super::queue::Posted;
use super::state::{AgentId, Key, NONE, number};
use super::step::At;
use super::step::invalidation::levels;

impl Emitter<'_> {
    /// That `user` has not been taken away, if anybody ever takes it.
    pub(super) fn is_present(&mut self, user: UserId) -> Option<Guard> {
        let taken = self.scope.survey.unplugged.contains(&self.scope.scenario.users[user.0].name.node);
        taken.then(|| Guard::Is(self.state.var(&Key::Gone(user)), 0))
    }

    /// The agent's ways, as long as the device that it is has not been taken away.
    pub(super) fn while_present(&mut self, mut ways: Vec<Way>) -> Vec<Way> {
        let present = self.own.user.and_then(|user| self.is_present(user));
        ways.iter_mut().for_each(|way| way.guard.extend(present));
        ways
    }

    /// The devices among `users` that must answer an invalidation of `levels`.
    fn answering(&self, levels: &[Level], users: &[UserId]) -> Vec<UserId> {
        let asked = levels.contains(&Level::DeviceTlb);
        users.iter().copied().filter(|user| asked && self.scope.scenario.users[user.0].ats).collect()
    }

    /// That whoever must answer is there.
    pub(super) fn present(&mut self, levels: &[Level], users: &[UserId]) -> Vec<Guard> {
        let answering = self.answering(levels, users);
        answering.into_iter().filter_map(|user| self.is_present(user)).collect()
    }

    /// Whether the wait of `agent` will not be answered, if that can be.
    pub(super) fn aborted(&mut self, agent: AgentId) -> Option<Var> {
        (self.scope.options.timeout != Timeout::Never).then(|| self.state.var(&Key::Aborted(agent)))
    }

    /// The ways in which the hardware gives up the work `value` in the slot `first`.
    pub(super) fn time_out(
        &mut self,
        posted: &Posted,
        invalidation: &Invalidation<Words>,
        first: usize,
        value: u32,
    ) -> Result<Vec<Way>, Diagnostic> {
        let Some(own) = self.aborted(posted.agent) else { return Ok(Vec::new()) };
        let (_, users) = self.reach(invalidation, posted.span)?;
        let answering = self.answering(levels(invalidation), &users);
        let late: Vec<Vec<Guard>> = match self.scope.options.timeout {
            Timeout::Never => Vec::new(),
            Timeout::Gone => {
                answering.into_iter().filter_map(|user| self.is_gone(user)).map(|gone| vec![gone]).collect()
            }
            Timeout::Late => answering.first().map(|_| Vec::new()).into_iter().collect(),
        };
        let slots = self.slots();
        let mut cases = vec![(vec![Guard::Is(slots.0[first], value)], vec![Update::Set(own, 1)])];
        for agent in self.others_that_post(posted.agent) {
            let pending = self.pending(agent, &slots.0);
            if cases.len() * pending.len() > MOST_CASES {
                let message = format!(
                    "giving this up has more than {MOST_CASES} cases: one for each wait that it aborts"
                );
                let help = "let fewer agents post, or leave `option timeout` out";
                return Err(Diagnostic::new(Code::TooManyCases, posted.span, message, help));
            }
            cases = cases
                .iter()
                .flat_map(|(guard, updates)| {
                    pending.iter().map(move |(more, aborts)| {
                        ([guard.as_slice(), more].concat(), [updates.as_slice(), aborts].concat())
                    })
                })
                .collect();
        }
        let text = format!("{}: times out", posted.text);
        let mut ways = Vec::new();
        for late in late {
            for (guard, aborts) in &cases {
                let updates = [aborts.as_slice(), &slots.take(first)].concat();
                let mut way = Way::new([guard.as_slice(), &late].concat(), updates, text.as_str());
                way.goal = Goal::Stay;
                way.part = Part::TimesOut(value - 1, number(first));
                ways.push(way);
            }
        }
        Ok(ways)
    }

    fn is_gone(&mut self, user: UserId) -> Option<Guard> {
        self.is_present(user).map(|_| Guard::Is(self.state.var(&Key::Gone(user)), 1))
    }

    fn others_that_post(&self, agent: AgentId) -> Vec<AgentId> {
        let mut others: Vec<AgentId> = self.scope.survey.posted.iter().map(|one| one.agent).collect();
        others.sort_unstable();
        others.dedup();
        others.retain(|other| *other != agent);
        others
    }

    /// Where `agent` has something in the queue, whose wait is given up, or has nothing there.
    fn pending(&mut self, agent: AgentId, slots: &[Var]) -> Vec<(Vec<Guard>, Vec<Update>)> {
        let works = self.works(agent);
        let none = |slots: &[Var]| {
            let not = |slot: &Var| works.iter().map(|work| Guard::IsNot(*slot, *work)).collect::<Vec<_>>();
            slots.iter().flat_map(not).collect::<Vec<_>>()
        };
        let aborts: Vec<Update> =
            self.aborted(agent).map(|aborted| Update::Set(aborted, 1)).into_iter().collect();
        let mut cases = vec![(none(slots), Vec::new())];
        for (index, slot) in slots.iter().enumerate() {
            for work in &works {
                let first = [none(&slots[..index]), vec![Guard::Is(*slot, *work)]].concat();
                cases.push((first, aborts.clone()));
            }
        }
        cases
    }

    /// `unplug D`: what the device has on its way never lands.
    pub(super) fn unplug(&mut self, device: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        let user = self.scope.names.user(device)?;
        if self.scope.names.kinds[user.0] != UserKind::Device {
            let message = format!("`{device}` is no device, and stays where it is");
            return Err(Diagnostic::new(
                Code::WrongUser,
                device.span,
                message,
                "name one that was declared with `device`",
            ));
        }
        let mut updates = vec![Update::Set(self.state.var(&Key::Gone(user)), 1)];
        let (habits, scenario) = (self.scope.habits(), self.scope.scenario);
        for (id, page) in (0..).map(PageId).zip(&scenario.pages) {
            let lost = (0..habits.len())
                .filter(|agent| self.scope.options.split_dma && habits[*agent].accesses(user, &page.node));
            updates.extend(lost.map(|agent| Update::Set(self.state.var(&Key::Dma(agent, id)), NONE)));
        }
        self.step(vec![at.way(Vec::new(), updates)], at.line);
        Ok(())
    }
}
