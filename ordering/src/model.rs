//! What the explorer explores: agents that take atomic steps over variables with finite domains.
//!
//! Invariant: a model is data and complete: nothing but its steps changes a variable, and every step is one line that
//! can be shown. It knows nothing of pages and TLBs; whoever writes scenarios lowers them to this.

mod validate;

pub use self::validate::ModelError;

/// Index of a variable in [`Model::variables`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Var(pub u16);

/// Index of an instruction in [`Agent::program`]; one past the last: the agent has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pc(pub u16);

/// Index of a property in [`Model::properties`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PropertyId(pub u16);

/// Index of a mark in [`Model::marks`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MarkId(pub u16);

/// One variable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    /// As it is shown, such as `pte[A]`.
    pub name: String,
    /// How each of its values is shown; their number is the domain, and a value is an index into it.
    pub values: Vec<String>,
    /// Its value at the start.
    pub initial: u32,
}

/// What must hold for an alternative to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Guard {
    /// The variable has the value.
    Is(Var, u32),
    /// The variable has another value.
    IsNot(Var, u32),
    /// Both variables have the same value.
    Same(Var, Var),
    /// They differ.
    Differ(Var, Var),
    /// The variable is below the value.
    Below(Var, u32),
}

/// What an alternative changes; all right-hand sides are read before anything is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Update {
    /// Assign a value.
    Set(Var, u32),
    /// Assign another variable's value (equal domains).
    Copy {
        /// Written.
        to: Var,
        /// Read.
        from: Var,
    },
    /// Add one; the guard must exclude the last value.
    Increment(Var),
    /// Subtract one; the guard must exclude zero.
    Decrement(Var),
}

/// One way to take an instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alternative {
    /// All must hold.
    pub guard: Vec<Guard>,
    /// What changes.
    pub updates: Vec<Update>,
    /// Where the agent goes on.
    pub next: Pc,
    /// The property that taking it breaks.
    pub violates: Option<PropertyId>,
    /// As it is shown in a trace, such as `pte_clear A`.
    pub text: String,
    /// Line of the source it came from, 1-based; 0 for none.
    pub line: u32,
    /// What has happened once it is taken.
    pub marks: Vec<MarkId>,
}

/// One place of a program: if no alternative's guard holds, the agent waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// The ways on.
    pub alternatives: Vec<Alternative>,
    /// Whether the agent may stop here for good: then it has ended as long as it goes no further.
    pub may_end: bool,
}

impl Agent {
    /// Whether an agent that is there has ended.
    #[must_use]
    pub(crate) fn ends_at(&self, at: Pc) -> bool {
        self.program.get(usize::from(at.0)).is_none_or(|instruction| instruction.may_end)
    }
}

/// Somebody who takes steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agent {
    /// As it is shown.
    pub name: String,
    /// Its instructions; it starts at 0.
    pub program: Vec<Instruction>,
    /// Whether the run may end while the agent has not (hardware that may act at any time, or never).
    pub spontaneous: bool,
}

/// When a property is looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Check {
    /// An alternative that violates it was taken.
    Step,
    /// In every state: at least one of these conjunctions holds.
    Always(Vec<Vec<Guard>>),
    /// In every state in which all agents that are not spontaneous have ended: likewise.
    Finally(Vec<Vec<Guard>>),
    /// Some agent that is not spontaneous has not ended and nobody can take a step.
    Deadlock,
    /// From some state on, whatever is done, the agents that are not spontaneous do not all end, and somebody can always
    /// take a step.
    Livelock,
}

/// Something that must not happen, or must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// As it was written.
    pub text: String,
    /// When it is looked at.
    pub check: Check,
    /// Line of the source that asks for it, 1-based; 0 for one that is built in and that nobody asked for.
    pub line: u32,
}

/// Something that some run should do: what is proved says less than it seems if none does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mark {
    /// A statement of a program is taken to its end.
    Statement(Statement),
    /// The event behind the `after` of a property happens.
    After(PropertyId),
}

/// A statement of an agent's program.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Statement {
    /// Index of the agent.
    pub agent: usize,
    /// Row of the agent's own column, 1-based; 0 if it stands in none.
    pub row: u32,
    /// Line of the source, 1-based; 0 for none.
    pub line: u32,
    /// As it is written.
    pub text: String,
}

/// Parts of a model that are interchangeable: exchanging two of them gives the same model.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Symmetry {
    /// The parts.
    pub members: Vec<Member>,
}

/// Agents and variables that belong together; what is exchanged stands at the same place in every member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Member {
    /// Indices of the agents.
    pub agents: Vec<usize>,
    /// The variables.
    pub vars: Vec<Var>,
}

/// A complete model.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Model {
    /// The variables.
    pub variables: Vec<Variable>,
    /// The agents.
    pub agents: Vec<Agent>,
    /// What is asked.
    pub properties: Vec<Property>,
    /// Which agents are interchangeable.
    pub symmetries: Vec<Symmetry>,
    /// What runs should do.
    pub marks: Vec<Mark>,
}
