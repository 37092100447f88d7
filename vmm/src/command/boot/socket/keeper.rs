//! A process that removes a socket's path when the program has ended, or asks it to.
//!
//! Invariant: it removes the very socket that was made, and nothing that stands in its place since. It is this program, started
//! again with nothing but a pipe, whose end it waits for: so it cannot be told anything by whoever takes the program over.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, sink, stdin};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Stat;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag;

/// What it is called on the command line, where nobody else calls it.
const NAME: &str = "keep-socket";
/// This program, also if its file has been replaced.
pub(super) const OWN_FILE: &str = "/proc/self/exe";
/// How long the end waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What it is told.
#[derive(Debug, Args)]
pub(in crate::command) struct KeepSocketArguments {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Such a process; when this goes, so does the path.
#[derive(Debug)]
pub(super) struct Keeper(Child);

impl Keeper {
    /// Starts it, for the socket at `path` that the kernel says `about`.
    pub(super) fn start(path: &Path, about: &Stat) -> io::Result<Self> {
        let (device, inode) = (about.st_dev.to_string(), about.st_ino.to_string());
        let arguments = [OsStr::new(NAME), path.as_os_str(), OsStr::new(&device), OsStr::new(&inode)];
        let child = Command::new(OWN_FILE)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A terminal's signals are for the program.
            .process_group(0)
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Keeper {
    /// Lets it remove the path, and waits until it has ended, by which its end of a pipe is closed: inside the fence a
    /// process cannot be waited for.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let Some(output) = self.0.stdout.take() else { return };
        let limit = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        // Whatever it says, it has been given its time.
        let _told = poll(&mut [PollFd::new(&output, PollFlags::IN)], Some(&limit));
    }
}

/// Whoever ends a whole session ends the program, too: this process goes on until it hears of that.
pub(super) fn outlive_signals() {
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
        let _handled = flag::register(signal, Arc::default());
    }
}

/// The process itself.
pub(in crate::command) fn run(arguments: &KeepSocketArguments) -> ExitCode {
    outlive_signals();
    // Nothing comes. An error is an end as well.
    let _end = io::copy(&mut stdin(), &mut sink());
    let KeepSocketArguments { path, device, inode } = arguments;
    let is_it = |about: fs::Metadata| (about.dev(), about.ino()) == (*device, *inode);
    if fs::symlink_metadata(path).is_ok_and(is_it) {
        // Who may not remove it leaves it.
        let _removed = fs::remove_file(path);
    }
    ExitCode::SUCCESS
}
