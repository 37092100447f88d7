//! Whether what was found of a scenario is what the scenario expects.
//!
//! Invariant: a proof is as expected only if it is one: every `after` happens in some order, some order comes to an end
//! where a property looks at the end, and each row that no order takes is said to be so. A violation is as expected only
//! if the property that broke is the one that is named, or one that the scenario asks for.

use std::fmt;

use crate::engine::{Coverage, Outcome, Verdict};
use crate::language::syntax::Expect;
use crate::lowering::Lowered;
use crate::model::{Check, Mark, Property, PropertyId, Statement};

/// What is true of a scenario, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answered {
    /// No order breaks a property.
    Proved,
    /// No order breaks a property, and one could not have been broken: nothing comes to where it looks.
    Vacuous,
    /// Some order breaks a property.
    Violated,
    /// Nothing broke within the limits.
    BoundHit,
}

/// A property that could not have been broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Empty {
    /// The property.
    pub property: PropertyId,
    /// Why, in a sentence.
    pub why: String,
}

/// A statement that no order takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Untaken {
    /// The statement.
    pub statement: Statement,
    /// The name of its agent.
    pub agent: String,
    /// Why that is as it should be, if the scenario says so.
    pub said: Option<String>,
}

/// The answer to a scenario, beside what it expects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What is true of it.
    pub answered: Answered,
    /// What makes its proof vacuous.
    pub empty: Vec<Empty>,
    /// What its proof does not rest on.
    pub untaken: Vec<Untaken>,
    /// What is not as it expects, a sentence each.
    pub faults: Vec<String>,
}

/// Rows that the scenario says no order takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreached {
    /// Index of the agent.
    pub agent: usize,
    /// The first row of its column, 1-based.
    pub first: u32,
    /// The last.
    pub last: u32,
    /// Why.
    pub reason: String,
    /// Line of the source that says so, 1-based.
    pub line: u32,
}

impl Unreached {
    fn holds(&self, statement: &Statement) -> bool {
        self.agent == statement.agent && (self.first..=self.last).contains(&statement.row)
    }
}

impl Answer {
    /// The answer that `outcome`, of the model of `lowered`, gives.
    #[must_use]
    pub fn new(lowered: &Lowered, outcome: &Outcome) -> Self {
        let mut answer = Self {
            answered: match outcome.verdict {
                Verdict::Proved => Answered::Proved,
                Verdict::Violated { .. } => Answered::Violated,
                Verdict::BoundHit { .. } => Answered::BoundHit,
            },
            empty: Vec::new(),
            untaken: Vec::new(),
            faults: Vec::new(),
        };
        if let Some(coverage) = &outcome.coverage {
            answer.cover(lowered, coverage);
        }
        let expected = match &lowered.expect {
            None | Some(Expect::Proved) => None,
            Some(Expect::Violation { steps, .. }) => Some(*steps),
        };
        match (answer.answered, expected) {
            (Answered::Proved, None) => {}
            (Answered::Violated, Some(steps)) => answer.compare(lowered, outcome, steps),
            (answered, None) => answer.faults.push(format!("expected PROVED, found {answered}")),
            (answered, Some(_)) => answer.faults.push(format!("expected VIOLATED, found {answered}")),
        }
        answer
    }

    /// Whether it is what the scenario expects.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.faults.is_empty()
    }

    /// What the runs of a proved model leave out.
    fn cover(&mut self, lowered: &Lowered, coverage: &Coverage) {
        for mark in &coverage.unseen {
            match &lowered.model.marks[usize::from(mark.0)] {
                Mark::After(property) => self.empty.push(Empty {
                    property: *property,
                    why: "what stands behind its `after` happens in no order".to_owned(),
                }),
                Mark::Statement(statement) => {
                    let said = lowered.unreached.iter().find(|said| said.holds(statement));
                    let agent = lowered.model.agents[statement.agent].name.clone();
                    let said = said.map(|said| said.reason.clone());
                    self.untaken.push(Untaken { statement: statement.clone(), agent, said });
                }
            }
        }
        if !coverage.end {
            let looks = |property: &Property| matches!(property.check, Check::Finally(_));
            let finally = (0..).map(PropertyId).zip(&lowered.model.properties);
            self.empty.extend(finally.filter(|(_, property)| looks(property)).map(|(property, _)| Empty {
                property,
                why: "no order comes to an end, which is where it looks".to_owned(),
            }));
        }
        if !self.empty.is_empty() && coverage.complete {
            self.answered = Answered::Vacuous;
        }
        self.untaken.sort_by(|one, other| one.statement.cmp(&other.statement));
        let silent = self.untaken.iter().filter(|untaken| untaken.said.is_none());
        self.faults.extend(silent.map(|untaken| match coverage.complete {
            true => format!("no order takes {untaken}"),
            false => format!("no order was seen to take {untaken}, before a limit was hit"),
        }));
        if !coverage.complete {
            let unseen = self.empty.iter().map(|empty| {
                let text = &lowered.model.properties[usize::from(empty.property.0)].text;
                format!("a limit was hit before `{text}` was seen to be at stake")
            });
            self.faults.extend(unseen);
        }
        self.faults.extend(lowered.unreached.iter().filter_map(|said| taken(said, &self.untaken, lowered)));
    }

    /// What is wrong with a violation where one is expected.
    fn compare(&mut self, lowered: &Lowered, outcome: &Outcome, steps: Option<u32>) {
        let Verdict::Violated { property, trace, .. } = &outcome.verdict else { return };
        let broken = &lowered.model.properties[usize::from(property.0)];
        match lowered.expected_property {
            Some(expected) if expected != *property => {
                let expected = &lowered.model.properties[usize::from(expected.0)].text;
                self.faults.push(format!("expected to break is `{expected}`, broken is `{}`", broken.text));
            }
            None if broken.line == 0 => self.faults.push(format!(
                "`{}` broke, which is built in and which the scenario does not ask for: name it behind `expect \
                 violation of`, or switch it off",
                broken.text
            )),
            Some(_) | None => {}
        }
        if let Some(steps) = steps.filter(|steps| usize::try_from(*steps) != Ok(trace.steps.len())) {
            self.faults.push(format!("expected in {steps} steps, found in {}", trace.steps.len()));
        }
    }
}

/// What is wrong with rows that are said to be taken in no order, if one of them is.
fn taken(said: &Unreached, untaken: &[Untaken], lowered: &Lowered) -> Option<String> {
    let reached = (said.first..=said.last).find(|row| {
        let row = Unreached { first: *row, last: *row, ..said.clone() };
        !untaken.iter().any(|untaken| row.holds(&untaken.statement))
    })?;
    let agent = &lowered.model.agents[said.agent].name;
    Some(format!(
        "row {reached} of {agent} is said to be unreached (line {}), and some order takes it",
        said.line
    ))
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proved => "PROVED",
            Self::Vacuous => "VACUOUS",
            Self::Violated => "VIOLATED",
            Self::BoundHit => "BOUND HIT",
        })
    }
}

impl fmt::Display for Untaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Statement { row, line, text, .. } = &self.statement;
        write!(f, "`{text}`, row {row} of {}, line {line}", self.agent)
    }
}

#[cfg(test)]
mod tests;
