//! QEMU, which emulates a whole machine in software.
//!
//! Invariant: a machine that takes too long is ended, and then has no status.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::packages::PackageError;

const LOOK: Duration = Duration::from_millis(100);
pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// A machine with this much memory, in MiB, whose serial port is the standard output. It finds `initrd` in its folder.
pub(crate) fn command(memory: &str) -> Command {
    let mut command = Command::new(QEMU);
    command.args(["-accel", "tcg,thread=multi", "-m", memory, "-nographic", "-nodefaults", "-no-reboot"]);
    command.args(["-serial", "stdio", "-initrd", "initrd"]);
    command
}

/// Runs in a folder, in which it leaves its output and its standard error, until it has ended or has had its time.
pub(crate) fn run(
    command: &mut Command,
    folder: &Path,
    (output, errors): (&str, &str),
    limit: Duration,
) -> Result<Option<i32>, PackageError> {
    let create = |name: &str| {
        let path = folder.join(name);
        File::create(&path).map_err(|error| PackageError::File(path, error))
    };
    command.current_dir(folder).stdin(Stdio::null()).stdout(create(output)?).stderr(create(errors)?);
    let child = command.spawn().map_err(|error| PackageError::Command(QEMU.to_owned(), error.to_string()))?;
    wait(child, limit).map_err(|error| PackageError::File(folder.to_owned(), error))
}

fn wait(mut child: Child, limit: Duration) -> io::Result<Option<i32>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}
