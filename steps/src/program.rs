//! An operation as data: a list of steps, checks and labels, and the edits that make another order of it.
//!
//! Invariant: a program always ends. Jumps lead forward only, which [`Program::new`] and every edit assert.
//! A lock that a jump leaves behind is dropped by whoever executes the program.

use std::fmt;

use crate::one_page::{Condition, Step};

/// Where a failed check goes on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Label(pub &'static str);

/// One line of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    /// Do it.
    Step(Step),
    /// Go on if the condition holds, else at the label.
    Check(Condition, Label),
    /// Go on at the label.
    Goto(Label),
    /// A place to go on.
    Label(Label),
}

/// A line of a program, named by what it says and which time it says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    line: Line,
    occurrence: usize,
}

/// A named list of lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    name: &'static str,
    lines: Vec<Line>,
}

impl From<Step> for Line {
    fn from(step: Step) -> Self {
        Self::Step(step)
    }
}

impl Line {
    /// Whether users of the page can tell a moment before the line from one after it: it changes the page table or a
    /// cache, may free a frame, or looks at what they may change. Locks, copies and counts are no business of theirs,
    /// so a window before such a line is the window before the next visible one.
    #[must_use]
    pub const fn is_visible(&self) -> bool {
        match self {
            Self::Step(step) => step.is_visible(),
            Self::Check(condition, _) => !matches!(condition, Condition::PteSame),
            Self::Goto(_) | Self::Label(_) => false,
        }
    }
}

/// The first occurrence of a line.
#[must_use]
pub fn first(line: impl Into<Line>) -> Place {
    Place { line: line.into(), occurrence: 0 }
}

/// The second occurrence of a line.
#[must_use]
pub fn second(line: impl Into<Line>) -> Place {
    Place { line: line.into(), occurrence: 1 }
}

impl Program {
    /// A program of `lines`.
    ///
    /// # Panics
    /// If a jump leads nowhere or backwards.
    #[must_use]
    pub fn new(name: &'static str, lines: Vec<Line>) -> Self {
        let program = Self { name, lines };
        program.assert_jumps_forward();
        program
    }

    /// Its name: the kernel function it restates.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its lines, in the order they are executed if every check holds.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// How many of its lines users of the page can see.
    #[must_use]
    pub fn visible_lines(&self) -> usize {
        self.lines.iter().filter(|line| line.is_visible()).count()
    }

    /// The index of the line after `label`, from `from` on.
    ///
    /// # Panics
    /// If there is none: [`Program::new`] has excluded it.
    #[must_use]
    pub fn target(&self, label: Label, from: usize) -> usize {
        let found = self.lines[from..].iter().position(|line| *line == Line::Label(label));
        match found {
            Some(distance) => from + distance + 1,
            None => panic!("{}: no label {} below line {from}", self.name, label.0),
        }
    }

    /// The same program without the line at `place`.
    ///
    /// # Panics
    /// If it has no such line.
    #[must_use]
    pub fn without(mut self, place: Place) -> Self {
        let index = self.index(place);
        self.lines.remove(index);
        self.assert_jumps_forward();
        self
    }

    /// The same program without any of the given steps.
    #[must_use]
    pub fn without_all(mut self, steps: &[Step]) -> Self {
        self.lines.retain(|line| !steps.iter().any(|step| *line == Line::Step(*step)));
        self
    }

    /// The same program with the line at `place` moved to right before the line at `anchor`.
    ///
    /// # Panics
    /// If it lacks one of them, or a jump would lead backwards.
    #[must_use]
    pub fn moved_before(self, place: Place, anchor: Place) -> Self {
        self.moved(place, anchor, 0)
    }

    /// The same program with the line at `place` moved to right after the line at `anchor`.
    ///
    /// # Panics
    /// As [`moved_before`](Self::moved_before).
    #[must_use]
    pub fn moved_after(self, place: Place, anchor: Place) -> Self {
        self.moved(place, anchor, 1)
    }

    fn moved(mut self, place: Place, anchor: Place, shift: usize) -> Self {
        let from = self.index(place);
        let to = self.index(anchor) + shift;
        let line = self.lines.remove(from);
        self.lines.insert(if from < to { to - 1 } else { to }, line);
        self.assert_jumps_forward();
        self
    }

    fn index(&self, place: Place) -> usize {
        let mut matching = self.lines.iter().enumerate().filter(|(_, line)| **line == place.line);
        match matching.nth(place.occurrence) {
            Some((index, _)) => index,
            None => panic!("{}: no `{}`, occurrence {}", self.name, place.line, place.occurrence + 1),
        }
    }

    fn assert_jumps_forward(&self) {
        for (index, line) in self.lines.iter().enumerate() {
            if let Line::Check(_, label) | Line::Goto(label) = line {
                let _ = self.target(*label, index);
            }
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => step.fmt(f),
            Self::Check(condition, label) => write!(f, "check {condition} else {}", label.0),
            Self::Goto(label) => write!(f, "goto {}", label.0),
            Self::Label(label) => write!(f, "{}:", label.0),
        }
    }
}

#[cfg(test)]
mod tests;
