//! Standard input: a terminal or a pipe, which is waited for, or a file, which always has more or is over.
//!
//! Invariant: what is over stays over.

use std::fs::File;
use std::io::{ErrorKind, Read, stdin};
use std::os::fd::AsFd;

/// Whether there is something to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waiting {
    /// Until it is readable.
    ForMore,
    /// It is a file.
    Never,
    /// There is no more.
    Over,
}

/// The file, and how more of it is waited for.
pub(super) struct Input {
    /// Without the buffer that the standard library keeps.
    file: Option<File>,
    waiting: Waiting,
}

impl Input {
    /// The process's.
    pub(super) fn open() -> Self {
        stdin().as_fd().try_clone_to_owned().map_or_else(|_| Self::none(), |file| Self::of(file.into()))
    }

    /// What `file` gives.
    pub(super) fn of(file: File) -> Self {
        Self { file: Some(file), waiting: Waiting::ForMore }
    }

    /// None at all.
    pub(super) fn none() -> Self {
        Self { file: None, waiting: Waiting::Over }
    }

    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    pub(super) fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Nobody can wait for it.
    pub(super) fn never_waits(&mut self) {
        if self.waiting == Waiting::ForMore {
            self.waiting = Waiting::Never;
        }
    }

    /// How many bytes it gave.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(file) = &mut self.file else { return 0 };
        if self.waiting == Waiting::Over {
            return 0;
        }
        match file.read(buffer) {
            Ok(read) if read > 0 => return read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return 0,
            Ok(_) => {}
            Err(error) => log::debug!("standard input is over: {error}"),
        }
        self.waiting = Waiting::Over;
        0
    }
}

#[cfg(test)]
mod tests;
