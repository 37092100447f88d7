//! All small orders of an operation's steps, each decided for each of its users.
//!
//! Invariant: every order is explored by itself, for each user alone and for all at once; nothing is concluded from another
//! order, and what was not decided is called so. The steps that move, what stands around them and the users are data
//! (`operation`).
//! Source: the idea is diy7's, of litmus tests from cycles of small edges (Alglave, Maranget, Sarkar, Sewell, 2012).
//!
//! Reading order: `operation`, `program`, `orders`, `judge`, `verdict`, `neighbours`, `needs`, `found`, `saved`, `told`.

mod found;
mod judge;
mod needs;
mod neighbours;
mod operation;
mod orders;
mod program;
mod saved;
mod told;
mod verdict;

use std::collections::BTreeMap;

use thiserror::Error;

pub use found::{Generated, Order, Request};
use judge::Judge;
pub use needs::Needs;
use neighbours::Places;
pub use operation::{OPERATIONS, Operation, User};
use program::Program;
pub use program::Step;
pub use saved::{Saved, saved};
pub use told::{needs_of, summary};
pub use verdict::{Judged, Kind, Verdict};

/// Orders at most.
pub const MOST_ORDERS: usize = 20_000;
/// Orders that are enough if nobody says otherwise.
const ENOUGH: usize = 1_000;

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum GenerateError {
    /// Nothing moves, or more than there is.
    #[error("{operation} has {steps} steps that move; --steps is 1 to {steps}, not {asked}")]
    NoSuchSteps {
        /// The operation.
        operation: &'static str,
        /// Its steps.
        steps: usize,
        /// What was asked for.
        asked: usize,
    },
    /// Too many orders.
    #[error(
        "{operation} has more than {MOST_ORDERS} orders with at most {asked} of its {steps} steps moved or left out ({all} in \
         all); at most {MOST_ORDERS} are looked at, which is enough for --steps {enough}"
    )]
    TooMany {
        /// The operation.
        operation: &'static str,
        /// Its steps.
        steps: usize,
        /// What was asked for.
        asked: usize,
        /// Orders in all.
        all: u128,
        /// What can be asked for.
        enough: usize,
    },
}

/// Generates and decides the orders.
///
/// # Errors
/// If there are none, or too many.
pub fn generate(request: &Request<'_>) -> Result<Generated, GenerateError> {
    let program = Program::new(request.operation, request.users);
    let (moved, orders) = enumerated(request, &program)?;
    let judge = Judge { operation: request.operation, program: &program, options: &request.options };
    let judged: Vec<Vec<Judged>> = orders.iter().map(|order| judged(&judge, request.users, order)).collect();
    Ok(arranged(program, moved, orders, judged))
}

/// An order, by the names of its steps, as [`generate`] judges it; none if the operation has no such step, or no such order.
#[must_use]
pub fn judge(request: &Request<'_>, names: &[&str]) -> Option<Vec<Judged>> {
    let program = Program::new(request.operation, request.users);
    let order: Option<Vec<usize>> = names.iter().map(|name| program.step(name)).collect();
    let order = order.filter(|order| orders::is_one(&program, order))?;
    let judge = Judge { operation: request.operation, program: &program, options: &request.options };
    Some(judged(&judge, request.users, &order))
}

fn enumerated(request: &Request<'_>, program: &Program) -> Result<(usize, Vec<Vec<usize>>), GenerateError> {
    let (operation, steps) = (request.operation.name, program.steps.len());
    let Some(asked) = request.moved else {
        let near = |moved: usize| Some((moved, orders::orders(program, moved, ENOUGH).ok()?));
        let found = (1..=steps).map_while(near).last();
        return Ok(found.expect("the orders with one step moved are few"));
    };
    if !(1..=steps).contains(&asked) {
        return Err(GenerateError::NoSuchSteps { operation, steps, asked });
    }
    let found = orders::orders(program, asked, MOST_ORDERS);
    found.map(|orders| (asked, orders)).map_err(|orders::TooMany| {
        let fits = |moved: &usize| orders::orders(program, *moved, MOST_ORDERS).is_ok();
        let enough = (1..asked).take_while(fits).last().expect("the orders with one step moved are few");
        GenerateError::TooMany { operation, steps, asked, all: orders::count(program), enough }
    })
}

/// For each user alone, and for all at once; what one user's judge found is all there is to say of one.
fn judged(judge: &Judge<'_>, users: &[User], order: &[usize]) -> Vec<Judged> {
    let mut found: Vec<Judged> = users.iter().map(|user| judge.order(order, &[*user])).collect();
    found.push(match found.as_slice() {
        [only] => only.clone(),
        _ => judge.order(order, users),
    });
    found
}

fn arranged(program: Program, moved: usize, orders: Vec<Vec<usize>>, judged: Vec<Vec<Judged>>) -> Generated {
    let places = Places::new(orders.iter().map(Vec::as_slice).collect());
    let (exchanges, put_back) = (places.exchanges(), places.put_back());
    let kinds: Vec<Vec<Kind>> =
        judged.iter().map(|judged| judged.iter().map(|one| one.verdict.kind()).collect()).collect();
    let classes = neighbours::classes(&kinds, &exchanges);
    let minimal: Vec<Vec<bool>> = (0..kinds[0].len())
        .map(|user| kinds.iter().map(|kinds| kinds[user]).collect::<Vec<_>>())
        .map(|kinds| neighbours::minimal(&kinds, &exchanges, &put_back))
        .collect();
    let mut between: Vec<(usize, usize)> = exchanges
        .iter()
        .map(|exchange| (classes[exchange.one], classes[exchange.other]))
        .filter(|(one, other)| one != other)
        .map(|(one, other)| (one.min(other), one.max(other)))
        .collect();
    between.sort_unstable();
    between.dedup();
    let needs = needs(&program, &orders, &kinds);
    let all = orders::count(&program);
    let found = orders.into_iter().zip(judged).enumerate().map(|(at, (steps, judged))| Order {
        left_out: left_out(&program, &steps),
        moved: orders::distance(&program, &steps),
        minimal: minimal.iter().map(|of_user| of_user[at]).collect(),
        class: classes[at],
        steps,
        judged,
    });
    Generated {
        orders: found.collect(),
        classes: classes.iter().max().map_or(0, |last| last + 1),
        exchanges: between,
        needs,
        all,
        moved,
        before: program.before,
        steps: program.steps,
    }
}

fn left_out(program: &Program, order: &[usize]) -> Vec<usize> {
    (0..program.steps.len()).filter(|step| !order.contains(step)).collect()
}

/// By what is left out, the least first.
fn needs(program: &Program, orders: &[Vec<usize>], kinds: &[Vec<Kind>]) -> Vec<(Vec<usize>, Vec<Needs>)> {
    let mut groups: BTreeMap<(usize, Vec<usize>), Vec<usize>> = BTreeMap::new();
    for (at, order) in orders.iter().enumerate() {
        let left_out = left_out(program, order);
        groups.entry((left_out.len(), left_out)).or_default().push(at);
    }
    let of_user = |group: &[usize], user: usize| {
        let judged: Vec<_> = group.iter().map(|at| (orders[*at].as_slice(), kinds[*at][user])).collect();
        Needs::of(&judged)
    };
    let users = kinds[0].len();
    groups
        .into_iter()
        .map(|((_, left_out), group)| (left_out, (0..users).map(|user| of_user(&group, user)).collect()))
        .collect()
}

#[cfg(test)]
mod tests;
