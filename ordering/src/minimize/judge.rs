//! Whether a program in place of the agent's own still does its job, and whether the scenario is still proved.
//!
//! Invariant: only a proof counts. A limit that was hit, and a scenario that says something else by then, count as
//! refused. What becomes of an outcome of the explorer is decided in `explore` alone.

use std::cell::Cell;

use crate::answer::{Answer, Empty};
use crate::counterexample::Table;
use crate::engine::{self, Options, Verdict};
use crate::language::Diagnostic;
use crate::language::syntax::{Scenario, Statement};
use crate::lowering::{Lowered, lower, lower_made};

use super::every::every;
use super::hub::Hub;
use super::job::{Job, Turned, outcomes};
use super::order::{Orders, Rows, bit};
use super::rows::Row;
use super::world::{Company, World};

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
    /// The scenario says nothing any more: a property names a step that is gone, or one that no order takes.
    Meaningless(String),
    /// There are more states than the options allow.
    BoundHit,
}

/// Judges programs of one agent.
pub(super) struct Judge<'a> {
    scenario: Scenario,
    source: &'a str,
    agent: usize,
    options: &'a Options<'a>,
    rows: &'a [Row],
    /// The program's own job, for each outcome of its looks.
    jobs: Vec<Job>,
    /// Programs that were explored.
    pub(super) explored: Cell<usize>,
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
        options: &'a Options<'a>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut scenario = scenario.clone();
        scenario.trace.clear();
        let explored = Cell::new(0);
        let mut judge = Self { scenario, source, agent, options, rows, jobs: Vec::new(), explored };
        let own: Vec<usize> = (0..rows.len()).collect();
        for turned in outcomes(rows) {
            let lowered = lower_made(&judge.with(in_order(&turned.rows, &own)), source)?;
            judge.jobs.push(Job::of(&lowered, agent));
        }
        Ok(judge)
    }

    /// Whether the rows in this order are refused, and why.
    pub(super) fn order(&self, order: &[usize]) -> Option<Refusal> {
        let present = order.iter().fold(0, |rows, row| rows | bit(*row));
        let other_job = self.outcomes(present).into_iter().find_map(|(outcome, turned)| {
            let body = in_order(&turned.rows, order);
            self.job(outcome, &turned, body)
        });
        other_job.or_else(|| self.explore(in_order(self.rows, order)))
    }

    /// Whether all of the orders are proved, judged as one program: none if it is too large, or if one of them may be
    /// refused.
    pub(super) fn every(&self, orders: &Orders) -> Option<()> {
        for (outcome, turned) in self.outcomes(orders.present) {
            if self.job(outcome, &turned, every(&turned.rows, orders)?).is_some() {
                return None;
            }
        }
        match self.explore(every(self.rows, orders)?) {
            None => Some(()),
            Some(_) => None,
        }
    }

    /// The runs of all orders of the rows in `present`: of everybody, and of the agent alone for each outcome of its
    /// looks. None if the orders can only be judged one by one.
    pub(super) fn worlds(&self, present: Rows, most_states: usize) -> Option<Vec<World>> {
        let mut worlds = Vec::new();
        for (outcome, turned) in self.outcomes(present) {
            let job = self.jobs[outcome].ends()?.clone();
            worlds.push(self.world(&turned.rows, present, Company::Alone(job), most_states)?);
        }
        worlds.push(self.world(self.rows, present, Company::All, most_states)?);
        Some(worlds)
    }

    fn world(&self, rows: &[Row], present: Rows, company: Company, most_states: usize) -> Option<World> {
        let hub = Hub::of(rows, present)?;
        let lowered = lower_made(&self.with(hub.body.clone()), self.source).ok()?;
        let places = hub.places(&lowered.model.agents[self.agent].program)?;
        Some(World::new(lowered, self.agent, places, company, most_states))
    }

    /// The outcomes of looks; a look that is left out goes no way but on.
    fn outcomes(&self, present: Rows) -> Vec<(usize, Turned)> {
        let there = |turned: &Turned| turned.look.is_none_or(|(row, _)| present & bit(row) != 0);
        outcomes(self.rows).into_iter().enumerate().filter(|(_, turned)| there(turned)).collect()
    }

    /// The scenario with another program.
    fn with(&self, body: Vec<Statement>) -> Scenario {
        let mut scenario = self.scenario.clone();
        scenario.agents[self.agent].body = body;
        scenario
    }

    fn job(&self, outcome: usize, turned: &Turned, body: Vec<Statement>) -> Option<Refusal> {
        let lowered = match lower_made(&self.with(body), self.source) {
            Ok(lowered) => lowered,
            Err(diagnostics) => return Some(meaningless(&diagnostics)),
        };
        let difference = self.jobs[outcome].difference(&Job::of(&lowered, self.agent))?;
        Some(Refusal::OtherJob(match turned.look {
            Some((row, how)) => format!("where `{}` {how}, {difference}", self.rows[row].text),
            None => difference,
        }))
    }

    fn explore(&self, body: Vec<Statement>) -> Option<Refusal> {
        let lowered: Lowered = match lower(&self.with(body), self.source) {
            Ok(lowered) => lowered,
            Err(diagnostics) => return Some(meaningless(&diagnostics)),
        };
        let packed = match engine::compile(&lowered.model) {
            Ok(packed) => packed,
            Err(error) => return Some(Refusal::Meaningless(error.to_string())),
        };
        let outcome = engine::explore(&packed, self.options);
        self.explored.set(self.explored.get() + 1);
        match &outcome.verdict {
            Verdict::Proved => {
                let empty = Answer::new(&lowered, &outcome).empty;
                let text = |empty: &Empty| &lowered.model.properties[usize::from(empty.property.0)].text;
                empty.first().map(|first| Refusal::Meaningless(format!("`{}`: {}", text(first), first.why)))
            }
            Verdict::BoundHit { .. } => Some(Refusal::BoundHit),
            Verdict::Violated { property, trace, .. } => {
                let text = lowered.model.properties[usize::from(property.0)].text.clone();
                let trace = Table::new(&lowered, trace, Some(*property));
                Some(Refusal::Violated { property: text, trace })
            }
        }
    }
}

fn in_order(rows: &[Row], order: &[usize]) -> Vec<Statement> {
    order.iter().flat_map(|row| rows[*row].statements.clone()).collect()
}

fn meaningless(diagnostics: &[Diagnostic]) -> Refusal {
    let first = diagnostics.first().expect("a scenario that is refused has a reason");
    Refusal::Meaningless(first.message.clone())
}
