//! What was found of scenarios, as one JSON object.
//!
//! Invariant: a field keeps its meaning while [`CHECK`] stays; new fields may come. Lines and rows count from 1.

use ordering::answer::{Answered, Untaken};
use ordering::counterexample::{self, Changed, Table};
use ordering::engine::{Interleavings, Verdict};
use ordering::language::Diagnostic;
use ordering::model::PropertyId;
use serde::Serialize;

mod outcomes;

use super::super::files::Source;
use super::super::partition::Part;
use super::super::unfinished::Unfinished;
use super::{Checked, as_json, expected_name};
use crate::schema::CHECK;

/// Everything that one call has found.
#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    scenarios: Vec<Scenario<'a>>,
    errors: Vec<Error<'a>>,
    /// Which part of what this is, if only a part was asked for.
    partition: Option<Part>,
    /// Why scenarios are missing; none if all are there.
    unfinished: Option<&'a str>,
}

#[derive(Serialize)]
struct Scenario<'a> {
    file: &'a str,
    line: u32,
    scenario: &'a str,
    verdict: String,
    expected: &'static str,
    as_expected: bool,
    /// What is not as expected, a sentence each.
    faults: Vec<String>,
    /// The length of the counterexample.
    steps: Option<usize>,
    /// The property that breaks.
    property: Option<&'a str>,
    /// The line that asks for it; none if it is built in and nobody does.
    property_line: Option<u32>,
    /// Why it breaks, a sentence each.
    why: Vec<String>,
    trace: Vec<Row>,
    /// Behind a trace that goes on for ever: steps that are taken once, and those that are then taken again and again.
    round: Option<Round>,
    /// What makes a proof vacuous.
    vacuous: Vec<Vacuous<'a>>,
    /// Statements that no order takes.
    unreached: Vec<Unreached<'a>>,
    /// Whether all orders were looked through for them; none if it is no proof.
    unreached_is_complete: Option<bool>,
    /// All outcomes; none if they were not asked for.
    outcomes: Option<outcomes::Report<'a>>,
    states: usize,
    /// Parts of the model that were searched one by one.
    parts: usize,
    transitions: u64,
    interleavings: Option<f64>,
    bytes: usize,
    time_us: u128,
}

#[derive(Serialize)]
struct Vacuous<'a> {
    property: &'a str,
    line: Option<u32>,
    why: &'a str,
}

#[derive(Serialize)]
struct Unreached<'a> {
    agent: &'a str,
    row: u32,
    line: u32,
    text: &'a str,
    /// The scenario's reason, if it says that this is so.
    said: Option<&'a str>,
}

/// A step of the counterexample.
#[derive(Serialize)]
struct Row {
    agent: String,
    step: String,
    changes: Vec<Change>,
    /// Of the file; none for hardware that acts by itself.
    line: Option<u32>,
}

#[derive(Serialize)]
struct Round {
    lead: Vec<Row>,
    cycle: Vec<Row>,
}

#[derive(Serialize)]
struct Change {
    variable: String,
    old: String,
    new: String,
}

#[derive(Serialize)]
struct Error<'a> {
    /// What `afterimage explain` tells more of.
    code: String,
    file: &'a str,
    line: u32,
    column: usize,
    message: &'a str,
    help: &'a str,
    /// Which of all scenarios, from 1, could not be explored; none if the file cannot be read.
    number: Option<usize>,
}

/// What keeps a file, or one of its scenarios, from being checked.
pub(in super::super) struct Wrong {
    /// Which of the scenarios of all files and all parts it is, from 1; none if it is the file.
    pub(in super::super) number: Option<usize>,
    pub(in super::super) diagnostic: Diagnostic,
}

