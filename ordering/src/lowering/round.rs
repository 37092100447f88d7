//! Waiting for others: somebody sends, everybody answers when he can, and then the sender goes on.
//!
//! Invariant: one step sends to all at once; the answers come in any order, each as a step of its own. Who enters a section
//! after he has answered is not waited for. Source: smp_call_function_many_cond, synchronize_rcu.

use std::collections::HashSet;

use steps::Section;

use crate::language::syntax::UserKind;
use crate::model::{Guard, Update, Var};

use super::buffer::Route;
use super::deed::{Part, Party};
use super::emitter::Emitter;

use super::program::{Goal, Way};
use super::state::{AgentId, Key, number};
use super::step::At;
use super::tags::Case;

/// Somebody who must answer.
pub(super) struct Answer {
    pub(super) party: Party,
    /// When he can.
    pub(super) ready: Vec<Guard>,
    /// What he does then, in each case.
    pub(super) cases: Vec<Case>,
}

/// He answers, and that is all.
fn nothing() -> Vec<Case> {
    vec![(Vec::new(), Vec::new())]
}

impl Answer {
    fn matters(&self) -> bool {
        !self.ready.is_empty() || self.cases.iter().any(|(_, updates)| !updates.is_empty())
    }
}

impl Emitter<'_> {
    /// The step `at` as a round in which all of `answers` are awaited, by a sender who is in none of `sections` himself.
    pub(super) fn round(&mut self, answers: Vec<Answer>, sections: &[Section], at: &At<'_>) {
        let outside = self.outside(self.own.agent, sections);
        // Who can always answer and then does nothing is not asked.
        let answers: Vec<Answer> = answers.into_iter().filter(Answer::matters).collect();
        if answers.is_empty() {
            self.step(vec![at.way(outside, Vec::new())], at.line);
            return;
        }
        let me = self.own.agent;
        let awaited: Vec<Var> =
            answers.iter().map(|answer| self.state.var(&Key::Awaits(me, answer.party))).collect();
        let sent = awaited.iter().map(|var| Update::Set(*var, 1)).collect();
        let list = number(self.out.asked.len());
        self.out.asked.push(answers.iter().map(|answer| answer.party).collect());
        let send = Way::new(outside, sent, format!("{}: send", at.text)).part(Part::Send(list));
        self.step(vec![send], at.line);
        self.manner.route = Route::Memory;
        let mut ways = Vec::new();
        for (answer, var) in answers.into_iter().zip(&awaited) {
            let others: Vec<Var> = awaited.iter().filter(|other| *other != var).copied().collect();
            ways.extend(self.answered(&answer, *var, &others, at));
        }
        self.step(ways, at.line);
    }

    /// The last answer goes on.
    fn answered(&self, answer: &Answer, var: Var, others: &[Var], at: &At<'_>) -> Vec<Way> {
        let d = &self.state.domains;
        let name = match answer.party {
            Party::Cpu(user) => &d.users[user.0],
            Party::CpuOf(agent) | Party::Reader(agent) => &d.agents[agent],
        };
        let text = format!("{}: {name} answers", at.text);
        let none: Vec<Guard> = others.iter().map(|other| Guard::Is(*other, 0)).collect();
        let mut ways = Vec::new();
        for (when, done) in &answer.cases {
            let guard = [&[Guard::Is(var, 1)], answer.ready.as_slice(), when].concat();
            let updates = [done.as_slice(), &[Update::Set(var, 0)]].concat();
            let way = |more: &[Guard], last: bool| {
                let way = Way::new([guard.as_slice(), more].concat(), updates.clone(), text.as_str());
                way.part(Part::Answer(answer.party, last))
            };
            ways.push(way(&none, true).happening(at.happening()));
            for (index, other) in others.iter().enumerate() {
                let first = [&none[..index], &[Guard::Is(*other, 1)]].concat();
                ways.push(way(&first, false).to(Goal::Stay));
            }
        }
        ways
    }

    /// That an agent is in none of `sections`.
    pub(super) fn outside(&mut self, agent: AgentId, sections: &[Section]) -> Vec<Guard> {
        let entered: Vec<Section> = sections
            .iter()
            .filter(|section| self.scope.habits()[agent].sections.contains(section))
            .copied()
            .collect();
        let free = |section| Guard::Is(self.state.var(&Key::Section(section, agent)), 0);
        entered.into_iter().map(free).collect()
    }

    /// When an agent can answer: an interrupt and a quiescent state empty its store buffer, too.
    fn able(&mut self, agent: AgentId, sections: &[Section]) -> Vec<Guard> {
        let mut guard = self.outside(agent, sections);
        guard.extend(self.state.buffer(agent).is_empty());
        guard
    }

    /// The answers of all CPUs to an interrupt. A CPU can when the interrupts of all that run on it are on.
    pub(super) fn interrupted(&mut self) -> Vec<Answer> {
        let habits = self.scope.habits();
        let mut parties: Vec<Party> = self.scope.names.users_of(UserKind::Cpu).map(Party::Cpu).collect();
        parties.extend(
            (0..habits.len())
                .filter(|agent| *agent != self.own.agent)
                .map(|agent| habits[agent].party(agent)),
        );
        let mut seen = HashSet::new();
        parties.retain(|party| seen.insert(*party));
        let mut answers = Vec::new();
        for party in parties {
            let others = (0..habits.len()).filter(|agent| *agent != self.own.agent);
            let on_it: Vec<AgentId> = others.filter(|agent| habits[*agent].party(*agent) == party).collect();
            let ready =
                on_it.into_iter().flat_map(|agent| self.able(agent, &[Section::Interrupts])).collect();
            answers.push(Answer { party, ready, cases: nothing() });
        }
        answers
    }

    /// The answers of those who read under RCU.
    pub(super) fn read(&mut self, sections: &[Section]) -> Vec<Answer> {
        let (habits, me) = (self.scope.habits(), self.own.agent);
        let others = (0..habits.len()).filter(|agent| *agent != me);
        let answer = |agent| Answer {
            party: Party::Reader(agent),
            ready: self.able(agent, sections),
            cases: nothing(),
        };
        others.map(answer).collect()
    }

    /// That no interrupt waits for this agent's CPU: it would come before the CPU can switch interrupts off.
    pub(super) fn undisturbed(&mut self) -> Vec<Guard> {
        let party = self.scope.habits()[self.own.agent].party(self.own.agent);
        let senders: Vec<AgentId> = (0..self.scope.habits().len())
            .filter(|agent| *agent != self.own.agent && self.scope.habits()[*agent].interrupts)
            .collect();
        senders.into_iter().map(|sender| Guard::Is(self.state.var(&Key::Awaits(sender, party)), 0)).collect()
    }
}
