//! A connection: one of the guest's, which the stack has, and one of the host's.
//!
//! Invariant: the guest is answered when the host is, not before: so a port where nobody listens is refused as it is. What one
//! side says waits in a buffer of bounded length until the other takes it, and each end is told to the other once.

use rustix::event::{PollFd, PollFlags};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};

use super::frame::Ends;
use super::host::{Done, Host};
use super::stack::Stack;

/// The connection.
pub(super) struct Flow {
    pub(super) ends: Ends,
    host: Host,
    stage: Stage,
    /// The host's side may have something, or room. It is asked, and says if not.
    is_readable: bool,
    is_writable: bool,
}

enum Stage {
    /// The host connects; the guest waits for the answer to this frame.
    Connecting(Vec<u8>),
    Open(Open),
    /// Nobody goes on.
    Ended,
}

struct Open {
    socket: SocketHandle,
    /// The host's end, and the guest's, was told to the other.
    has_host_ended: bool,
    has_guest_ended: bool,
}

impl Flow {
    pub(super) fn new(ends: Ends, host: Host, syn: &[u8]) -> Self {
        let stage = Stage::Connecting(syn.to_vec());
        Self { ends, host, stage, is_readable: false, is_writable: false }
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.stage, Stage::Connecting(_))
    }

    /// What it waits for of the host's side, if anything.
    pub(super) fn wanted(&self, stack: &Stack) -> Option<PollFd<'_>> {
        let wanted = match &self.stage {
            Stage::Connecting(_) if self.is_writable => PollFlags::empty(),
            Stage::Connecting(_) => PollFlags::OUT,
            Stage::Open(open) => {
                let socket = stack.socket(open.socket);
                let reads = !self.is_readable && !open.has_host_ended && socket.can_send();
                let writes = !self.is_writable && socket.can_recv();
                let flag = |flag, is_wanted| if is_wanted { flag } else { PollFlags::empty() };
                flag(PollFlags::IN, reads) | flag(PollFlags::OUT, writes)
            }
            Stage::Ended => PollFlags::empty(),
        };
        (!wanted.is_empty()).then(|| PollFd::new(&self.host.descriptor, wanted))
    }

    /// What came of what it waited for.
    pub(super) fn note(&mut self, came: PollFlags) {
        let over = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        self.is_readable |= came.intersects(PollFlags::IN | over);
        self.is_writable |= came.intersects(PollFlags::OUT | over);
    }

    /// Moves what can be moved.
    pub(super) fn turn(&mut self, stack: &mut Stack) {
        match &mut self.stage {
            Stage::Connecting(syn) if self.is_writable && stack.has_room() => {
                let syn = std::mem::take(syn);
                self.stage = self.connect(syn, stack);
            }
            Stage::Connecting(_) | Stage::Ended => return,
            Stage::Open(_) => {}
        }
        if let Stage::Open(open) = &mut self.stage {
            let socket = stack.socket_mut(open.socket);
            open.carry_to_host(socket, &self.host, &mut self.is_writable);
            open.carry_to_guest(socket, &self.host, &mut self.is_readable);
        }
    }

    fn connect(&mut self, syn: Vec<u8>, stack: &mut Stack) -> Stage {
        match self.host.connect() {
            Done::Later => {
                self.is_writable = false;
                Stage::Connecting(syn)
            }
            Done::Bytes(_) => stack.accept(self.ends, &syn).map_or(Stage::Ended, |socket| {
                Stage::Open(Open { socket, has_host_ended: false, has_guest_ended: false })
            }),
            Done::Broken => {
                // Nobody listens in the stack, which says so.
                stack.take(&syn);
                Stage::Ended
            }
        }
    }

    /// Whether both sides have ended, and the guest was told.
    pub(super) fn has_ended(&self, stack: &Stack) -> bool {
        match &self.stage {
            Stage::Connecting(_) => false,
            Stage::Open(open) => {
                let socket = stack.socket(open.socket);
                socket.state() == State::Closed && socket.remote_endpoint().is_none()
            }
            Stage::Ended => true,
        }
    }

    /// Whether it only lasts for segments that may be late.
    pub(super) fn lingers(&self, stack: &Stack) -> bool {
        matches!(&self.stage, Stage::Open(open) if stack.socket(open.socket).state() == State::TimeWait)
    }

    /// Nothing of it stays in the stack.
    pub(super) fn leave(self, stack: &mut Stack) {
        if let Stage::Open(open) = self.stage {
            stack.remove(open.socket);
        }
    }
}

impl Open {
    fn carry_to_host(&mut self, socket: &mut Socket<'_>, host: &Host, is_writable: &mut bool) {
        while *is_writable && socket.can_recv() {
            let sent = socket.recv(|bytes| match host.send(bytes) {
                Done::Bytes(len) => (len, Done::Bytes(len)),
                other => (0, other),
            });
            match sent {
                Ok(Done::Bytes(_)) => {}
                Ok(Done::Later) => *is_writable = false,
                Ok(Done::Broken) | Err(_) => return socket.abort(),
            }
        }
        let says_no_more =
            matches!(socket.state(), State::CloseWait | State::Closing | State::LastAck | State::TimeWait);
        if says_no_more && !socket.can_recv() && !self.has_guest_ended {
            self.has_guest_ended = true;
            host.end();
        }
    }

    fn carry_to_guest(&mut self, socket: &mut Socket<'_>, host: &Host, is_readable: &mut bool) {
        while *is_readable && !self.has_host_ended && socket.can_send() {
            let received = socket.send(|room| match host.receive(room) {
                Done::Bytes(len) => (len, Done::Bytes(len)),
                other => (0, other),
            });
            match received {
                Ok(Done::Bytes(0)) => {
                    self.has_host_ended = true;
                    socket.close();
                }
                Ok(Done::Bytes(_)) => {}
                Ok(Done::Later) => *is_readable = false,
                Ok(Done::Broken) | Err(_) => return socket.abort(),
            }
        }
    }
}
