//! The exit status of a run.
//!
//! Invariant: 0 means that the guest ended well, by its own word or its user's, and that no stale use was seen. Every other
//! status means one thing.

use std::io::ErrorKind;

use clap::ValueEnum;
use devices::debug_exit;

use crate::machine::ending::Ending;

/// The guest said that it failed.
pub(super) const GUEST_FAILED: u8 = 1;
/// The guest broke down.
pub(super) const BROKE_DOWN: u8 = 3;
/// A device used a stale translation, or an entry was changed in place.
pub(super) const STALE_USE: u8 = 4;
/// The guest's kernel panicked, and said so.
pub(super) const PANICKED: u8 = 5;
/// The guest restarted the machine.
pub(super) const RESTARTED: u8 = 6;
/// The host lacks something, or this program is wrong.
pub(super) const HOST: u8 = crate::command::HOST;
/// Its time was over; the status that timeout(1) uses.
pub(super) const TIMED_OUT: u8 = 124;
/// What shells add to the number of a signal.
pub(super) const SIGNALLED: u8 = 128;
/// A reader that went away: as if SIGPIPE had ended the program.
pub(super) const READER_GONE: u8 = crate::command::READER_GONE;

/// Listed by `--help`.
pub(super) const TABLE: &str = "\
Exit status:
  0    the guest said success (debug exit 0), powered off, or its user left it; no stale use was seen
  1    the guest said failure (debug exit, any other value)
  2    wrong usage: an argument, an image that does not boot
  3    the guest broke down: triple fault, or what KVM cannot emulate
  4    a stale use was reported, whatever of 0 to 6 and 124 it would be otherwise
  5    the guest's kernel panicked, and said so (pvpanic)
  6    the guest restarted the machine
  7    the host lacks something (KVM, memory, room on a disk), or this program is wrong
  124  the guest's time (--timeout) was over
  126  the sandbox refused a system call, which is a mistake of this program
  128+N  signal N ended the run; SIGTERM asks a guest that listens to power off first; 141 if whoever read the output
         went away
With --exit-code guest, a guest that used the debug exit ends with (value << 1 | 1), as tests written for it expect.";

/// What the debug exit means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum ExitCode {
    /// One of the statuses below
    Verdict,
    /// The port's own, (value << 1 | 1), whatever was reported
    Guest,
}

/// The status of a run that ended so, in which there were `stale` uses; and what is said of it.
pub(super) fn of(ending: &Ending, stale: u64, code: ExitCode) -> (u8, Option<String>) {
    let (status, message) = own(ending, code);
    // What ended the program itself is no verdict about the guest.
    let is_verdict = match ending {
        Ending::Exit(_) => code == ExitCode::Verdict,
        Ending::Reset
        | Ending::PoweredOff
        | Ending::Panicked
        | Ending::Left
        | Ending::StaleUse
        | Ending::TimedOut
        | Ending::Broken(_) => true,
        Ending::Signal(_) | Ending::Unheard { .. } | Ending::ThreadPanicked(_) => false,
    };
    (if is_verdict && stale > 0 { STALE_USE } else { status }, message)
}

fn own(ending: &Ending, code: ExitCode) -> (u8, Option<String>) {
    match ending {
        Ending::Exit(value) => exit(*value, code),
        Ending::Reset => (RESTARTED, Some("the guest restarted the machine".to_owned())),
        Ending::Panicked => (PANICKED, Some("the guest's kernel panicked".to_owned())),
        Ending::PoweredOff | Ending::Left => (0, None),
        Ending::StaleUse => (STALE_USE, Some("the guest ends with its first stale use".to_owned())),
        Ending::TimedOut => (TIMED_OUT, Some("the guest's time is over".to_owned())),
        Ending::Broken(error) if error.is_of_host() => (HOST, Some(error.to_string())),
        Ending::Broken(error) => (BROKE_DOWN, Some(error.to_string())),
        Ending::Signal(signal) => (signalled(*signal), Some(format!("signal {signal} ends the guest"))),
        Ending::Unheard { file, reason: ErrorKind::BrokenPipe } => {
            (READER_GONE, Some(format!("{file}: whoever read it has gone away; the guest ends")))
        }
        Ending::Unheard { file, reason } => {
            (HOST, Some(format!("{file} cannot be written: {reason}; the guest ends")))
        }
        Ending::ThreadPanicked(name) => (
            HOST,
            Some(format!(
                "the thread \"{name}\" of this program panicked, which is a mistake in it: please report it"
            )),
        ),
    }
}

fn exit(value: u32, code: ExitCode) -> (u8, Option<String>) {
    match (code, value) {
        (ExitCode::Guest, value) => (debug_exit::status(value), None),
        (ExitCode::Verdict, 0) => (0, None),
        (ExitCode::Verdict, value) => {
            (GUEST_FAILED, Some(format!("the guest said {value:#x} at the debug exit, which is failure")))
        }
    }
}

fn signalled(signal: i32) -> u8 {
    u8::try_from(signal).map_or(HOST, |signal| SIGNALLED.saturating_add(signal))
}

#[cfg(test)]
mod tests;
