//! A counterexample that happened, for whoever draws it.
//!
//! Invariant: what did not happen is not drawn.

use ordering::language::syntax::Scenario;
use picture::report::{Report, Tone};
use picture::timeline::Timeline;

use super::{Model, Raced, outcome};

impl Raced {
    /// The report of a scenario whose counterexample happened.
    pub(super) fn drawn(&self, scenario: &Scenario) -> Option<Report> {
        let Model::Refuted(trace, property) = &self.model else { return None };
        if self.divergence.is_some() {
            return None;
        }
        let run = Timeline::new(&self.lowered, trace, Some(*property));
        let vcpus = if self.on_kvm { "; a guest executed what its vCPUs do" } else { "" };
        let counts =
            [("random runs behind it", self.runs.to_string()), ("rows taken", self.rows.to_string())];
        Some(Report {
            verdict: "HAPPENED".to_owned(),
            tone: Tone::Bad,
            detail: format!("in {} steps, on the live machine{vcpus}", run.run()),
            counts: counts.map(|(name, count)| (name.to_owned(), count)).into(),
            title: "The counterexample that happened".to_owned(),
            run: Some(run),
            ..outcome::of(&self.file, scenario)
        })
    }
}
