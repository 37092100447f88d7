//! One program that takes the rows in every order that is left: its places are the sets of rows that have been done.
//!
//! Invariant: each run of each order is one of its runs, so if it is proved all of them are. Which row comes next is decided
//! in a step of its own, so an order that waits for ever is met; nobody reads its runs, for they have steps that no order
//! has. A jump to a label skips what the order has before that label: any of the sets that end just before it.

use std::collections::BTreeSet;

use crate::language::span::{Name, Span, Spanned};
use crate::language::syntax::{Comparison, Condition, Node, Operand, Statement, Term};

use super::order::{Orders, Rows, bit};
use super::rows::{Row, label_of, redirect};

/// Sets of rows at most.
pub(super) const MOST_SETS: usize = 3_000;

/// The program of all `orders`; none if it is too large.
pub(super) fn every(rows: &[Row], orders: &Orders) -> Option<Vec<Statement>> {
    let sets = orders.sets(MOST_SETS)?;
    let mut program = Every { rows, orders, jumps: BTreeSet::new(), open: Vec::new() };
    let mut body = Vec::new();
    for done in &sets {
        body.push(at(Node::Label(place(*done))));
        body.push(at(program.at(*done)));
    }
    while let Some((done, label)) = program.open.pop() {
        body.push(at(Node::Label(landing(done, &label))));
        body.push(at(program.skip(done, &label)));
    }
    body.push(at(Node::Label(place(orders.present))));
    // The set of all rows is the last one found, and has no next.
    let last = sets.iter().position(|done| *done == orders.present)?;
    body.drain(2 * last..2 * last + 2);
    Some(body)
}

struct Every<'a> {
    rows: &'a [Row],
    orders: &'a Orders,
    jumps: BTreeSet<(Rows, String)>,
    open: Vec<(Rows, String)>,
}

impl Every<'_> {
    /// What may come once `done` have been.
    fn at(&mut self, done: Rows) -> Node {
        let next: Vec<usize> = self.orders.next(done).collect();
        let decided = next.len() > 1;
        let mut ways = Vec::new();
        for row in next {
            let mut way = self.from(row, 0, done);
            if decided {
                way.insert(0, at(decision()));
            }
            ways.push(way);
        }
        Node::Choice(ways)
    }

    /// A row from its statement `first` on, and what comes after it.
    fn from(&mut self, row: usize, first: usize, done: Rows) -> Vec<Statement> {
        let after = done | bit(row);
        let inside: BTreeSet<String> =
            self.rows[row].statements[first..].iter().filter_map(label_of).collect();
        let mut statements = self.rows[row].statements[first..].to_vec();
        let (jumps, open) = (&mut self.jumps, &mut self.open);
        let mut target = |name: &Name| {
            if inside.contains(&name.node) {
                return name.clone();
            }
            if jumps.insert((after, name.node.clone())) {
                open.push((after, name.node.clone()));
            }
            landing(after, &name.node)
        };
        statements.iter_mut().for_each(|statement| redirect(statement, &mut target));
        statements.push(at(Node::Goto(place(after))));
        statements
    }

    /// From a jump to `label`: enter the row it stands in, or leave one more row out before it.
    fn skip(&mut self, done: Rows, label: &str) -> Node {
        let stands = |row: &Row| {
            row.statements.iter().position(|one| matches!(&one.node, Node::Label(name) if name.node == label))
        };
        let mut ways = Vec::new();
        for row in self.orders.next(done).collect::<Vec<_>>() {
            if let Some(first) = stands(&self.rows[row]) {
                ways.push(self.from(row, first + 1, done));
                continue;
            }
            let skipped = (done | bit(row), label.to_owned());
            ways.push(vec![at(Node::Goto(landing(skipped.0, label)))]);
            if self.jumps.insert(skipped.clone()) {
                self.open.push(skipped);
            }
        }
        Node::Choice(ways)
    }
}

fn at(node: Node) -> Statement {
    Statement { node, span: Span::default(), row: 0 }
}

/// Names with blanks: no file can hold one.
fn place(done: Rows) -> Name {
    Spanned::new(format!("done {done:x}"), Span::default())
}

fn landing(done: Rows, label: &str) -> Name {
    Spanned::new(format!("done {done:x} to {label}"), Span::default())
}

/// A step that changes nothing.
fn decision() -> Node {
    let one = || Operand { term: Term::Number(1), plus: 0, span: Span::default() };
    Node::When(Condition::Compare(one(), Comparison::Equal, one()), Vec::new())
}
