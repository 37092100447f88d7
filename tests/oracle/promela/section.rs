//! Interrupts, read sides, and who waits for them.
//!
//! Invariant: a round is a step that sends, and a step for each who must answer; its agent goes on when all have.
//! Source: docs/language.md, "Steps".

use super::Promela;
use super::command::Command;
use crate::oracle::flow::Place;
use crate::oracle::program::Statement;
use crate::oracle::setting::Place as Where;
use crate::oracle::step::{Invalidation, Scope, Step};

fn any(body: &[Statement], test: &dyn Fn(&Step) -> bool) -> bool {
    body.iter().any(|statement| match statement {
        Statement::Step(step) => test(step),
        Statement::Repeat(_, _, body) | Statement::Atomic(body) => any(body, test),
        Statement::If(_, then, other) => any(then, test) || any(other, test),
        Statement::Choice(branches) => branches.iter().any(|branch| any(branch, test)),
        Statement::Trylock(..)
        | Statement::Assign(..)
        | Statement::When(_)
        | Statement::Check(..)
        | Statement::Goto(_)
        | Statement::Label(_)
        | Statement::End => false,
    })
}

impl<'s> Promela<'s> {
    pub(super) fn does(&self, agent: usize, test: &dyn Fn(&Step) -> bool) -> bool {
        any(&self.scenario.agents[agent].body, test)
    }

    /// Who answers the interrupts of this agent's processor: its CPU, or it alone.
    fn target(&self, agent: usize) -> usize {
        match self.place(agent) {
            Where::Cpu(cpu) => cpu,
            Where::Nowhere | Where::Vcpu(_) | Where::Device(_) => self.scenario.cpus + agent,
        }
    }

    fn switches_off(&self, agent: usize) -> bool {
        self.does(agent, &|step| matches!(step, Step::IrqOff | Step::GupFast { .. }))
            || self.has_buffer(agent)
    }

    /// Whether anybody waits for those who have switched interrupts off.
    fn is_waited_for(&self) -> bool {
        self.says("ipi_sync") || self.says("synchronize_rcu") || self.option("flush", "ipi")
    }

    /// No interrupt waits for this agent's answer.
    fn answered(&self, agent: usize) -> String {
        let bit = 1 << self.target(agent);
        let all: Vec<_> =
            (0..self.scenario.agents.len()).map(|sender| format!("(ipi[{sender}] & {bit}) == 0")).collect();
        format!("({})", all.join(" && "))
    }

    pub(super) fn section(&self, command: Command, agent: usize, step: &Step) -> Command {
        let irq = matches!(step, Step::IrqOff | Step::IrqOn);
        let begins = matches!(step, Step::IrqOff | Step::RcuReadLock);
        let flag = format!("{}[{agent}]", if irq { "ioff" } else { "rcu" });
        let command = if irq && begins { command.when(&self.answered(agent)) } else { command };
        let inside = format!("{flag} == {}", u8::from(!begins));
        self.in_range(command, &inside).effect(&format!("{flag} = {}", u8::from(begins)))
    }

    pub(super) fn gup_begins(&self, command: Command, agent: usize) -> Command {
        match self.is_waited_for() {
            true => command.when(&self.answered(agent)).effect(&format!("ioff[{agent}] = ioff[{agent}] + 1")),
            false => command,
        }
    }

    pub(super) fn gup_ends(&self, command: Command, agent: usize) -> Command {
        match self.is_waited_for() {
            true => command.effect(&format!("ioff[{agent}] = ioff[{agent}] - 1")),
            false => command,
        }
    }

    /// Who can keep this sender waiting.
    fn targets_who_switch_off(&self, sender: usize) -> u16 {
        (0..self.scenario.agents.len())
            .filter(|agent| *agent != sender && self.switches_off(*agent))
            .fold(0, |mask, agent| mask | 1 << self.target(agent))
    }

    pub(super) fn ipi_sync(&mut self, agent: usize, place: &Place<'s>) {
        let round = self.rounds.len();
        self.rounds.push((agent, None));
        let mask = self.targets_who_switch_off(agent);
        self.commands.push(
            Self::command(agent, place, place.then)
                .when(&format!("ioff[{agent}] == 0"))
                .named("ipi_sync")
                .effect(&format!("ipi[{agent}] = {mask}"))
                .effect(&format!("ipiw[{agent}] = {round}")),
        );
    }

