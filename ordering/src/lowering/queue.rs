//! The invalidation queue: what is posted is done later, by the hardware.
//!
//! Invariant: what is posted stays in the queue until the hardware has done it, and it does one at a time: any of them,
//! or (`option queue = ordered`) the oldest. Whoever waits goes on when nothing of his own is left; a full queue makes
//! the next one wait. Source: VT-d queued invalidation, SMMUv3 command queue, TLBI and DSB of arm64.

use crate::language::Diagnostic;
use crate::language::span::Span;
use crate::language::syntax::Step;
use crate::model::{Agent, Guard, Update, Var};

use super::Lowering;
use super::agent::{Emitter, Properties};
use super::program::Goal;
use super::state::{AgentId, Key, number};
use super::step::At;

/// The agent that does what is posted.
pub(super) const QUEUE: &str = "queue";

/// Entries of the queue at most.
pub(super) const MOST_SLOTS: u32 = 6;

/// An invalidation that an agent posts somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Posted {
    pub(super) agent: AgentId,
    pub(super) step: Step,
    pub(super) span: Span,
}

impl Posted {
    /// As it is done.
    pub(super) fn text(&self) -> &str {
        self.step.text.strip_suffix(" post").unwrap_or(&self.step.text)
    }
}

impl Emitter<'_> {
    fn slots(&mut self) -> Vec<Var> {
        (0..self.state.domains.slots).map(|slot| self.state.var(&Key::Slot(slot))).collect()
    }

    /// Puts the step behind everything that is in the queue.
    pub(super) fn post(&mut self, at: &At<'_>) {
        let posted = self
            .survey
            .posted
            .iter()
            .position(|one| one.agent == self.agent && one.step.text == at.step.text);
        let value = number(posted.unwrap_or(0)) + 1;
        let slots = self.slots();
        let mut ways = Vec::new();
        for (index, slot) in slots.iter().enumerate() {
            let before = index.checked_sub(1).map(|before| Guard::IsNot(slots[before], 0));
            let guard = before.into_iter().chain([Guard::Is(*slot, 0)]).collect();
            ways.push(at.way(guard, vec![Update::Set(*slot, value)]));
        }
        self.step(ways, at.line);
    }

    /// `inv_wait`: until nothing that this agent has posted is left.
    pub(super) fn wait(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let own: Vec<u32> = (1..)
            .zip(&self.survey.posted)
            .filter(|(_, one)| one.agent == self.agent)
            .map(|(value, _)| value)
            .collect();
        if own.is_empty() {
            let message = format!("`{}` has nothing to wait for: it posts no invalidation", self.name);
            return Err(Diagnostic::new(
                at.span,
                message,
                "write `iotlb_inv A post` before it, or leave it out",
            ));
        }
        let slots = self.slots();
        let left = |slot: &Var| own.iter().map(|value| Guard::IsNot(*slot, *value)).collect::<Vec<_>>();
        self.step(vec![at.way(slots.iter().flat_map(left).collect(), Vec::new())], at.line);
        Ok(())
    }

    /// The hardware's one instruction: do something that is in the queue.
    fn perform(&mut self) -> Result<(), Diagnostic> {
        let slots = self.slots();
        let reach = if self.options.ordered_queue { 1 } else { slots.len() };
        let mut ways = Vec::new();
        for (value, posted) in (1..).zip(&self.survey.posted) {
            let step = Step { text: posted.text().to_owned(), post: false, ..posted.step.clone() };
            let at = At { step: &step, span: posted.span, line: posted.span.line(self.source) };
            let effects = self.emptied(&at)?;
            for first in 0..reach {
                let guard = vec![Guard::Is(slots[first], value)];
                let way = at.way(guard, [effects.as_slice(), &closed_up(&slots[first..])].concat());
                ways.push(way.to(Goal::Stay));
            }
        }
        self.step(ways, 0);
        Ok(())
    }
}

/// The first of the slots is given up, and the ones behind it move up.
fn closed_up(slots: &[Var]) -> Vec<Update> {
    let moved = slots.windows(2).map(|pair| Update::Copy { to: pair[0], from: pair[1] });
    moved.chain(slots.last().map(|last| Update::Set(*last, 0))).collect()
}

impl Lowering<'_> {
    /// The hardware behind the queue, if anything is posted.
    pub(super) fn queue(&mut self, built_in: Properties) -> Result<Option<Agent>, Diagnostic> {
        if self.survey.posted.is_empty() {
            return Ok(None);
        }
        if let Some(taken) = self.scenario.agents.iter().find(|agent| agent.name.node == QUEUE) {
            let message = format!("`{QUEUE}` is the hardware that does what is posted");
            return Err(Diagnostic::new(taken.name.span, message, "give the agent another name"));
        }
        let mut emitter = self.emitter(self.scenario.agents.len(), QUEUE, built_in);
        emitter.perform()?;
        let program = emitter.builder.finish(true);
        Ok(Some(Agent { name: QUEUE.to_owned(), program, spontaneous: true }))
    }
}
