//! Connections that the guest asks for, until somebody outside of the fence has made them.
//!
//! Invariant: nobody is waited for. Each question is answered once and in turn, so what is at the front is what the
//! next answer is to; who answers something else is not asked again, and everything that waits for him is refused.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::errand::{self, Packet};
use super::packet::Header;

/// The guest's requests that wait.
#[derive(Debug)]
pub(super) struct Outward {
    /// Whom to ask, if there is somebody.
    errands: Option<Arc<OwnedFd>>,
    asked: VecDeque<Asked>,
}

/// A request.
#[derive(Debug)]
struct Asked {
    request: Header,
    /// The guest has not given it up.
    is_wanted: bool,
}

/// What became of one.
#[derive(Debug)]
pub(super) enum Came {
    Connected(OwnedFd, Header),
    Refused(Header),
    /// The guest has given it up.
    Unwanted,
}

impl Outward {
    pub(super) const fn new(errands: Option<Arc<OwnedFd>>) -> Self {
        Self { errands, asked: VecDeque::new() }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// Asks for what the guest asks for; false if it is refused at once.
    pub(super) fn ask(&mut self, request: &Header) -> bool {
        let asked =
            self.errands.as_ref().is_some_and(|errands| errand::ask(errands, request.to_port).is_ok());
        if asked {
            self.asked.push_back(Asked { request: *request, is_wanted: true });
        }
        asked
    }

    /// The guest says something else before it has an answer, so it does not want it any more; whether it had asked.
    pub(super) fn give_up(&mut self, packet: &Header) -> bool {
        let ports = (packet.from_port, packet.to_port);
        let of_packet =
            |one: &&mut Asked| one.is_wanted && (one.request.from_port, one.request.to_port) == ports;
        let found = self.asked.iter_mut().find(of_packet);
        found.map(|one| one.is_wanted = false).is_some()
    }

    /// Another driver begins.
    pub(super) fn give_up_all(&mut self) {
        self.asked.iter_mut().for_each(|one| one.is_wanted = false);
    }

    /// What has become of the oldest, if that is known.
    pub(super) fn next(&mut self) -> Option<Came> {
        let port = self.asked.front()?.request.to_port;
        let stream = match self.errands.as_ref().map(errand::hear) {
            Some(Err(Errno::AGAIN)) => return None,
            Some(Ok(Some(Packet { port: answered, stream }))) if answered == port => stream,
            Some(Ok(_) | Err(_)) => {
                log::warn!(
                    "virtio-vsock: who connects for the guest is gone, so its own connections are refused"
                );
                self.errands = None;
                None
            }
            None => None,
        };
        let Asked { request, is_wanted } = self.asked.pop_front()?;
        Some(match stream {
            _ if !is_wanted => Came::Unwanted,
            Some(stream) => Came::Connected(stream, request),
            None => Came::Refused(request),
        })
    }

    /// What it waits for.
    pub(super) fn wanted(&self) -> Option<PollFd<'_>> {
        let errands = self.errands.as_ref().filter(|_| !self.asked.is_empty())?;
        Some(PollFd::new(errands, PollFlags::IN))
    }
}
