//! QEMU, which emulates a whole machine in software.
//!
//! Invariant: a machine that takes too long is ended, and then has no status. A machine that never reached its first process
//! has run nothing, so nothing is lost when it is started again.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::packages::PackageError;

const LOOK: Duration = Duration::from_millis(100);
pub(crate) const QEMU: &str = "qemu-system-x86_64";
/// What the host's first process says first, and how long that may take.
const UP: &str = "LAB host is up";
const UP_LIMIT: Duration = Duration::from_secs(60);
/// QEMU 7.2 stands still in its BIOS at one start of nine on a busy machine.
const STARTS: usize = 5;

/// A machine with this much memory, in MiB, whose serial port is the standard output. It finds `initrd` in its folder.
pub(crate) fn command(memory: &str) -> Command {
    let mut command = Command::new(QEMU);
    command.args(["-accel", "tcg,thread=multi", "-m", memory, "-nographic", "-nodefaults", "-no-reboot"]);
    command.args(["-serial", "stdio", "-initrd", "initrd"]);
    command
}

/// Where a machine leaves its output and its standard error: names in the folder in which it runs.
pub(crate) type Outputs<'a> = (&'a str, &'a str);

/// Runs in a folder until it has ended or has had its time.
pub(crate) fn run(
    command: &mut Command,
    folder: &Path,
    outputs: Outputs<'_>,
    limit: Duration,
) -> Result<Option<i32>, PackageError> {
    let child = start(command, folder, outputs)?;
    wait(child, limit).map_err(|error| PackageError::File(folder.to_owned(), error))
}

/// As [`run`], for the host: started again as long as its first process does not say that it is up. How often it was started.
pub(crate) fn run_host(
    command: &mut Command,
    folder: &Path,
    outputs: Outputs<'_>,
    limit: Duration,
) -> Result<usize, PackageError> {
    run_once_up(command, folder, outputs, (UP_LIMIT, limit))
}

fn run_once_up(
    command: &mut Command,
    folder: &Path,
    outputs: Outputs<'_>,
    (up_limit, limit): (Duration, Duration),
) -> Result<usize, PackageError> {
    let failed = |error| PackageError::File(folder.join(outputs.0), error);
    for started in 1..STARTS {
        let mut child = start(command, folder, outputs)?;
        if is_up(&mut child, &folder.join(outputs.0), up_limit).map_err(failed)? {
            wait(child, limit).map_err(failed)?;
            return Ok(started);
        }
        child.kill().and_then(|()| child.wait()).map_err(failed)?;
    }
    run(command, folder, outputs, limit).map(|_| STARTS)
}

fn start(command: &mut Command, folder: &Path, outputs: Outputs<'_>) -> Result<Child, PackageError> {
    let create = |name: &str| {
        let path = folder.join(name);
        File::create(&path).map_err(|error| PackageError::File(path, error))
    };
    command.current_dir(folder).stdin(Stdio::null()).stdout(create(outputs.0)?).stderr(create(outputs.1)?);
    command.spawn().map_err(|error| PackageError::Command(QEMU.to_owned(), error.to_string()))
}

/// Whether the first process has begun in time, or the machine has ended by itself.
fn is_up(child: &mut Child, output: &Path, limit: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        let said = std::fs::read(output)?;
        if said.windows(UP.len()).any(|text| text == UP.as_bytes()) || child.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(LOOK);
    }
    Ok(false)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that comes up at its third start.
    #[test]
    fn a_machine_that_stands_still_before_its_first_process_is_started_again() -> Result<(), PackageError> {
        let folder = tempfile::tempdir().map_err(|error| PackageError::File("/tmp".into(), error))?;
        let mut machine = Command::new("sh");
        machine.args([
            "-c",
            &format!("echo >> starts; [ $(wc -l < starts) -lt 3 ] && exec sleep 600; echo {UP}"),
        ]);
        let limits = (Duration::from_secs(2), Duration::from_secs(60));
        let starts = run_once_up(&mut machine, folder.path(), ("said", "errors"), limits)?;
        assert_eq!(starts, 3);
        Ok(())
    }
}
