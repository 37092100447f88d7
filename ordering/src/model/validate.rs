//! Whether a model is well formed: every index names something, every value lies in its domain.
//!
//! Invariant: a model that passes can be compiled, explored and replayed without a panic. An increment at the last
//! value and a decrement at zero need no check here: they never happen, as if the guard excluded them.

use std::fmt;

use thiserror::Error;

use super::{Agent, Alternative, Check, Guard, Member, Model, Symmetry, Update, Var};

/// Agents at most; the explorer keeps sets of agents in one word.
pub(crate) const MAX_AGENTS: usize = 60;

/// What is wrong with a model. Numbers are indices into the model, from 0.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ModelError {
    /// A variable without a value.
    #[error("variable {name} has no values: give it at least one")]
    EmptyDomain {
        /// The variable's name.
        name: String,
    },
    /// A value outside the domain.
    #[error("{place}: value {value} is outside the domain of {name}, which has {size} values")]
    OutsideDomain {
        /// Where it stands.
        place: String,
        /// The variable's name.
        name: String,
        /// The value.
        value: u32,
        /// Values of the domain.
        size: usize,
    },
    /// An index of a variable that does not exist.
    #[error("{place}: there is no variable {index}: the model has {count}")]
    NoVariable {
        /// Where it stands.
        place: String,
        /// The index.
        index: u16,
        /// Variables of the model.
        count: usize,
    },
    /// A jump out of the program.
    #[error("{place}: jumps to instruction {target} of {length}: the end itself is {length}")]
    JumpOutside {
        /// Where it stands.
        place: String,
        /// The target.
        target: u16,
        /// Instructions of the program.
        length: usize,
    },
    /// A violation of a property that does not exist or is not looked at by steps.
    #[error("{place}: violates property {index}, which is no property that steps break")]
    NoStepProperty {
        /// Where it stands.
        place: String,
        /// The index.
        index: u16,
    },
    /// A mark that does not exist.
    #[error("{place}: carries mark {index} of {count}")]
    NoMark {
        /// Where it stands.
        place: String,
        /// The index.
        index: u16,
        /// Marks of the model.
        count: usize,
    },
    /// Two updates of one variable in one alternative.
    #[error("{place}: {name} is written twice in one step: keep one of the updates")]
    WrittenTwice {
        /// Where it stands.
        place: String,
        /// The variable's name.
        name: String,
    },
    /// A copy between domains of different sizes.
    #[error("{place}: {from} has {from_size} values and {to} has {to_size}: a copy needs equal domains")]
    UnequalDomains {
        /// Where it stands.
        place: String,
        /// The variable read.
        from: String,
        /// Its values.
        from_size: usize,
        /// The variable written.
        to: String,
        /// Its values.
        to_size: usize,
    },
    /// More agents than can be explored.
    #[error("the model has {count} agents: at most {MAX_AGENTS} can be explored")]
    TooManyAgents {
        /// Agents of the model.
        count: usize,
    },
    /// A program or a domain that an index cannot reach into.
    #[error("{what} has {count} entries: at most 65535 can be numbered")]
    TooMany {
        /// What has them.
        what: String,
        /// How many.
        count: usize,
    },
    /// A symmetry that names an agent or a variable wrongly or twice.
    #[error("symmetry {index}: {why}")]
    BadSymmetry {
        /// Index of the symmetry.
        index: usize,
        /// What is wrong.
        why: &'static str,
    },
}

/// Where something stands; written down only where something is wrong.
#[derive(Clone, Copy)]
enum Place<'m> {
    Initial,
    Property(&'m str),
    Way(&'m Agent, usize, &'m Alternative),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initial => f.write_str("initial value"),
            Self::Property(text) => f.write_str(text),
            Self::Way(agent, pc, way) => write!(f, "{} instruction {pc} `{}`", agent.name, way.text),
        }
    }
}

