//! One program in which any row can come next: from a place between the rows, the hub, a decision leads to each of them,
//! and behind each of them the program is at the hub again.
//!
//! Invariant: each row stands in it once. Which rows come in which order is decided by whoever walks through it (`world`),
//! so all orders are runs of one model, and a state between two rows can be compared between orders. A jump to a label of
//! another row leads to a landing, from where a decision leads behind the label.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::span::{Name, Span, Spanned};
use crate::language::syntax::{Comparison, Condition, Node, Operand, Statement, Term};
use crate::model::{Alternative, Instruction, Pc};

use super::order::{MOST_ROWS, Rows, members};
use super::rows::{Row, label_of, labels_inside, redirect};

const HUB: &str = "the hub";

/// The program, and the labels that are jumped to from other rows, each with the row in which it stands.
pub(super) struct Hub {
    pub(super) body: Vec<Statement>,
    landings: Vec<(String, usize)>,
}

/// Where an agent is that has done a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exit {
    /// Between two rows.
    Hub,
    /// On its way to the label with that number.
    Landing(usize),
}

/// Where the rows stand in the program of instructions.
pub(super) struct Places {
    /// By instruction: whether it is a place outside of the rows.
    exits: Vec<Option<Exit>>,
    /// By row, where it begins; none if it is not there.
    entries: Vec<Option<Pc>>,
    /// By landing: the row of the label, and where it goes on behind it; none if no run comes to it.
    landings: Vec<(usize, Option<Pc>)>,
}

impl Hub {
    /// Of the rows in `present`. None if a label inside of a block has the name of one outside: then it cannot be told
    /// to which of them a jump leads.
    pub(super) fn of(rows: &[Row], present: Rows) -> Option<Self> {
        let holders = holders(rows, present);
        let inside: BTreeSet<String> =
            members(present).flat_map(|row| rows[row].statements.iter().flat_map(labels_inside)).collect();
        if inside.iter().any(|name| holders.contains_key(name)) {
            return None;
        }
        let mut hub = Self { body: Vec::new(), landings: Vec::new() };
        let way = |row: usize| vec![decision(row), at(Node::Goto(name(&format!("row {row}"))))];
        let ways = members(present).map(way).collect();
        hub.body = vec![at(Node::Label(name(HUB))), at(Node::Choice(ways))];
        for row in members(present) {
            hub.row(row, &rows[row].statements, &holders);
        }
        for (number, (label, _)) in hub.landings.iter().enumerate() {
            hub.body.push(at(Node::Label(landing(label))));
            hub.body.push(decision(MOST_ROWS + number));
            hub.body.push(at(Node::Goto(name(label))));
        }
        Some(hub)
    }

    fn row(&mut self, row: usize, statements: &[Statement], holders: &BTreeMap<String, usize>) {
        self.body.push(at(Node::Label(name(&format!("row {row}")))));
        let landings = &mut self.landings;
        let mut target = |label: &Name| match holders.get(&label.node) {
            Some(holder) if *holder != row => {
                let known = (label.node.clone(), *holder);
                if !landings.contains(&known) {
                    landings.push(known);
                }
                landing(&label.node)
            }
            Some(_) | None => label.clone(),
        };
        for statement in statements {
            let mut statement = statement.clone();
            redirect(&mut statement, &mut target);
            self.body.push(statement);
        }
        self.body.push(at(Node::Goto(name(HUB))));
    }

    /// Where all of that is in the instructions that it has become. None if a row may end or go on at one place: then an
    /// order of rows is no sequence of visits to the hub.
    pub(super) fn places(&self, program: &[Instruction]) -> Option<Places> {
        let line = Span::default().line;
        let mut places = Places { exits: Vec::new(), entries: vec![None; MOST_ROWS], landings: Vec::new() };
        let mut landed = vec![None; self.landings.len()];
        for instruction in program {
            let decided = |way: &Alternative| decided(way, line, MOST_ROWS + self.landings.len());
            let found: Vec<Option<usize>> = instruction.alternatives.iter().map(decided).collect();
            let outside = found.iter().flatten().count();
            let exit = match found.first() {
                Some(Some(first)) if outside == found.len() => Some(exit_of(&found, *first)?),
                Some(_) if outside > 0 => return None,
                Some(_) | None => None,
            };
            places.exits.push(exit);
            for (way, number) in instruction.alternatives.iter().zip(found) {
                match number {
                    Some(row) if row < MOST_ROWS => places.entries[row] = Some(way.next),
                    Some(number) => landed[number - MOST_ROWS] = Some(way.next),
                    None => {}
                }
            }
        }
        places.landings = self.landings.iter().map(|(_, holder)| *holder).zip(landed).collect();
        Some(places)
    }
}

/// An exit has the decisions of the hub, or that of one landing.
fn exit_of(found: &[Option<usize>], first: usize) -> Option<Exit> {
    let landings = found.iter().flatten().filter(|number| **number >= MOST_ROWS).count();
    match (landings, found.len()) {
        (0, _) => Some(Exit::Hub),
        (1, 1) => Some(Exit::Landing(first - MOST_ROWS)),
        (_, _) => None,
    }
}

impl Places {
    /// Whether an agent at that instruction is outside of the rows.
    pub(super) fn exit(&self, pc: Pc) -> Option<Exit> {
        self.exits.get(usize::from(pc.0)).copied().flatten()
    }

    /// Where the agent is once `row` comes next, and it is at `exit`; none if it stays there: the row is passed over.
    pub(super) fn entered(&self, exit: Exit, row: usize) -> Option<Pc> {
        match exit {
            Exit::Hub => {
                Some(self.entries[row].expect("every row of the orders has its decision at the hub"))
            }
            Exit::Landing(number) => {
                let (holder, next) = self.landings[number];
                (holder == row).then(|| next.expect("an agent that is at a landing goes on from there"))
            }
        }
    }
}

/// The labels of each row that are none of a block inside of it.
fn holders(rows: &[Row], present: Rows) -> BTreeMap<String, usize> {
    let labels = |row: usize| rows[row].statements.iter().filter_map(label_of).map(move |label| (label, row));
    members(present).flat_map(labels).collect()
}

fn at(node: Node) -> Statement {
    Statement { node, span: Span::default(), row: 0 }
}

/// Such names have blanks: no file can hold one.
fn name(text: &str) -> Name {
    Spanned::new(text.to_owned(), Span::default())
}

fn landing(label: &str) -> Name {
    name(&format!("to {label}"))
}

/// A step that changes nothing, with a number by which it is found again.
fn decision(number: usize) -> Statement {
    let number = u32::try_from(number).expect("rows and labels are few");
    let one = || Operand { term: Term::Number(number), plus: 0, span: Span::default() };
    at(Node::When(Condition::Compare(one(), Comparison::Equal, one()), Vec::new()))
}

/// The number of a decision; it stands on the line of no step of a file, for a file begins with `scenario`.
fn decided(way: &Alternative, line: u32, most: usize) -> Option<usize> {
    (way.line == line).then(|| (0..most).find(|number| way.text == format!("when {number} == {number}")))?
}
