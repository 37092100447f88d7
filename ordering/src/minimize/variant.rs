//! A scenario with the rows of one agent in another order, as a variant that can be put below it.
//!
//! Invariant: what is written is read as the program that was judged; its name is that of no scenario of the file.

use std::collections::BTreeSet;

use crate::language::parse;
use crate::language::syntax::{Agent, Scenario};

use super::judge::Refusal;
use super::rows::Row;

/// Names variants of one scenario.
pub(super) struct Variants<'a> {
    scenario: &'a Scenario,
    agent: &'a Agent,
    rows: &'a [Row],
    taken: BTreeSet<String>,
    /// Orders that have a variant already, with its name.
    named: Vec<(Vec<usize>, String)>,
}

impl<'a> Variants<'a> {
    /// Of the scenario that was read from `source`.
    pub(super) fn new(scenario: &'a Scenario, agent: &'a Agent, rows: &'a [Row], source: &str) -> Self {
        let taken = parse(source).scenarios.into_iter().map(|scenario| scenario.name.node).collect();
        Self { scenario, agent, rows, taken, named: Vec::new() }
    }

    /// The name of the variant with that order, and what it says if it has not been written yet.
    pub(super) fn of(&mut self, order: &[usize], refusal: &Refusal) -> (String, Option<String>) {
        if let Some((_, name)) = self.named.iter().find(|(known, _)| known == order) {
            return (name.clone(), None);
        }
        let base = &self.scenario.name.node;
        let name =
            (1..).map(|number| format!("{base}-order-{number}")).find(|name| !self.taken.contains(name));
        let name = name.expect("a file has fewer names than there are numbers");
        self.taken.insert(name.clone());
        self.named.push((order.to_vec(), name.clone()));
        let mut text = self.text(&name, order);
        if let Refusal::Violated { property, .. } = refusal {
            text.push_str(&format!("expect violation of {property}\n"));
        }
        (name, Some(text))
    }

    fn text(&self, name: &str, order: &[usize]) -> String {
        let agent = &self.agent.name.node;
        let rows = match self.agent.rows.len() {
            1 => format!("{agent}.1"),
            count => format!("{agent}.1 to {count}"),
        };
        let lines: String =
            order.iter().flat_map(|row| &self.rows[*row].lines).map(|line| format!("  {line}\n")).collect();
        format!("scenario {name}\nlike {}\nreplace {rows}\n{lines}", self.scenario.name.node)
    }
}
