//! The connection to a debugger: bytes that are heard, and what is said on its way.
//!
//! Invariant: nothing waits here. What is said is kept until the other side takes it, and while there is any, nothing is heard:
//! so no more is kept than the answer to one packet, which is at most [`MOST_UNSAID`].

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::OwnedFd;

use gdbstub::conn::Connection;
use rustix::io::{Errno, read, write};

/// Bytes of an answer. A packet is 4096, in which a byte of memory takes two.
const MOST_UNSAID: usize = 64 << 10;
/// Bytes that are heard at one time.
const HEARD: usize = 4096;

/// Why a debugger is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    /// It has closed its end.
    Closed,
    /// Its answer would be endless.
    TooMuch,
    /// The host says this.
    Failed(Errno),
}

/// A debugger that is connected.
#[derive(Debug)]
pub(super) struct Line {
    file: OwnedFd,
    /// What has come and nobody has looked at.
    heard: VecDeque<u8>,
    unsaid: VecDeque<u8>,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "it has closed the connection"),
            Self::TooMuch => write!(f, "it asked for more than {MOST_UNSAID} bytes in one packet"),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl Line {
    pub(super) fn new(file: OwnedFd) -> Self {
        Self { file, heard: VecDeque::new(), unsaid: VecDeque::new() }
    }

    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Whether the other side is to take something before it is heard.
    pub(super) fn has_something_to_say(&self) -> bool {
        !self.unsaid.is_empty()
    }

    /// The next byte of what has come, unless something is to be said before.
    pub(super) fn next(&mut self) -> Option<u8> {
        if self.has_something_to_say() { None } else { self.heard.pop_front() }
    }

    /// Hears what there is, up to a bound, when all before was looked at.
    pub(super) fn hear(&mut self) -> Result<(), Left> {
        if !self.heard.is_empty() {
            return Ok(());
        }
        let mut bytes = [0; HEARD];
        match read(&self.file, &mut bytes) {
            Ok(0) => Err(Left::Closed),
            Ok(count) => {
                self.heard.extend(bytes.iter().take(count));
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(Left::Failed(error)),
        }
    }

    /// Says what the other side takes.
    pub(super) fn say(&mut self) -> Result<(), Left> {
        while !self.unsaid.is_empty() {
            match write(&self.file, self.unsaid.as_slices().0) {
                Ok(count) => drop(self.unsaid.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Left::Closed),
                Err(error) => return Err(Left::Failed(error)),
            }
        }
        Ok(())
    }
}

impl Connection for Line {
    type Error = Left;

    fn write(&mut self, byte: u8) -> Result<(), Left> {
        if self.unsaid.len() >= MOST_UNSAID {
            return Err(Left::TooMuch);
        }
        self.unsaid.push_back(byte);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Left> {
        self.say()
    }
}

#[cfg(test)]
mod tests;