/// All of `checked`, what is wrong with the files that could not be, and why that is not all if it is not.
pub(in super::super) fn json(
    checked: &[Checked],
    wrong: &[(&Source, Vec<Wrong>)],
    partition: Option<Part>,
    unfinished: Option<&Unfinished>,
) -> String {
    let error = |source: &'_ Source, diagnostic: &Diagnostic| diagnostic.place(&source.text);
    let errors = wrong.iter().flat_map(|(source, wrong)| {
        wrong.iter().map(move |Wrong { number, diagnostic }| {
            let (line, column) = error(source, diagnostic);
            let (message, help) = (diagnostic.message.as_str(), diagnostic.help.as_str());
            let code = diagnostic.code.to_string();
            Error { code, file: &source.name, line, column, message, help, number: *number }
        })
    });
    let scenarios = checked.iter().map(scenario).collect();
    let unfinished = unfinished.map(|unfinished| unfinished.why.as_str());
    as_json(&Report { schema: CHECK, scenarios, errors: errors.collect(), partition, unfinished })
}

fn scenario(checked: &Checked) -> Scenario<'_> {
    let (lowered, answer, statistics) = (&checked.lowered, &checked.answer, checked.outcome.statistics);
    let (steps, broken) = match &checked.outcome.verdict {
        Verdict::Violated { trace, property, .. } => (Some(trace.steps.len()), Some(*property)),
        Verdict::Proved | Verdict::BoundHit { .. } => (None, None),
    };
    let table = checked.counterexample();
    Scenario {
        file: &checked.file,
        line: lowered.line,
        scenario: &lowered.name,
        verdict: answer.answered.to_string(),
        expected: expected_name(lowered),
        as_expected: checked.is_as_expected(),
        faults: checked.faults().map(str::to_owned).collect(),
        steps,
        property: broken.map(|property| property_text(checked, property)),
        property_line: broken.and_then(|property| property_line(checked, property)),
        why: table.as_ref().map_or_else(Vec::new, |table| table.why().to_vec()),
        trace: table.iter().flat_map(Table::rows).map(row).collect(),
        round: table.as_ref().and_then(round),
        vacuous: match answer.answered {
            Answered::Vacuous => answer
                .empty
                .iter()
                .map(|empty| Vacuous {
                    property: property_text(checked, empty.property),
                    line: property_line(checked, empty.property),
                    why: &empty.why,
                })
                .collect(),
            Answered::Proved | Answered::Violated | Answered::BoundHit => Vec::new(),
        },
        unreached: answer.untaken.iter().map(unreached).collect(),
        unreached_is_complete: checked.outcome.coverage.as_ref().map(|coverage| coverage.complete),
        outcomes: checked.outcomes.as_ref().map(outcomes::report),
        states: statistics.states,
        parts: statistics.parts,
        transitions: statistics.transitions,
        interleavings: match statistics.interleavings {
            Interleavings::Count(count) => Some(count),
            Interleavings::Cyclic | Interleavings::NotCounted => None,
        },
        bytes: statistics.bytes,
        time_us: checked.time.as_micros(),
    }
}

fn unreached(untaken: &Untaken) -> Unreached<'_> {
    let statement = &untaken.statement;
    let (agent, text, said) = (&untaken.agent, &statement.text, untaken.said.as_deref());
    Unreached { agent, row: statement.row, line: statement.line, text, said }
}

fn property_text(checked: &Checked, property: PropertyId) -> &str {
    &checked.lowered.model.properties[usize::from(property.0)].text
}

fn property_line(checked: &Checked, property: PropertyId) -> Option<u32> {
    let line = checked.lowered.model.properties[usize::from(property.0)].line;
    (line > 0).then_some(line)
}

fn round(table: &Table) -> Option<Round> {
    let [lead, cycle] = table.round().map(|rows| rows.into_iter().map(row).collect::<Vec<_>>());
    (!cycle.is_empty()).then_some(Round { lead, cycle })
}

fn row((agent, row): (&str, &counterexample::Row)) -> Row {
    let change = |change: &Changed| Change {
        variable: change.variable.clone(),
        old: change.old.clone(),
        new: change.new.clone(),
    };
    Row {
        agent: agent.to_owned(),
        step: row.text.clone(),
        changes: row.changes.iter().map(change).collect(),
        line: (row.line > 0).then_some(row.line),
    }
}
