//! Sockets between a guest and its host: each connection of the guest's side is a Unix stream of the host's.
//!
//! Invariant: connections are at most [`MOST_CONNECTIONS`], what each keeps is bounded, and nobody is waited for. A
//! packet that is whole but wrong ends its connection, or is answered that there is none; one that is none breaks the
//! device. Nobody in here reaches a path: what the guest asks for itself is made by somebody else ([`errand`]), or
//! refused. Source: VIRTIO 1.2, 5.10.

pub mod errand;

mod connection;
mod greeting;
mod outward;
mod packet;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use virtio_bindings::virtio_ids::VIRTIO_ID_VSOCK;

use super::broken::Broken;
use super::chain::Chain;
use super::identity::Identity;
use super::model::Model;
use super::service::Queues;
use crate::link::bell::{Bell, wait_for};
use connection::{Connection, Phase};
use greeting::{Greeting, Heard};
use outward::{Came, Outward};
use packet::{HEADER_BYTES, HOST, Header, Operation, STREAM};

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const QUEUE_ENTRIES: u16 = 128;
/// VIRTIO_VSOCK_F_STREAM.
const STREAMS: u64 = 1 << 0;
/// Connections at one time, with those that have not said where they lead, and those that the guest waits for.
pub const MOST_CONNECTIONS: usize = 64;
/// Refusals that wait for a buffer; while there are so many the guest is not listened to.
const MOST_REFUSALS: usize = 64;
/// Bytes of a packet for the guest, and what is moved at once.
const MOST_BYTES: usize = 4096;
/// The first port of the host's, above those that a guest's programs choose by themselves.
const FIRST_PORT: u32 = 1 << 30;

/// The device.
#[derive(Debug)]
pub struct Vsock {
    cid: u64,
    listener: Arc<OwnedFd>,
    bell: Arc<Bell>,
    /// Whether the host had a descriptor for the last who came.
    is_listening: bool,
    greetings: Vec<Greeting>,
    outward: Outward,
    connections: Vec<Connection>,
    next_port: u32,
    /// Who is looked at first when there is a buffer.
    turn: usize,
    refusals: VecDeque<Header>,
    /// Where the next packet for the guest goes.
    room: Option<Chain>,
    piece: Box<[u8]>,
}

impl Vsock {
    /// What it is, for the guest that is called `cid`.
    #[must_use]
    pub fn identity(cid: u32) -> Identity {
        Identity {
            name: "virtio-vsock",
            device: super::device(VIRTIO_ID_VSOCK),
            class: [7, 0x80, 0],
            features: STREAMS,
            // The third is for events, of which there are none: no guest is moved.
            queues: vec![QUEUE_ENTRIES; 3],
            config: u64::from(cid).to_le_bytes().to_vec(),
        }
    }

    /// The device of the guest `cid`, whom the host reaches by `listener`, which does not block; on a thread that
    /// `bell` wakes. By `errands` it is asked for what the guest connects to, the device's end of [`errand::ends`];
    /// without them that is refused.
    #[must_use]
    pub fn new(cid: u32, listener: Arc<OwnedFd>, errands: Option<Arc<OwnedFd>>, bell: Bell) -> Self {
        Self {
            cid: cid.into(),
            listener,
            bell: Arc::new(bell),
            is_listening: true,
            greetings: Vec::new(),
            outward: Outward::new(errands),
            connections: Vec::new(),
            next_port: FIRST_PORT,
            turn: 0,
            refusals: VecDeque::new(),
            room: None,
            piece: vec![0; MOST_BYTES].into_boxed_slice(),
        }
    }

    /// Takes what the driver sends; whether it sent something.
    fn transmit(&mut self, queues: &mut Queues<'_>) -> Result<bool, Broken> {
        let mut has_sent = false;
        while self.refusals.len() < MOST_REFUSALS {
            let Some(mut chain) = queues.take(TRANSMIT)? else { break };
            self.hear(&mut chain, queues)?;
            queues.give_back(TRANSMIT, &chain, 0)?;
            has_sent = true;
        }
        Ok(has_sent)
    }

