//! The weakest orders of a program that are still safe: which rows it can do without, and what of the order of the others
//! the proof needs.
//!
//! Invariant: an order is safe if the scenario is proved with it and the program still does its job (`job`). What is
//! called needed stands the same way round in every proved order, and where one set of needs is said to be all there is,
//! the proved orders are exactly those that keep it. The proved orders need not be those of one set: then the report says
//! so.
//!
//! Reading order: `rows`, `order`, `job`, `judge`, `every`, `hub`, `world`, `lattice`, `search`, `variant`.

mod every;
mod hub;
mod job;
mod judge;
mod lattice;
mod order;
pub(crate) mod rows;
mod search;
mod variant;
mod world;

use thiserror::Error;

use crate::engine::Options;
use crate::language::Diagnostic;
use crate::language::syntax::Scenario;

use judge::Judge;
pub use judge::Refusal;
use order::MOST_ROWS;
pub use order::Need;
pub use rows::{Mobility, Row};
use search::Search;
use variant::Variants;

/// What was found.
#[derive(Clone, PartialEq, Debug)]
pub struct Weakest {
    /// The program, its operations written out.
    pub rows: Vec<Row>,
    /// Rows it can do without, all of them together; those of one group only together.
    pub dropped: Vec<Vec<usize>>,
    /// How many orders the others have in which those that stay keep theirs; none if they are too many to count.
    pub total: Option<u128>,
    /// What the proved ones among them are.
    pub shape: Shape,
    /// Sets of needs, at least one; the program's own order keeps the first.
    pub sets: Vec<PartialOrder>,
    /// Programs that were explored by themselves.
    pub explored: usize,
}

/// What the proved orders are; none is one that was not judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Exactly those that keep the one set of needs.
    One,
    /// Those of no single set: only some of them keep the sets, each of which is a weakest one.
    Several {
        /// How many there are; none if they cannot be counted.
        proved: Option<u128>,
        /// How many of them keep one of the sets.
        covered: Option<u128>,
        /// What all of them keep.
        common: Vec<Need>,
    },
    /// The orders are too many: those that keep the set are proved, and of others nothing is said.
    Unknown,
}

/// A set of needs; every order that keeps it is proved.
#[derive(Clone, PartialEq, Debug)]
pub struct PartialOrder {
    /// The needs that the others do not imply, without those of rows that stay among each other.
    pub needs: Vec<Bond>,
    /// How many orders keep them; none if they are too many to count.
    pub orders: Option<u128>,
    /// How many of them were explored by themselves too.
    pub explored: usize,
}

/// A need of a set.
#[derive(Clone, PartialEq, Debug)]
pub struct Bond {
    /// Which row before which.
    pub need: Need,
    /// Whether there is a proved order without it.
    pub standing: Standing,
    /// An order that keeps all other needs of the set and is refused; none if it could not be decided whether there is
    /// one.
    pub without: Option<Refused>,
}

/// How much a need says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Every order with the two the other way round is refused.
    Needed,
    /// The set needs it; an order that is not of the set may do without.
    Kept,
}

/// An order that is not proved.
#[derive(Clone, PartialEq, Debug)]
pub struct Refused {
    /// The rows.
    pub order: Vec<usize>,
    /// What is wrong with it.
    pub refusal: Refusal,
    /// The scenario with this order: the name of a variant of it.
    pub name: String,
    /// What the variant says; none if it was said for an earlier need.
    pub variant: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MinimizeError {
    /// The scenario has no such agent.
    #[error("scenario `{scenario}` has no agent `{agent}`; its agents are {known}")]
    NoAgent {
        /// The scenario.
        scenario: String,
        /// What was asked for.
        agent: String,
        /// What there is.
        known: String,
    },
    /// The scenario is not proved to begin with.
    #[error("scenario `{scenario}` is not proved as it stands; name one that is")]
    NotProved {
        /// The scenario.
        scenario: String,
        /// What is wrong with it.
        refusal: Box<Refusal>,
    },
    /// The program is too long.
    #[error("the program of `{agent}` has {rows} rows; at most {MOST_ROWS} can be ordered")]
    TooLong {
        /// Whose.
        agent: String,
        /// Its rows.
        rows: usize,
    },
    /// The scenario cannot be read.
    #[error("the scenario cannot be lowered")]
    Unreadable(Vec<Diagnostic>),
}

/// What the search may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of each exploration.
    pub options: Options<'static>,
    /// Orders that are explored by themselves at most.
    pub singly: u32,
    /// States of all orders at once at most.
    pub at_once: usize,
}

