//! Why a command ended before it had done all that was asked for.
//!
//! Invariant: it is an ending of its own in each format, and its exit status is never 0.

/// What ended it.
#[derive(Debug)]
pub(super) struct Unfinished {
    /// Of the command.
    pub(super) status: u8,
    /// With the remedy.
    pub(super) why: String,
}
