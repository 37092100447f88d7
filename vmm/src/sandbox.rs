//! The fence around a guest that somebody else wrote: what the process gives up, and which system calls are left to
//! each of its threads.
//!
//! Invariant: what is given up never comes back. A thread that has [entered](Sandbox::enter) holds no capability,
//! reaches no path, and makes the calls of its [`Role`] alone (or has the others logged, if asked to); a kernel that
//! cannot promise that is an error. Landlock is the exception: without it a path is still refused, by the filter.
//!
//! Read in this order: `descriptors`, `privileges`, `paths`, `ports` (what is given up), `role` (who may make which call),
//! `filter` (how the kernel is told), `violation` (what a refused call ends with).

mod descriptors;
mod filter;
mod paths;
mod ports;
mod privileges;
mod role;
mod violation;

use std::io::{self, Write, stderr};
use std::os::fd::RawFd;
use std::process::exit;
use std::sync::Once;

use clap::ValueEnum;
use thiserror::Error;

use crate::remedy::remedy;
use ports::Left;
pub use role::Role;
pub use violation::STATUS;

/// What is done about a system call that is on no list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Mode {
    /// It ends the program
    #[default]
    On,
    /// It is carried out, and the kernel logs it (type=1326 in `journalctl -k` or `dmesg`, or `ausearch -m SECCOMP`)
    Log,
    /// There are no lists, and nothing is given up
    Off,
}

/// Why there is no fence.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The kernel cannot filter, or the filter of a role is none.
    #[error("the kernel filters no system calls of {what}: {source}; {WITHOUT}")]
    Filter {
        /// Whose calls.
        what: &'static str,
        /// The answer.
        source: io::Error,
    },
    /// Something cannot be given up.
    #[error("cannot {what}: {source}; {}", remedy(source, WITHOUT))]
    GiveUp {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// A fence, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sandbox {
    mode: Mode,
}

impl Sandbox {
    /// None: for machines inside a program that is more than a machine.
    pub const OFF: Self = Self { mode: Mode::Off };

    /// Closes every descriptor above standard error but `kept`, so it is to be called before the program opens anything
    /// else; and asks the kernel whether it can do the rest.
    ///
    /// # Errors
    /// [`SandboxError`] in one line, with what to do.
    pub fn begin(mode: Mode, kept: impl IntoIterator<Item = RawFd>) -> Result<Self, SandboxError> {
        if mode != Mode::Off {
            descriptors::close_foreign(kept).map_err(SandboxError::of("close foreign descriptors"))?;
            filter::check(mode)?;
            violation::install().map_err(SandboxError::of("handle SIGSYS"))?;
        }
        if mode == Mode::Log {
            log::warn!(
                "a system call that is on no list is carried out, and the kernel logs it as type=1326: see journalctl -k, \
                 dmesg or ausearch -m SECCOMP"
            );
        }
        Ok(Self { mode })
    }

    /// Takes privileges and paths from this thread and from those that it starts. To be called when everything is open
    /// that has a path, and before anything of the guest's is looked at.
    ///
    /// # Errors
    /// [`SandboxError::GiveUp`] if the kernel refuses.
    pub fn confine(self) -> Result<(), SandboxError> {
        if self.mode == Mode::Off {
            return Ok(());
        }
        privileges::drop_all()?;
        paths::close()
    }

    /// Leaves this thread the system calls of `role`, and takes from it what [`confine`](Self::confine) takes, for
    /// whoever was started before. A thread that cannot be fenced in must not go on: then the program ends, with one
    /// line.
    pub fn enter(self, role: Role) {
        let Err(error) = self.try_enter(role) else { return };
        // Threads mostly fail together: one speaks, and the others wait here until the program has ended.
        static FIRST: Once = Once::new();
        FIRST.call_once(|| {
            violation::give_terminal_back();
            // Whole, for the writer of reports may have something to say, too.
            let line = format!("afterimage: {error}\n");
            let _read = stderr().write_all(line.as_bytes());
            exit(HOST);
        });
        exit(HOST);
    }

    fn try_enter(self, role: Role) -> Result<(), SandboxError> {
        self.confine()?;
        if self.mode != Mode::Off {
            let left = if role == Role::Sockets { Left::Connect } else { Left::Nothing };
            ports::close(left).map_err(SandboxError::of("forbid ports"))?;
        }
        violation::name_thread();
        match self.mode {
            Mode::On | Mode::Log => filter::install(role, self.mode),
            Mode::Off => Ok(()),
        }
    }
}

/// The status of a host that lacks something.
const HOST: i32 = 7;
/// What to do about a kernel that has no fence.
const WITHOUT: &str = "run with --sandbox off";

impl SandboxError {
    /// For `map_err`: the error of what was tried.
    fn of<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> Self {
        move |source| Self::GiveUp { what, source: source.into() }
    }
}

#[cfg(test)]
mod tests;
