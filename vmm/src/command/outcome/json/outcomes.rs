//! All outcomes of a scenario, as a part of its JSON object.
//!
//! Invariant: `values`, `variables` and `entries` of an outcome stand in the order of the names in `places`, `variables`
//! and `entries` beside them; a place that has returned nothing is null.

use ordering::model::PropertyId;
use ordering::outcomes::{Observation, Outcome, Outcomes, Seen};
use serde::Serialize;

/// The outcomes.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    /// Whether these are all.
    complete: bool,
    places: Vec<Place<'a>>,
    variables: &'a [String],
    entries: &'a [String],
    found: Vec<One<'a>>,
    properties: Vec<Property<'a>>,
    states: usize,
}

/// A statement that returns a value.
#[derive(Serialize)]
struct Place<'a> {
    agent: &'a str,
    row: u32,
    line: u32,
    text: &'a str,
}

#[derive(Serialize)]
struct One<'a> {
    /// `ended`, `stuck`, `endless` or `broken`.
    end: &'static str,
    allowed: bool,
    /// None if the run ends with a row that breaks something, or never.
    values: Option<&'a [Option<u32>]>,
    variables: Option<&'a [u32]>,
    entries: Option<&'a [String]>,
    /// The properties that are broken.
    broken: Vec<&'a str>,
}

/// How often a property holds.
#[derive(Serialize)]
struct Property<'a> {
    property: &'a str,
    /// None if it is built in and nobody asks for it.
    line: Option<u32>,
    holds: usize,
    broken: usize,
    /// `Always`, `Sometimes` or `Never`; none if it is not known.
    frequency: Option<String>,
}

pub(super) fn report(outcomes: &Outcomes) -> Report<'_> {
    let places = outcomes.places.iter();
    let places = places.map(|one| Place { agent: &one.agent, row: one.row, line: one.line, text: &one.text });
    Report {
        complete: outcomes.is_complete(),
        places: places.collect(),
        variables: &outcomes.variables,
        entries: &outcomes.entries,
        found: outcomes.found.iter().map(|outcome| one(outcomes, outcome)).collect(),
        properties: outcomes.observations().iter().map(|one| property(outcomes, one)).collect(),
        states: outcomes.states,
    }
}

fn one<'a>(outcomes: &'a Outcomes, outcome: &'a Outcome) -> One<'a> {
    let seen: Option<&Seen> = outcome.seen();
    One {
        end: match outcome {
            Outcome::Ended { .. } => "ended",
            Outcome::Stuck { .. } => "stuck",
            Outcome::Endless { .. } => "endless",
            Outcome::Broken(_) => "broken",
        },
        allowed: outcome.is_allowed(),
        values: seen.map(|seen| seen.values.as_slice()),
        variables: seen.map(|seen| seen.variables.as_slice()),
        entries: seen.map(|seen| seen.entries.as_slice()),
        broken: outcome.broken().iter().map(|property| text(outcomes, *property)).collect(),
    }
}

fn property<'a>(outcomes: &'a Outcomes, one: &Observation) -> Property<'a> {
    let line = outcomes.properties[usize::from(one.property.0)].line;
    Property {
        property: text(outcomes, one.property),
        line: (line != 0).then_some(line),
        holds: one.holds,
        broken: one.broken,
        frequency: one.frequency.map(|frequency| frequency.to_string()),
    }
}

fn text(outcomes: &Outcomes, property: PropertyId) -> &str {
    &outcomes.properties[usize::from(property.0)].text
}
