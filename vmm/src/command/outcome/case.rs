//! A scenario that was explored, as reports for other programs tell it.
//!
//! Invariant: it has a fault if and only if it is not as expected. The fault stands on the row that broke something, or
//! else where the scenario says what is expected of it.

use ordering::answer::Answered;
use ordering::counterexample::{Changed, Row, Table};
use ordering::engine::Verdict;

use super::super::format::report::{Case, Fault, Rule, Step};
use super::{Checked, verdict};

impl Checked {
    /// The same for other programs.
    pub(in super::super) fn case(&self) -> Case {
        Case {
            scenario: self.lowered.name.clone(),
            line: self.lowered.line,
            verdict: verdict(self),
            seconds: self.time.as_secs_f64(),
            fault: (!self.is_as_expected()).then(|| self.fault()),
        }
    }

    fn fault(&self) -> Fault {
        let table = self.counterexample();
        let expected = self.expect_line.unwrap_or(self.lowered.line);
        let (rule, line) = self.blamed(table.as_ref(), expected);
        let vacuous = self.remarks().into_iter().filter(|remark| remark.starts_with("vacuous: "));
        let why = table.iter().flat_map(Table::why).cloned();
        Fault {
            rule,
            text: self.faults().map(str::to_owned).chain(vacuous).chain(why).collect(),
            line,
            flow: table.iter().flat_map(Table::rows).map(step).collect(),
            table: table.map(|table| table.to_string().trim_end().to_owned()),
        }
    }

    /// What is wrong with it in a word, and on which line.
    fn blamed(&self, table: Option<&Table>, expected: u32) -> (Rule, u32) {
        if self.disagrees.is_some() {
            return (Rule::Disagreement, expected);
        }
        let silent = self.answer.untaken.iter().find(|untaken| untaken.said.is_none());
        match (self.answer.answered, &self.outcome.verdict) {
            (Answered::Violated, Verdict::Violated { property, .. }) => {
                let text = self.lowered.model.properties[usize::from(property.0)].text.clone();
                let rows = table.into_iter().flat_map(Table::rows).map(|(_, row)| row.line);
                (Rule::Violated(text), rows.filter(|line| *line > 0).last().unwrap_or(expected))
            }
            (Answered::BoundHit, _) => (Rule::Undecided, expected),
            (Answered::Vacuous, _) => {
                let line = self
                    .answer
                    .empty
                    .first()
                    .map(|empty| self.lowered.model.properties[usize::from(empty.property.0)].line);
                (Rule::Vacuous, line.filter(|line| *line > 0).unwrap_or(expected))
            }
            (Answered::Proved | Answered::Violated, _) => match silent {
                Some(untaken) => (Rule::Coverage, untaken.statement.line),
                None if self.expects_violation() => (Rule::NotRefuted, expected),
                None => (Rule::Coverage, expected),
            },
        }
    }
}

fn step((agent, row): (&str, &Row)) -> Step {
    let change = |change: &Changed| format!("{}: {}", change.variable, change.new);
    Step {
        agent: agent.to_owned(),
        text: row.text.clone(),
        changes: row.changes.iter().map(change).collect::<Vec<_>>().join("; "),
        line: (row.line > 0).then_some(row.line),
    }
}
