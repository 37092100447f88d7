//! What the command says, and the statuses that go with it.
//!
//! Invariant: a reader that went away ends the program quietly, as it ends any filter; it is never an error of its own.

use std::io::{ErrorKind, Write, stderr, stdout};

/// Nothing can be shown: wrong usage, or a machine that cannot.
pub(super) const UNUSABLE: u8 = 2;
/// The host lacks something, such as room on a disk.
pub(super) const HOST: u8 = 7;
/// Whoever read what is said has gone away: as if SIGPIPE had ended the program.
pub(super) const READER_GONE: u8 = 141;

/// One line for the user, on standard error; nobody may be there to read it.
pub(super) fn complain(message: impl std::fmt::Display) {
    let _read = writeln!(stderr(), "afterimage: {message}");
}

/// What was asked for, on standard output. A reader that went away ends the program, as it ends any filter; so does a disk
/// that is full.
pub(super) fn say(text: impl std::fmt::Display) {
    let Err(error) = writeln!(stdout(), "{text}") else { return };
    let is_gone = error.kind() == ErrorKind::BrokenPipe;
    if !is_gone {
        complain(format_args!("standard output cannot be written: {error}"));
    }
    std::process::exit(i32::from(if is_gone { READER_GONE } else { HOST }));
}
