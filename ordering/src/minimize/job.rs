//! What a program does when nobody else acts: its job, which no other order of its rows may change.
//!
//! Invariant: a job is what lasts (page table, frames, locks, variables) at each end of a run of the agent alone; caches
//! and what agents remember are no part of it. It is compared by name, so it does not depend on how a model is packed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::engine::replay::State;
use crate::language::syntax::{Node, Statement};
use crate::lowering::Lowered;
use crate::model::Var;

use super::rows::Row;

/// States of a run alone at most.
const MOST_STATES: usize = 50_000;

/// One way it can end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct End {
    /// The property that the agent breaks by itself.
    pub(super) broken: Option<String>,
    /// Whether it has come to its end, or waits for somebody.
    pub(super) ended: bool,
    /// What has another value than at the start.
    pub(super) left: BTreeMap<String, String>,
}

/// All ways it can end; none if there are too many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Job(Option<BTreeSet<End>>);

impl Job {
    /// Of the agent with that index.
    pub(super) fn of(lowered: &Lowered, agent: usize) -> Self {
        let model = &lowered.model;
        let start = State::initial(model);
        let mut known = BTreeSet::from([start.clone()]);
        let (mut open, mut ends) = (vec![start], BTreeSet::new());
        while let Some(state) = open.pop() {
            let left = left(lowered, &state);
            let mut stands = true;
            for (taken, way) in state.steps(model).into_iter().filter(|(taken, _)| taken.agent == agent) {
                stands = false;
                if let Some(property) = way.violates {
                    let broken = Some(model.properties[usize::from(property.0)].text.clone());
                    ends.insert(End { broken, ended: false, left: left.clone() });
                    continue;
                }
                let after = state.after(taken.agent, way);
                if known.insert(after.clone()) {
                    open.push(after);
                }
            }
            if stands {
                let ended = model.agents[agent].ends_at(state.at[agent]);
                ends.insert(End { broken: None, ended, left });
            }
            if known.len() > MOST_STATES {
                return Self(None);
            }
        }
        Self(Some(ends))
    }

    /// How it ends; none if there are too many ways.
    pub(super) fn ends(&self) -> Option<&BTreeSet<End>> {
        self.0.as_ref()
    }

    /// What another program does instead; none if it is the same.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let (Some(own), Some(others)) = (&self.0, &other.0) else {
            return Some("it runs in too many ways to compare".to_owned());
        };
        match (others.difference(own).next(), own.difference(others).next()) {
            (Some(new), Some(old)) => Some(new.beside(old)),
            (Some(new), None) => Some(new.to_string()),
            (None, Some(old)) => Some(format!("it never {}", old.to_string().trim_start_matches("it "))),
            (None, None) => None,
        }
    }
}

/// What lasts of a state, as far as it is not as it was at the start.
pub(super) fn left(lowered: &Lowered, state: &State) -> BTreeMap<String, String> {
    let shown = |var: &Var| {
        let index = usize::from(var.0);
        let variable = &lowered.model.variables[index];
        let value = state.values[index];
        let name = variable.values.get(value as usize).expect("a variable has a value of its domain");
        (value != variable.initial).then(|| (variable.name.clone(), name.clone()))
    };
    lowered.lasting.iter().filter_map(shown).collect()
}

impl End {
    /// What is different from `other`, which was expected.
    fn beside(&self, other: &Self) -> String {
        if self.broken.is_some() || !self.ended {
            return self.to_string();
        }
        let names: BTreeSet<&String> = self.left.keys().chain(other.left.keys()).collect();
        let value = |end: &Self, name: &String| end.left.get(name).cloned();
        let as_it_was = || "as it was".to_owned();
        let differs = names.into_iter().filter(|name| value(self, name) != value(other, name)).map(|name| {
            let (new, old) = (value(self, name), value(other, name));
            format!("{name}: {}, not {}", new.unwrap_or_else(as_it_was), old.unwrap_or_else(as_it_was))
        });
        let differs: Vec<String> = differs.collect();
        if differs.is_empty() {
            return "it comes to its end, and waits for nobody".to_owned();
        }
        format!("it leaves {}", differs.join("; "))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left: Vec<String> = self.left.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let left = if left.is_empty() { "all as it was".to_owned() } else { left.join("; ") };
        match (&self.broken, self.ended) {
            (Some(property), _) => write!(f, "it breaks `{property}`"),
            (None, true) => write!(f, "it leaves {left}"),
            (None, false) => write!(f, "it waits for ever, with {left}"),
        }
    }
}

/// A program whose looks may be turned.
pub(super) struct Turned {
    /// Its rows.
    pub(super) rows: Vec<Row>,
    /// The look that is turned, and how.
    pub(super) look: Option<(usize, &'static str)>,
}

/// The program as it is, and with each of its looks going each way: a job holds whatever a check says.
pub(super) fn outcomes(rows: &[Row]) -> Vec<Turned> {
    let mut found = vec![Turned { rows: rows.to_vec(), look: None }];
    for (index, row) in rows.iter().enumerate() {
        for (how, statements) in turned(&row.statements) {
            let mut other = rows.to_vec();
            other[index].statements = statements;
            found.push(Turned { rows: other, look: Some((index, how)) });
        }
    }
    found
}

/// A single look that goes one way, for each way.
fn turned(statements: &[Statement]) -> Vec<(&'static str, Vec<Statement>)> {
    let [statement] = statements else { return Vec::new() };
    let one = |node| vec![Statement { node, span: statement.span, row: statement.row }];
    match &statement.node {
        Node::Check(_, label) => vec![("fails", one(Node::Goto(label.clone())))],
        Node::If(_, then, otherwise) => {
            let way = |body: &Vec<Statement>| one(Node::Choice(vec![body.clone()]));
            vec![("holds", way(then)), ("does not hold", way(otherwise))]
        }
        Node::Step(_)
        | Node::Operation(_)
        | Node::Assign(..)
        | Node::Repeat(..)
        | Node::Choice(_)
        | Node::When(..)
        | Node::Goto(_)
        | Node::Label(_)
        | Node::Atomic(_)
        | Node::End => Vec::new(),
    }
}
