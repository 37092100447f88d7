//! The states that a run passes, and the ways that are taken between them.
//!
//! Invariant: state `n` is the one behind row `n`, and the start is state 0; rows of a round that goes on for ever are
//! passed once.

use ordering::engine::replay::State;
use ordering::engine::{Step, Trace};
use ordering::lowering::{Act, Key, Lowered, Role};
use ordering::model::{Alternative, Guard, Update, Var};

/// The value of a cache that holds nothing.
pub(super) const NOTHING: u32 = 0;

/// How what a cache holds is compared with what its tables say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    /// By what it allows: what reaches the same frame and allows no more is not stale.
    Allowing,
    /// Bit by bit.
    Whole,
}

/// A run with its states.
pub(super) struct States<'a> {
    pub(super) lowered: &'a Lowered,
    pub(super) how: How,
    /// By row, from the first on.
    pub(super) taken: Vec<Taken<'a>>,
    states: Vec<State>,
}

/// The way that is taken in a row.
pub(super) struct Taken<'a> {
    pub(super) agent: usize,
    pub(super) way: &'a Alternative,
    /// Whether it only looks at something.
    looks: bool,
}

impl<'a> States<'a> {
    pub(super) fn new(lowered: &'a Lowered, trace: &Trace) -> Self {
        let round = trace.round.iter().flat_map(|round| round.lead.iter().chain(&round.cycle));
        let taken: Vec<Taken<'a>> =
            trace.steps.iter().chain(round).map(|step| taken(lowered, step)).collect();
        let mut states = vec![State::initial(&lowered.model)];
        for Taken { agent, way, .. } in &taken {
            let after = states[states.len() - 1].after(*agent, way);
            states.push(after);
        }
        Self { lowered, how: How::Allowing, taken, states }
    }

    /// Indices of the agents that take part.
    pub(super) fn agents(&self) -> Vec<usize> {
        let mut agents: Vec<usize> = self.taken.iter().map(|taken| taken.agent).collect();
        agents.sort_unstable();
        agents.dedup();
        agents
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.taken.len()
    }

    /// The way of a row, from 1.
    pub(super) fn way(&self, row: usize) -> &'a Alternative {
        self.taken[row - 1].way
    }

    /// All variables behind a row.
    pub(super) fn values(&self, row: usize) -> &[u32] {
        &self.states[row].values
    }

    /// The variable behind a row.
    pub(super) fn value(&self, var: Var, row: usize) -> u32 {
        self.values(row)[usize::from(var.0)]
    }

    pub(super) fn name(&self, var: Var) -> &'a str {
        &self.lowered.model.variables[usize::from(var.0)].name
    }

    pub(super) fn shown(&self, var: Var, value: u32) -> &'a str {
        &self.lowered.model.variables[usize::from(var.0)].values[value as usize]
    }

    pub(super) fn role(&self, var: Var) -> &'a Role {
        self.lowered.roles.role(var)
    }

    pub(super) fn key(&self, var: Var) -> &'a Key {
        &self.lowered.keys[usize::from(var.0)]
    }

    /// All variables.
    pub(super) fn vars(&self) -> impl Iterator<Item = Var> + use<> {
        (0..).map(Var).take(self.lowered.model.variables.len())
    }

    /// The variable that stands for `key`, if there is one.
    pub(super) fn known(&self, key: &Key) -> Option<Var> {
        self.vars().find(|var| self.key(*var) == key)
    }

    /// Whether the row goes through what `var` holds; where bits matter, a look at them counts, too.
    pub(super) fn uses(&self, row: usize, var: Var) -> bool {
        let looks = self.how == How::Whole && self.taken[row - 1].looks;
        self.way(row).guard.iter().any(|guard| match *guard {
            Guard::Is(of, value) if !looks => of == var && value != NOTHING,
            Guard::Is(..) | Guard::IsNot(..) | Guard::Same(..) | Guard::Differ(..) | Guard::Below(..) => {
                looks && looked_at(guard).contains(&Some(var))
            }
        })
    }

    /// Whether the row empties `var`, whatever that holds: hardware that loses an entry, or puts it elsewhere, looks at it.
    pub(super) fn empties(&self, row: usize, var: Var) -> bool {
        let way = self.way(row);
        let looks = way.guard.iter().any(|guard| looked_at(guard).contains(&Some(var)));
        !looks && way.updates.contains(&Update::Set(var, NOTHING)) && !self.fills(way)
    }

    fn fills(&self, way: &Alternative) -> bool {
        way.updates.iter().any(|update| {
            let copies = matches!(self.role(update.written()), Role::Cache(_) | Role::OnTheWay(_));
            copies && !matches!(update, Update::Set(_, NOTHING))
        })
    }
}

fn looked_at(guard: &Guard) -> [Option<Var>; 2] {
    match *guard {
        Guard::Is(var, _) | Guard::IsNot(var, _) | Guard::Below(var, _) => [Some(var), None],
        Guard::Same(one, other) | Guard::Differ(one, other) => [Some(one), Some(other)],
    }
}

fn taken<'m>(lowered: &'m Lowered, step: &Step) -> Taken<'m> {
    let program = &lowered.model.agents[step.agent].program;
    let (pc, alternative) = (usize::from(step.pc.0), step.alternative);
    let looks = lowered.deeds[step.agent].of(pc, alternative).any(|deed| *deed.act == Act::Decide);
    Taken { agent: step.agent, way: &program[pc].alternatives[alternative], looks }
}
