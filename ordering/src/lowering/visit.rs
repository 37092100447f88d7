//! Every statement of a program, whatever block it stands in.
//!
//! Invariant: operations are expanded, so whoever counts steps counts what will be lowered.

use crate::language::span::Span;
use crate::language::syntax::{Node, Spoken, Statement};

use super::operation::expand;

/// Calls `each` on every statement, with how often it can be reached if no jump leads back.
pub(super) fn visit(statements: &[Statement], times: u32, each: &mut dyn FnMut(&Statement, u32)) {
    for statement in statements {
        each(statement, times);
        match &statement.node {
            Node::Operation(operation) => {
                visit(&expand(operation, statement.span), times, each);
            }
            Node::Repeat(_, most, body) => visit(body, times.saturating_mul(*most), each),
            Node::Choice(ways) => ways.iter().for_each(|way| visit(way, times, each)),
            Node::If(_, then, otherwise) => {
                visit(then, times, each);
                visit(otherwise, times, each);
            }
            Node::When(_, body) | Node::Atomic(body) => visit(body, times, each),
            Node::Step(_)
            | Node::Assign(..)
            | Node::Check(..)
            | Node::Goto(_)
            | Node::Label(_)
            | Node::End => {}
        }
    }
}

/// Calls `each` on every step.
pub(super) fn visit_steps(statements: &[Statement], each: &mut dyn FnMut(&Spoken, Span, u32)) {
    visit(statements, 1, &mut |statement, times| {
        if let Node::Step(spoken) = &statement.node {
            each(spoken, statement.span, times);
        }
    });
}
