//! Lines for whoever reads the serial port.
//!
//! Invariant: a line leaves as a whole, by one instruction, when it is complete; one that is too long is cut.

use core::fmt::{self, Write};

use crate::hardware::out_all;

const PORT: u16 = 0x3f8;
const MOST_BYTES: usize = 256;

/// A line that is being written.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    bytes: [u8; MOST_BYTES],
    len: usize,
}

impl Line {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; MOST_BYTES], len: 0 }
    }

    /// What was written so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The last byte is the line's end.
        let room = MOST_BYTES - 1 - self.len;
        let taken = text.len().min(room);
        self.bytes[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}

/// Puts out one line.
pub fn print(arguments: fmt::Arguments<'_>) {
    let mut line = Line::new();
    // What does not fit is cut, so writing never fails.
    let _written = line.write_fmt(arguments);
    line.bytes[line.len] = b'\n';
    out_all(PORT, &line.bytes[..=line.len]);
}

/// Puts out one line, as `println!` would.
macro_rules! say {
    ($($text:tt)*) => { $crate::console::print(format_args!($($text)*)) };
}

pub(crate) use say;

#[cfg(test)]
mod tests;
