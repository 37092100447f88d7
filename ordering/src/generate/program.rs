//! An operation's program as steps that move and frames that follow them.
//!
//! Invariant: the steps in their own order, none left out, give the program row by row as it was.

use crate::language::parse;
use crate::minimize::rows::rows;

use super::operation::{Operation, Piece, Place, User};

/// A step that may stand elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What it is called in an order.
    pub name: String,
    /// Its row, as a scenario says it.
    pub row: String,
    /// Whether it may be left out.
    pub optional: bool,
}

/// Rows that stand where steps do.
struct Frame {
    place: Place,
    lines: Vec<String>,
}

/// The program.
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    frames: Vec<Frame>,
    /// Pairs of steps of which the first stands first in every order.
    pub(super) before: Vec<(usize, usize)>,
    /// Pairs of steps of which the first makes no sense without the second.
    pub(super) needs: Vec<(usize, usize)>,
}

impl Program {
    /// Of `operation`, for these users: for a device TLB that is apart, what tells devices is two steps.
    pub(super) fn new(operation: &Operation, users: &[User]) -> Self {
        let mut rest = lines(operation).into_iter();
        let mut take = |rows: usize| rest.by_ref().take(rows).flatten().collect::<Vec<_>>();
        let mut program =
            Self { steps: Vec::new(), frames: Vec::new(), before: Vec::new(), needs: Vec::new() };
        for piece in operation.pieces {
            match piece {
                Piece::Frame(place, rows) => program.frames.push(Frame { place: *place, lines: take(*rows) }),
                Piece::Step { name, row, optional } => {
                    assert_eq!(take(1), [*row], "`{name}` of `{}` is its row", operation.name);
                    program.steps.extend(halves(name, row, users).into_iter().map(|(name, row)| Step {
                        name,
                        row,
                        optional: *optional,
                    }));
                }
            }
        }
        assert_eq!(rest.next(), None, "`{}` has no other rows", operation.name);
        program.before = program.pairs(operation.before);
        program.needs = program.pairs(operation.needs);
        program
    }

    /// The step with that name.
    pub(super) fn step(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.name == name)
    }

    fn pairs(&self, named: &[(&str, &str)]) -> Vec<(usize, usize)> {
        let step = |name: &str| self.step(name).expect("an operation names its own steps");
        named.iter().map(|(one, other)| (step(one), step(other))).collect()
    }

    /// All rows with the steps in this order.
    pub(super) fn lines(&self, order: &[usize]) -> Vec<&str> {
        let first = |names: &[&str]| order.iter().find(|step| self.is_one_of(**step, names));
        let last = |names: &[&str]| order.iter().rfind(|step| self.is_one_of(**step, names));
        let mut found = self.frames(|place| matches!(place, Place::Front));
        for step in order {
            found.extend(
                self.frames(|place| matches!(place, Place::Before(names) if first(names) == Some(step))),
            );
            found.push(&self.steps[*step].row);
            found.extend(
                self.frames(|place| matches!(place, Place::Behind(names) if last(names) == Some(step))),
            );
        }
        found.extend(self.frames(|place| matches!(place, Place::Back)));
        found
    }

    fn is_one_of(&self, step: usize, names: &[&str]) -> bool {
        names.contains(&self.steps[step].name.as_str())
    }

    fn frames(&self, stands: impl Fn(Place) -> bool) -> Vec<&str> {
        let here = self.frames.iter().filter(|frame| stands(frame.place));
        here.flat_map(|frame| frame.lines.iter().map(String::as_str)).collect()
    }
}

/// The rows of the program, each with the lines that say it.
fn lines(operation: &Operation) -> Vec<Vec<String>> {
    let source =
        format!("scenario s\n{}agent mm\n{}{}", operation.world, operation.program, operation.others);
    let file = parse(&source);
    assert!(file.diagnostics.is_empty(), "`{}` can be read: {:?}", operation.name, file.diagnostics);
    let agents = &file.scenarios[0].agents;
    let agent = agents.iter().find(|agent| agent.name.node == "mm").expect("the program's agent is there");
    rows(agent).into_iter().map(|row| row.lines).collect()
}

/// A step, or the two that it is where the device TLB is apart.
fn halves(name: &str, row: &str, users: &[User]) -> Vec<(String, String)> {
    let Some(page) = row.strip_prefix("notify ").filter(|_| users.contains(&User::Ats)) else {
        return vec![(name.to_owned(), row.to_owned())];
    };
    ["iotlb", "devtlb"].map(|half| (name.replace("notify", half), format!("{half}_inv {page}"))).to_vec()
}

/// All lines of the program as it is.
#[cfg(test)]
pub(super) fn rows_of(operation: &Operation) -> Vec<String> {
    lines(operation).concat()
}