    fn hear(&mut self, chain: &mut Chain, queues: &Queues<'_>) -> Result<(), Broken> {
        if chain.writable.left() > 0 {
            return Err(Broken::NoRequest("to send has a buffer to be written"));
        }
        let mut bytes = [0; HEADER_BYTES];
        chain.readable.read(queues.view(), &mut bytes)?;
        let packet = Header::parse(&bytes);
        if packet.len > chain.readable.left() {
            return Err(Broken::NoRequest("to send has fewer bytes than it says"));
        }
        // Nobody is asked to believe who it comes from.
        if (packet.from_cid, packet.to_cid) != (self.cid, HOST) {
            return Ok(());
        }
        let known = self.connections.iter_mut().find(|one| one.is_of(&packet));
        match known {
            Some(connection) if packet.kind == STREAM => {
                take(connection, &packet, chain, queues, &mut self.piece)?;
            }
            Some(_) => self.refuse(&packet),
            None => self.hear_stranger(&packet),
        }
        Ok(())
    }

    /// Hears a packet of no connection: the guest asks for one, or gives it up, or is told that there is none.
    fn hear_stranger(&mut self, packet: &Header) {
        let has_asked = self.outward.give_up(packet);
        let asks = packet.operation == Operation::Request && packet.kind == STREAM && !has_asked;
        if !(asks && self.has_place() && self.outward.ask(packet)) {
            self.refuse(packet);
        }
    }

    /// Tells the guest that there is no such connection. That there is none any more it says itself.
    fn refuse(&mut self, packet: &Header) {
        if packet.operation != Operation::Reset {
            self.refusals.push_back(packet.refusal());
        }
    }

    /// Takes what was connected for the guest; whether something was, or was refused.
    fn connect(&mut self) -> bool {
        let before = self.outward.len();
        while let Some(came) = self.outward.next() {
            match came {
                Came::Connected(stream, request) => {
                    self.connections.push(Connection::of_guest(stream, &request));
                }
                Came::Refused(request) => self.refuse(&request),
                Came::Unwanted => {}
            }
        }
        before != self.outward.len()
    }

    /// Accepts who comes, and hears where they lead; whether somebody got further.
    fn greet(&mut self) -> bool {
        self.accept();
        let before = self.greetings.len();
        for mut greeting in std::mem::take(&mut self.greetings) {
            match greeting.hear() {
                Heard::Nothing => self.greetings.push(greeting),
                Heard::Nonsense => self.is_listening = true,
                Heard::Port(port) => {
                    let own = self.free_port();
                    self.connections.push(Connection::new(greeting.stream, own, port));
                }
            }
        }
        before != self.greetings.len()
    }

    fn accept(&mut self) {
        while self.is_listening && self.has_place() {
            match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(stream) => self.greetings.push(Greeting::new(stream)),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => {
                    // It would be ready at once, for ever.
                    self.is_listening = false;
                    log::warn!("virtio-vsock: nobody is accepted until a connection ends: {error}");
                }
            }
        }
    }

    fn has_place(&self) -> bool {
        self.greetings.len() + self.outward.len() + self.connections.len() < MOST_CONNECTIONS
    }

    /// A port of the host's that no connection has.
    fn free_port(&mut self) -> u32 {
        loop {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            if self.connections.iter().all(|one| one.host_port() != port) {
                return port;
            }
        }
    }

    /// Hands the host what is for it; whether something moved.
    fn forward(&mut self) -> bool {
        let mut has_moved = false;
        for connection in &mut self.connections {
            has_moved |= connection.forward();
        }
        has_moved
    }

    /// Lets go of what is over; whether something was.
    fn settle(&mut self) -> bool {
        let before = self.connections.len();
        let failed = self.connections.iter_mut().filter(|one| one.phase() == Phase::Failed);
        self.refusals.extend(failed.map(|one| one.reset(self.cid)));
        self.connections.retain(|one| one.phase() != Phase::Over);
        if !self.has_place() {
            // Who is asked to say that it knows, and does not, keeps nobody out.
            let left = self.connections.iter().position(|one| one.phase() == Phase::Left);
            let cid = self.cid;
            self.refusals.extend(left.map(|at| self.connections.remove(at).reset(cid)));
        }
        let has_settled = before != self.connections.len();
        self.is_listening |= has_settled;
        has_settled
    }

    /// Puts what there is where the driver has room; whether there was something.
    fn receive(&mut self, queues: &mut Queues<'_>) -> Result<bool, Broken> {
        let mut has_come = false;
        while !queues.gives_up() {
            if self.room.is_none() {
                self.room = room(queues)?;
            }
            let Some(mut chain) = self.room.take() else { break };
            let Some(packet) = self.next(&chain) else {
                self.room = Some(chain);
                break;
            };
            has_come = true;
            chain.writable.write(queues.view(), &packet.bytes())?;
            let len = usize::try_from(packet.len).map_err(|_| Broken::TooManyBytes)?;
            chain.writable.write(queues.view(), self.piece.get(..len).ok_or(Broken::TooManyBytes)?)?;
            queues.give_back(RECEIVE, &chain, chain.writable.done())?;
        }
        Ok(has_come)
    }

    /// The next packet, whose bytes fit into `chain` behind it: refusals first, then connections in turn.
    fn next(&mut self, chain: &Chain) -> Option<Header> {
        if let Some(refusal) = self.refusals.pop_front() {
            return Some(refusal);
        }
        let behind = usize::try_from(chain.writable.left()).ok()?.checked_sub(HEADER_BYTES)?;
        let len = behind.min(self.piece.len());
        for _ in 0..self.connections.len() {
            self.turn = (self.turn + 1) % self.connections.len();
            let packet = self.connections[self.turn].next(self.cid, &mut self.piece[..len]);
            if packet.is_some() {
                return packet;
            }
        }
        None
    }
}

