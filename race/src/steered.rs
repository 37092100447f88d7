//! A run of the model made to happen on the machine, row by row.
//!
//! Invariant: after each row, everything that the machine shows is what the model says; what a step returns or comes to is
//! compared too. The row that breaks a property must break it on the machine: a built-in one is noticed there, and the
//! value, the entry or the count that another one speaks of has been seen.

mod probe;

use std::fmt;

use ordering::engine::replay::{Move, State};
use ordering::language::syntax::BuiltIn;
#[cfg(test)]
use ordering::lowering::Act;
use ordering::lowering::{Lowered, Part};
use ordering::model::{Alternative, Check, Model, PropertyId};

use crate::machine::Machine;
use crate::stuck::{BUILT_IN, Stuck, broken};

/// The model and the machine differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Divergence {
    /// The rows up to it: who, and the step as it is shown.
    pub rows: Vec<(String, String)>,
    /// Line of the source of the last row, 1-based; 0 for hardware that acts by itself.
    pub line: u32,
    /// In what they differ.
    pub of: Difference,
}

/// In what they differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Difference {
    /// The model takes the row, and the machine does not.
    Refused(Stuck),
    /// What the row returns or comes to.
    Part {
        /// In the model.
        model: Part,
        /// On the machine.
        machine: Part,
    },
    /// What is there afterwards.
    State {
        /// Where.
        place: String,
        /// In the model.
        model: String,
        /// On the machine.
        machine: String,
    },
    /// The model says that the row breaks the property, and nothing broke.
    Unbroken(String),
    /// The model lets the agent wait, and the machine lets it pass.
    Passes {
        /// Who.
        agent: String,
        /// The step as it is shown.
        text: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(stuck) => write!(f, "the model takes the step; the machine does not: {stuck}"),
            Self::Part { model, machine } => {
                write!(f, "the model says {model:?}; the machine says {machine:?}")
            }
            Self::State { place, model, machine } => {
                write!(f, "{place}: the model says {model}; the machine says {machine}")
            }
            Self::Passes { agent, text } => {
                write!(f, "then {agent} waits in the model; the machine takes `{text}`")
            }
            Self::Unbroken(property) => {
                write!(f, "the model says that this breaks `{property}`; on the machine nothing broke")
            }
        }
    }
}

/// A scenario, its model and its machine.
pub struct Steered<'a> {
    lowered: &'a Lowered,
    machine: Machine,
    /// A step that the machine leaves out.
    #[cfg(test)]
    forgets: Option<steps::table::Verb>,
    /// Whether states are compared.
    #[cfg(test)]
    compares: bool,
}

impl<'a> Steered<'a> {
    /// Of a scenario, on its machine.
    #[must_use]
    pub const fn new(lowered: &'a Lowered, machine: Machine) -> Self {
        Self {
            lowered,
            machine,
            #[cfg(test)]
            forgets: None,
            #[cfg(test)]
            compares: true,
        }
    }

    /// Makes a run happen from the start; how many rows it had.
    ///
    /// # Errors
    /// The first [`Divergence`].
    ///
    /// # Panics
    /// If it is no run of the model.
    pub fn run(&self, moves: &[Move]) -> Result<usize, Box<Divergence>> {
        self.reset()?;
        let mut state = State::initial(self.model());
        self.compare(&state).map_err(|of| self.divergence(&[], of))?;
        for (row, step) in moves.iter().enumerate() {
            state = self.row(&state, step).map_err(|of| self.divergence(&moves[..=row], of))?;
        }
        let broken = moves.last().is_some_and(|step| self.alternative(step).violates.is_some());
        for agent in (0..state.at.len()).filter(|_| !broken) {
            self.waits(&state, agent).map_err(|of| self.divergence(moves, of))?;
        }
        Ok(moves.len())
    }

