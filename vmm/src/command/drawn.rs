//! What was found of a scenario, for whoever draws it.
//!
//! Invariant: time is left out, so that a picture depends on the scenario alone.

use ordering::answer::Answered;
use ordering::engine::{self, Interleavings, Length, Options, Verdict};
use ordering::language::syntax::Scenario;
use picture::fair::fair;
use picture::report::{Place, Report, Tone};
use picture::timeline::Timeline;

use super::outcome::{Checked, WITNESS_STATES};

impl Checked {
    /// The report of a scenario, with its counterexample, or with a complete run of one that is proved.
    pub(super) fn drawn(&self, scenario: &Scenario, options: &Options) -> Report {
        let (title, run) = self.run(options);
        let tone = match self.answer.answered {
            Answered::Proved => Tone::Good,
            Answered::Violated => Tone::Bad,
            Answered::Vacuous | Answered::BoundHit => Tone::Open,
        };
        let steps = match &self.outcome.verdict {
            Verdict::Violated { trace, .. } => match trace.steps.len() {
                1 => "in 1 step ".to_owned(),
                steps => format!("in {steps} steps "),
            },
            Verdict::Proved | Verdict::BoundHit { .. } => String::new(),
        };
        let expected = if self.is_as_expected() { "" } else { "NOT AS EXPECTED" };
        Report {
            verdict: self.answer.answered.to_string(),
            tone,
            detail: format!("{steps}{expected}").trim_end().to_owned(),
            counts: self.counts(),
            remarks: self.remarks(),
            title: title.to_owned(),
            run,
            ..of(&self.file, scenario)
        }
    }

    fn run(&self, options: &Options) -> (&'static str, Option<Timeline>) {
        match &self.outcome.verdict {
            Verdict::Violated { property, trace, length } => {
                let title = match length {
                    Length::Shortest => "The shortest counterexample",
                    Length::PerhapsLonger => "A counterexample; there may be a shorter one",
                };
                (title, Some(Timeline::new(&self.lowered, trace, Some(*property))))
            }
            Verdict::Proved => {
                let options = Options { max_states: WITNESS_STATES, ..*options };
                let witness = || engine::witness(self.packed.as_ref()?, &options);
                let trace = fair(&self.lowered.model).or_else(witness);
                ("One complete run of many", trace.map(|trace| Timeline::new(&self.lowered, &trace, None)))
            }
            Verdict::BoundHit { .. } => ("", None),
        }
    }

    fn counts(&self) -> Vec<(String, String)> {
        let statistics = &self.outcome.statistics;
        let orders = match statistics.interleavings {
            Interleavings::Count(count) if count < 1e6 => Some(format!("{count}")),
            Interleavings::Count(count) => Some(format!("{count:.2e}")),
            Interleavings::Cyclic => Some("no end: runs can go round".to_owned()),
            Interleavings::NotCounted => None,
        };
        let untaken = self.outcome.coverage.as_ref().map(|_| self.answer.untaken.len().to_string());
        let counts = [
            ("states", Some(statistics.states.to_string())),
            ("steps between them", Some(statistics.transitions.to_string())),
            ("orders", orders),
            ("statements that no order takes", untaken),
        ];
        counts.into_iter().filter_map(|(name, count)| Some((name.to_owned(), count?))).collect()
    }
}

/// A report of a scenario of which nothing is known yet.
pub(super) fn of(file: &str, scenario: &Scenario) -> Report {
    Report {
        name: scenario.name.node.clone(),
        place: Some(Place { file: file.to_owned(), line: scenario.name.span.line }),
        about: scenario.about.clone(),
        source: scenario.source.clone(),
        like: scenario.like.as_ref().map(|like| like.node.clone()),
        verdict: String::new(),
        tone: Tone::Open,
        detail: String::new(),
        counts: Vec::new(),
        remarks: Vec::new(),
        title: String::new(),
        run: None,
    }
}
