//! The invalidation queue: what is posted is done later, by the hardware.
//!
//! Invariant: what is posted stays in the queue until the hardware has done it, and it does one at a time: any of them,
//! or (`option queue = ordered`) the oldest. Whoever waits goes on when nothing of his own is left; a full queue makes
//! the next one wait. Source: VT-d queued invalidation, SMMUv3 command queue, TLBI and DSB of arm64.

use steps::Invalidation;

use crate::language::Diagnostic;
use crate::language::span::Span;
use crate::language::syntax::Words;
use crate::model::{Guard, Var};

use super::agent::Emitter;
use super::fifo::Fifo;
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
    pub(super) invalidation: Invalidation<Words>,
    /// As it is posted.
    pub(super) text: String,
    pub(super) span: Span,
}

impl Posted {
    /// As it is done.
    pub(super) fn text(&self) -> &str {
        self.text.strip_suffix(" post").expect("what is posted says so at its end")
    }
}

impl Emitter<'_> {
    fn slots(&mut self) -> Fifo {
        Fifo((0..self.state.domains.slots).map(|slot| self.state.var(&Key::Slot(slot))).collect())
    }

    /// Puts the step behind everything that is in the queue.
    pub(super) fn post(&mut self, at: &At<'_>) {
        let posted = self.survey.posted.iter().position(|one| one.agent == self.agent && one.text == at.text);
        let value = number(posted.expect("the survey has seen whatever is posted")) + 1;
        let ways = self.slots().append(value).map(|(room, update)| at.way(room, vec![update])).collect();
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
        self.step(vec![at.way(slots.0.iter().flat_map(left).collect(), Vec::new())], at.line);
        Ok(())
    }

    /// The hardware's one instruction: do something that is in the queue.
    pub(super) fn perform(&mut self) -> Result<(), Diagnostic> {
        let slots = self.slots();
        let reach = if self.options.ordered_queue { 1 } else { slots.0.len() };
        let mut ways = Vec::new();
        for (value, posted) in (1..).zip(&self.survey.posted) {
            let verb = posted.invalidation.verb();
            let at = At { verb, text: posted.text(), span: posted.span, line: posted.span.line };
            let (waits, effects) = self.emptied(&posted.invalidation, posted.span)?;
            for first in 0..reach {
                let guard = [&[Guard::Is(slots.0[first], value)], waits.as_slice()].concat();
                let way = at.way(guard, [effects.as_slice(), &slots.take(first)].concat());
                ways.push(way.to(Goal::Stay));
            }
        }
        self.step(ways, 0);
        Ok(())
    }
}
