//! A program as a graph: which act comes after which.
//!
//! Invariant: a node has an act, or jumps to others without one; jumps, choices and the ends of a `repeat` are no acts.
//! Source: docs/language.md, "Programs".

use std::collections::BTreeMap;

use super::program::{Change, Condition, Statement};
use super::step::{Lock, Step};

/// What is done in one place of a program.
#[derive(Clone, Debug)]
pub(super) enum Act<'s> {
    Step(&'s Step),
    Trylock(Lock, bool),
    Assign(usize, &'s Change),
    /// Goes on in one place if it holds, and in the other if not.
    Test(&'s Condition),
    When(&'s Condition),
    Atomic(&'s [Statement]),
}

#[derive(Debug)]
enum Node<'s> {
    Jump(Vec<usize>),
    Act { act: Act<'s>, then: usize, other: usize },
}

/// An act, from where it can be taken, and where it leads to.
#[derive(Debug)]
pub(super) struct Place<'s> {
    pub(super) here: usize,
    /// All nodes from which jumps alone lead here, this one included.
    pub(super) from: Vec<usize>,
    pub(super) act: Act<'s>,
    pub(super) then: usize,
    /// Where a test that fails leads to.
    pub(super) other: usize,
}

/// The graph of a program.
#[derive(Debug)]
pub(super) struct Flow<'s> {
    nodes: Vec<Node<'s>>,
    labels: BTreeMap<&'static str, usize>,
    pub(super) start: usize,
}

/// The node at which a program has ended.
pub(super) const END: usize = 0;

impl<'s> Flow<'s> {
    pub(super) fn of(body: &'s [Statement]) -> Self {
        let mut flow = Self { nodes: vec![Node::Jump(Vec::new())], labels: BTreeMap::new(), start: END };
        for statement in body {
            if let Statement::Label(name) = statement {
                let place = flow.add(Node::Jump(Vec::new()));
                flow.labels.insert(*name, place);
            }
        }
        flow.start = flow.block(body, END);
        flow
    }

    fn add(&mut self, node: Node<'s>) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn act(&mut self, act: Act<'s>, then: usize, other: usize) -> usize {
        self.add(Node::Act { act, then, other })
    }

    fn block(&mut self, body: &'s [Statement], next: usize) -> usize {
        body.iter().rev().fold(next, |next, statement| self.statement(statement, next))
    }

    fn statement(&mut self, statement: &'s Statement, next: usize) -> usize {
        match statement {
            Statement::Step(step) => self.act(Act::Step(step), next, next),
            Statement::Trylock(lock, shared, label) => {
                let other = self.labels[label];
                self.act(Act::Trylock(*lock, *shared), next, other)
            }
            Statement::Assign(var, change) => self.act(Act::Assign(*var, change), next, next),
            Statement::Repeat(least, most, body) => (0..*most).rev().fold(next, |again, turn| {
                let inside = self.block(body, again);
                if turn < *least { inside } else { self.add(Node::Jump(vec![inside, next])) }
            }),
            Statement::If(condition, then, other) => {
                let then = self.block(then, next);
                let other = self.block(other, next);
                self.act(Act::Test(condition), then, other)
            }
            Statement::When(condition) => self.act(Act::When(condition), next, next),
            Statement::Check(condition, label) => {
                let other = self.labels[label];
                self.act(Act::Test(condition), next, other)
            }
            Statement::Goto(label) => self.labels[label],
            Statement::Label(label) => {
                let place = self.labels[label];
                self.nodes[place] = Node::Jump(vec![next]);
                place
            }
            Statement::End => END,
            Statement::Atomic(body) => self.act(Act::Atomic(body), next, next),
            Statement::Choice(branches) => {
                let places = branches.iter().map(|branch| self.block(branch, next)).collect();
                self.add(Node::Jump(places))
            }
        }
    }

    /// All nodes to which jumps alone lead from this one, itself included.
    fn reached(&self, node: usize) -> Vec<usize> {
        let mut found = vec![node];
        let mut next = 0;
        while let Some(place) = found.get(next).copied() {
            if let Node::Jump(places) = &self.nodes[place] {
                for place in places {
                    if !found.contains(place) {
                        found.push(*place);
                    }
                }
            }
            next += 1;
        }
        found
    }

    fn from(&self, place: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.reached(*node).contains(&place)).collect()
    }

    pub(super) fn places(&self) -> Vec<Place<'s>> {
        let mut places = Vec::new();
        for (here, node) in self.nodes.iter().enumerate() {
            if let Node::Act { act, then, other } = node {
                places.push(Place {
                    here,
                    from: self.from(here),
                    act: act.clone(),
                    then: *then,
                    other: *other,
                });
            }
        }
        places
    }

    /// Where the program has ended, or may end: whoever stands there has ended as long as he goes no further.
    pub(super) fn ended(&self) -> Vec<usize> {
        self.from(END)
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }
}
