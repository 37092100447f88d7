//! A scenario on the live machine, as reports for other programs tell it.
//!
//! Invariant: it has a fault if and only if the machine did what the model does not have, or that is not known.

use super::super::format::report::{Case, Error, Fault, Group, Report, Rule, Step};
use super::super::unfinished::Unfinished;
use super::freely::Freed;
use super::{Model, ON_KVM, Raced, Seen, report};

/// The part of what was seen that belongs to one file.
pub(super) struct Span<'a> {
    pub(super) file: &'a str,
    /// How many of each there were before: steered, free, not run.
    pub(super) before: [usize; 3],
    pub(super) errors: Vec<Error>,
}

/// Everything, for other programs.
pub(super) fn report<'a>(
    spans: Vec<Span<'a>>,
    seen: &Seen,
    unfinished: Option<&'a Unfinished>,
) -> Report<'a> {
    let ends: Vec<[usize; 3]> = spans.iter().skip(1).map(|span| span.before).chain([seen.counts()]).collect();
    let group = |(span, end): (Span<'a>, [usize; 3])| {
        let [raced, freed, missing] = span.before;
        let steered = seen.raced[raced..end[0]].iter().map(Raced::case);
        let not_run = seen.not_on_kvm[missing..end[2]].iter().map(|(_, name, why)| Error {
            rule: Rule::NotRun,
            place: [(1, 1), (1, 1)],
            message: format!("{name} did not run: {ON_KVM} is not for it: {why}"),
            help: format!("leave out {ON_KVM}"),
        });
        Group {
            file: span.file,
            cases: steered.chain(seen.freed[freed..end[1]].iter().map(Freed::case)).collect(),
            errors: span.errors.into_iter().chain(not_run).collect(),
        }
    };
    Report { command: "race", groups: spans.into_iter().zip(ends).map(group).collect(), unfinished }
}

impl Seen {
    /// How many there are of each: steered, free, not run.
    pub(super) const fn counts(&self) -> [usize; 3] {
        [self.raced.len(), self.freed.len(), self.not_on_kvm.len()]
    }
}

impl Raced {
    /// Whether nothing was wrong, and not all of it was looked at.
    pub(super) fn is_undecided(&self) -> bool {
        match (&self.model, &self.divergence) {
            (_, Some(_)) | (Model::Refuted(..), None) => false,
            (Model::Open, None) => true,
            (Model::Proved, None) => self.runs == 0,
        }
    }

    fn case(&self) -> Case {
        let undecided = self.is_undecided().then(|| undecided(self.lowered.line, self.runs));
        let fault = self.divergence.as_deref().map(|found| {
            let step = |(agent, text): &(String, String)| Step {
                agent: agent.clone(),
                text: text.clone(),
                changes: String::new(),
                line: None,
            };
            let rows =
                (1..).zip(&found.rows).map(|(row, (agent, text))| format!("{row:>3}  {agent}: {text}"));
            Fault {
                rule: Rule::Divergence,
                text: vec![format!("row {}: {}", found.rows.len(), found.of)],
                line: if found.line > 0 { found.line } else { self.lowered.line },
                flow: found.rows.iter().map(step).collect(),
                table: Some(rows.collect::<Vec<_>>().join("\n")),
            }
        });
        Case {
            scenario: self.lowered.name.clone(),
            line: self.lowered.line,
            verdict: report::verdict(self),
            seconds: self.time.as_secs_f64(),
            fault: fault.or(undecided),
        }
    }
}

/// The fault of a scenario that is not decided.
fn undecided(line: u32, runs: u64) -> Fault {
    let (rule, text) = match runs {
        0 => (Rule::NotRun, "nothing was run: allow more with --rounds or --seconds"),
        _ => (Rule::Undecided, "the search hit its limit: allow more with --max-states"),
    };
    Fault { rule, text: vec![text.to_owned()], line, flow: Vec::new(), table: None }
}

impl Freed {
    /// Whether nothing was wrong, and not all of it was looked at.
    pub(super) fn is_undecided(&self) -> bool {
        self.agrees() && (self.rounds().0 == 0 || !self.free.ends().is_complete())
    }

    fn case(&self) -> Case {
        let undecided = self.is_undecided().then(|| undecided(self.line_of_scenario(), self.rounds().0));
        let fault = (!self.agrees()).then(|| Fault {
            rule: Rule::Divergence,
            text: self.divergences(),
            line: self.line_of_scenario(),
            flow: Vec::new(),
            table: Some(self.to_string()),
        });
        Case {
            scenario: self.name().to_owned(),
            line: self.line_of_scenario(),
            verdict: match (self.agrees(), self.rounds().0) {
                (false, _) => "DIVERGENCE",
                (true, 0) => "did not run",
                (true, _) if self.is_undecided() => "agrees, not decided",
                (true, _) => "agrees",
            }
            .to_owned(),
            seconds: self.rounds().1,
            fault: fault.or(undecided),
        }
    }
}
