//! What the runs of a scenario should do, so that its proof is one: take every statement, and let every `after` happen.
//!
//! Invariant: a statement has one mark, and the ways carry it by which the agent leaves the statement behind: who only
//! walks for a load has not loaded. A name for several steps is one statement; the branches of a choice are several.

use std::collections::HashMap;

use crate::language::span::Span;
use crate::language::syntax::{Node, Row, Scenario, Statement as Written};
use crate::model::{Mark, MarkId, PropertyId, Statement};

use super::emitter::Emitter;
use super::program::{Goal, Place, Way};
use super::state::AgentId;

/// Stands for all that are too many to be numbered: a model with so many is refused.
const LAST: MarkId = MarkId(u16::MAX);

/// The marks of a scenario.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) all: Vec<Mark>,
    /// By agent, first byte in the source, copy that a `for` made of it, and text.
    statements: HashMap<(AgentId, usize, u32, String), MarkId>,
}

impl Marks {
    pub(super) fn after(&mut self, property: PropertyId) -> MarkId {
        self.add(Mark::After(property))
    }

    fn statement(&mut self, scenario: &Scenario, agent: AgentId, span: Span, text: String) -> MarkId {
        let key = (agent, span.start, span.copy, text);
        if let Some(known) = self.statements.get(&key) {
            return *known;
        }
        let rows = scenario.agents.get(agent).map_or(&[][..], |agent| &agent.rows);
        let row = row(rows, span);
        let new = self.add(Mark::Statement(Statement { agent, row, line: span.line, text: key.3.clone() }));
        self.statements.insert(key, new);
        new
    }

    fn add(&mut self, mark: Mark) -> MarkId {
        let id = u16::try_from(self.all.len()).map_or(LAST, MarkId);
        self.all.push(mark);
        id
    }
}

/// The row of a column in which something stands, from 1; 0 if it stands in none.
pub(super) fn row(rows: &[Row], span: Span) -> u32 {
    let holds = |row: &Row| row.span.start <= span.start && span.start < row.span.end;
    (1..).zip(rows).find(|(_, row)| holds(row)).map_or(0, |(number, _)| number)
}

impl Emitter<'_> {
    /// Marks the ways that leave the statement whose nodes begin at `start`.
    pub(super) fn mark(&mut self, start: usize, span: Span, text: String) {
        let end = self.out.builder.nodes.len();
        self.mark_nodes(start, end, span, text);
    }

    /// Marks the ways of one node, and those into a branch that takes no step of its own.
    pub(super) fn mark_test(
        &mut self,
        node: usize,
        (span, text): (Span, String),
        then: &[Written],
        otherwise: &[Written],
    ) {
        if self.manner.unmarked {
            return;
        }
        self.mark_nodes(node, node + 1, span, text);
        for (branch, holds) in [(then, true), (otherwise, false)] {
            let Some((silent, shown)) = branch.first().and_then(silent) else { continue };
            let mark = self.statement_mark(silent, shown);
            if let Some(Place::Step(ways, _)) = self.out.builder.nodes.get_mut(node) {
                let taken = |way: &&mut Way| (way.goal == Goal::Next) == holds;
                ways.iter_mut().filter(taken).for_each(|way| way.marks.push(mark));
            }
        }
    }

    fn mark_nodes(&mut self, start: usize, end: usize, span: Span, text: String) {
        if self.manner.unmarked {
            return;
        }
        let mark = self.statement_mark(span, text);
        for node in start..end {
            let Some(Place::Step(ways, _)) = self.out.builder.nodes.get(node) else { continue };
            let leaves: Vec<bool> = ways
                .iter()
                .map(|way| {
                    way.violates.is_some() || !(start..end).contains(&self.out.builder.target(node, way.goal))
                })
                .collect();
            if let Some(Place::Step(ways, _)) = self.out.builder.nodes.get_mut(node) {
                let leaving = ways.iter_mut().zip(leaves).filter(|(_, leaves)| *leaves);
                leaving.for_each(|(way, _)| way.marks.push(mark));
            }
        }
    }

    fn statement_mark(&mut self, span: Span, text: String) -> MarkId {
        self.told.marks.statement(self.scope.scenario, self.own.agent, span, text)
    }
}

/// Where a statement stands that takes no step, and its words.
fn silent(statement: &Written) -> Option<(Span, String)> {
    match &statement.node {
        Node::Goto(label) => Some((statement.span, format!("goto {}", label.node))),
        Node::End => Some((statement.span, "end".to_owned())),
        Node::Step(_)
        | Node::Operation(_)
        | Node::Assign(..)
        | Node::Repeat(..)
        | Node::Choice(_)
        | Node::If(..)
        | Node::When(..)
        | Node::Check(..)
        | Node::Label(_)
        | Node::Atomic(_) => None,
    }
}