    /// A random run of at most `rows` rows from the start; how many it had.
    ///
    /// # Errors
    /// The first [`Divergence`].
    pub fn random(&self, random: &mut fastrand::Rng, rows: usize) -> Result<usize, Box<Divergence>> {
        self.reset()?;
        let mut state = State::initial(self.model());
        self.compare(&state).map_err(|of| self.divergence(&[], of))?;
        let mut moves: Vec<Move> = Vec::new();
        while moves.len() < rows {
            let steps = state.steps(self.model());
            let Some((step, taken)) = random.choice(&steps) else { break };
            let breaks = taken.violates.is_some();
            moves.push(*step);
            state = self.row(&state, step).map_err(|of| self.divergence(&moves, of))?;
            if breaks {
                break;
            }
            let agent = random.usize(..state.at.len());
            self.waits(&state, agent).map_err(|of| self.divergence(&moves, of))?;
        }
        Ok(moves.len())
    }

    #[cfg(test)]
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    fn reset(&self) -> Result<(), Box<Divergence>> {
        self.machine.reset().map_err(|stuck| self.divergence(&[], Difference::Refused(stuck)))
    }

    fn model(&self) -> &'a Model {
        &self.lowered.model
    }

    fn alternative(&self, step: &Move) -> &'a Alternative {
        let instruction = &self.model().agents[step.agent].program[usize::from(step.pc.0)];
        &instruction.alternatives[step.alternative]
    }

    /// Takes a row on the machine, and compares.
    fn row(&self, state: &State, step: &Move) -> Result<State, Difference> {
        let taken = self.alternative(step);
        let breaks = taken.violates.and_then(|property| self.built_in(property));
        for deed in self.lowered.deeds[step.agent].of(usize::from(step.pc.0), step.alternative) {
            #[cfg(test)]
            if matches!(deed.act, Act::Step(step) if Some(step.verb()) == self.forgets) {
                continue;
            }
            match (self.machine.take(step.agent, deed), breaks) {
                (Err(Stuck::Breaks(found)), Some(property)) if found == property => {
                    // What a step that breaks a built-in property leaves behind is nobody's promise.
                    return Ok(state.after(step.agent, taken));
                }
                (Err(stuck), _) => return Err(Difference::Refused(stuck)),
                (Ok(machine), _) if machine != deed.part => {
                    return Err(Difference::Part { model: deed.part, machine });
                }
                (Ok(_), _) => {}
            }
        }
        if breaks.is_some() {
            let property = taken.violates.map_or_else(String::new, |property| self.text(property));
            return Err(Difference::Unbroken(property));
        }
        let after = state.after(step.agent, taken);
        self.compare(&after)?;
        Ok(after)
    }

    /// Whether `agent` waits on the machine for what it waits for in the model.
    fn waits(&self, state: &State, agent: usize) -> Result<(), Difference> {
        self.probe(state, agent)?;
        self.compare(state)
    }

    fn text(&self, property: PropertyId) -> String {
        self.model().properties[usize::from(property.0)].text.clone()
    }

    /// Which built-in property that is, if a step breaks it.
    fn built_in(&self, property: PropertyId) -> Option<BuiltIn> {
        let property = &self.model().properties[usize::from(property.0)];
        let is_it = |one: &BuiltIn| property.text == broken(*one) && property.check == Check::Step;
        BUILT_IN.into_iter().find(is_it)
    }

    /// Holds everything that the machine shows against the model's state.
    fn compare(&self, state: &State) -> Result<(), Difference> {
        #[cfg(test)]
        if !self.compares {
            return Ok(());
        }
        for (index, (key, value)) in self.lowered.keys.iter().zip(&state.values).enumerate() {
            let Some(seen) = self.machine.look(key) else { continue };
            let expected = self.machine.expected(key, *value);
            if seen != expected {
                let variable = &self.model().variables[index];
                return Err(Difference::State {
                    place: variable.name.clone(),
                    model: variable.values[*value as usize].clone(),
                    machine: seen.to_string(),
                });
            }
        }
        Ok(())
    }

    fn divergence(&self, moves: &[Move], of: Difference) -> Box<Divergence> {
        let row =
            |step: &Move| (self.model().agents[step.agent].name.clone(), self.alternative(step).text.clone());
        let line = moves.last().map_or(0, |step| self.alternative(step).line);
        Box::new(Divergence { rows: moves.iter().map(row).collect(), line, of })
    }
}

#[cfg(test)]
mod tests;
