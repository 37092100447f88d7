//! TCP/IP of the gateway, which answers for every address.
//!
//! Invariant: a socket is made for one connection, when its first segment is put in, and no other listens meanwhile; so that
//! segment finds that socket. Source: smoltcp, `iface`.

use std::time::Instant;

use rustix::event::Timespec;
use rustix::rand::{GetRandomFlags, getrandom};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant as StackInstant};
use smoltcp::wire::{EthernetAddress, IpCidr, IpListenEndpoint, Ipv4Cidr};

use super::address::{GATEWAY, GATEWAY_HARDWARE, PREFIX_BITS};
use super::frame::Ends;
use super::wire::Wire;
use crate::link::Sent;

/// Bytes that a connection holds in each direction.
const BUFFER_BYTES: usize = 64 << 10;
/// How often a silent guest is asked whether it is there, and how long it may owe an answer.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const TIME_OUT: Duration = Duration::from_secs(120);

/// The stack.
pub(super) struct Stack {
    interface: Interface,
    sockets: SocketSet<'static>,
    wire: Wire,
    begun: Instant,
}

impl Stack {
    pub(super) fn new() -> Self {
        let mut wire = Wire::default();
        let mut config = Config::new(EthernetAddress(GATEWAY_HARDWARE).into());
        config.random_seed = seed();
        let begun = Instant::now();
        let mut interface = Interface::new(config, &mut wire, StackInstant::ZERO);
        interface.update_ip_addrs(|addresses| {
            // There is room for the first.
            let _put = addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(GATEWAY, PREFIX_BITS)));
        });
        interface.set_any_ip(true);
        Self { interface, sockets: SocketSet::new(Vec::new()), wire, begun }
    }

    fn now(&self) -> StackInstant {
        let micros = self.begun.elapsed().as_micros();
        StackInstant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Takes a frame of the guest's.
    pub(super) fn take(&mut self, frame: &[u8]) -> Sent {
        self.wire.inbound = Some(frame.to_vec());
        self.poll();
        if self.wire.inbound.take().is_some() { Sent::Lost } else { Sent::Taken }
    }

    /// Puts a frame for the guest behind the others.
    pub(super) fn put(&mut self, frame: Vec<u8>) -> Sent {
        if self.wire.put(frame) { Sent::Taken } else { Sent::Lost }
    }

    /// The next frame for the guest.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        self.wire.next()
    }

    /// Whether no frame waits for the guest.
    pub(super) fn is_silent(&self) -> bool {
        self.wire.is_empty()
    }

    /// Whether a frame of the guest's would be taken.
    pub(super) fn has_room(&self) -> bool {
        !self.wire.is_full()
    }

    /// Sends what is due, as far as there is room.
    pub(super) fn poll(&mut self) {
        let now = self.now();
        let _changed = self.interface.poll(now, &mut self.wire, &mut self.sockets);
    }

    /// How long nothing is due; none if for ever, or if there is no room for it.
    pub(super) fn patience(&mut self) -> Option<Timespec> {
        if self.wire.is_full() {
            return None;
        }
        let delay = self.interface.poll_delay(self.now(), &self.sockets)?;
        // Whole milliseconds, upwards: what is due in half of one is not asked for all the time.
        let millis = delay.total_micros().div_ceil(1000);
        let (seconds, rest) = (millis / 1000, millis % 1000 * 1_000_000);
        Some(Timespec { tv_sec: i64::try_from(seconds).ok()?, tv_nsec: i64::try_from(rest).ok()? })
    }

    /// The connection that `syn` opens; none if that is no segment that does.
    pub(super) fn accept(&mut self, ends: Ends, syn: &[u8]) -> Option<SocketHandle> {
        let buffer = || SocketBuffer::new(vec![0; BUFFER_BYTES]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket.set_keep_alive(Some(KEEP_ALIVE));
        socket.set_timeout(Some(TIME_OUT));
        let (address, port) = (*ends.target.ip(), ends.target.port());
        socket.listen(IpListenEndpoint { addr: Some(address.into()), port }).ok()?;
        let handle = self.sockets.add(socket);
        self.take(syn);
        if matches!(self.socket(handle).state(), State::Listen | State::Closed) {
            self.remove(handle);
            return None;
        }
        Some(handle)
    }

    pub(super) fn socket(&self, handle: SocketHandle) -> &Socket<'static> {
        self.sockets.get(handle)
    }

    pub(super) fn socket_mut(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub(super) fn remove(&mut self, handle: SocketHandle) {
        drop(self.sockets.remove(handle));
    }
}

/// What a guest cannot guess sequence numbers from.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    if let Err(error) = getrandom(&mut bytes, GetRandomFlags::empty()) {
        log::warn!("the host has no entropy: {error}");
    }
    u64::from_ne_bytes(bytes)
}
