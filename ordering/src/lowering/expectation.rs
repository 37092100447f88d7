//! What a scenario expects: the property that is to break, the rows that no order is to take.
//!
//! Invariant: what is named is there.

use crate::answer::Unreached;
use crate::language::syntax::{Expect, Rows};
use crate::language::{Code, Diagnostic, did_you_mean};
use crate::model::PropertyId;

use super::Lowering;

impl Lowering<'_> {
    /// The property that `expect violation of` names.
    pub(super) fn expected_property(&mut self) -> Option<PropertyId> {
        let Some(Expect::Violation { of: Some(named), .. }) =
            self.scenario.expect.as_ref().map(|expect| &expect.node)
        else {
            return None;
        };
        let found = (0..).map(PropertyId).zip(&self.properties).find(|(_, known)| known.text == named.node);
        if found.is_none() {
            let known: Vec<&str> = self.properties.iter().map(|known| known.text.as_str()).collect();
            let help = did_you_mean(&named.node, &known, &format!("there are `{}`", known.join("`, `")));
            let message = format!("the scenario has no property `{}`", named.node);
            self.diagnostics.push(Diagnostic::new(Code::UnknownProperty, named.span, message, help));
        }
        found.map(|(id, _)| id)
    }

    /// The rows behind `unreached`.
    pub(super) fn unreached(&mut self) -> Vec<Unreached> {
        let mut found = Vec::new();
        for said in &self.scenario.unreached {
            for rows in &said.rows {
                match self.rows_of(rows) {
                    Ok(agent) => found.push(Unreached {
                        agent,
                        first: rows.first,
                        last: rows.last,
                        reason: said.reason.clone(),
                        line: rows.span.line,
                    }),
                    Err(diagnostic) => self.diagnostics.push(diagnostic),
                }
            }
        }
        found
    }

    /// The agent whose rows they are.
    fn rows_of(&self, rows: &Rows) -> Result<usize, Diagnostic> {
        let agents = &self.scenario.agents;
        let Some(index) = agents.iter().position(|agent| agent.name.node == rows.agent.node) else {
            let known: Vec<&str> = agents.iter().map(|agent| agent.name.node.as_str()).collect();
            let help =
                did_you_mean(&rows.agent.node, &known, &format!("the agents are {}", known.join(", ")));
            return Err(Diagnostic::new(
                Code::UnknownAgent,
                rows.agent.span,
                format!("there is no agent `{}`", rows.agent.node),
                help,
            ));
        };
        let count = agents[index].rows.len();
        if rows.first == 0 || rows.last as usize > count {
            let message = format!("{} has no {rows}, it has {count} rows", rows.agent.node);
            return Err(Diagnostic::new(Code::UnknownRow, rows.span, message, "rows are counted from 1"));
        }
        Ok(index)
    }
}
