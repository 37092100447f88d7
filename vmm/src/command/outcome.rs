//! One scenario's verdict, beside the one that was expected.
//!
//! Invariant: without an `expect` a scenario is expected to be proved; a bound that was hit is never as expected, and
//! neither is an answer that a search without reductions does not give.

mod case;
mod growth;
mod json;

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use ordering::answer::{Answer, Answered};
use ordering::counterexample::Table;
use ordering::engine::disk::{self, DiskError};
use ordering::engine::{
    self, Bound, Counting, Interleavings, Options, Outcome, Packed, Reductions, TooLarge, Verdict,
};
use ordering::language::Diagnostic;
use ordering::language::syntax::{Expect, Scenario};
use ordering::lowering::{Lowered, too_large};
use ordering::outcomes::{self, Outcomes};
use serde::Serialize;

use super::columns;
use super::origin::described;

pub(super) use json::{Wrong, json};

/// States that the search for a witness may visit.
pub(super) const WITNESS_STATES: usize = 1_000_000;

/// A scenario that was explored.
pub(super) struct Checked {
    /// The file that it stands in, as it is shown.
    pub(super) file: String,
    pub(super) lowered: Lowered,
    pub(super) answer: Answer,
    /// Line of the source that says what is expected; none if nothing does.
    expect_line: Option<u32>,
    /// None if the time was over before.
    pub(super) packed: Option<Packed>,
    pub(super) outcome: Outcome,
    time: Duration,
    /// What another search said, if it was asked and said something else.
    disagrees: Option<String>,
    /// All outcomes, if they were asked for.
    outcomes: Option<Outcomes>,
}

impl Checked {
    /// Explores one scenario; if `cross` says so also with the reductions the other way round.
    pub(super) fn explore(
        file: &str,
        scenario: &Scenario,
        lowered: Lowered,
        options: &Options,
        cross: bool,
    ) -> Result<Self, Diagnostic> {
        let search = |packed: &Packed| Ok::<_, Infallible>(engine::explore(packed, options));
        let checked = match Self::by(search, file, scenario, lowered, options) {
            Ok(checked) => checked?,
            Err(never) => match never {},
        };
        let crossed = checked.packed.as_ref().filter(|_| cross);
        let disagrees = crossed.and_then(|packed| disagreement(packed, options, &checked.outcome));
        Ok(Self { disagrees, ..checked })
    }

    /// Explores one scenario with its states in this folder.
    pub(super) fn explore_on_disk(
        file: &str,
        scenario: &Scenario,
        lowered: Lowered,
        options: &Options,
        folder: &Path,
    ) -> Result<Result<Self, Diagnostic>, DiskError> {
        let search = |packed: &Packed| disk::explore(packed, options, folder);
        Self::by(search, file, scenario, lowered, options)
    }

    /// Packs one scenario and lets `search` say what is true of it.
    fn by<E>(
        search: impl FnOnce(&Packed) -> Result<Outcome, E>,
        file: &str,
        scenario: &Scenario,
        lowered: Lowered,
        options: &Options,
    ) -> Result<Result<Self, Diagnostic>, E> {
        let begun = Instant::now();
        let packed = match engine::compile_until(&lowered.model, options.stop) {
            Ok(packed) => Some(packed),
            Err(TooLarge::Stopped) => None,
            Err(error @ (TooLarge::Bits { .. } | TooLarge::Malformed(_))) => {
                return Ok(Err(too_large(scenario, &error)));
            }
        };
        let outcome = packed.as_ref().map(search).transpose()?.unwrap_or_else(Outcome::stopped);
        let time = begun.elapsed();
        let answer = Answer::new(&lowered, &outcome);
        let (file, disagrees, outcomes) = (file.to_owned(), None, None);
        let expect_line = scenario.expect.as_ref().map(|expect| expect.span.line);
        Ok(Ok(Self { file, lowered, expect_line, answer, packed, outcome, time, disagrees, outcomes }))
    }

    /// The same with all outcomes, which must agree with the verdict.
    pub(super) fn with_outcomes(
        self,
        scenario: &Scenario,
        source: &str,
        options: &Options,
    ) -> Result<Self, Vec<Diagnostic>> {
        let outcomes = outcomes::outcomes(scenario, source, options)?;
        let forbidden = outcomes.found.iter().any(|outcome| !outcome.is_allowed());
        let fault = match (outcomes.is_complete(), &self.outcome.verdict) {
            (false, _) => Some("not all outcomes are known"),
            (true, Verdict::Proved) => forbidden.then_some("PROVED, and an outcome is forbidden"),
            (true, Verdict::Violated { .. }) => {
                (!forbidden).then_some("VIOLATED, and no outcome is forbidden")
            }
            (true, Verdict::BoundHit { .. }) => None,
        };
        let fault = fault.map(str::to_owned);
        Ok(Self { disagrees: self.disagrees.or(fault), outcomes: Some(outcomes), ..self })
    }

