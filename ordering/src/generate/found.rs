//! What is asked for, and what was found.
//!
//! Invariant: an order names steps by their numbers, which are those of the operation's own order; verdicts stand by user, in
//! the order in which the request names them, and last for all at once.

use crate::engine::Options;

use super::needs::Needs;
use super::operation::{Operation, User};
use super::program::Step;
use super::verdict::Judged;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whose orders.
    pub operation: &'a Operation,
    /// For whom, each once.
    pub users: &'a [User],
    /// Steps that stand elsewhere than in the kernel's order or are left out, at most; none: as many as give 1,000 orders.
    pub moved: Option<usize>,
    /// Of each exploration.
    pub options: Options<'static>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The steps that move, in the kernel's order.
    pub steps: Vec<Step>,
    /// Pairs of steps of which the first stands first in every order.
    pub before: Vec<(usize, usize)>,
    /// Steps that are moved or left out at most.
    pub moved: usize,
    /// How many orders there are however many are moved.
    pub all: u128,
    /// The orders, nearest to the kernel's first, which is the first one.
    pub orders: Vec<Order>,
    /// Classes of orders that only exchanges which change no verdict tell apart.
    pub classes: usize,
    /// By pair of orders: two classes, each by number, between which one exchange of neighbours leads.
    pub exchanges: Vec<(usize, usize)>,
    /// By steps that are left out: what each user needs, and last what all at once do.
    pub needs: Vec<(Vec<usize>, Vec<Needs>)>,
}

/// An order with what was found of it.
#[derive(Clone, Debug)]
pub struct Order {
    /// The steps.
    pub steps: Vec<usize>,
    /// Those that are left out.
    pub left_out: Vec<usize>,
    /// How many steps stand elsewhere or are left out.
    pub moved: usize,
    /// For each user alone, and last for all at once.
    pub judged: Vec<Judged>,
    /// Likewise, whether it is broken and one exchange of neighbours, or one step put back, makes it safe.
    pub minimal: Vec<bool>,
    /// Its class.
    pub class: usize,
}

impl Generated {
    /// The name of a step.
    #[must_use]
    pub fn name(&self, step: usize) -> &str {
        &self.steps[step].name
    }

    /// The names of an order's steps.
    #[must_use]
    pub fn named(&self, order: &Order) -> Vec<&str> {
        order.steps.iter().map(|step| self.name(*step)).collect()
    }
}
