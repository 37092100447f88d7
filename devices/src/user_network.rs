//! A network of the program's own at the other end of a cable: it needs no rights, and has a gateway and nobody else.
//!
//! Invariant: the guest is 10.0.2.15 and is heard as that alone; what it opens becomes a connection of the host's, made by
//! this process, where [`Reach`] allows it, and is refused otherwise. All is bounded: connections, what each holds, frames
//! that wait. There is TCP, ARP, echo, and DHCP; UDP and names (DNS) are not there, nor IPv6. Source: RFC 9293, 826, 792, 2131;
//! addresses as QEMU's user network has them.
//!
//! Read in this order: [`address`] (who is where), `frame` (what a frame of the guest's is), `dhcp`, `wire` and `stack` (TCP/IP,
//! by smoltcp), `host` (sockets), `flow` (a connection), `flows` (all of them).

pub mod address;

mod dhcp;
mod flow;
mod flows;
mod frame;
mod host;
mod stack;
mod wire;

use rustix::event::{PollFd, PollFlags};

use crate::link::bell::{Bell, wait_for};
use crate::link::{FRAME_BYTES, Link, Received, Sent};
use address::Reach;
use flows::Flows;
use frame::Frame;
use stack::Stack;

/// The network.
pub struct UserNetwork {
    stack: Stack,
    flows: Flows,
}

impl UserNetwork {
    /// One whose guest reaches so far.
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        Self { stack: Stack::new(), flows: Flows::new(reach) }
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.flows.len()
    }

    /// Moves what can be moved.
    fn turn(&mut self) {
        self.flows.turn(&mut self.stack);
        self.stack.poll();
        self.flows.forget_ended(&mut self.stack);
    }
}

impl Link for UserNetwork {
    fn send(&mut self, bytes: &[u8]) -> Sent {
        match Frame::of(bytes) {
            Frame::Foreign => Sent::Lost,
            Frame::Dhcp => match dhcp::answer(bytes) {
                Some(answer) => self.stack.put(answer),
                None => Sent::Lost,
            },
            Frame::Opens(ends) => self.flows.open(ends, bytes, &mut self.stack),
            Frame::Stack => self.stack.take(bytes),
        }
    }

    fn receive(&mut self, room: &mut [u8; FRAME_BYTES]) -> Received {
        if self.stack.is_silent() {
            self.turn();
        }
        let Some(frame) = self.stack.next() else { return Received::Nothing };
        let Some(place) = room.get_mut(..frame.len()) else { return Received::Lost };
        place.copy_from_slice(&frame);
        Received::Frame(frame.len())
    }

    fn lose(&mut self) -> u64 {
        // Frames wait, as many as there may be, and then connections do.
        self.turn();
        0
    }

    fn wait(&mut self, bell: &Bell) {
        let limit = self.stack.patience();
        let came: Vec<PollFlags> = {
            let mut wanted: Vec<PollFd<'_>> = vec![bell.wanted()];
            wanted.extend(self.flows.wanted(&self.stack));
            wait_for(&mut wanted, limit);
            wanted.iter().skip(1).map(PollFd::revents).collect()
        };
        self.flows.note(&came, &self.stack);
    }
}

#[cfg(test)]
mod tests;
