//! A program cut into the rows that are moved: operations written out, everything else as it stands.
//!
//! Invariant: joined in their order, the rows are the program. A row moves if it is a step that is no access: accesses
//! are what the others are seen by. Labels, checks, branches and loops stay in their order among each other and among
//! the accesses, and what a `goto` passes over stays one piece.

use std::collections::BTreeSet;

use steps::Unanswered;
use steps::table::Actor;

use crate::language::span::{Name, Spanned};
use crate::language::syntax::{self, Agent, Node, Statement, Step};
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
    /// The lines that say the same in a program, the first of them not indented.
    pub(crate) lines: Vec<String>,
}

/// The rows of a program.
pub(crate) fn rows(agent: &Agent) -> Vec<Row> {
    let (body, made) = written_out(&agent.body);
    let mut found = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let end = piece(&body, at);
        let as_written = |at: usize| match made[at] {
            true => vec![text(&body[at], agent)],
            false => lines(&body[at], agent),
        };
        found.push(Row { lines: (at..end).flat_map(as_written).collect(), ..row(&body[at..end], agent) });
        at = end;
    }
    found
}

/// A statement of the file with the lines below that belong to it.
fn lines(statement: &Statement, agent: &Agent) -> Vec<String> {
    let first = agent.said(statement);
    let is_label = matches!(statement.node, Node::Label(_));
    let (rows, at) = (agent.read(), statement.row);
    let below = |from: usize| rows[from..].iter().take_while(|row| row.indent > rows[at].indent).count();
    let body = if first.ends_with(':') && !is_label { below(at + 1) } else { 0 };
    let mut end = at + 1 + body;
    if matches!(&statement.node, Node::If(_, _, otherwise) if !otherwise.is_empty()) {
        end += 1 + below(end + 1);
    }
    let indented = |row: &syntax::Row| {
        let indent = row.indent - rows[at].indent;
        format!("{:indent$}{}", "", row.said())
    };
    std::iter::once(first).chain(rows[at + 1..end].iter().map(indented)).collect()
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
        };
        let back = |from: &usize| {
            jumps(&body[*from]).iter().filter_map(|name| label(name)).any(|target| target == next)
        };
        let looped = (next + 1..body.len()).filter(back).max();
        end = ahead.into_iter().chain(looped).map(|last| last + 1).fold(end, usize::max);
        next += 1;
    }
    end
}

fn row(statements: &[Statement], agent: &Agent) -> Row {
    let texts: Vec<String> = statements.iter().map(|statement| text(statement, agent)).collect();
    let plain = statements.len() == 1 && is_plain(&statements[0]);
    let check = matches!(statements, [Statement { node: Node::Check(..), .. }]);
    Row {
        text: texts.join("; "),
        mobility: if plain { Mobility::Moves } else { Mobility::Stays },
        optional: plain || check,
        statements: statements.to_vec(),
        lines: Vec::new(),
    }
}

/// Whether it is a step, and no access.
fn is_plain(statement: &Statement) -> bool {
    match &statement.node {
        Node::Step(spoken) => {
            let actor = spoken.step.verb().row().actor;
            let access = matches!(actor, Actor::Cpu | Actor::Device | Actor::Translating);
            let stays = matches!(
                spoken.step,
                Step::Trylock(..)
                    | Step::InvWait(_, Unanswered::GoesTo(_))
                    | Step::GupFast { .. }
                    | Step::Peek { .. }
                    | Step::Forget(_)
                    | Step::Read(_)
                    | Step::Write(..)
            );
            !access && !stays
        }
        Node::Assign(..) => true,
        Node::When(_, body) => body.is_empty(),
        Node::Atomic(body) => body.iter().all(is_plain),
        Node::Operation(_)
        | Node::Repeat(..)
        | Node::Choice(_)
        | Node::If(..)
        | Node::Check(..)
        | Node::Goto(_)
        | Node::Label(_)
        | Node::End => false,
    }
}

/// The program with its operations as their steps, and which statements are those; an operation's labels get names of
/// their own if they are taken.
fn written_out(body: &[Statement]) -> (Vec<Statement>, Vec<bool>) {
    let mut found: Vec<Statement> = Vec::new();
    let mut made = Vec::new();
    let mut taken: BTreeSet<String> = body.iter().filter_map(label_of).collect();
    for statement in body {
        let Node::Operation(operation) = &statement.node else {
            found.push(statement.clone());
            made.push(false);
            continue;
        };
        let mut steps = expand(operation, statement.span);
        let own: BTreeSet<String> = steps.iter().filter_map(label_of).collect();
        let times = found.len();
        let mut renamed = |name: &Name| match own.contains(&name.node) && taken.contains(&name.node) {
            true => Spanned::new(format!("{}_{times}", name.node), name.span),
            false => name.clone(),
        };
        steps.iter_mut().for_each(|step| rename(step, &mut renamed));
        taken.extend(own);
        made.extend(steps.iter().map(|_| true));
        found.extend(steps);
    }
    (found, made)
}

/// The name of a label.
pub(super) fn label_of(statement: &Statement) -> Option<String> {
    if let Node::Label(name) = &statement.node { Some(name.node.clone()) } else { None }
}

/// The labels of the blocks inside of `statement`.
pub(super) fn labels_inside(statement: &Statement) -> Vec<String> {
    blocks(&statement.node)
        .flat_map(|inner| label_of(inner).into_iter().chain(labels_inside(inner)))
        .collect()
}

/// The statements of the blocks of `node`.
fn blocks(node: &Node) -> Box<dyn Iterator<Item = &Statement> + '_> {
    match node {
        Node::Repeat(_, _, body) | Node::When(_, body) | Node::Atomic(body) => Box::new(body.iter()),
        Node::If(_, then, otherwise) => Box::new(then.iter().chain(otherwise)),
        Node::Choice(ways) => Box::new(ways.iter().flatten()),
        Node::Step(_)
        | Node::Operation(_)
        | Node::Assign(..)
        | Node::Check(..)
        | Node::Goto(_)
        | Node::Label(_)
        | Node::End => Box::new(std::iter::empty()),
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
        Node::Step(spoken) => {
            if let Step::Trylock(_, _, label) = &mut spoken.step {
                *label = target(label);
            }
        }
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
fn text(statement: &Statement, agent: &Agent) -> String {
    match &statement.node {
        Node::Step(spoken) => spoken.text.clone(),
        Node::Check(condition, name) => format!("check {condition} else {}", name.node),
        Node::Goto(name) => format!("goto {}", name.node),
        Node::Label(name) => format!("{}:", name.node),
        Node::Atomic(body) => {
            let steps: Vec<String> = body.iter().map(|step| text(step, agent)).collect();
            format!("atomic {{ {} }}", steps.join("; "))
        }
        Node::Operation(_)
        | Node::Assign(..)
        | Node::Repeat(..)
        | Node::Choice(_)
        | Node::If(..)
        | Node::When(..)
        | Node::End => agent.said(statement),
    }
}