impl Model for Vsock {
    fn start(&mut self, _: u64) {
        // Those of another driver, before a reset.
        self.room = None;
        self.connections.clear();
        self.outward.give_up_all();
        self.refusals.clear();
        self.is_listening = true;
    }

    fn serve(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        // What was sent may be answered at once.
        while !queues.gives_up() {
            let mut has_moved = self.transmit(queues)?;
            has_moved |= self.forward();
            has_moved |= self.greet();
            has_moved |= self.connect();
            has_moved |= self.receive(queues)?;
            has_moved |= self.settle();
            if !has_moved {
                break;
            }
        }
        Ok(())
    }

    fn bell(&self) -> Option<Arc<Bell>> {
        Some(Arc::clone(&self.bell))
    }

    fn wait(&mut self) {
        let mut wanted = vec![self.bell.wanted()];
        if self.is_listening && self.has_place() {
            wanted.push(PollFd::new(&self.listener, PollFlags::IN));
        }
        wanted.extend(self.greetings.iter().map(|one| PollFd::new(&one.stream, PollFlags::IN)));
        wanted.extend(self.outward.wanted());
        let others = wanted.len();
        // One that holds a header and no byte would be found ready for ever.
        let has_buffer =
            self.room.as_ref().is_some_and(|room| u64::from(room.writable.left()) > HEADER_BYTES as u64);
        let (places, streams): (Vec<_>, Vec<_>) = (0..)
            .zip(&self.connections)
            .filter_map(|(at, one): (usize, _)| Some((at, one.wanted(has_buffer)?)))
            .unzip();
        wanted.extend(streams);
        wait_for(&mut wanted, None);
        let came: Vec<_> = wanted.drain(others..).map(|stream| stream.revents()).collect();
        drop(wanted);
        places.into_iter().zip(came).for_each(|(at, came)| self.connections[at].hear(came));
    }
}

/// Takes a packet of that connection, and what is behind it.
fn take(
    connection: &mut Connection,
    packet: &Header,
    chain: &mut Chain,
    queues: &Queues<'_>,
    piece: &mut [u8],
) -> Result<(), Broken> {
    connection.take(packet);
    if packet.operation != Operation::Data || connection.phase() != Phase::Open {
        return Ok(());
    }
    if !connection.has_room(packet.len) {
        connection.fail();
        return Ok(());
    }
    let mut left = usize::try_from(packet.len).map_err(|_| Broken::TooManyBytes)?;
    while left > 0 {
        let len = left.min(piece.len());
        chain.readable.read(queues.view(), &mut piece[..len])?;
        connection.keep(&piece[..len]);
        left -= len;
    }
    Ok(())
}

/// The next chain that the driver offers for a packet.
fn room(queues: &mut Queues<'_>) -> Result<Option<Chain>, Broken> {
    let Some(chain) = queues.take(RECEIVE)? else { return Ok(None) };
    if chain.readable.left() > 0 {
        return Err(Broken::NoRequest("for a packet has a buffer to be read"));
    }
    if u64::from(chain.writable.left()) < HEADER_BYTES as u64 {
        return Err(Broken::NoRequest("for a packet has no room for a header"));
    }
    Ok(Some(chain))
}

#[cfg(test)]
mod tests;
