//! One connection: a stream of the host's, and a socket of the guest's.
//!
//! Invariant: what the guest sends is kept here until the host takes it, at most [`ROOM_BYTES`], which the guest was told; who
//! sends more has no connection any more. What the host sends stays in its stream until the guest has room. Nobody is waited
//! for. Source: VIRTIO 1.2, 5.10.6.3 (credit), 5.10.6.5 (ends).

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, read};
use rustix::net::{SendFlags, Shutdown, send, shutdown};

use super::packet::{HOST, Header, Operation, SENDS_NO_MORE, STREAM, TAKES_NO_MORE};

/// Bytes of the guest's that wait for the host.
pub(super) const ROOM_BYTES: u32 = 64 << 10;
/// So many bytes have left that room, and the guest does not know: it is told.
const TOLD_EVERY: u32 = ROOM_BYTES / 4;

/// The connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: OwnedFd,
    host_port: u32,
    guest_port: u32,
    phase: Phase,
    /// What the host has not taken yet.
    waiting: VecDeque<u8>,
    /// What the guest has said of itself: its room, and what has left it; and what was sent to it.
    guest_room: u32,
    guest_forwarded: u32,
    sent: u32,
    /// What has left our room, and what the guest knows of that.
    forwarded: u32,
    told: u32,
    /// Packets that are due.
    owes_credit: bool,
    asks_for_credit: bool,
    owes_shutdown: u32,
    /// What the guest has said by SHUTDOWN.
    guest_shut: u32,
    /// What was told the host of that.
    has_told_end: bool,
    /// The host's stream has ended for us, and for both.
    has_ended: bool,
    is_hung_up: bool,
    /// The guest has asked, and is to hear that it is connected.
    owes_response: bool,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The guest is to be asked.
    New,
    /// It was.
    Asked,
    /// Both have agreed.
    Open,
    /// The host is gone, and the guest is to say that it knows.
    Left,
    /// It is over, and the guest is to be told.
    Failed,
    /// It is over.
    Over,
}

impl Connection {
    /// One that the guest is to be asked for.
    pub(super) const fn new(stream: OwnedFd, host_port: u32, guest_port: u32) -> Self {
        Self {
            stream,
            host_port,
            guest_port,
            phase: Phase::New,
            waiting: VecDeque::new(),
            guest_room: 0,
            guest_forwarded: 0,
            sent: 0,
            forwarded: 0,
            told: 0,
            owes_credit: false,
            asks_for_credit: false,
            owes_shutdown: 0,
            guest_shut: 0,
            has_told_end: false,
            has_ended: false,
            is_hung_up: false,
            owes_response: false,
        }
    }

    /// One that the guest has asked for by `request`, and the host has accepted.
    pub(super) fn of_guest(stream: OwnedFd, request: &Header) -> Self {
        Self {
            phase: Phase::Open,
            guest_room: request.room,
            guest_forwarded: request.forwarded,
            owes_response: true,
            ..Self::new(stream, request.to_port, request.from_port)
        }
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) const fn host_port(&self) -> u32 {
        self.host_port
    }

    /// Whether that packet of the guest's is of it.
    pub(super) const fn is_of(&self, packet: &Header) -> bool {
        packet.to_port == self.host_port && packet.from_port == self.guest_port
    }

    /// Takes a packet of the guest's, with what stands behind it if that may be there.
    pub(super) fn take(&mut self, packet: &Header) {
        (self.guest_room, self.guest_forwarded) = (packet.room, packet.forwarded);
        self.asks_for_credit &= self.credit() == 0;
        self.phase = match (self.phase, packet.operation) {
            (_, Operation::Reset) => Phase::Over,
            (Phase::Asked, Operation::Response) => self.accept(),
            (Phase::Open, Operation::CreditRequest) => {
                self.owes_credit = true;
                Phase::Open
            }
            (Phase::Open, Operation::Shutdown) => {
                self.guest_shut |= packet.flags;
                Phase::Open
            }
            (Phase::Open, Operation::CreditUpdate | Operation::Data) => Phase::Open,
            // They were on their way when the host left.
            (
                Phase::Left,
                Operation::CreditRequest | Operation::CreditUpdate | Operation::Data | Operation::Shutdown,
            ) => Phase::Left,
            // Out of turn.
            (Phase::New | Phase::Asked | Phase::Open | Phase::Left | Phase::Failed | Phase::Over, _) => {
                Phase::Failed
            }
        };
    }

    /// Whether the guest may send so many bytes: it has not shut its end, and knows of the room.
    pub(super) fn has_room(&self, len: u32) -> bool {
        let waiting = self.waiting.len() as u64;
        self.guest_shut & SENDS_NO_MORE == 0 && waiting + u64::from(len) <= u64::from(ROOM_BYTES)
    }

    /// Ends it, and the guest is told.
    pub(super) fn fail(&mut self) {
        self.phase = Phase::Failed;
    }

