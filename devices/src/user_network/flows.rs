//! All connections.
//!
//! Invariant: there are `MOST_FLOWS` at most; one that only waits for late segments makes room for the next, and beyond that a
//! connection is refused.

use rustix::event::{PollFd, PollFlags};

use super::address::Reach;
use super::flow::Flow;
use super::frame::Ends;
use super::host::Host;
use super::stack::Stack;
use crate::link::Sent;

/// Each is a descriptor of the host's and two buffers.
pub(super) const MOST_FLOWS: usize = 64;

/// The connections, and which there may be.
pub(super) struct Flows {
    reach: Reach,
    flows: Vec<Flow>,
}

impl Flows {
    pub(super) const fn new(reach: Reach) -> Self {
        Self { reach, flows: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    /// The guest opens a connection by the frame `syn`, maybe not for the first time.
    pub(super) fn open(&mut self, ends: Ends, syn: &[u8], stack: &mut Stack) -> Sent {
        if let Some(known) = self.flows.iter().find(|flow| flow.ends == ends) {
            // It is answered when the host is.
            return if known.is_connecting() { Sent::Taken } else { stack.take(syn) };
        }
        self.make_room(stack);
        let target = self.reach.leads(ends.target).filter(|_| self.flows.len() < MOST_FLOWS);
        match target.and_then(Host::begin) {
            Some(host) => {
                self.flows.push(Flow::new(ends, host, syn));
                Sent::Taken
            }
            // Nobody listens in the stack, which says so.
            None => stack.take(syn),
        }
    }

    fn make_room(&mut self, stack: &mut Stack) {
        if self.flows.len() < MOST_FLOWS {
            return;
        }
        if let Some(at) = self.flows.iter().position(|flow| flow.lingers(stack)) {
            self.flows.swap_remove(at).leave(stack);
        }
    }

    /// Moves what can be moved.
    pub(super) fn turn(&mut self, stack: &mut Stack) {
        self.flows.iter_mut().for_each(|flow| flow.turn(stack));
    }

    /// What has ended is not there any more.
    pub(super) fn forget_ended(&mut self, stack: &mut Stack) {
        while let Some(at) = self.flows.iter().position(|flow| flow.has_ended(stack)) {
            self.flows.swap_remove(at).leave(stack);
        }
    }

    /// What they wait for.
    pub(super) fn wanted(&self, stack: &Stack) -> impl Iterator<Item = PollFd<'_>> {
        self.flows.iter().filter_map(|flow| flow.wanted(stack))
    }

    /// What came of each that [waited](Self::wanted).
    pub(super) fn note(&mut self, came: &[PollFlags], stack: &Stack) {
        let waited = self.flows.iter_mut().filter(|flow| flow.wanted(stack).is_some());
        waited.zip(came).for_each(|(flow, came)| flow.note(*came));
    }
}
