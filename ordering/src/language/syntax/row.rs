//! Rows: the lines of programs and traces, and whoever names them by number.
//!
//! Invariant: a row knows its place in the source, also where several are made of one line.

use super::super::span::{Name, Span};
use super::super::token::{Token, said};

/// A line of a program or a row of a trace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Who: only in a trace.
    pub agent: Option<Name>,
    /// How far to the right it stands.
    pub indent: usize,
    /// Its words.
    pub tokens: Vec<Token>,
    /// Where.
    pub span: Span,
}

impl Row {
    /// What it says.
    #[must_use]
    pub fn said(&self) -> String {
        said(&self.tokens)
    }
}

/// Rows that no order takes, by design.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreached {
    /// Which, at least one.
    pub rows: Vec<Rows>,
    /// Why that is as it should be.
    pub reason: String,
    /// Where it is said.
    pub span: Span,
}

/// Some adjacent rows of an agent's column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rows {
    /// Whose.
    pub agent: Name,
    /// The first, from 1.
    pub first: u32,
    /// The last; not before the first.
    pub last: u32,
    /// Where that is written.
    pub span: Span,
}