    pub(super) fn flush_by_ipi(&mut self, agent: usize, place: &Place<'s>, what: Invalidation, leaf: bool) {
        let round = self.rounds.len();
        self.rounds.push((agent, Some((what, leaf))));
        let mask = self.interrupted(agent, what);
        self.commands.push(
            Self::command(agent, place, place.then)
                .effect(&format!("ipi[{agent}] = {mask}"))
                .effect(&format!("ipiw[{agent}] = {round}")),
        );
    }

    /// Who is interrupted for a flush: whoever it reaches and may have something to forget, and who can keep others waiting,
    /// but for the CPUs that it passes over.
    fn interrupted(&self, agent: usize, what: Invalidation) -> u16 {
        let reached = self.reached(agent, what);
        let bit = |cpu: &usize| 1_u16 << cpu;
        let may_hold = reached.iter().filter(|cpu| what.tag().is_none_or(|tag| self.uses(**cpu, tag)));
        let passed_over = (0..self.scenario.cpus)
            .filter(|cpu| !reached.contains(cpu))
            .fold(0, |mask, cpu| mask | bit(&cpu));
        let mut waiting = self.targets_who_switch_off(agent) & !passed_over;
        // Who runs on no named CPU is nobody's to be named.
        if let Invalidation::FlushScoped(_, Scope::On(cpu)) = what {
            waiting &= bit(&cpu);
        }
        may_hold.fold(waiting, |mask, cpu| mask | bit(cpu))
    }

    pub(super) fn synchronize_rcu(&mut self, agent: usize, place: &Place<'s>) {
        let mask = (0..self.scenario.agents.len())
            .filter(|other| *other != agent && self.holds_up(*other))
            .fold(0, |mask, other| mask | 1 << other);
        self.commands.push(
            Self::command(agent, place, place.then)
                .when(&format!("ioff[{agent}] == 0 && rcu[{agent}] == 0"))
                .named("synchronize_rcu")
                .effect(&format!("gp[{agent}] = {mask}")),
        );
    }

    /// Whether this agent can hold up a grace period.
    fn holds_up(&self, agent: usize) -> bool {
        self.switches_off(agent) || self.does(agent, &|step| matches!(step, Step::RcuReadLock))
    }

    /// The answers to interrupts and grace periods.
    pub(super) fn answers(&mut self) {
        let agents = 0..self.scenario.agents.len();
        for sender in agents.clone() {
            if self.rounds.iter().any(|(agent, _)| *agent == sender) {
                for target in 0..self.scenario.cpus + self.scenario.agents.len() {
                    self.answer(sender, target);
                }
            }
            if self.does(sender, &|step| *step == Step::SynchronizeRcu) {
                let asked: Vec<_> = agents.clone().filter(|other| self.holds_up(*other)).collect();
                for other in asked {
                    let outside = format!(
                        "(gp[{sender}] & {}) != 0 && ioff[{other}] == 0 && rcu[{other}] == 0 && bn[{other}] == 0",
                        1 << other
                    );
                    let effect = format!("gp[{sender}] = (gp[{sender}] & {})", 0x7fff ^ (1 << other));
                    self.commands.push(Command::default().when(&outside).effect(&effect));
                }
            }
        }
    }

    fn answer(&mut self, sender: usize, target: usize) {
        let on: Vec<_> =
            (0..self.scenario.agents.len()).filter(|agent| self.target(*agent) == target).collect();
        if on.is_empty() && target >= self.scenario.cpus {
            return;
        }
        let bit = 1 << target;
        let mut command = Command::default().when(&format!("(ipi[{sender}] & {bit}) != 0"));
        for agent in on {
            command = command.when(&format!("ioff[{agent}] == 0")).when(&Self::is_empty(agent));
        }
        command = command.effect(&format!("ipi[{sender}] = (ipi[{sender}] & {})", 0x7fff ^ bit));
        for (number, (agent, flush)) in self.rounds.iter().enumerate() {
            let Some((what, leaf)) = flush else { continue };
            if *agent == sender && target < self.scenario.cpus {
                let lines = self.reach(sender, *what, *leaf, Some(target)).join("; ");
                command = command
                    .effect(&format!("if :: (ipiw[{sender}] == {number}) -> {lines} :: else -> skip fi"));
            }
        }
        self.commands.push(command);
    }
}
