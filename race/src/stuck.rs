//! Why a step was not taken.
//!
//! Invariant: who is stuck has changed nothing.

use ordering::language::syntax::BuiltIn;
use thiserror::Error;

/// Why a step was not taken.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Stuck {
    /// It waits: the reason.
    #[error("it waits: {0}")]
    Waits(&'static str),
    /// It breaks a property that is built in.
    #[error("it breaks `{}`", broken(*.0))]
    Breaks(BuiltIn),
    /// The machine has nothing that it could be taken with.
    #[error("{0}")]
    Cannot(String),
    /// Who executes the accesses of a vCPU does not answer: nothing can be taken any more.
    #[error("{0}")]
    Fails(String),
}

/// All properties that are built in.
pub(crate) const BUILT_IN: [BuiltIn; 7] = [
    BuiltIn::FreedFrame,
    BuiltIn::FreedTable,
    BuiltIn::UnlinkedTable,
    BuiltIn::Unlock,
    BuiltIn::Deadlock,
    BuiltIn::Livelock,
    BuiltIn::Range,
];

/// The property as scenarios call it.
pub(crate) const fn broken(property: BuiltIn) -> &'static str {
    match property {
        BuiltIn::FreedFrame => "never use of a freed frame",
        BuiltIn::FreedTable => "never walk of a freed page-table page",
        BuiltIn::UnlinkedTable => "never walk of an unlinked page-table page",
        BuiltIn::Unlock => "never unlock without lock",
        BuiltIn::Deadlock => "never deadlock",
        BuiltIn::Livelock => "never livelock",
        BuiltIn::Range => "never out of range",
    }
}
