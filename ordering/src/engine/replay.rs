//! The model taken literally: states as lists of values, steps one by one.
//!
//! Invariant: it shares nothing with the packed search, so that each can be tested against the other. A trace that the
//! engine shows has been replayed here.

use std::fmt;

use thiserror::Error;

use crate::model::{Alternative, Check, Guard, Model, Pc, PropertyId, Update, Var};

/// A step of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Move {
    /// Index of the agent.
    pub agent: usize,
    /// Its instruction.
    pub pc: Pc,
    /// Index of the instruction's alternative.
    pub alternative: usize,
}

/// A state: the values of all variables, and where each agent is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct State {
    /// By variable, an index into its domain.
    pub values: Vec<u32>,
    /// By agent.
    pub at: Vec<Pc>,
}

/// A variable that a step changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Change {
    /// The variable.
    pub var: Var,
    /// Its value before.
    pub old: u32,
    /// Its value after.
    pub new: u32,
}

/// Why a step cannot happen.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CannotHappen {
    /// There is no such alternative.
    #[error("row {row}: the model has no agent {} with alternative {} at instruction {}", step.agent, step.alternative, step.pc.0)]
    NoSuchStep {
        /// Row of the trace, 1-based.
        row: usize,
        /// The step.
        step: Move,
    },
    /// The agent is elsewhere.
    #[error("row {row}: {agent} is at instruction {} there, not at {}", at.0, step.pc.0)]
    Elsewhere {
        /// Row of the trace, 1-based.
        row: usize,
        /// The agent's name.
        agent: String,
        /// Where it is.
        at: Pc,
        /// The step.
        step: Move,
    },
    /// A guard does not hold.
    #[error("row {row}: {agent} cannot `{text}` there: {reason}")]
    Blocked {
        /// Row of the trace, 1-based.
        row: usize,
        /// The agent's name.
        agent: String,
        /// The alternative as it is shown.
        text: String,
        /// The guard, and what the variables hold.
        reason: String,
    },
}

/// Takes the steps one after the other from the start: what each changed, and the state after all of them. A violating
/// step may only be the last one; it changes what it says and its agent goes on.
///
/// # Errors
///
/// The first step that cannot happen, and why.
pub fn replay(model: &Model, steps: &[Move]) -> Result<(Vec<Vec<Change>>, State), CannotHappen> {
    let mut state = State::initial(model);
    let mut changes = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let alternative = state.find(model, step, index + 1)?;
        let after = state.after(step.agent, alternative);
        changes.push(state.changes(&after));
        state = after;
    }
    Ok((changes, state))
}

impl State {
    /// Where every run starts.
    #[must_use]
    pub fn initial(model: &Model) -> Self {
        let values = model.variables.iter().map(|variable| variable.initial).collect();
        Self { values, at: vec![Pc(0); model.agents.len()] }
    }