    /// The same, if a search with the reductions the other way round finds the same outcomes.
    pub(super) fn with_outcomes_crossed(
        self,
        scenario: &Scenario,
        source: &str,
        options: &Options,
    ) -> Result<Self, Vec<Diagnostic>> {
        let other = outcomes::outcomes(scenario, source, &other_way_round(options))?;
        let differ = self.outcomes.as_ref().is_some_and(|own| own.found != other.found);
        let fault = differ.then(|| "other outcomes with reductions the other way round".to_owned());
        Ok(Self { disagrees: self.disagrees.or(fault), ..self })
    }

    /// The outcomes, for whoever prints them at once: all those of a folder are too many to be kept.
    pub(super) fn take_outcomes(&mut self) -> Option<Outcomes> {
        self.outcomes.take()
    }

    /// After a limit: how far the search came, and what bounds the rest.
    pub(super) fn growth(&self) -> Option<String> {
        let Verdict::BoundHit { what } = self.outcome.verdict else { return None };
        if what == Bound::Ends {
            return Some(format!("  {}", growth::NO_GRAPH));
        }
        let statistics = &self.outcome.statistics;
        let [.., before, last] = statistics.last_levels;
        let trend = if last > before { "still growing" } else { "no longer growing" };
        let Some(packed) = &self.packed else { return Some("  the model was not packed in time".to_owned()) };
        let (depth, bits) = (statistics.depth, packed.state_bits());
        let needed = growth::needed(packed, statistics);
        Some(format!(
            "  {depth} steps deep, {last} new states at the last step after {before} ({trend}); of at most 2^{bits}\n  \
             {needed}"
        ))
    }

    /// Whether the verdict is the expected one, and the searches agreed.
    pub(super) fn is_as_expected(&self) -> bool {
        self.faults().next().is_none()
    }

    const fn expects_violation(&self) -> bool {
        match self.lowered.expect {
            None | Some(Expect::Proved) => false,
            Some(Expect::Violation { .. }) => true,
        }
    }

    /// What is not as it should be, a sentence each.
    fn faults(&self) -> impl Iterator<Item = &str> {
        self.answer.faults.iter().chain(&self.disagrees).map(String::as_str)
    }

    /// What belongs below its line: what a proof leaves open, and what is not as expected.
    pub(super) fn remarks(&self) -> Vec<String> {
        let text = |property: ordering::model::PropertyId| {
            let property = &self.lowered.model.properties[usize::from(property.0)];
            format!("`{}` (line {})", property.text, property.line)
        };
        let mut remarks = Vec::new();
        if self.answer.answered == Answered::Vacuous {
            remarks.extend(
                self.answer
                    .empty
                    .iter()
                    .map(|empty| format!("vacuous: {}: {}", text(empty.property), empty.why)),
            );
        }
        let said = self.answer.untaken.iter().filter_map(|untaken| {
            untaken.said.as_ref().map(|reason| format!("no order takes {untaken}, as it says: {reason}"))
        });
        remarks.extend(said);
        remarks.extend(self.faults().map(|fault| format!("NOT AS EXPECTED: {fault}")));
        remarks
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
        let trace = proved.then(|| {
            let options = Options { max_states: WITNESS_STATES, ..*options };
            engine::witness(self.packed.as_ref()?, &options)
        })??;
        Some(Table::new(&self.lowered, &trace, None))
    }

    /// The bits of its state.
    pub(super) fn bits(&self) -> String {
        let variables = self.lowered.model.variables.iter().map(|variable| variable.name.as_str());
        let Some(packed) = &self.packed else { return "    the model was not packed in time".to_owned() };
        let bits = variables.zip(packed.bits()).filter(|(_, bits)| *bits > 0);
        let bits: Vec<String> = bits.map(|(name, bits)| format!("{name} {bits}")).collect();
        format!("    {} bits a state: {}", packed.state_bits(), bits.join(", "))
    }
}

