//! One scenario's verdict, beside the one that was expected.
//!
//! Invariant: without an `expect` a scenario is expected to be proved; a bound that was hit is never as expected.

use std::fmt;
use std::time::{Duration, Instant};

use ordering::counterexample::{Changed, Table};
use ordering::engine::{self, Bound, Counting, Interleavings, Options, Outcome, Packed, Reductions, Verdict};
use ordering::language::Diagnostic;
use ordering::language::syntax::{Expect, Scenario};
use ordering::lowering::{Lowered, too_large};
use serde::Serialize;

/// States that the search for a witness may visit.
const WITNESS_STATES: usize = 1_000_000;

/// A scenario that was explored.
pub(super) struct Checked {
    lowered: Lowered,
    expect: Expect,
    packed: Packed,
    outcome: Outcome,
    time: Duration,
    /// What a search without reductions said, if it was asked and said something else.
    disagrees: Option<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    scenarios: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    scenario: &'a str,
    verdict: &'static str,
    expected: &'static str,
    as_expected: bool,
    steps: Option<usize>,
    property: Option<String>,
    /// Why it breaks, a sentence each.
    why: Vec<String>,
    trace: Vec<TraceRow>,
    states: usize,
    transitions: u64,
    interleavings: Option<f64>,
    bytes: usize,
    time_us: u128,
}

/// A step of the counterexample.
#[derive(Serialize)]
struct TraceRow {
    agent: String,
    step: String,
    changes: Vec<Change>,
    /// Of the file, 1-based; none for hardware that acts by itself.
    line: Option<u32>,
}

#[derive(Serialize)]
struct Change {
    variable: String,
    old: String,
    new: String,
}

fn trace_row((agent, row): (&str, &ordering::counterexample::Row)) -> TraceRow {
    let change = |change: &Changed| Change {
        variable: change.variable.clone(),
        old: change.old.clone(),
        new: change.new.clone(),
    };
    TraceRow {
        agent: agent.to_owned(),
        step: row.text.clone(),
        changes: row.changes.iter().map(change).collect(),
        line: (row.line > 0).then_some(row.line),
    }
}

impl Checked {
    /// Explores one scenario.
    pub(super) fn explore(
        scenario: &Scenario,
        lowered: Lowered,
        options: &Options,
        cross: bool,
    ) -> Result<Self, Diagnostic> {
        let begun = Instant::now();
        let packed = engine::compile(&lowered.model).map_err(|error| too_large(scenario, &error))?;
        let outcome = engine::explore(&packed, options);
        let time = begun.elapsed();
        let disagrees = if cross { disagreement(&packed, options, &outcome) } else { None };
        let expect = lowered.expect.clone().unwrap_or(Expect::Proved);
        Ok(Self { lowered, expect, packed, outcome, time, disagrees })
    }

    /// After a limit: how far the search came, and what bounds the rest.
    pub(super) fn growth(&self) -> Option<String> {
        let Verdict::BoundHit { .. } = self.outcome.verdict else { return None };
        let statistics = &self.outcome.statistics;
        let [before, last] = statistics.last_levels;
        let trend = if last > before { "still growing" } else { "no longer growing" };
        let (depth, bits) = (statistics.depth, self.packed.state_bits());
        Some(format!(
            "  {depth} steps deep, {last} new states at the last step after {before} ({trend}); of at most 2^{bits}"
        ))
    }

    /// Whether the verdict is the expected one, and the searches agreed.
    pub(super) fn is_as_expected(&self) -> bool {
        let expected = match (&self.expect, &self.outcome.verdict) {
            (Expect::Proved, Verdict::Proved) => true,
            (Expect::Violation { steps, .. }, Verdict::Violated { trace, .. }) => {
                steps.is_none_or(|steps| usize::try_from(steps) == Ok(trace.steps.len()))
            }
            _ => false,
        };
        expected && self.disagrees.is_none()
    }

    /// The trace of its violation.
    pub(super) fn counterexample(&self) -> Option<Table> {
        match &self.outcome.verdict {
            Verdict::Violated { property, trace, .. } => {
                Some(Table::new(&self.lowered, trace, Some(*property)))
            }
            _ => None,
        }
    }

    /// A complete run of a scenario that is proved.
    pub(super) fn witness(&self, options: &Options) -> Option<Table> {
        let proved = self.outcome.verdict == Verdict::Proved;
        let trace = proved
            .then(|| engine::witness(&self.packed, &Options { max_states: WITNESS_STATES, ..*options }))??;
        Some(Table::new(&self.lowered, &trace, None))
    }

    /// The bits of its state.
    pub(super) fn bits(&self) -> String {
        let variables = self.lowered.model.variables.iter().map(|variable| variable.name.as_str());
        let bits = variables.zip(self.packed.bits()).filter(|(_, bits)| *bits > 0);
        let bits: Vec<String> = bits.map(|(name, bits)| format!("{name} {bits}")).collect();
        format!("    {} bits a state: {}", self.packed.state_bits(), bits.join(", "))
    }

