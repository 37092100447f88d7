//! The invalidation queue: what is posted is done later, by the hardware.
//!
//! Invariant: what is posted stays in the queue until the hardware has done it, and it does one at a time: any of them,
//! or (`option queue = ordered`) the oldest. Whoever waits goes on when nothing of his own is left; a full queue makes
//! the next one wait. A wait for all is in the queue itself, and done when it is the oldest. Source: VT-d queued invalidation, SMMUv3 command queue, TLBI and DSB of arm64.

use steps::{Invalidation, Unanswered, Waited};

use crate::language::span::Span;
use crate::language::syntax::{Step, Words};
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update, Var};

use super::deed::Part;
use super::emitter::Emitter;
use super::fifo::Fifo;
use super::program::{Goal, MOST_WAYS, Way};
use super::state::{AgentId, Key, number};
use super::step::At;

/// The agent that does what is posted.
pub(super) const QUEUE: &str = "queue";

/// Entries of the queue at most.
pub(super) const MOST_SLOTS: u32 = 6;

/// What stands in the queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Work {
    Invalidation(Box<Invalidation<Words>>),
    /// A wait for all that is in the queue before it.
    Wait,
}

/// What an agent posts somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Posted {
    pub(super) agent: AgentId,
    pub(super) work: Work,
    /// As it is done.
    pub(super) text: String,
    pub(super) span: Span,
}

impl Work {
    /// What the step puts into the queue.
    pub(super) fn of(step: &Step) -> Option<Self> {
        if let Step::Invalidate(invalidation) = step {
            return invalidation.posted.then(|| Self::Invalidation(Box::new(invalidation.clone())));
        }
        matches!(step, Step::InvWait(Waited::All, _)).then_some(Self::Wait)
    }

    /// The text of the step, as its work is shown when it is done.
    pub(super) fn text(&self, step: &str) -> String {
        match self {
            Self::Invalidation(_) => {
                step.strip_suffix(" post").map_or_else(|| step.to_owned(), str::to_owned)
            }
            Self::Wait => "inv_wait all".to_owned(),
        }
    }
}

impl Emitter<'_> {
    pub(super) fn slots(&mut self) -> Fifo {
        Fifo((0..self.state.domains.slots).map(|slot| self.state.var(&Key::Slot(slot))).collect())
    }

    /// Puts the step behind everything that is in the queue.
    pub(super) fn post(&mut self, invalidation: &Invalidation<Words>, at: &At<'_>) {
        let value = self.slot_of(&Work::Invalidation(Box::new(invalidation.clone())), at.text);
        let ways = self.slots().append(value).map(|(room, update)| at.way(room, vec![update])).collect();
        self.step(ways, at.line);
    }

    /// What a slot holds with this work of the agent.
    fn slot_of(&self, work: &Work, text: &str) -> u32 {
        let text = work.text(text);
        let posted =
            self.scope.survey.posted.iter().position(|one| one.agent == self.own.agent && one.text == text);
        number(posted.expect("the survey has seen whatever is posted")) + 1
    }

    /// What a slot holds with any work of `agent`.
    pub(super) fn works(&self, agent: AgentId) -> Vec<u32> {
        let posted = (1..).zip(&self.scope.survey.posted);
        posted.filter(|(_, one)| one.agent == agent).map(|(value, _)| value).collect()
    }

    /// `inv_wait`: until nothing that this agent has posted is left; `inv_wait all`: until the queue has come to this
    /// wait.
    pub(super) fn wait(
        &mut self,
        waited: Waited,
        unanswered: &Unanswered<Words>,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        if waited == Waited::All {
            return self.wait_for_all(unanswered, at);
        }
        let own = self.works(self.own.agent);
        if own.is_empty() {
            let message = format!("`{}` has nothing to wait for: it posts no invalidation", self.own.name);
            return Err(Diagnostic::new(
                Code::NothingPosted,
                at.span,
                message,
                "write `iotlb_inv A post` before it, or leave it out",
            ));
        }
        self.until_done(&own, unanswered, at)
    }

    fn wait_for_all(&mut self, unanswered: &Unanswered<Words>, at: &At<'_>) -> Result<(), Diagnostic> {
        if self.scope.survey.posted.iter().all(|one| one.work == Work::Wait) {
            let message = "there is nothing to wait for: nobody posts an invalidation";
            return Err(Diagnostic::new(
                Code::NothingPosted,
                at.span,
                message,
                "write `iotlb_inv A post` somewhere, or leave it out",
            ));
        }
        let value = self.slot_of(&Work::Wait, at.text);
        let text = format!("{}: sent", at.text);
        let slots = self.slots();
        let post = |(room, update)| Way::new(room, vec![update], text.as_str()).part(Part::Sent);
        let sent = slots.append(value).map(post).collect();
        self.step(sent, at.line);
        self.until_done(&[value], unanswered, at)
    }

    /// Goes on when none of `works` is left in the queue.
    fn until_done(
        &mut self,
        works: &[u32],
        unanswered: &Unanswered<Words>,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        let left = |slot: &Var| works.iter().map(|value| Guard::IsNot(*slot, *value)).collect::<Vec<_>>();
        let mut done: Vec<Guard> = self.slots().0.iter().flat_map(left).collect();
        let aborted = self.aborted(self.own.agent);
        done.extend(aborted.map(|aborted| Guard::Is(aborted, 0)));
        let mut ways = vec![at.way(done, Vec::new())];
        if let Unanswered::GoesTo(label) = unanswered {
            let label = self.out.builder.named(label)?;
            let text = format!("{}: aborted", at.text);
            ways.extend(aborted.map(|aborted| {
                let seen = vec![Update::Set(aborted, 0)];
                let way = Way::new(vec![Guard::Is(aborted, 1)], seen, text.as_str());
                way.to(Goal::Label(label)).part(Part::Nothing)
            }));
        }
        self.step(ways, at.line);
        Ok(())
    }

    /// The hardware's one instruction: do something that is in the queue.
    pub(super) fn perform(&mut self) -> Result<(), Diagnostic> {
        let slots = self.slots();
        let reach = if self.scope.options.ordered_queue { 1 } else { slots.0.len() };
        let mut ways = Vec::new();
        for (value, posted) in (1..).zip(&self.scope.survey.posted) {
            if ways.len() > MOST_WAYS {
                let message = format!("what is posted can be done in more than {MOST_WAYS} cases");
                return Err(Diagnostic::new(
                    Code::TooManyCases,
                    posted.span,
                    message,
                    "post less, or use fewer tags",
                ));
            }
            match &posted.work {
                Work::Invalidation(invalidation) => {
                    let verb = invalidation.verb();
                    let at = At { verb, text: &posted.text, span: posted.span, line: posted.span.line };
                    let cases = self.emptied(invalidation, posted.span)?;
                    for first in 0..reach {
                        for (waits, effects) in &cases {
                            let guard = [&[Guard::Is(slots.0[first], value)], waits.as_slice()].concat();
                            let way = at.way(guard, [effects.as_slice(), &slots.take(first)].concat());
                            ways.push(way.to(Goal::Stay).part(Part::Perform(value - 1, number(first))));
                        }
                        ways.extend(self.time_out(posted, invalidation, first, value)?);
                    }
                }
                // It is done when all that was there before it is done.
                Work::Wait => {
                    let text = format!("{}: answered", posted.text);
                    let way = Way::new(vec![Guard::Is(slots.0[0], value)], slots.take(0), text);
                    ways.push(way.to(Goal::Stay).part(Part::Perform(value - 1, 0)));
                }
            }
        }
        self.step(ways, 0);
        Ok(())
    }
}