/// Searches the weakest order of an agent's program in a scenario that was read from `source`.
///
/// # Errors
/// If there is no such agent, or the scenario is not proved to begin with.
pub fn minimize(
    scenario: &Scenario,
    source: &str,
    agent: &str,
    limits: &Limits,
) -> Result<Weakest, MinimizeError> {
    let named = scenario.agents.iter().position(|known| known.name.node == agent);
    let Some(index) = named else {
        let known: Vec<_> = scenario.agents.iter().map(|agent| agent.name.node.as_str()).collect();
        let (scenario, agent) = (scenario.name.node.clone(), agent.to_owned());
        return Err(MinimizeError::NoAgent { scenario, agent, known: known.join(", ") });
    };
    let rows = rows::rows(&scenario.agents[index]);
    if rows.len() > MOST_ROWS {
        return Err(MinimizeError::TooLong { agent: agent.to_owned(), rows: rows.len() });
    }
    let judge =
        Judge::new(scenario, source, index, &rows, &limits.options).map_err(MinimizeError::Unreadable)?;
    let own: Vec<usize> = (0..rows.len()).collect();
    if let Some(refusal) = judge.order(&own) {
        let refusal = Box::new(refusal);
        return Err(MinimizeError::NotProved { scenario: scenario.name.node.clone(), refusal });
    }
    let singly = usize::try_from(limits.singly).expect("a word holds it");
    let (dropped, order) = dropped(&judge, &rows, own);
    let search = Search { rows: &rows, judge: &judge, singly, at_once: limits.at_once };
    let mut found = search.run(&order);
    let mut variants = Variants::new(scenario, &scenario.agents[index], &rows, source);
    for refused in
        found.sets.iter_mut().flat_map(|set| &mut set.needs).filter_map(|bond| bond.without.as_mut())
    {
        (refused.name, refused.variant) = variants.of(&refused.order, &refused.refusal);
    }
    let total = search.total(&order);
    let explored = judge.explored.get();
    Ok(Weakest { dropped, total, shape: found.shape, sets: found.sets, explored, rows: rows.clone() })
}

/// The rows that can be left out together, singly or in pairs, and the order of the others, of which none can. What was
/// needed may no longer be when something else is gone, so all are tried again then.
fn dropped(judge: &Judge<'_>, rows: &[Row], mut order: Vec<usize>) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut dropped = Vec::new();
    while let Some(group) = groups(rows, &order).find(|group| judge.order(&without(&order, group)).is_none())
    {
        order = without(&order, &group);
        dropped.push(group);
    }
    (dropped, order)
}

/// Each row of `order` that may be left out, and then each pair of them.
fn groups(rows: &[Row], order: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<> {
    let optional: Vec<usize> = order.iter().copied().filter(|row| rows[*row].optional).collect();
    let pair = |(first, one): (usize, &usize)| {
        let others = optional[first + 1..].iter();
        others.map(|other| vec![*one, *other]).collect::<Vec<_>>()
    };
    let pairs: Vec<_> = optional.iter().enumerate().flat_map(pair).collect();
    optional.into_iter().map(|row| vec![row]).chain(pairs)
}

fn without(order: &[usize], group: &[usize]) -> Vec<usize> {
    order.iter().copied().filter(|row| !group.contains(row)).collect()
}

#[cfg(test)]
mod tests;
