//! A program cut into the rows that are moved: operations written out, everything else as it stands.
//!
//! Invariant: joined in their order, the rows are the program. A row moves if it is a step that is no access: accesses
//! are what the others are seen by. Labels, checks, branches and loops stay in their order among each other and among
//! the accesses, and what a `goto` passes over stays one piece.

use std::collections::BTreeSet;

use crate::language::span::{Name, Spanned};
use crate::language::syntax::{Node, Statement};
use crate::language::vocabulary::{Actor, Verb};
use crate::lowering::expand;

/// Whether a row may be moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mobility {
    /// It may stand elsewhere.
    Moves,
    /// It keeps its place among the others that stay.
    Stays,
}

/// One row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// As it is written.
    pub text: String,
    /// Whether it may be moved.
    pub mobility: Mobility,
    /// Whether it may be left out.
    pub(super) optional: bool,
    pub(super) statements: Vec<Statement>,
}

/// The rows of a program.
pub(super) fn rows(body: &[Statement], source: &str) -> Vec<Row> {
    let body = written_out(body);
    let mut found = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let end = piece(&body, at);
        found.push(row(&body[at..end], source));
        at = end;
    }
    found
}

/// One past the last statement of the piece that begins at `at`.
fn piece(body: &[Statement], at: usize) -> usize {
    let label =
        |name: &str| body.iter().position(|one| matches!(&one.node, Node::Label(l) if l.node == name));
    let mut end = at + 1;
    let mut next = at;
    while next < end {
        let statement = &body[next];
        // Forward over all that a jump of its own passes, backward over a loop.
        let ahead = match &statement.node {
            Node::Goto(name) => label(&name.node),
            Node::End => Some(body.len() - 1),
            _ => None,
        };
        let back = |from: &usize| {
            jumps(&body[*from]).iter().filter_map(|name| label(name)).any(|target| target == next)
        };
        let looped = (next + 1..body.len()).filter(back).max();
        end = ahead.into_iter().chain(looped).map(|last| last + 1).chain([end]).max().unwrap_or(end);
        next += 1;
    }
    end
}

fn row(statements: &[Statement], source: &str) -> Row {
    let texts: Vec<String> = statements.iter().map(|statement| text(statement, source)).collect();
    let plain = statements.len() == 1 && is_plain(&statements[0]);
    let check = matches!(statements, [Statement { node: Node::Check(..), .. }]);
    Row {
        text: texts.join("; "),
        mobility: if plain { Mobility::Moves } else { Mobility::Stays },
        optional: plain || check,
        statements: statements.to_vec(),
    }
}

/// Whether it is a step, and no access.
fn is_plain(statement: &Statement) -> bool {
    match &statement.node {
        Node::Step(step) => {
            let access = matches!(step.verb.entry().actor, Actor::Cpu | Actor::Device | Actor::Translating);
            let jumps = step.label.is_some();
            !access && !jumps && !matches!(step.verb, Verb::GupFast | Verb::Read | Verb::Write)
        }
        Node::Assign(..) => true,
        Node::When(_, body) => body.is_empty(),
        Node::Atomic(body) => body.iter().all(is_plain),
        _ => false,
    }
}

/// The program with its operations as their steps; an operation's labels get names of their own if they are taken.
fn written_out(body: &[Statement]) -> Vec<Statement> {
    let mut found: Vec<Statement> = Vec::new();
    let mut taken: BTreeSet<String> = body.iter().filter_map(label_of).collect();
    for statement in body {
        let Node::Operation(operation) = &statement.node else {
            found.push(statement.clone());
            continue;
        };
        // An operation that has no steps is an error that the scenario was refused for.
        let mut steps = expand(operation, statement.span);
        let own: BTreeSet<String> = steps.iter().filter_map(label_of).collect();
        let times = found.len();
        let mut renamed = |name: &Name| match own.contains(&name.node) && taken.contains(&name.node) {
            true => Spanned::new(format!("{}_{times}", name.node), name.span),
            false => name.clone(),
        };
        steps.iter_mut().for_each(|step| rename(step, &mut renamed));
        taken.extend(own);
        found.extend(steps);
    }
    found
}

fn label_of(statement: &Statement) -> Option<String> {
    match &statement.node {
        Node::Label(name) => Some(name.node.clone()),
        _ => None,
    }
}

fn rename(statement: &mut Statement, renamed: &mut impl FnMut(&Name) -> Name) {
    if let Node::Label(name) = &mut statement.node {
        *name = renamed(name);
    }
    redirect(statement, renamed);
}

/// Gives every jump in `statement` the target that `target` says.
pub(super) fn redirect(statement: &mut Statement, target: &mut impl FnMut(&Name) -> Name) {
    match &mut statement.node {
        Node::Check(_, name) | Node::Goto(name) => *name = target(name),
        Node::Step(step) => step.label.iter_mut().for_each(|name| *name = target(name)),
        Node::Repeat(_, _, body) | Node::When(_, body) | Node::Atomic(body) => {
            body.iter_mut().for_each(|inner| redirect(inner, target));
        }
        Node::If(_, then, otherwise) => {
            then.iter_mut().chain(otherwise).for_each(|inner| redirect(inner, target));
        }
        Node::Choice(ways) => ways.iter_mut().flatten().for_each(|inner| redirect(inner, target)),
        Node::Operation(_) | Node::Assign(..) | Node::Label(_) | Node::End => {}
    }
}

/// The labels that `statement` may jump to.
pub(super) fn jumps(statement: &Statement) -> Vec<String> {
    let mut found = Vec::new();
    redirect(&mut statement.clone(), &mut |name| {
        found.push(name.node.clone());
        name.clone()
    });
    found
}

/// One line that shows a statement.
fn text(statement: &Statement, source: &str) -> String {
    match &statement.node {
        Node::Step(step) => step.text.clone(),
        Node::Check(condition, name) => format!("check {condition} else {}", name.node),
        Node::Goto(name) => format!("goto {}", name.node),
        Node::Label(name) => format!("{}:", name.node),
        Node::Atomic(body) => {
            let steps: Vec<String> = body.iter().map(|step| text(step, source)).collect();
            format!("atomic {{ {} }}", steps.join("; "))
        }
        _ => statement.span.text(source).split_whitespace().collect::<Vec<_>>().join(" "),
    }
}
