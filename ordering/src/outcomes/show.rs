//! Outcomes in words: one line each, in their order, and how often each property holds.
//!
//! Invariant: the forbidden ones begin with `*`. Two sets that are equal are shown alike.

use std::fmt;

use crate::engine::{Bound, Shortfall};
use crate::model::PropertyId;

use super::{Frequency, Observation, Outcome, Outcomes, Place, Seen};

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            0 => write!(f, "{} {}", self.agent, self.text),
            row => write!(f, "{}.{row} {}", self.agent, self.text),
        }
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Always => "Always",
            Self::Sometimes => "Sometimes",
            Self::Never => "Never",
        })
    }
}

impl Outcomes {
    /// One outcome as a line, whoever has seen it: `*` first if it is forbidden.
    #[must_use]
    pub fn line(&self, outcome: &Outcome) -> String {
        let mark = if outcome.is_allowed() { ' ' } else { '*' };
        match outcome {
            Outcome::Ended { seen, .. } => format!("{mark} {}", self.vector(seen)),
            Outcome::Stuck { seen, .. } => format!("{mark} stuck with {}", self.vector(seen)),
            Outcome::Endless { .. } => format!("{mark} goes on for ever"),
            Outcome::Broken(property) => format!("{mark} breaks {}", self.property(*property)),
        }
    }

    /// What is there at the end, each with its name.
    #[must_use]
    pub fn vector(&self, seen: &Seen) -> String {
        let values = self.places.iter().zip(&seen.values);
        let values = values.map(|(place, value)| {
            value.map_or_else(|| format!("{place} = -"), |value| format!("{place} = {value}"))
        });
        let variables =
            self.variables.iter().zip(&seen.variables).map(|(name, value)| format!("{name} = {value}"));
        let entries = self.entries.iter().zip(&seen.entries).map(|(name, entry)| format!("{name} = {entry}"));
        let all: Vec<String> = values.chain(variables).chain(entries).collect();
        if all.is_empty() { "nothing to look at".to_owned() } else { all.join("; ") }
    }

    /// How often a property holds, as a line.
    #[must_use]
    pub fn observed(&self, one: &Observation) -> String {
        let frequency = one.frequency.map_or_else(|| "not known".to_owned(), |known| known.to_string());
        let property = self.property(one.property);
        format!("{frequency:9} holds in {}, broken in {}: {property}", one.holds, one.broken)
    }

    /// A property with its line.
    #[must_use]
    pub fn property(&self, property: PropertyId) -> String {
        let property = &self.properties[usize::from(property.0)];
        match property.line {
            0 => format!("{} (built in)", property.text),
            line => format!("{} (line {line})", property.text),
        }
    }

    /// All lines: how many there are, each of them, and how often each property holds.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let observed = self.observations().into_iter().map(|one| self.observed(&one));
        std::iter::once(self.count())
            .chain(self.found.iter().map(|outcome| self.line(outcome)))
            .chain(observed)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> String {
        let count = self.found.len();
        let outcomes = if count == 1 { "outcome" } else { "outcomes" };
        match self.unfinished {
            None => format!("{count} {outcomes}"),
            Some(Shortfall::TooMany) => {
                format!("{count} {outcomes}, and more: these are too many to be told")
            }
            Some(Shortfall::Search(Bound::States { .. })) => {
                format!("{count} {outcomes} within --max-states, and perhaps more")
            }
            Some(Shortfall::Search(Bound::Memory { .. })) => {
                format!("{count} {outcomes} within --memory, and perhaps more")
            }
            Some(Shortfall::Search(Bound::Stopped)) => {
                format!("{count} {outcomes} within --time, and perhaps more")
            }
            Some(Shortfall::Search(Bound::Ends)) => {
                format!("{count} {outcomes} on disk, and perhaps more")
            }
        }
    }
}

impl fmt::Display for Outcomes {
    /// All lines, without a line feed behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.lines();
        lines.next().map_or(Ok(()), |first| f.write_str(&first))?;
        lines.try_for_each(|line| write!(f, "\n{line}"))
    }
}
