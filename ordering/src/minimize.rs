//! The weakest order of a program that is still safe: which rows it can do without, and what of the order of the others
//! the proof needs.
//!
//! Invariant: an order is safe if the scenario is proved with it and the program still does its job (`job`). What is
//! called proved was explored: all orders that keep the needs at once, as one program (`every`), or else the report
//! says how many of them were. A condition that is no "this before that" is met by needs that are enough for it, so a
//! weakest order need not be the only one.
//!
//! Reading order: `rows`, `order`, `job`, `judge`, `every`.

mod every;
mod job;
mod judge;
mod order;
mod rows;

use thiserror::Error;

use crate::engine::Options;
use crate::language::Diagnostic;
use crate::language::syntax::Scenario;

use judge::Judge;
pub use judge::Refusal;
pub use order::Need;
use order::{MOST_ROWS, Orders, bit, members};
pub use rows::{Mobility, Row};

/// Sets of rows that are counted at most.
const MOST_COUNTED: usize = 100_000;

/// What was found.
#[derive(Clone, PartialEq, Debug)]
pub struct Weakest {
    /// The program, its operations written out.
    pub rows: Vec<Row>,
    /// Rows it can do without, all of them together; those of one group only together.
    pub dropped: Vec<Vec<usize>>,
    /// What the others need, each with what happens without it.
    pub needs: Vec<(Need, Refusal)>,
    /// The orders that keep the needs; none if they are too many to count.
    pub orders: Option<u128>,
    /// How many of them were explored.
    pub coverage: Coverage,
    /// Programs that were explored.
    pub explored: usize,
}

/// What the report rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coverage {
    /// Every order that keeps the needs.
    All,
    /// So many of them, evenly spread.
    Some(usize),
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
    pub options: Options,
    /// Orders that are explored one by one, where all at once are too many.
    pub singly: u32,
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
    let rows = rows::rows(&scenario.agents[index].body, source);
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
    let search = Search { rows: &rows, judge: &judge, singly: limits.singly };
    let (dropped, order) = search.dropped(own);
    let (orders, coverage) = search.needs(&order);
    let needs = search.reasons(&orders);
    let count = orders.count(MOST_COUNTED);
    let explored = judge.explored.get();
    Ok(Weakest { dropped, needs, orders: count, coverage, explored, rows: rows.clone() })
}

struct Search<'a> {
    rows: &'a [Row],
    judge: &'a Judge<'a>,
    singly: u32,
}

