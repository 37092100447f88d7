//! The operations of the memory manager, each with the order that is right and named orders that are not.
//!
//! Invariant: a wrong order is an edit of the right one, never a second copy of it.

use crate::program::Program;

pub mod cow;
pub mod ksm;

/// What an order is held to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Nobody ever uses a stale translation.
    Coherent,
    /// Somebody can.
    Violated,
}

/// An order of an operation's steps.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is held to do.
    pub expected: Verdict,
    /// One sentence: what differs from the right order, and who pays.
    pub story: &'static str,
    /// The steps.
    pub program: Program,
}

impl Verdict {
    /// As it is printed: `coherent` or `violated`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coherent => "coherent",
            Self::Violated => "violated",
        }
    }
}
