//! One connection: bytes that were heard, and an answer on its way.
//!
//! Invariant: at most one answer is on its way, and while it is, nothing is heard; what was heard and is no whole line yet is
//! no longer than [`MOST_LINE`].

use std::os::fd::OwnedFd;

use rustix::io::{Errno, read, write};

/// Bytes of a request, with its end.
pub(super) const MOST_LINE: usize = 4096;

/// Somebody who is connected.
#[derive(Debug)]
pub(super) struct Client {
    file: OwnedFd,
    heard: Vec<u8>,
    /// Of the answer, what was not said yet.
    unsaid: Vec<u8>,
    /// No more is heard: the other side has said all, or too much.
    is_over: bool,
}

/// What a client waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wants {
    ToHear,
    ToSay,
}

/// What a client has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said<'line> {
    /// A line, without its end.
    Line(&'line [u8]),
    /// More than a line can be.
    TooMuch,
}

/// It is gone, or is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gone;

impl Client {
    pub(super) fn new(file: OwnedFd) -> Self {
        Self { file, heard: Vec::new(), unsaid: Vec::new(), is_over: false }
    }

    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Whoever has said more than was answered is given his turn as soon as he can be told something.
    pub(super) fn wants(&self) -> Wants {
        if self.is_listening() { Wants::ToHear } else { Wants::ToSay }
    }

    /// Hears what there is, answers one line of it by `answer`, and says what the other side takes: others have their turns,
    /// too.
    pub(super) fn go_on(&mut self, answer: impl FnOnce(Said<'_>) -> Vec<u8>) -> Result<(), Gone> {
        if self.is_listening() {
            self.hear()?;
        }
        self.say()?;
        if self.unsaid.is_empty() {
            self.take_turn(answer);
            self.say()?;
        }
        let is_done = self.is_over && self.heard.is_empty() && self.unsaid.is_empty();
        if is_done { Err(Gone) } else { Ok(()) }
    }

    fn is_listening(&self) -> bool {
        self.unsaid.is_empty() && !self.is_over && !self.heard.contains(&b'\n')
    }

    fn take_turn(&mut self, answer: impl FnOnce(Said<'_>) -> Vec<u8>) {
        if let Some(line) = self.next_line() {
            self.unsaid = answer(Said::Line(&line));
        } else if self.heard.len() >= MOST_LINE {
            self.heard = Vec::new();
            self.is_over = true;
            self.unsaid = answer(Said::TooMuch);
        }
    }

    fn hear(&mut self) -> Result<(), Gone> {
        let mut piece = [0; MOST_LINE];
        // Whoever is listened to has said less than that.
        let room = MOST_LINE.saturating_sub(self.heard.len());
        match read(&self.file, &mut piece[..room]) {
            Ok(0) => self.is_over = true,
            Ok(len) => self.heard.extend_from_slice(&piece[..len]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return Err(Gone),
        }
        Ok(())
    }

    fn say(&mut self) -> Result<(), Gone> {
        while !self.unsaid.is_empty() {
            match write(&self.file, &self.unsaid) {
                Ok(len) => drop(self.unsaid.drain(..len)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }

    /// The next whole line, without its end; the last one needs none.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        match self.heard.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let mut line: Vec<u8> = self.heard.drain(..=end).collect();
                line.pop();
                Some(line)
            }
            None if self.is_over && !self.heard.is_empty() => Some(std::mem::take(&mut self.heard)),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests;
