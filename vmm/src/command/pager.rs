//! Long output on a terminal, a screen at a time, as git does it.
//!
//! Invariant: the exit status is the command's, whatever becomes of the pager; what a pager cannot be started for is said without
//! one; a pipe and a file never meet a pager. Source: git(1), `PAGER` and `LESS`; environ(7).

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write, stdout};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use clap::Args;
use signal_hook::consts::SIGINT;

use super::voice::say;

/// The status of a shell that does not find its command.
const NOT_FOUND: i32 = 127;

/// Whether there may be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paging {
    OnTerminal,
    Never,
}

/// What can be asked of it.
#[derive(Debug, Args)]
pub(super) struct PagingArguments {
    /// On a terminal, print all at once instead of through $PAGER (less, if it is not set)
    #[arg(long)]
    no_pager: bool,
}

impl PagingArguments {
    pub(super) const fn wanted(&self) -> Paging {
        if self.no_pager { Paging::Never } else { Paging::OnTerminal }
    }
}

/// What may be longer than a screen: on a terminal through a pager, if there is one.
pub(super) fn say_long(text: &str, paging: Paging) {
    if !showed(text, paging) {
        say(text);
    }
}

/// Whether a pager showed `text`; if not, it is still to be said.
fn showed(text: &str, paging: Paging) -> bool {
    paging == Paging::OnTerminal && stdout().is_terminal() && through(text, env::var_os("PAGER"))
}

/// Whether a pager took the text, of which its user may have read as much as they liked.
fn through(text: &str, pager: Option<OsString>) -> bool {
    let Some(mut pager) = start(pager).and_then(Result::ok) else { return false };
    // Ctrl-C is the pager's, which goes on; without it this would end, and both it and the shell would read the terminal.
    let _ignored = signal_hook::flag::register(SIGINT, Arc::default());
    if let Some(mut input) = pager.stdin.take() {
        // Its user has read enough.
        let _read = writeln!(input, "{text}");
    }
    let ended = pager.wait();
    ended.is_ok_and(|status| status.code() != Some(NOT_FOUND))
}

/// The pager that `named` asks for: none if it is empty or `cat`, `less` if it is not said.
fn start(named: Option<OsString>) -> Option<io::Result<Child>> {
    let mut command = match named {
        None => Command::new("less"),
        Some(name) if name.is_empty() || name == "cat" => return None,
        Some(name) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(name);
            shell
        }
    };
    for (name, value) in [("LESS", "FRX"), ("LV", "-c")] {
        if env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    Some(command.stdin(Stdio::piped()).spawn())
}