impl Model {
    /// Checks that the model is well formed.
    ///
    /// # Errors
    ///
    /// The first thing that is not, and where.
    pub fn validate(&self) -> Result<(), ModelError> {
        self.validate_sizes()?;
        for variable in &self.variables {
            if variable.values.is_empty() {
                return Err(ModelError::EmptyDomain { name: variable.name.clone() });
            }
        }
        for index in 0..self.variables.len() {
            let var = Var(u16::try_from(index).expect("sizes that cannot be numbered were refused"));
            self.validate_value(Place::Initial, var, self.variables[index].initial)?;
        }
        self.agents.iter().try_for_each(|agent| self.validate_agent(agent))?;
        for property in &self.properties {
            if let Check::Always(any) | Check::Finally(any) = &property.check {
                any.iter()
                    .flatten()
                    .try_for_each(|guard| self.validate_guard(Place::Property(&property.text), guard))?;
            }
        }
        self.validate_symmetries()
    }

    fn validate_sizes(&self) -> Result<(), ModelError> {
        if self.agents.len() > MAX_AGENTS {
            return Err(ModelError::TooManyAgents { count: self.agents.len() });
        }
        let programs = self.agents.iter().map(|agent| (agent.name.as_str(), agent.program.len()));
        let domains = self.variables.iter().map(|variable| (variable.name.as_str(), variable.values.len()));
        let tables = [
            ("the list of variables", self.variables.len()),
            ("properties", self.properties.len()),
            ("statements", self.marks.len()),
        ];
        match programs.chain(domains).chain(tables).find(|&(_, count)| count > usize::from(u16::MAX)) {
            Some((what, count)) => Err(ModelError::TooMany { what: what.to_owned(), count }),
            None => Ok(()),
        }
    }

    fn validate_agent(&self, agent: &Agent) -> Result<(), ModelError> {
        for (pc, instruction) in agent.program.iter().enumerate() {
            for alternative in &instruction.alternatives {
                let place = Place::Way(agent, pc, alternative);
                self.validate_alternative(place, alternative, agent.program.len())?;
            }
        }
        Ok(())
    }

    fn validate_alternative(
        &self,
        place: Place<'_>,
        alternative: &Alternative,
        length: usize,
    ) -> Result<(), ModelError> {
        if usize::from(alternative.next.0) > length {
            return Err(ModelError::JumpOutside {
                place: place.to_string(),
                target: alternative.next.0,
                length,
            });
        }
        if let Some(broken) = alternative.violates {
            let property = self.properties.get(usize::from(broken.0));
            if property.is_none_or(|property| property.check != Check::Step) {
                return Err(ModelError::NoStepProperty { place: place.to_string(), index: broken.0 });
            }
        }
        if let Some(mark) = alternative.marks.iter().find(|mark| usize::from(mark.0) >= self.marks.len()) {
            let (index, count) = (mark.0, self.marks.len());
            return Err(ModelError::NoMark { place: place.to_string(), index, count });
        }
        alternative.guard.iter().try_for_each(|guard| self.validate_guard(place, guard))?;
        alternative.updates.iter().try_for_each(|update| self.validate_update(place, update))?;
        for (index, update) in alternative.updates.iter().enumerate() {
            let var = update.written();
            if alternative.updates[..index].iter().any(|earlier| earlier.written() == var) {
                let name = self.variable(place, var)?.name.clone();
                return Err(ModelError::WrittenTwice { place: place.to_string(), name });
            }
        }
        Ok(())
    }

    fn validate_guard(&self, place: Place<'_>, guard: &Guard) -> Result<(), ModelError> {
        match *guard {
            Guard::Is(var, value) | Guard::IsNot(var, value) => self.validate_value(place, var, value),
            Guard::Same(one, other) | Guard::Differ(one, other) => {
                self.variable(place, one)?;
                self.variable(place, other).map(|_| ())
            }
            Guard::Below(var, _) => self.variable(place, var).map(|_| ()),
        }
    }

