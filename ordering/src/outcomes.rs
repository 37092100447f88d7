//! The outcomes of a scenario: all that its runs can end with, as litmus tests are read.
//!
//! Invariant: an outcome is listed if and only if some order has it; a list that a limit cut short says so, and then no
//! property is said to hold always or never. Source: Alglave, Maranget and Tautschnig, Herding Cats, 2014 (herd7); the
//! definition is in docs/language.md.

mod show;

use std::collections::BTreeSet;

use crate::engine::{Ends, Final, Look, MOST_ENDS, Options, Shortfall, TooLarge, ends};
use crate::language::Diagnostic;
use crate::language::syntax::Scenario;
use crate::lowering::{Lowered, Observed, lower_observed, too_large};
use crate::model::{Check, Property, PropertyId, Var};

/// Different outcomes of a scenario at most.
pub const MOST: usize = MOST_ENDS;

/// A statement that returns a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// Its agent.
    pub agent: String,
    /// Row of the agent's own column, 1-based; 0 if it stands in none.
    pub row: u32,
    /// Line of the source, 1-based.
    pub line: u32,
    /// As it is written, such as `dma_read A`.
    pub text: String,
}

/// What is looked at when a run has ended.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Seen {
    /// What each place has returned last; none if it has returned nothing. In the order of [`Outcomes::places`].
    pub values: Vec<Option<u32>>,
    /// The variables, in the order of [`Outcomes::variables`].
    pub variables: Vec<u32>,
    /// The entries as traces show them, such as `new rw`, in the order of [`Outcomes::entries`].
    pub entries: Vec<String>,
}

/// What a run ends with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// All agents that are not spontaneous have ended.
    Ended {
        /// What is there then.
        seen: Seen,
        /// The properties that do not hold there.
        broken: Vec<PropertyId>,
    },
    /// Some have not, and nobody can take a step.
    Stuck {
        /// What is there then.
        seen: Seen,
        /// The property that forbids it, if one does.
        broken: Vec<PropertyId>,
    },
    /// The run goes on for ever, whatever is done.
    Endless {
        /// The property that forbids it, if one does.
        broken: Vec<PropertyId>,
    },
    /// A row breaks this property, and the run ends with it.
    Broken(PropertyId),
}

/// All outcomes of a scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcomes {
    /// The statements that return a value, in the order of the agents and of what they do.
    pub places: Vec<Place>,
    /// The names of the variables that the scenario declares.
    pub variables: Vec<String>,
    /// The names of the entries, such as `pte[A]`: of each page, then the upper ones.
    pub entries: Vec<String>,
    /// The outcomes.
    pub found: BTreeSet<Outcome>,
    /// Why these are not all, if so.
    pub unfinished: Option<Shortfall>,
    /// The properties; an outcome names them by their index.
    pub properties: Vec<Property>,
    /// States that were found.
    pub states: usize,
}

/// In how many outcomes a property holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The property.
    pub property: PropertyId,
    /// Outcomes in which it holds.
    pub holds: usize,
    /// Outcomes in which it is broken.
    pub broken: usize,
    /// How often that is; none if it is not known, since not all outcomes are.
    pub frequency: Option<Frequency>,
}

/// How often a property holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frequency {
    /// In every outcome.
    Always,
    /// In some.
    Sometimes,
    /// In none.
    Never,
}

/// All outcomes of a scenario that was read from `source`, within the limits of `options`.
///
/// # Errors
/// What is wrong with the scenario, or that a state of it is too large with what is looked at.
pub fn outcomes(scenario: &Scenario, source: &str, options: &Options) -> Result<Outcomes, Vec<Diagnostic>> {
    let lowered = lower_observed(scenario, source)?;
    let Some(observed) = &lowered.observed else { unreachable!("it was lowered to be looked at") };
    let registers = observed.returning.iter().map(|(_, register)| *register);
    let variables = observed.variables.iter().map(|(variable, _)| *variable);
    let at: Vec<Var> = registers.chain(variables).chain(observed.entries.iter().copied()).collect();
    let look = Look { at, settled: observed.buffers.clone() };
    let ends = match ends(&lowered.model, &look, options) {
        Ok(ends) => ends,
        Err(TooLarge::Stopped) => Ends::stopped(),
        Err(error @ (TooLarge::Bits { .. } | TooLarge::Malformed(_))) => {
            return Err(vec![too_large(scenario, &error)]);
        }
    };
    Ok(Outcomes::of(&lowered, observed, &ends))
}

