//! What was seen of scenarios on the live machine, in lines and as one JSON object.
//!
//! Invariant: a field keeps its meaning while [`RACE`] stays; new fields may come. Lines and rows count from 1.

use std::fmt;
use std::time::Duration;

use race::steered::Divergence;
use serde::Serialize;

use super::super::columns;
use super::super::unfinished::Unfinished;
use super::freely::{self, Freed};
use super::{Model, ON_KVM, Raced, Seen, as_json, rate};
use crate::schema::RACE;

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    seed: u64,
    /// Those that were steered.
    scenarios: Vec<Scenario<'a>>,
    /// Those that ran by themselves.
    free: Vec<freely::Row<'a>>,
    /// Those that did not run, as no guest can play their vCPUs.
    not_live: Vec<Missing<'a>>,
    /// Why others are missing, or had fewer runs than they were to have; none if all is there.
    unfinished: Option<&'a str>,
}

#[derive(Serialize)]
struct Missing<'a> {
    file: &'a str,
    scenario: &'a str,
    /// The line of the step; none for an option, as all are.
    line: Option<u32>,
    what: &'static str,
    reason: &'static str,
}

#[derive(Serialize)]
struct Scenario<'a> {
    file: &'a str,
    line: u32,
    scenario: &'a str,
    /// What the explorer says: `refuted`, `proved`, or `open` if a limit was hit.
    model: &'static str,
    /// Whether its counterexample happened; none if it has none.
    happened: Option<bool>,
    /// Random runs, and rows of all of them and of the counterexample.
    runs: u64,
    rows: usize,
    time_us: u128,
    /// Whether a guest on KVM executed the accesses of its vCPUs.
    vcpus_on_kvm: bool,
    divergence: Option<Differs<'a>>,
}

#[derive(Serialize)]
struct Differs<'a> {
    /// In what the model and the machine differ.
    what: String,
    /// Line of the last row.
    line: Option<u32>,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    agent: &'a str,
    step: &'a str,
}

/// Everything that one call has seen.
pub(super) fn json(seen: &Seen, seed: u64, unfinished: Option<&Unfinished>) -> String {
    let not_live = seen.not_on_kvm.iter().map(|(file, scenario, reason)| Missing {
        file,
        scenario,
        line: None,
        what: ON_KVM,
        reason,
    });
    as_json(&Report {
        schema: RACE,
        seed,
        scenarios: seen.raced.iter().map(scenario).collect(),
        free: seen.freed.iter().map(Freed::row).collect(),
        not_live: not_live.collect(),
        unfinished: unfinished.map(|unfinished| unfinished.why.as_str()),
    })
}

fn scenario(one: &Raced) -> Scenario<'_> {
    let (model, happened) = match one.model {
        Model::Refuted(..) => ("refuted", Some(one.counterexample().is_some())),
        Model::Proved => ("proved", None),
        Model::Open => ("open", None),
    };
    Scenario {
        file: &one.file,
        line: one.lowered.line,
        scenario: &one.lowered.name,
        model,
        happened,
        runs: one.runs,
        rows: one.rows,
        time_us: one.time.as_micros(),
        vcpus_on_kvm: one.on_kvm,
        divergence: one.divergence.as_deref().map(differs),
    }
}

fn differs(found: &Divergence) -> Differs<'_> {
    Differs {
        what: found.of.to_string(),
        line: (found.line > 0).then_some(found.line),
        rows: found.rows.iter().map(|(agent, step)| Row { agent, step }).collect(),
    }
}

/// What became of it, in a word or some.
pub(super) fn verdict(one: &Raced) -> String {
    match (&one.model, &one.divergence) {
        (_, Some(_)) => "DIVERGENCE".to_owned(),
        (Model::Refuted(trace, _), None) => format!("HAPPENED in {} steps", trace.steps.len()),
        (Model::Proved | Model::Open, None) if one.runs == 0 => "did not run".to_owned(),
        (Model::Proved, None) => "agrees".to_owned(),
        (Model::Open, None) => "agrees, not decided".to_owned(),
    }
}

/// In a line of [`LINE_COLUMNS`](columns::LINE_COLUMNS), or (`{:#}`) in two, and what diverged below it.
impl fmt::Display for Raced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = verdict(self);
        let Self { lowered, runs, rows, time, .. } = self;
        let rate = rate(*rows, *time);
        let kvm = if self.on_kvm { "   vCPUs on KVM" } else { "" };
        write!(f, "{:40} {said:22}{}", lowered.name, columns::between(f.alternate()))?;
        write!(f, "{runs:>7} runs {rows:>9} rows {rate:>9.0} rows/s{kvm}")?;
        let Some(found) = &self.divergence else { return Ok(()) };
        for (number, (agent, step)) in (1..).zip(&found.rows) {
            write!(f, "\n    {number:>3}  {agent}: {step}")?;
        }
        let line = if found.line > 0 { format!(" (line {})", found.line) } else { String::new() };
        write!(f, "\n    DIVERGENCE at row {}{line}: {}", found.rows.len(), found.of)
    }
}

/// One sentence about all of them.
pub(super) fn conclusion(raced: &[Raced], seed: u64) -> String {
    let count = raced.len();
    let refuted = raced.iter().filter(|one| matches!(one.model, Model::Refuted(..))).count();
    let happened = raced.iter().filter(|one| one.counterexample().is_some()).count();
    let diverged: Vec<&str> =
        raced.iter().filter(|one| one.divergence.is_some()).map(|one| one.lowered.name.as_str()).collect();
    let runs: u64 = raced.iter().map(|one| one.runs).sum();
    let rows: usize = raced.iter().map(|one| one.rows).sum();
    let time: Duration = raced.iter().map(|one| one.time).sum();
    let said = match diverged.is_empty() {
        true => "no divergence".to_owned(),
        false => format!("{} DIVERGE: {}", diverged.len(), diverged.join(", ")),
    };
    let many = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    format!(
        "\n{} on the live machine: {happened} of {} happened; {runs} random runs (seed {seed}), {rows} rows, {:.0} rows/s; {said}.",
        many(count, "scenario"),
        many(refuted, "counterexample"),
        rate(rows, time),
    )
}
