//! A run with the states that it passes, and the words for its rows.
//!
//! Invariant: rows are counted from 0 here and from 1 in words, as the table shows them.

use crate::engine::replay::State;
use crate::engine::{Step, Trace};
use crate::lowering::{Cached, Lowered, Role};
use crate::model::{Alternative, Guard, Model, Update, Var};

/// A run of a scenario.
pub(super) struct Run<'a> {
    pub(super) lowered: &'a Lowered,
    pub(super) steps: &'a [Step],
    /// The states before each row, and the last one.
    states: Vec<State>,
}

impl<'a> Run<'a> {
    pub(super) fn new(lowered: &'a Lowered, trace: &'a Trace) -> Self {
        let mut states = vec![State::initial(&lowered.model)];
        for step in &trace.steps {
            let after = states[states.len() - 1].after(step.agent, taken(&lowered.model, step));
            states.push(after);
        }
        Self { lowered, steps: &trace.steps, states }
    }

    pub(super) fn model(&self) -> &'a Model {
        &self.lowered.model
    }

    pub(super) fn role(&self, var: Var) -> &'a Role {
        self.lowered.roles.role(var)
    }

    /// The variable as a cache, if it is one.
    pub(super) fn cached(&self, var: Var) -> Option<&'a Cached> {
        if let Role::Cache(cached) = self.role(var) { Some(cached) } else { None }
    }

    /// All variables.
    pub(super) fn vars(&self) -> impl Iterator<Item = Var> + use<> {
        (0..).map(Var).take(self.model().variables.len())
    }

    /// The way that was taken in a row.
    pub(super) fn way(&self, row: usize) -> &'a Alternative {
        taken(self.model(), &self.steps[row])
    }

    /// The state before a row; behind the last row, the last state.
    pub(super) fn state(&self, row: usize) -> &State {
        &self.states[row]
    }

    /// What the variable is before a row.
    pub(super) fn value(&self, var: Var, row: usize) -> u32 {
        self.states[row].values[usize::from(var.0)]
    }

    /// The last row before `row` that changed the variable.
    pub(super) fn since(&self, var: Var, row: usize) -> Option<usize> {
        (0..row).rev().find(|row| self.value(var, *row) != self.value(var, row + 1))
    }

    /// The last row before `row` that wrote the variable, whether that changed it or not.
    pub(super) fn written(&self, var: Var, row: usize) -> Option<usize> {
        (0..row).rev().find(|row| self.way(*row).updates.iter().any(|update| update.written() == var))
    }

    /// The last row before `row` that wrote `value` to the variable, whether that changed it or not.
    pub(super) fn set(&self, var: Var, value: u32, row: usize) -> Option<usize> {
        (0..row).rev().find(|row| self.way(*row).updates.contains(&Update::Set(var, value)))
    }

    /// The caches that a row goes through, with what they hold.
    pub(super) fn goes_through(&self, row: usize) -> impl Iterator<Item = Var> + use<'a, '_> {
        self.holding(row).filter(|var| self.cached(*var).is_some())
    }

    /// The variables that must hold something for the way of a row.
    pub(super) fn holding(&self, row: usize) -> impl Iterator<Item = Var> + use<'a> {
        let held = |guard: &Guard| match *guard {
            Guard::Is(var, value) if value != 0 => Some(var),
            Guard::Is(..) | Guard::IsNot(..) | Guard::Same(..) | Guard::Differ(..) | Guard::Below(..) => None,
        };
        self.way(row).guard.iter().filter_map(held)
    }

    /// Whether the row only looks.
    pub(super) fn is_look(&self, row: usize) -> bool {
        let text = &self.way(row).text;
        ["if ", "when ", "check "].iter().any(|look| text.starts_with(look))
    }

    pub(super) fn agent(&self, row: usize) -> &'a str {
        &self.model().agents[self.steps[row].agent].name
    }

    pub(super) fn name(&self, var: Var) -> &'a str {
        &self.model().variables[usize::from(var.0)].name
    }

    /// The variable with its value before a row, such as `pte[A] is none`.
    pub(super) fn is(&self, var: Var, row: usize) -> String {
        format!("{} is {}", self.name(var), self.shown(var, row))
    }

    pub(super) fn shown(&self, var: Var, row: usize) -> &'a str {
        &self.model().variables[usize::from(var.0)].values[self.value(var, row) as usize]
    }

    /// A row in words.
    pub(super) fn row(&self, row: usize) -> String {
        format!("row {} ({}: {})", row + 1, self.agent(row), self.way(row).text)
    }

    /// What the variable is before `row`, and since when.
    pub(super) fn fact(&self, var: Var, row: usize) -> String {
        let is = self.is(var, row);
        match (self.since(var, row), self.written(var, row)) {
            (Some(since), _) => format!("{is} since {}", self.row(since)),
            (None, Some(written)) => format!("{is}, as {} wrote", self.row(written)),
            (None, None) => format!("{is} from the start"),
        }
    }
}

fn taken<'m>(model: &'m Model, step: &Step) -> &'m Alternative {
    &model.agents[step.agent].program[usize::from(step.pc.0)].alternatives[step.alternative]
}
