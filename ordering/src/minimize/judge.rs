//! Whether a program in place of the agent's own still does its job, and whether the scenario is still proved.
//!
//! Invariant: only a proof counts. A limit that was hit, and a scenario that says something else by then, count as
//! refused.

use std::cell::Cell;

use crate::counterexample::Table;
use crate::engine::{self, Options, Verdict};
use crate::language::Diagnostic;
use crate::language::syntax::{Scenario, Statement};
use crate::lowering::{Lowered, lower};

use super::every::every;
use super::job::{Job, Turned, outcomes};
use super::order::{Orders, bit};
use super::rows::Row;

/// What is wrong with an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// A property breaks.
    Violated {
        /// The property.
        property: String,
        /// A shortest run to it.
        trace: Table,
    },
    /// Alone, the agent does something else than the program does.
    OtherJob(String),
    /// The scenario says nothing any more: a property names a step that is gone.
    Meaningless(String),
    /// There are more states than the options allow.
    BoundHit,
}

/// Judges programs of one agent.
pub(super) struct Judge<'a> {
    scenario: Scenario,
    source: &'a str,
    agent: usize,
    options: &'a Options,
    rows: &'a [Row],
    /// The program's own job, for each outcome of its looks.
    jobs: Vec<Job>,
    /// Programs that were explored, and their states.
    pub(super) explored: Cell<usize>,
    pub(super) states: Cell<usize>,
}

impl<'a> Judge<'a> {
    /// For the agent with that index.
    ///
    /// # Errors
    /// What is wrong with the scenario, if its operations cannot be written out.
    pub(super) fn new(
        scenario: &Scenario,
        source: &'a str,
        agent: usize,
        rows: &'a [Row],
        options: &'a Options,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut scenario = scenario.clone();
        scenario.trace.clear();
        let (explored, states) = (Cell::new(0), Cell::new(0));
        let mut judge = Self { scenario, source, agent, options, rows, jobs: Vec::new(), explored, states };
        let own: Vec<usize> = (0..rows.len()).collect();
        for turned in outcomes(rows) {
            let lowered = judge.lower(in_order(&turned.rows, &own))?;
            judge.jobs.push(Job::of(&lowered, agent));
        }
        Ok(judge)
    }

    /// Whether the rows in this order are refused, and why.
    pub(super) fn order(&self, order: &[usize]) -> Option<Refusal> {
        let other_job = outcomes(self.rows).iter().enumerate().find_map(|(outcome, turned)| {
            // A look that is left out goes no way but on.
            let left_out = turned.look.is_some_and(|(row, _)| !order.contains(&row));
            if left_out { None } else { self.job(outcome, turned, in_order(&turned.rows, order)) }
        });
        other_job.or_else(|| self.explore(in_order(self.rows, order)))
    }

    /// Whether one of the orders is refused, and why; none if they are too many to be judged at once.
    pub(super) fn every(&self, orders: &Orders) -> Option<Option<Refusal>> {
        for (outcome, turned) in outcomes(self.rows).iter().enumerate() {
            if turned.look.is_some_and(|(row, _)| orders.present & bit(row) == 0) {
                continue;
            }
            match self.job(outcome, turned, every(&turned.rows, orders)?) {
                // A program that is too large is refused by the lowering.
                Some(Refusal::Meaningless(_)) => return None,
                Some(refusal) => return Some(Some(refusal)),
                None => {}
            }
        }
        match self.explore(every(self.rows, orders)?) {
            Some(Refusal::Meaningless(_) | Refusal::BoundHit) => None,
            judged => Some(judged),
        }
    }

    fn lower(&self, body: Vec<Statement>) -> Result<Lowered, Vec<Diagnostic>> {
        let mut scenario = self.scenario.clone();
        scenario.agents[self.agent].body = body;
        lower(&scenario, self.source)
    }

    fn job(&self, outcome: usize, turned: &Turned, body: Vec<Statement>) -> Option<Refusal> {
        match (self.lower(body), turned.look) {
            (Ok(lowered), look) => {
                let difference = self.jobs[outcome].difference(&Job::of(&lowered, self.agent))?;
                Some(Refusal::OtherJob(match look {
                    Some((row, how)) => format!("where `{}` {how}, {difference}", self.rows[row].text),
                    None => difference,
                }))
            }
            // With a look turned, what a property names may never happen; only the program itself must say it.
            (Err(_), Some(_)) => None,
            (Err(diagnostics), None) => Some(meaningless(&diagnostics)),
        }
    }

    fn explore(&self, body: Vec<Statement>) -> Option<Refusal> {
        let lowered = match self.lower(body) {
            Ok(lowered) => lowered,
            Err(diagnostics) => return Some(meaningless(&diagnostics)),
        };
        let packed = match engine::compile(&lowered.model) {
            Ok(packed) => packed,
            Err(error) => return Some(Refusal::Meaningless(error.to_string())),
        };
        let outcome = engine::explore(&packed, self.options);
        self.explored.set(self.explored.get() + 1);
        self.states.set(self.states.get() + outcome.statistics.states);
        match outcome.verdict {
            Verdict::Proved => None,
            Verdict::BoundHit { .. } => Some(Refusal::BoundHit),
            Verdict::Violated { property, trace, .. } => {
                let text = lowered.model.properties[usize::from(property.0)].text.clone();
                let trace = Table::new(&lowered, &trace, Some(property));
                Some(Refusal::Violated { property: text, trace })
            }
        }
    }
}

fn in_order(rows: &[Row], order: &[usize]) -> Vec<Statement> {
    order.iter().flat_map(|row| rows[*row].statements.clone()).collect()
}

fn meaningless(diagnostics: &[Diagnostic]) -> Refusal {
    Refusal::Meaningless(diagnostics.first().map_or_else(String::new, |first| first.message.clone()))
}
