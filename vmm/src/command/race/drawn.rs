//! What was seen of a scenario on the live machine, for whoever draws it.
//!
//! Invariant: a scenario that ran has a report, also if there is no run to be shown: a page says what was done.

use ordering::language::syntax::Scenario;
use picture::report::{Report, Tone};
use picture::timeline::Timeline;

use super::super::drawn;
use super::freely::Freed;
use super::report::verdict;
use super::{Model, Raced};

impl Raced {
    /// The report of a scenario that was steered, with its counterexample if that happened.
    pub(super) fn drawn(&self, scenario: &Scenario) -> Report {
        let run = match (&self.model, &self.divergence) {
            (Model::Refuted(trace, property), None) => {
                Some(Timeline::new(&self.lowered, trace, Some(*property)))
            }
            (Model::Refuted(..), Some(_)) | (Model::Proved | Model::Open, _) => None,
        };
        let tone = match (&self.model, &self.divergence) {
            (Model::Refuted(..), _) | (_, Some(_)) => Tone::Bad,
            // Runs by chance are no proof.
            (Model::Proved | Model::Open, None) => Tone::Open,
        };
        let title = if run.is_some() { "The counterexample that happened" } else { "" };
        let vcpus = if self.on_kvm { "; a guest executed what its vCPUs do" } else { "" };
        let counts = [("random runs", self.runs.to_string()), ("rows taken", self.rows.to_string())];
        Report {
            verdict: verdict(self),
            tone,
            detail: format!("on the live machine{vcpus}"),
            counts: counts.map(|(name, count)| (name.to_owned(), count)).into(),
            remarks: below(self),
            title: title.to_owned(),
            run,
            ..drawn::of(&self.file, scenario)
        }
    }
}

impl Freed {
    /// The report of a scenario that ran by itself: what its rounds ended with.
    pub(super) fn drawn(&self, scenario: &Scenario) -> Report {
        let (verdict, tone) = match (self.agrees(), self.rounds().0) {
            (false, _) => ("DIVERGENCE", Tone::Bad),
            (true, 0) => ("did not run", Tone::Open),
            (true, _) => ("agrees", Tone::Open),
        };
        Report {
            verdict: verdict.to_owned(),
            tone,
            detail: "by itself, on the live machine".to_owned(),
            counts: vec![("rounds".to_owned(), self.rounds().0.to_string())],
            remarks: below(self),
            ..drawn::of(&self.file, scenario)
        }
    }
}

/// What is printed below the line of a scenario.
fn below(one: &impl ToString) -> Vec<String> {
    one.to_string().lines().skip(1).map(|line| line.trim().to_owned()).collect()
}