    /// Keeps bytes of the guest's for the host, for which there is room.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        if self.phase == Phase::Open {
            self.waiting.extend(bytes);
        }
    }

    fn accept(&self) -> Phase {
        let line = format!("OK {}\n", self.host_port);
        // Nothing was sent before, so it finds room, or nobody is there.
        let sent = send(&self.stream, line.as_bytes(), SendFlags::NOSIGNAL);
        if sent == Ok(line.len()) { Phase::Open } else { Phase::Failed }
    }

    /// Hands the host what it takes; whether it took some.
    pub(super) fn forward(&mut self) -> bool {
        if self.phase != Phase::Open {
            return false;
        }
        let before = self.forwarded;
        while !self.waiting.is_empty() {
            match send(&self.stream, self.waiting.as_slices().0, SendFlags::NOSIGNAL) {
                Ok(len) => self.let_go(len),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    // The host takes no more. What it has sent is the guest's all the same.
                    self.let_go(self.waiting.len());
                    self.owes_shutdown |= TAKES_NO_MORE;
                }
            }
        }
        self.owes_credit |= self.forwarded.wrapping_sub(self.told) >= TOLD_EVERY;
        self.end_ours();
        before != self.forwarded
    }

    fn let_go(&mut self, len: usize) {
        // Never more than the room.
        let gone = self.waiting.drain(..len).fold(0_u32, |gone, _| gone + 1);
        self.forwarded = self.forwarded.wrapping_add(gone);
    }

    /// What the guest has shut is shut for the host, when it has what was sent before.
    fn end_ours(&mut self) {
        if !self.waiting.is_empty() {
            return;
        }
        if self.guest_shut & (SENDS_NO_MORE | TAKES_NO_MORE) == SENDS_NO_MORE | TAKES_NO_MORE {
            return self.fail();
        }
        if self.guest_shut & SENDS_NO_MORE != 0 && !self.has_told_end {
            self.has_told_end = true;
            // Who is gone does not need to be told.
            let _shut = shutdown(&self.stream, Shutdown::Write);
        }
    }

    /// Bytes that may be sent to the guest. One that says nonsense of what it has taken gets none.
    fn credit(&self) -> u32 {
        self.guest_room.saturating_sub(self.sent.wrapping_sub(self.guest_forwarded))
    }

    const fn wants_data(&self) -> bool {
        !self.has_ended && self.guest_shut & TAKES_NO_MORE == 0
    }

    /// The next packet for the guest, whose bytes are put into `room`.
    pub(super) fn next(&mut self, cid: u64, room: &mut [u8]) -> Option<Header> {
        let (operation, flags, len) = match self.phase {
            Phase::New => {
                self.phase = Phase::Asked;
                (Operation::Request, 0, 0)
            }
            Phase::Asked if self.is_hung_up => {
                self.fail();
                return None;
            }
            Phase::Asked | Phase::Left | Phase::Failed | Phase::Over => return None,
            Phase::Open => self.next_of_open(room)?,
        };
        Some(self.header(cid, operation, flags, len))
    }

    fn next_of_open(&mut self, room: &mut [u8]) -> Option<(Operation, u32, u32)> {
        if std::mem::take(&mut self.owes_response) {
            return Some((Operation::Response, 0, 0));
        }
        if self.owes_credit {
            return Some((Operation::CreditUpdate, 0, 0));
        }
        if let Some(len) = self.read(room) {
            self.sent = self.sent.wrapping_add(len);
            return Some((Operation::Data, 0, len));
        }
        if self.phase == Phase::Open && self.is_hung_up && !self.wants_data() {
            self.phase = Phase::Left;
            self.waiting.clear();
            return Some((Operation::Shutdown, SENDS_NO_MORE | TAKES_NO_MORE, 0));
        }
        if self.owes_shutdown != 0 {
            return Some((Operation::Shutdown, std::mem::take(&mut self.owes_shutdown), 0));
        }
        if self.wants_data() && self.credit() == 0 && !self.asks_for_credit {
            self.asks_for_credit = true;
            return Some((Operation::CreditRequest, 0, 0));
        }
        None
    }

    /// What the host has sent, as much as the guest has room for.
    fn read(&mut self, room: &mut [u8]) -> Option<u32> {
        let credit = usize::try_from(self.credit()).map_or(room.len(), |credit| credit.min(room.len()));
        if credit == 0 || !self.wants_data() {
            return None;
        }
        match read(&self.stream, &mut room[..credit]) {
            Ok(0) => {
                self.has_ended = true;
                self.owes_shutdown |= SENDS_NO_MORE;
                None
            }
            Ok(len) => u32::try_from(len).ok(),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(_) => {
                self.fail();
                None
            }
        }
    }

    /// With what the guest is to know of our room.
    fn header(&mut self, cid: u64, operation: Operation, flags: u32, len: u32) -> Header {
        (self.told, self.owes_credit) = (self.forwarded, false);
        Header {
            from_cid: HOST,
            to_cid: cid,
            from_port: self.host_port,
            to_port: self.guest_port,
            len,
            kind: STREAM,
            operation,
            flags,
            room: ROOM_BYTES,
            forwarded: self.forwarded,
        }
    }

    /// The packet by which the guest hears that it is over.
    pub(super) fn reset(&mut self, cid: u64) -> Header {
        self.phase = Phase::Over;
        self.header(cid, Operation::Reset, 0, 0)
    }

    /// What it waits for, if the guest has a buffer for it (`has_buffer`). One that was hung up would be ready for ever.
    pub(super) fn wanted(&self, has_buffer: bool) -> Option<PollFd<'_>> {
        if self.is_hung_up || !matches!(self.phase, Phase::Asked | Phase::Open) {
            return None;
        }
        let mut flags = PollFlags::empty();
        if self.phase == Phase::Open && has_buffer && self.wants_data() && self.credit() > 0 {
            flags |= PollFlags::IN;
        }
        if !self.waiting.is_empty() {
            flags |= PollFlags::OUT;
        }
        Some(PollFd::new(&self.stream, flags))
    }

    /// What a wait said of its stream.
    pub(super) fn hear(&mut self, came: PollFlags) {
        self.is_hung_up |= came.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
    }
}