    /// The steps that can be taken.
    #[must_use]
    pub fn steps<'m>(&self, model: &'m Model) -> Vec<(Move, &'m Alternative)> {
        (0..self.at.len()).flat_map(|agent| self.steps_of(agent, model)).collect()
    }

    /// The steps that one agent can take.
    pub fn steps_of<'m>(
        &self,
        agent: usize,
        model: &'m Model,
    ) -> impl Iterator<Item = (Move, &'m Alternative)> {
        let pc = self.at[agent];
        let instruction = model.agents[agent].program.get(usize::from(pc.0));
        let alternatives = instruction.map_or(&[][..], |instruction| &instruction.alternatives);
        let step = move |(alternative, taken)| (Move { agent, pc, alternative }, taken);
        let all = alternatives.iter().enumerate().map(step);
        all.filter(|(_, alternative)| self.hindrance(model, alternative).is_none())
    }

    /// The state after an alternative of the agent.
    #[must_use]
    pub fn after(&self, agent: usize, alternative: &Alternative) -> Self {
        let mut after = self.clone();
        for update in &alternative.updates {
            after.values[usize::from(update.written().0)] = match *update {
                Update::Set(_, value) => value,
                Update::Copy { from, .. } => self.value(from),
                Update::Increment(var) => self.value(var) + 1,
                Update::Decrement(var) => self.value(var) - 1,
            };
        }
        after.at[agent] = alternative.next;
        after
    }

    /// Whether every agent whose end is awaited has ended.
    #[must_use]
    pub fn ended(&self, model: &Model) -> bool {
        let awaited = model.agents.iter().zip(&self.at).filter(|(agent, _)| !agent.spontaneous);
        awaited.into_iter().all(|(agent, at)| agent.ends_at(*at))
    }

    /// The first property that the state itself breaks.
    #[must_use]
    pub fn broken(&self, model: &Model) -> Option<PropertyId> {
        let fails = |any: &[Vec<Guard>]| !any.iter().any(|all| all.iter().all(|guard| self.holds(guard)));
        let broken = |check: &Check| match check {
            Check::Step | Check::Livelock => false,
            Check::Always(any) => fails(any),
            Check::Finally(any) => self.ended(model) && fails(any),
            Check::Deadlock => !self.ended(model) && self.steps(model).is_empty(),
        };
        let index = model.properties.iter().position(|property| broken(&property.check))?;
        u16::try_from(index).ok().map(PropertyId)
    }

    fn value(&self, var: Var) -> u32 {
        self.values[usize::from(var.0)]
    }

    fn holds(&self, guard: &Guard) -> bool {
        match *guard {
            Guard::Is(var, value) => self.value(var) == value,
            Guard::IsNot(var, value) => self.value(var) != value,
            Guard::Same(one, other) => self.value(one) == self.value(other),
            Guard::Differ(one, other) => self.value(one) != self.value(other),
            Guard::Below(var, bound) => self.value(var) < bound,
        }
    }

    /// Why the alternative cannot be taken; none if it can.
    fn hindrance(&self, model: &Model, alternative: &Alternative) -> Option<Hindrance> {
        if let Some(guard) = alternative.guard.iter().find(|guard| !self.holds(guard)) {
            return Some(Hindrance::Guard(*guard));
        }
        let stuck = |update: &&Update| match **update {
            Update::Increment(var) => {
                self.value(var) as usize + 1 >= model.variables[usize::from(var.0)].values.len()
            }
            Update::Decrement(var) => self.value(var) == 0,
            Update::Set(..) | Update::Copy { .. } => false,
        };
        alternative.updates.iter().find(stuck).map(|update| Hindrance::Bound(update.written()))
    }

    fn find<'m>(&self, model: &'m Model, step: &Move, row: usize) -> Result<&'m Alternative, CannotHappen> {
        let agent = model.agents.get(step.agent);
        let instruction = agent.and_then(|agent| agent.program.get(usize::from(step.pc.0)));
        let alternative = instruction.and_then(|instruction| instruction.alternatives.get(step.alternative));
        let (Some(agent), Some(alternative)) = (agent, alternative) else {
            return Err(CannotHappen::NoSuchStep { row, step: *step });
        };
        let (name, at) = (agent.name.clone(), self.at[step.agent]);
        if at != step.pc {
            return Err(CannotHappen::Elsewhere { row, agent: name, at, step: *step });
        }
        match self.hindrance(model, alternative) {
            None => Ok(alternative),
            Some(hindrance) => {
                let reason = Reason { model, state: self, hindrance }.to_string();
                Err(CannotHappen::Blocked { row, agent: name, text: alternative.text.clone(), reason })
            }
        }
    }

    /// The variables that differ in `after`.
    #[must_use]
    pub fn changes(&self, after: &Self) -> Vec<Change> {
        let pairs = self.values.iter().zip(&after.values).zip(0..);
        let changed = pairs.filter(|((old, new), _)| old != new);
        changed.map(|((&old, &new), var)| Change { var: Var(var), old, new }).collect()
    }
}

enum Hindrance {
    Guard(Guard),
    Bound(Var),
}

/// A hindrance in the words of the model.
struct Reason<'a> {
    model: &'a Model,
    state: &'a State,
    hindrance: Hindrance,
}

impl Reason<'_> {
    fn name(&self, var: Var) -> &str {
        &self.model.variables[usize::from(var.0)].name
    }

    fn shown(&self, var: Var, value: u32) -> &str {
        self.model.variables[usize::from(var.0)].values.get(value as usize).map_or("?", String::as_str)
    }

    fn held(&self, var: Var) -> String {
        format!("{} is {}", self.name(var), self.shown(var, self.state.value(var)))
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hindrance {
            Hindrance::Guard(Guard::Is(var, value)) => {
                write!(f, "{}, it needs {}", self.held(var), self.shown(var, value))
            }
            Hindrance::Guard(Guard::IsNot(var, _)) => write!(f, "{}, it needs anything else", self.held(var)),
            Hindrance::Guard(Guard::Same(one, other)) => {
                write!(f, "{} and {}, it needs them equal", self.held(one), self.held(other))
            }
            Hindrance::Guard(Guard::Differ(one, other)) => {
                write!(f, "{} and {}, it needs them different", self.held(one), self.held(other))
            }
            Hindrance::Guard(Guard::Below(var, bound)) => {
                write!(f, "{}, it needs less than {}", self.held(var), self.shown(var, bound))
            }
            Hindrance::Bound(var) => write!(f, "{}, and its domain ends there", self.held(var)),
        }
    }
}
