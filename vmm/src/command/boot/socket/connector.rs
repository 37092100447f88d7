//! A process that connects to sockets of the host's for a guest.
//!
//! Invariant: it reaches `PATH_PORT` and nothing else: PATH is what its user gave, PORT a number that it is asked
//! for, in decimal. It is this program, started again before the fence with one socket, by which it is told a number
//! and hands a stream back; it ends with that socket's other end. It waits for nobody: where a listener has no room
//! it is as where there is none. Source: Firecracker, docs/vsock.md.

use std::ffi::{OsStr, OsString};
use std::io::{self, stdin};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use devices::virtio::vsock::errand::{self, Packet};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::keeper::{OWN_FILE, outlive_signals};

/// What it is called on the command line, where nobody else calls it.
const NAME: &str = "connect-sockets";

/// What it is told.
#[derive(Debug, Args)]
pub(in crate::command) struct ConnectSocketsArguments {
    path: PathBuf,
}

/// Starts it, for sockets beside `path`: the device's end.
pub(in crate::command::boot) fn start(path: &Path) -> io::Result<OwnedFd> {
    let (device, own) = errand::ends()?;
    let _ends_by_itself = Command::new(OWN_FILE)
        .args([OsStr::new(NAME), path.as_os_str()])
        .stdin(Stdio::from(own))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A terminal's signals are for the program.
        .process_group(0)
        .spawn()?;
    Ok(device)
}

/// The process itself.
pub(in crate::command) fn run(arguments: &ConnectSocketsArguments) -> ExitCode {
    outlive_signals();
    let errands = stdin();
    while let Ok(Some(Packet { port, stream: None })) = errand::hear(&errands) {
        let stream = stream(&arguments.path, port).ok();
        if errand::tell(&errands, port, stream.as_ref().map(AsFd::as_fd)).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn stream(path: &Path, port: u32) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&stream, &SocketAddrUnix::new(place(path, port))?)?;
    Ok(stream)
}

/// Where the host's port is.
fn place(path: &Path, port: u32) -> PathBuf {
    let mut place = OsString::from(path);
    place.push(format!("_{port}"));
    place.into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::place;

    #[test]
    fn a_port_is_a_number_behind_the_path() {
        assert_eq!(place(Path::new("run/s"), 0), Path::new("run/s_0"));
        assert_eq!(place(Path::new("/a/s.sock"), u32::MAX), Path::new("/a/s.sock_4294967295"));
    }
}
