//! A Unix socket that somebody may connect to while a guest runs.
//!
//! Invariant: it is made before the fence, only its user may connect, and its path goes with the program, however
//! that ends: inside the fence no path can be removed, so a process of its own does that ([`keeper`]); another one
//! connects to sockets of the host's for a guest ([`connector`]).

pub(in crate::command) mod connector;
pub(in crate::command) mod keeper;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{Mode, fchmod, lstat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};

use crate::remedy::remedy;
use keeper::Keeper;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 16;

/// Why nobody listens there, in one line.
#[derive(Debug)]
pub(super) enum SocketError {
    /// Something is wrong with the path.
    Path(String),
    /// The host lacks something.
    Host(String),
}

/// A socket that listens, and who removes its path.
#[derive(Debug)]
pub(super) struct Socket {
    listener: OwnedFd,
    _keeper: Keeper,
}

impl Socket {
    /// Listens at `path`.
    pub(super) fn bind(path: &Path) -> Result<Self, SocketError> {
        let listener = listener(path).map_err(|error| SocketError::Path(refusal(path, error)))?;
        let keeper = lstat(path).map_err(io::Error::from).and_then(|about| Keeper::start(path, &about));
        match keeper {
            Ok(keeper) => Ok(Self { listener, _keeper: keeper }),
            Err(error) => {
                // Nobody else would.
                let _removed = fs::remove_file(path);
                let what = remedy(&error, "see the kernel log");
                Err(SocketError::Host(format!(
                    "the host refuses a process to look after {}: {error}; {what}",
                    path.display()
                )))
            }
        }
    }

    /// For the thread that serves it.
    pub(super) fn listener(&self) -> io::Result<OwnedFd> {
        self.listener.try_clone()
    }
}

fn listener(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The path gets the socket's mode (unix(7), on Linux): at no time may anybody else connect.
    fchmod(&listener, Mode::RUSR | Mode::WUSR)?;
    bind(&listener, &SocketAddrUnix::new(path)?)?;
    listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// Why nobody can listen there, and what to do.
fn refusal(path: &Path, error: Errno) -> String {
    let shown = path.display();
    if error != Errno::ADDRINUSE {
        return format!("cannot listen at {shown}: {error}; give another path");
    }
    let is_socket = fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket());
    match (is_socket, UnixStream::connect(path)) {
        (false, _) => format!("{shown} is there and no socket; give another path"),
        (true, Ok(_)) => format!("another program listens at {shown}; give another path"),
        (true, Err(_)) => format!("{shown} is left over from a program that is gone; remove it"),
    }
}
