//! A TAP interface of the host's, open.
//!
//! Invariant: no call on it blocks, and one that is gone is told of once. Source: Documentation/networking/tuntap.rst.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::bell::{Bell, wait_for};
use super::{FRAME_BYTES, Link, Received, Sent};

/// Bytes before each frame of an interface that was opened with IFF_VNET_HDR, by whose length it was set: virtio's own.
pub const PREFIX_BYTES: usize = 12;
/// Frames that are lost at once, before somebody looks again.
const MOST_LOST: u64 = 256;

/// The interface.
#[derive(Debug)]
pub struct Tap {
    descriptor: Arc<OwnedFd>,
    name: String,
    /// A frame with its prefix, and a byte by which one is known that is longer.
    piece: Box<[u8; PREFIX_BYTES + FRAME_BYTES + 1]>,
    is_gone: bool,
}

impl Tap {
    /// The interface `name`, open at `descriptor`, which does not block, with a prefix before each frame.
    #[must_use]
    pub fn new(descriptor: Arc<OwnedFd>, name: String) -> Self {
        Self { descriptor, name, piece: Box::new([0; PREFIX_BYTES + FRAME_BYTES + 1]), is_gone: false }
    }

    /// The next frame with its prefix.
    fn read(&mut self) -> Option<usize> {
        if self.is_gone {
            return None;
        }
        match rustix::io::read(&self.descriptor, &mut self.piece[..]) {
            Ok(0) => self.leave("it ends"),
            Ok(len) => return Some(len),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => self.leave(&error.to_string()),
        }
        None
    }

    fn leave(&mut self, why: &str) {
        self.is_gone = true;
        log::warn!("the host's interface {} is gone: {why}; the guest's cable leads nowhere", self.name);
    }
}

impl Link for Tap {
    fn send(&mut self, frame: &[u8]) -> Sent {
        let Some(room) = self.piece.get_mut(PREFIX_BYTES..PREFIX_BYTES + frame.len()) else {
            return Sent::Lost;
        };
        room.copy_from_slice(frame);
        // Nothing is left for the host to do to it.
        self.piece[..PREFIX_BYTES].fill(0);
        let len = PREFIX_BYTES + frame.len();
        match rustix::io::write(&self.descriptor, &self.piece[..len]) {
            Ok(written) if written == len => Sent::Taken,
            Ok(_) | Err(_) => Sent::Lost,
        }
    }

    fn receive(&mut self, room: &mut [u8; FRAME_BYTES]) -> Received {
        let Some(len) = self.read() else { return Received::Nothing };
        let frame = self.piece.get(PREFIX_BYTES..len).filter(|frame| frame.len() <= FRAME_BYTES);
        let Some(frame) = frame else { return Received::Lost };
        room[..frame.len()].copy_from_slice(frame);
        Received::Frame(frame.len())
    }

    fn lose(&mut self) -> u64 {
        // Otherwise it would be ready at once, for ever.
        (0..MOST_LOST).take_while(|_| self.read().is_some()).count() as u64
    }

    fn wait(&mut self, bell: &Bell) {
        if self.is_gone {
            return bell.wait();
        }
        let mut wanted = [bell.wanted(), PollFd::new(&self.descriptor, PollFlags::IN)];
        wait_for(&mut wanted, None);
        let came = wanted[1].revents();
        if came.intersects(PollFlags::ERR | PollFlags::NVAL) && !came.contains(PollFlags::IN) {
            self.leave("the host removed it");
        }
    }
}

#[cfg(test)]
mod tests;
