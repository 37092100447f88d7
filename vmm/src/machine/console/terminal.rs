//! The terminal that standard input is, if it is one.
//!
//! Invariant: while a [`RawTerminal`] lives, every key arrives as it is pressed, Enter as CR, ^C, ^S and ^Q as themselves;
//! when it is gone, the terminal is as it was found. What is written to it is treated as before. A program in the
//! background leaves the terminal to others.

use std::io::stdin;

use rustix::process::getpgrp;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// A terminal in raw mode, which is given back when dropped.
pub(super) struct RawTerminal {
    found: Termios,
}

/// What standard input is.
pub(super) enum Seat {
    /// No terminal, or one whose keys arrive line by line.
    Plain,
    /// A terminal that has been made raw, and is given back when this goes.
    Raw { _terminal: RawTerminal },
    /// A terminal that another program is in the foreground of: whoever reads it is stopped.
    Elsewhere,
}

impl Seat {
    /// Takes it.
    pub(super) fn take() -> Self {
        let input = stdin();
        let Ok(found) = tcgetattr(&input) else { return Self::Plain };
        // A terminal that controls nobody is whoever's has it open.
        if tcgetpgrp(&input).is_ok_and(|foreground| foreground != getpgrp()) {
            return Self::Elsewhere;
        }
        let mut raw = found.clone();
        raw.make_raw();
        raw.output_modes = found.output_modes;
        match tcsetattr(&input, OptionalActions::Now, &raw) {
            Ok(()) => Self::Raw { _terminal: RawTerminal { found } },
            Err(error) => {
                log::warn!("the terminal cannot be made raw ({error}); keys arrive line by line");
                Self::Plain
            }
        }
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(stdin(), OptionalActions::Now, &self.found) {
            log::warn!("the terminal stays raw ({error}); `stty sane` mends it");
        }
    }
}
