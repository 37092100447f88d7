//! A connection of the host's.
//!
//! Invariant: no call on it blocks. Source: connect(2), tcp(7).

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType, connect, send, shutdown, socket_with,
};

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Done {
    /// So many bytes, or the connection.
    Bytes(usize),
    /// Nothing yet.
    Later,
    /// The connection is over.
    Broken,
}

/// The connection, which may not be there yet.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) descriptor: OwnedFd,
    target: SocketAddrV4,
}

impl Host {
    /// Begins to connect; none if the host has no descriptor, or says no at once.
    pub(super) fn begin(target: SocketAddrV4) -> Option<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let descriptor = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
        let descriptor = descriptor.inspect_err(|error| log::debug!("no socket: {error}")).ok()?;
        let found = Self { descriptor, target };
        (found.connect() != Done::Broken).then_some(found)
    }

    /// Whether it is connected; asked again until it is.
    pub(super) fn connect(&self) -> Done {
        match connect(&self.descriptor, &self.target) {
            Ok(()) | Err(Errno::ISCONN) => Done::Bytes(0),
            Err(Errno::INPROGRESS | Errno::ALREADY | Errno::INTR) => Done::Later,
            Err(_) => Done::Broken,
        }
    }

    pub(super) fn send(&self, bytes: &[u8]) -> Done {
        of(send(&self.descriptor, bytes, SendFlags::NOSIGNAL))
    }

    /// 0 bytes are its end.
    pub(super) fn receive(&self, room: &mut [u8]) -> Done {
        of(rustix::io::read(&self.descriptor, room))
    }

    /// The guest sends nothing more.
    pub(super) fn end(&self) {
        // It may have ended by itself.
        let _told = shutdown(&self.descriptor, Shutdown::Write);
    }
}

fn of(answer: Result<usize, Errno>) -> Done {
    match answer {
        Ok(len) => Done::Bytes(len),
        Err(Errno::AGAIN | Errno::INTR) => Done::Later,
        Err(_) => Done::Broken,
    }
}