impl Outcomes {
    fn of(lowered: &Lowered, observed: &Observed, ends: &Ends) -> Self {
        let model = &lowered.model;
        let name = |var: &Var| model.variables[usize::from(var.0)].name.clone();
        let place = |(statement, _): &(crate::model::Statement, Var)| Place {
            agent: model.agents[statement.agent].name.clone(),
            row: statement.row,
            line: statement.line,
            text: statement.text.clone(),
        };
        let seen = |end: &Final| seen(lowered, observed, &end.values);
        let ended = |end: &Final| Outcome::Ended { seen: seen(end), broken: end.broken.clone() };
        let stuck = |end: &Final| Outcome::Stuck { seen: seen(end), broken: end.broken.clone() };
        let forbids = |(_, property): &(PropertyId, &Property)| property.check == Check::Livelock;
        let livelock = || (0..).map(PropertyId).zip(&model.properties).find(forbids).map(|(id, _)| id);
        let endless = ends.endless.then(|| Outcome::Endless { broken: livelock().into_iter().collect() });
        let broken = ends.broken.iter().map(|property| Outcome::Broken(*property));
        Self {
            places: observed.returning.iter().map(place).collect(),
            variables: observed.variables.iter().map(|(var, _)| name(var)).collect(),
            entries: observed.entries.iter().map(name).collect(),
            found: ends
                .ended
                .iter()
                .map(ended)
                .chain(ends.stuck.iter().map(stuck))
                .chain(endless)
                .chain(broken)
                .collect(),
            unfinished: ends.shortfall,
            properties: model.properties.clone(),
            states: ends.states,
        }
    }

    /// Whether these are all.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unfinished.is_none()
    }

    /// The outcomes in which a run has ended, or is stuck, with exactly this; none: the model does not allow it.
    pub fn with<'a>(&'a self, seen: &'a Seen) -> impl Iterator<Item = &'a Outcome> {
        self.found.iter().filter(move |outcome| outcome.seen() == Some(seen))
    }

    /// For each property that the scenario asks for, and each other one that is broken, how often it holds.
    #[must_use]
    pub fn observations(&self) -> Vec<Observation> {
        let all = (0..).map(PropertyId).zip(&self.properties);
        let counted = all.map(|(property, asked)| {
            let broken = self.found.iter().filter(|outcome| outcome.broken().contains(&property)).count();
            let holds = self.found.len() - broken;
            (asked.line, Observation { property, holds, broken, frequency: self.frequency(holds, broken) })
        });
        counted.filter(|(line, one)| *line != 0 || one.broken > 0).map(|(_, one)| one).collect()
    }

    /// Of some outcomes only it can be said that both kinds are among them.
    fn frequency(&self, holds: usize, broken: usize) -> Option<Frequency> {
        match (holds, broken) {
            (1.., 1..) => Some(Frequency::Sometimes),
            (_, 0) => self.is_complete().then_some(Frequency::Always),
            (0, 1..) => self.is_complete().then_some(Frequency::Never),
        }
    }
}

impl Outcome {
    /// What is there at its end; none if the run ends with the row that breaks something, or never.
    #[must_use]
    pub const fn seen(&self) -> Option<&Seen> {
        match self {
            Self::Ended { seen, .. } | Self::Stuck { seen, .. } => Some(seen),
            Self::Endless { .. } | Self::Broken(_) => None,
        }
    }

    /// The properties that are broken.
    #[must_use]
    pub fn broken(&self) -> &[PropertyId] {
        match self {
            Self::Ended { broken, .. } | Self::Stuck { broken, .. } | Self::Endless { broken } => broken,
            Self::Broken(property) => std::slice::from_ref(property),
        }
    }

    /// Whether no property forbids it.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.broken().is_empty()
    }
}

/// The values of a final state, as their places have them.
fn seen(lowered: &Lowered, observed: &Observed, values: &[u32]) -> Seen {
    let (returned, rest) = values.split_at(observed.returning.len());
    let (variables, entries) = rest.split_at(observed.variables.len());
    // Value 0 of a register says that nothing was returned.
    let content = |value: &u32| value.checked_sub(1).map(|index| observed.contents[index as usize]);
    let shown = |(var, value): (&Var, &u32)| {
        lowered.model.variables[usize::from(var.0)].values[*value as usize].clone()
    };
    Seen {
        values: returned.iter().map(content).collect(),
        variables: observed
            .variables
            .iter()
            .zip(variables)
            .map(|((_, least), value)| least + value)
            .collect(),
        entries: observed.entries.iter().zip(entries).map(shown).collect(),
    }
}

#[cfg(test)]
mod tests;