    fn validate_update(&self, place: Place<'_>, update: &Update) -> Result<(), ModelError> {
        match *update {
            Update::Set(var, value) => self.validate_value(place, var, value),
            Update::Increment(var) | Update::Decrement(var) => self.variable(place, var).map(|_| ()),
            Update::Copy { to, from } => {
                let (to, from) = (self.variable(place, to)?, self.variable(place, from)?);
                if to.values.len() == from.values.len() {
                    return Ok(());
                }
                Err(ModelError::UnequalDomains {
                    place: place.to_string(),
                    from: from.name.clone(),
                    from_size: from.values.len(),
                    to: to.name.clone(),
                    to_size: to.values.len(),
                })
            }
        }
    }

    fn variable(&self, place: Place<'_>, var: Var) -> Result<&super::Variable, ModelError> {
        let count = self.variables.len();
        let missing = || ModelError::NoVariable { place: place.to_string(), index: var.0, count };
        self.variables.get(usize::from(var.0)).ok_or_else(missing)
    }

    fn validate_value(&self, place: Place<'_>, var: Var, value: u32) -> Result<(), ModelError> {
        let variable = self.variable(place, var)?;
        let size = variable.values.len();
        if (value as usize) < size {
            return Ok(());
        }
        Err(ModelError::OutsideDomain { place: place.to_string(), name: variable.name.clone(), value, size })
    }

    fn validate_symmetries(&self) -> Result<(), ModelError> {
        let (mut agents, mut vars): (Vec<usize>, Vec<Var>) = (Vec::new(), Vec::new());
        for (index, symmetry) in self.symmetries.iter().enumerate() {
            let bad = |why| Err(ModelError::BadSymmetry { index, why });
            for member in &symmetry.members {
                if member.agents.iter().any(|&agent| agent >= self.agents.len())
                    || member.vars.iter().any(|var| usize::from(var.0) >= self.variables.len())
                {
                    return bad("names an agent or a variable that does not exist");
                }
                agents.extend(&member.agents);
                vars.extend(&member.vars);
            }
            if !equally_long(symmetry) {
                return bad("its members have different numbers of agents or of variables");
            }
        }
        let agent_twice = has_duplicate(&mut agents);
        if agent_twice || has_duplicate(&mut vars) {
            let index = self.symmetries.len().saturating_sub(1);
            return Err(ModelError::BadSymmetry { index, why: "an agent or a variable stands in it twice" });
        }
        Ok(())
    }
}

fn equally_long(symmetry: &Symmetry) -> bool {
    let lengths = |member: &Member| (member.agents.len(), member.vars.len());
    symmetry.members.windows(2).all(|pair| lengths(&pair[0]) == lengths(&pair[1]))
}

fn has_duplicate<T: Ord>(items: &mut [T]) -> bool {
    items.sort_unstable();
    items.windows(2).any(|pair| pair[0] == pair[1])
}

impl Update {
    /// The variable it writes.
    #[must_use]
    pub fn written(&self) -> Var {
        match *self {
            Self::Set(var, _) | Self::Copy { to: var, .. } | Self::Increment(var) | Self::Decrement(var) => {
                var
            }
        }
    }

    /// The variable it reads.
    #[must_use]
    pub fn read(&self) -> Option<Var> {
        match *self {
            Self::Set(..) => None,
            Self::Copy { from, .. } => Some(from),
            Self::Increment(var) | Self::Decrement(var) => Some(var),
        }
    }
}

impl Guard {
    /// The variables it reads.
    #[must_use]
    pub fn reads(&self) -> [Option<Var>; 2] {
        match *self {
            Self::Is(var, _) | Self::IsNot(var, _) | Self::Below(var, _) => [Some(var), None],
            Self::Same(one, other) | Self::Differ(one, other) => [Some(one), Some(other)],
        }
    }
}