/// Explores once more, with the reductions the other way round, and says what differs.
fn disagreement(packed: &Packed, options: &Options, outcome: &Outcome) -> Option<String> {
    let options = Options { interleavings: Counting::Off, ..other_way_round(options) };
    let other = engine::explore(packed, &options);
    let summary = |outcome: &Outcome| match &outcome.verdict {
        Verdict::Violated { trace, .. } => violated_in(trace.steps.len()),
        Verdict::BoundHit { .. } => Answered::BoundHit.to_string(),
        Verdict::Proved => match &outcome.coverage {
            Some(coverage) if !coverage.end => format!("PROVED, {} unseen, no end", coverage.unseen.len()),
            Some(coverage) => format!("PROVED, unseen {:?}", coverage.unseen),
            None => Answered::Proved.to_string(),
        },
    };
    let (this, that) = (summary(outcome), summary(&other));
    (this != that).then(|| format!("{this}, and {that} with reductions the other way round"))
}

fn other_way_round<'w>(options: &Options<'w>) -> Options<'w> {
    let reductions = if options.reductions == Reductions::NONE { Reductions::ALL } else { Reductions::NONE };
    Options { reductions, ..*options }
}

/// The length of a counterexample in words.
fn violated_in(steps: usize) -> String {
    format!("VIOLATED in {steps} step{}", if steps == 1 { "" } else { "s" })
}

fn expected_name(lowered: &Lowered) -> &'static str {
    match lowered.expect {
        None | Some(Expect::Proved) => "PROVED",
        Some(Expect::Violation { .. }) => "VIOLATED",
    }
}

/// What is true of it, in a word or some.
fn verdict(checked: &Checked) -> String {
    match &checked.outcome.verdict {
        Verdict::Violated { trace, .. } => violated_in(trace.steps.len()),
        Verdict::BoundHit { what } => format!("BOUND HIT: {}", option_of(*what)),
        Verdict::Proved => checked.answer.answered.to_string(),
    }
}

/// In a line of [`LINE_COLUMNS`](super::columns::LINE_COLUMNS), or (`{:#}`) in two, and what is to be said of it below.
impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = verdict(self);
        let interleavings = match self.outcome.statistics.interleavings {
            Interleavings::Count(count) if count < 1e6 => format!("{count}"),
            Interleavings::Count(count) => format!("{count:.2e}"),
            Interleavings::Cyclic => "cyclic".to_owned(),
            Interleavings::NotCounted => "-".to_owned(),
        };
        let time_ms = self.time.as_secs_f64() * 1e3;
        let states = self.outcome.statistics.states;
        write!(f, "{:40} {verdict:20}{}", self.lowered.name, columns::between(f.alternate()))?;
        write!(f, "{states:>9} states {interleavings:>10} orders {time_ms:>8.2} ms")?;
        if self.outcome.statistics.parts > 1 {
            write!(f, " in {} parts", self.outcome.statistics.parts)?;
        }
        let mark = if self.is_as_expected() { "" } else { "   <-- NOT AS EXPECTED" };
        f.write_str(mark)?;
        self.remarks().iter().try_for_each(|remark| write!(f, "\n    {remark}"))?;
        // As a compiler says where something is: editors jump there.
        if self.is_as_expected() { Ok(()) } else { write!(f, "\n --> {}:{}:1", self.file, self.lowered.line) }
    }
}

/// What would have to be larger.
fn option_of(bound: Bound) -> &'static str {
    match bound {
        Bound::States { .. } => "--max-states",
        Bound::Memory { .. } => "--memory",
        Bound::Stopped => "--time",
        Bound::Ends => "--disk",
    }
}

/// One sentence about all of them.
pub(super) fn conclusion(checked: &[Checked]) -> String {
    let place = |one: &Checked| format!("{} ({}:{})", one.lowered.name, one.file, one.lowered.line);
    let wrong: Vec<String> = checked.iter().filter(|one| !one.is_as_expected()).map(place).collect();
    let count = checked.len();
    if wrong.is_empty() {
        all_expected(count)
    } else {
        format!("\n{} of {count} scenarios NOT AS EXPECTED: {}.", wrong.len(), wrong.join(", "))
    }
}

/// The same if nothing is wrong.
pub(super) fn all_expected(count: usize) -> String {
    match count {
        1 => "\n1 scenario, with the expected verdict.".to_owned(),
        _ => format!("\n{count} scenarios, each with the expected verdict."),
    }
}

/// An object of numbers and names, as it is printed, with where it comes from.
pub(super) fn as_json(report: &impl Serialize) -> String {
    match serde_json::to_string_pretty(&described(report)) {
        Ok(text) => text,
        Err(error) => unreachable!("numbers and names are always JSON: {error}"),
    }
}