    fn row(&self) -> Row<'_> {
        let (steps, property) = match &self.outcome.verdict {
            Verdict::Violated { trace, property, .. } => {
                let property = &self.lowered.model.properties[usize::from(property.0)];
                (Some(trace.steps.len()), Some(property.text.clone()))
            }
            _ => (None, None),
        };
        let statistics = self.outcome.statistics;
        let table = self.counterexample();
        Row {
            scenario: &self.lowered.name,
            verdict: verdict_name(&self.outcome.verdict),
            expected: expected_name(&self.expect),
            as_expected: self.is_as_expected(),
            steps,
            property,
            why: table.as_ref().map(|table| table.why().to_vec()).unwrap_or_default(),
            trace: table.iter().flat_map(Table::rows).map(trace_row).collect(),
            states: statistics.states,
            transitions: statistics.transitions,
            interleavings: match statistics.interleavings {
                Interleavings::Count(count) => Some(count),
                _ => None,
            },
            bytes: statistics.bytes,
            time_us: self.time.as_micros(),
        }
    }
}

/// Explores once more, with the reductions the other way round, and says what differs.
fn disagreement(packed: &Packed, options: &Options, outcome: &Outcome) -> Option<String> {
    let reductions = if options.reductions == Reductions::NONE { Reductions::ALL } else { Reductions::NONE };
    let other = engine::explore(packed, &Options { reductions, interleavings: Counting::Off, ..*options });
    let summary = |outcome: &Outcome| match &outcome.verdict {
        Verdict::Violated { trace, .. } => format!("VIOLATED in {} steps", trace.steps.len()),
        other => verdict_name(other).to_owned(),
    };
    let (this, that) = (summary(outcome), summary(&other));
    (this != that).then(|| format!("{that} with reductions the other way round"))
}

fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Proved => "PROVED",
        Verdict::Violated { .. } => "VIOLATED",
        Verdict::BoundHit { .. } => "BOUND HIT",
    }
}

fn expected_name(expect: &Expect) -> &'static str {
    match expect {
        Expect::Proved => "PROVED",
        Expect::Violation { .. } => "VIOLATED",
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match &self.outcome.verdict {
            Verdict::Violated { trace, .. } => format!("VIOLATED in {} steps", trace.steps.len()),
            Verdict::BoundHit { what } => format!("BOUND HIT: {}", option_of(*what)),
            Verdict::Proved => "PROVED".to_owned(),
        };
        let interleavings = match self.outcome.statistics.interleavings {
            Interleavings::Count(count) if count < 1e6 => format!("{count}"),
            Interleavings::Count(count) => format!("{count:.2e}"),
            Interleavings::Cyclic => "cyclic".to_owned(),
            Interleavings::NotCounted => "-".to_owned(),
        };
        let time_ms = self.time.as_secs_f64() * 1e3;
        let states = self.outcome.statistics.states;
        write!(
            f,
            "{:40} {verdict:20} {states:>9} states {interleavings:>10} orders {time_ms:>8.2} ms",
            self.lowered.name
        )?;
        if !self.is_as_expected() {
            write!(f, "   <-- EXPECTED {}", expected_name(&self.expect))?;
            if let Expect::Violation { steps: Some(steps), .. } = &self.expect {
                write!(f, " in {steps} steps")?;
            }
        }
        match &self.disagrees {
            Some(other) => write!(f, "   <-- {other}"),
            None => Ok(()),
        }
    }
}

/// What would have to be larger.
fn option_of(bound: Bound) -> &'static str {
    match bound {
        Bound::States { .. } => "--max-states",
        Bound::Memory { .. } => "--memory",
        Bound::Stopped => "--time",
    }
}

/// One sentence about all of them.
pub(super) fn conclusion(checked: &[Checked]) -> String {
    let wrong: Vec<&str> =
        checked.iter().filter(|one| !one.is_as_expected()).map(|one| one.lowered.name.as_str()).collect();
    let count = checked.len();
    if wrong.is_empty() {
        format!("\n{count} scenarios, each with the expected verdict.")
    } else {
        format!("\n{} of {count} scenarios NOT AS EXPECTED: {}.", wrong.len(), wrong.join(", "))
    }
}

/// All of them as one object.
pub(super) fn json(checked: &[Checked]) -> String {
    as_json(&Report { scenarios: checked.iter().map(Checked::row).collect() })
}

/// An object of numbers and names, as it is printed.
pub(super) fn as_json(report: &impl Serialize) -> String {
    match serde_json::to_string_pretty(report) {
        Ok(text) => text,
        Err(error) => unreachable!("numbers and names are always JSON: {error}"),
    }
}