impl Search<'_> {
    /// The rows that can be left out together, singly or in pairs, and the order of the others.
    fn dropped(&self, mut order: Vec<usize>) -> (Vec<Vec<usize>>, Vec<usize>) {
        let optional: Vec<usize> = order.iter().copied().filter(|row| self.rows[*row].optional).collect();
        let singles = optional.iter().map(|row| vec![*row]);
        let pairs = optional.iter().flat_map(|one| {
            optional.iter().filter(move |other| one < other).map(move |other| vec![*one, *other])
        });
        let mut dropped = Vec::new();
        for group in singles.chain(pairs) {
            if !group.iter().all(|row| order.contains(row)) {
                continue;
            }
            let fewer: Vec<usize> = order.iter().copied().filter(|row| !group.contains(row)).collect();
            if self.judge.order(&fewer).is_none() {
                order = fewer;
                dropped.push(group);
            }
        }
        (dropped, order)
    }

    /// What the order needs, until every order that keeps it is proved.
    fn needs(&self, order: &[usize]) -> (Orders, Coverage) {
        let present = order.iter().fold(0, |rows, row| rows | bit(*row));
        let stays: Vec<usize> =
            order.iter().copied().filter(|row| self.rows[*row].mobility == Mobility::Stays).collect();
        let chain = stays.windows(2).map(|pair| Need { first: pair[0], then: pair[1] });
        let mut orders = Orders { present, needs: chain.collect() };
        for (at, row) in order.iter().enumerate() {
            if self.rows[*row].mobility == Mobility::Moves {
                self.later(&mut orders, order, at);
                self.earlier(&mut orders, order, at);
            }
        }
        loop {
            match self.judge.every(&orders) {
                Some(None) => return (orders, Coverage::All),
                Some(Some(_)) => {
                    let Some(need) = self.missing(&orders) else { return (orders, Coverage::Some(0)) };
                    orders = orders.with(need);
                }
                None => match self.singly(&orders) {
                    Ok(coverage) => return (orders, coverage),
                    Err(need) => orders = orders.with(need),
                },
            }
        }
    }

    /// Moves one row past those behind it, as far as it goes.
    fn later(&self, orders: &mut Orders, order: &[usize], at: usize) {
        let mut moved = order.to_vec();
        for next in at..order.len() - 1 {
            let need = Need { first: moved[next], then: moved[next + 1] };
            if orders.implies(need) {
                return;
            }
            moved.swap(next, next + 1);
            if self.judge.order(&moved).is_some() {
                orders.needs.insert(need);
                return;
            }
        }
    }

    /// The same past those before it.
    fn earlier(&self, orders: &mut Orders, order: &[usize], at: usize) {
        let mut moved = order.to_vec();
        for next in (1..=at).rev() {
            let need = Need { first: moved[next - 1], then: moved[next] };
            if orders.implies(need) {
                return;
            }
            moved.swap(next - 1, next);
            if self.judge.order(&moved).is_some() {
                orders.needs.insert(need);
                return;
            }
        }
    }

    /// A need that excludes an order that is refused: the orders are narrowed towards the program's own as long as one
    /// of them is refused.
    fn missing(&self, orders: &Orders) -> Option<Need> {
        let mut narrowed = orders.clone();
        let present: Vec<usize> = members(orders.present).collect();
        let pairs = present.iter().flat_map(|first| {
            present
                .iter()
                .filter(move |then| first < then)
                .map(move |then| Need { first: *first, then: *then })
        });
        for need in pairs {
            if narrowed.implies(need) {
                continue;
            }
            let closer = narrowed.with(need);
            match self.judge.every(&closer) {
                Some(Some(_)) => narrowed = closer,
                Some(None) => return Some(need),
                None => return None,
            }
        }
        None
    }

    /// Explores orders one by one.
    fn singly(&self, orders: &Orders) -> Result<Coverage, Need> {
        let some = orders.some(self.singly.into(), MOST_COUNTED);
        for order in &some {
            if let Some(need) = self.judge.order(order).and_then(|_| self.inversion(order)) {
                return Err(need);
            }
        }
        Ok(Coverage::Some(some.len()))
    }

    /// The last pair that stands the wrong way round when a refused order is sorted towards the program's own.
    fn inversion(&self, order: &[usize]) -> Option<Need> {
        let mut sorted = order.to_vec();
        loop {
            let at = sorted.windows(2).position(|pair| pair[0] > pair[1])?;
            let need = Need { first: sorted[at + 1], then: sorted[at] };
            sorted.swap(at, at + 1);
            if self.judge.order(&sorted).is_none() {
                return Some(need);
            }
        }
    }

    /// Each need that the others do not imply, with what happens without it.
    fn reasons(&self, orders: &Orders) -> Vec<(Need, Refusal)> {
        let mut orders = orders.clone();
        let mut found = Vec::new();
        for need in orders.needs.clone() {
            let stays = |row: usize| self.rows[row].mobility == Mobility::Stays;
            if stays(need.first) && stays(need.then) {
                continue;
            }
            let fewer = orders.without(need);
            if fewer.implies(need) {
                continue;
            }
            let refusal = self.judge.order(&orders.against(need));
            match refusal.or_else(|| self.judge.every(&fewer).unwrap_or(Some(Refusal::BoundHit))) {
                Some(refusal) => found.push((need, refusal)),
                None => orders = fewer,
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
