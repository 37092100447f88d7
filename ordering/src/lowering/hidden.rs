//! Agents that no scenario writes: hardware that acts by itself.
//!
//! Invariant: each has one instruction, which it takes again and again, or never; its name is no other agent's. They come
//! behind all agents of the scenario.

use std::collections::BTreeMap;

use crate::language::{Code, Diagnostic};

use super::Lowering;
use super::deed::Act;
use super::emitter::{Emitter, Properties};
use super::names::{PageId, UserId};
use super::possible::Emitted;
use super::queue::QUEUE;

impl Lowering<'_> {
    /// Those that this scenario needs; the programs of its own agents are known.
    pub(super) fn hidden_agents(&mut self, properties: Properties) -> Result<Vec<Emitted>, Diagnostic> {
        let mut found = Vec::new();
        if !self.survey.posted.is_empty() {
            found.push(self.hidden(QUEUE.to_owned(), properties, |emitter| emitter.perform())?);
        }
        for agent in 0..self.survey.habits.len() {
            if !self.state.buffer(agent).0.is_empty() {
                let name = format!("{}_buffer", self.scenario.agents[agent].name.node);
                found.push(self.hidden(name, properties, |emitter| emitter.reach_memory(agent))?);
            }
        }
        if self.options.speculation {
            for (user, pages) in self.walked() {
                let name = format!("{}_walker", self.scenario.users[user.0].name.node);
                found.push(self.hidden(name, properties, |emitter| emitter.speculate(user, &pages))?);
            }
        }
        Ok(found)
    }

    fn hidden(
        &mut self,
        name: String,
        properties: Properties,
        emit: impl FnOnce(&mut Emitter<'_>) -> Result<(), Diagnostic>,
    ) -> Result<Emitted, Diagnostic> {
        if let Some(taken) = self.scenario.agents.iter().find(|agent| agent.name.node == name) {
            let message = format!("`{name}` is hardware that acts by itself");
            return Err(Diagnostic::new(
                Code::HardwareName,
                taken.name.span,
                message,
                "give the agent another name",
            ));
        }
        let mut emitter = self.emitter(self.scenario.agents.len(), &name, properties);
        emit(&mut emitter)?;
        emitter.does(0, Act::Hardware);
        Ok(Emitted { name, spontaneous: true, out: emitter.out })
    }

    /// The pages that each user's programs translate. Nobody could tell what is cached of the others.
    fn walked(&self) -> BTreeMap<UserId, Vec<PageId>> {
        let mut found: BTreeMap<UserId, Vec<PageId>> = BTreeMap::new();
        for (user, page) in &self.state.walked {
            found.entry(*user).or_default().push(*page);
        }
        found
    }
}
