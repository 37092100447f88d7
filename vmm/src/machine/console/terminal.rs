//! The terminal that standard input is, if it is one.
//!
//! Invariant: while a [`RawTerminal`] lives, every key arrives as it is pressed, Enter as CR, ^C, ^S and ^Q as themselves;
//! when it is gone, the terminal is as it was found. What is written to it is treated as before. A program in the
//! background leaves the terminal to others.

use std::io::{IsTerminal, stdin};

use rustix::process::getpgrp;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// See the module.
pub(super) struct RawTerminal {
    found: Termios,
}

impl RawTerminal {
    /// None if there is no terminal, or if it is somebody else's.
    pub(super) fn enter() -> Option<Self> {
        let input = stdin();
        if !input.is_terminal() || tcgetpgrp(&input).ok() != Some(getpgrp()) {
            return None;
        }
        let found = tcgetattr(&input).ok()?;
        let mut raw = found.clone();
        raw.make_raw();
        raw.output_modes = found.output_modes;
        match tcsetattr(&input, OptionalActions::Now, &raw) {
            Ok(()) => Some(Self { found }),
            Err(error) => {
                log::warn!("the terminal cannot be made raw ({error}); keys arrive line by line");
                None
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
