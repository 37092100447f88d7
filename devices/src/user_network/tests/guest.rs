//! The guest's side: a stack of its own, whose cable is the network under test.

use std::net::SocketAddrV4;
use std::thread;
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint, Ipv4Cidr};

use crate::link::{FRAME_BYTES, Link, Received};
use crate::user_network::UserNetwork;
use crate::user_network::address::{GATEWAY, GUEST, Reach};

/// Nobody waits longer.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Guest {
    pub(super) network: UserNetwork,
    interface: Interface,
    sockets: SocketSet<'static>,
    next_port: u16,
    begun: Instant,
}

/// The guest's end of the cable.
struct Cable<'a>(&'a mut UserNetwork);

struct Came(Vec<u8>);

struct Goes<'a>(&'a mut UserNetwork);

impl Device for Cable<'_> {
    type RxToken<'a>
        = Came
    where
        Self: 'a;
    type TxToken<'a>
        = Goes<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: StackInstant) -> Option<(Came, Goes<'_>)> {
        let mut room = [0; FRAME_BYTES];
        let Received::Frame(len) = self.0.receive(&mut room) else { return None };
        Some((Came(room[..len].to_vec()), Goes(self.0)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Goes<'_>> {
        Some(Goes(self.0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

impl RxToken for Came {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Goes<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let done = f(&mut frame);
        self.0.send(&frame);
        done
    }
}

impl Guest {
    pub(super) fn new(reach: Reach) -> Self {
        let mut network = UserNetwork::new(reach);
        let config = Config::new(EthernetAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]).into());
        let mut interface = Interface::new(config, &mut Cable(&mut network), StackInstant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(GUEST, 24))).expect("there is room");
        });
        interface.routes_mut().add_default_ipv4_route(GATEWAY).expect("there is room");
        let sockets = SocketSet::new(Vec::new());
        Self { network, interface, sockets, next_port: 40_000, begun: Instant::now() }
    }

    /// Both sides do what there is to do, and what the network waits for is looked at.
    pub(super) fn turn(&mut self) {
        let micros = i64::try_from(self.begun.elapsed().as_micros()).expect("a test is short");
        let now = StackInstant::from_micros(micros);
        self.interface.poll(now, &mut Cable(&mut self.network), &mut self.sockets);
        // A bell that was rung lets the wait look and not wait.
        let bell = crate::link::bell::Bell::new().expect("the host has descriptors");
        bell.ring();
        self.network.wait(&bell);
    }

    pub(super) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        loop {
            self.turn();
            if is_so(self) {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "waited for {what} in vain");
            thread::sleep(Duration::from_micros(100));
        }
    }

    pub(super) fn connect(&mut self, target: SocketAddrV4) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; 1 << 16]);
        let mut socket = Socket::new(buffer(), buffer());
        self.next_port += 1;
        let remote = IpEndpoint::new((*target.ip()).into(), target.port());
        socket.connect(self.interface.context(), remote, self.next_port).expect("the port is free");
        self.sockets.add(socket)
    }

    /// Whether a connection there ends before it began.
    pub(super) fn is_refused(&mut self, target: SocketAddrV4) -> bool {
        let socket = self.connect(target);
        self.until("an answer", |guest| guest.state(socket) != State::SynSent);
        self.state(socket) == State::Closed
    }

    pub(super) fn state(&self, socket: SocketHandle) -> State {
        self.sockets.get::<Socket<'_>>(socket).state()
    }

    pub(super) fn send(&mut self, socket: SocketHandle, bytes: &[u8]) {
        let mut rest = bytes;
        self.until("the connection", |guest| guest.state(socket) == State::Established);
        while !rest.is_empty() {
            self.until("room", |guest| guest.sockets.get::<Socket<'_>>(socket).can_send());
            let sent = self.sockets.get_mut::<Socket<'_>>(socket).send_slice(rest).expect("it is open");
            rest = &rest[sent..];
        }
        self.turn();
    }

    /// What comes until the far side ends.
    pub(super) fn read_to_end(&mut self, socket: SocketHandle) -> Vec<u8> {
        let mut came = Vec::new();
        self.until("the connection", |guest| guest.state(socket) != State::SynSent);
        loop {
            self.until("something", |guest| {
                let socket = guest.sockets.get::<Socket<'_>>(socket);
                socket.can_recv() || !socket.may_recv()
            });
            let socket = self.sockets.get_mut::<Socket<'_>>(socket);
            if !socket.can_recv() {
                return came;
            }
            let took = socket.recv(|bytes| {
                came.extend_from_slice(bytes);
                (bytes.len(), bytes.len())
            });
            took.expect("there is something");
        }
    }

    pub(super) fn close(&mut self, socket: SocketHandle) {
        self.sockets.get_mut::<Socket<'_>>(socket).close();
        self.turn();
    }

    pub(super) fn abort(&mut self, socket: SocketHandle) {
        self.sockets.get_mut::<Socket<'_>>(socket).abort();
        self.turn();
    }
}
