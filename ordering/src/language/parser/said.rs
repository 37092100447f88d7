//! What a scenario has said already: whatever it says twice is an error at both places.
//!
//! Invariant: one scenario is looked at, before a variant takes anything over; to say again what the base says replaces it.

use std::collections::HashMap;

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::span::{Name, Span};
use super::cursor::Parsed;

/// The places of what was said.
#[derive(Default)]
pub(super) struct Said {
    names: HashMap<String, Span>,
    lines: HashMap<String, Span>,
}

impl Said {
    /// Takes note of a name that is declared.
    pub(super) fn declare(&mut self, name: &Name) -> Parsed<()> {
        match self.names.insert(name.node.clone(), name.span) {
            Some(first) => Err(declared_twice(name, first)),
            None => Ok(()),
        }
    }

    /// Takes note of something that a scenario says once, such as `map A`.
    pub(super) fn once(&mut self, what: impl Into<String>, span: Span) -> Parsed<()> {
        let what = what.into();
        let Some(first) = self.lines.insert(what.clone(), span) else { return Ok(()) };
        let twice = Diagnostic::new(
            Code::SaidTwice,
            span,
            format!("`{what}` is said twice"),
            "leave one of the two out",
        );
        Err(twice.with_second(first, "here too"))
    }
}

/// The error for a name that stands for two things.
pub(crate) fn declared_twice(name: &Name, first: Span) -> Diagnostic {
    let message = format!("`{}` is declared already", name.node);
    Diagnostic::new(Code::DeclaredTwice, name.span, message, "give one of the two another name")
        .with_second(first, "here")
}
