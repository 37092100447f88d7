//! The guest of these tests: a driver with a ring for each direction, and the socket by which the host reaches it.
//!
//! Invariant: it says what a test says, right or wrong, and each packet that it gets makes room for the next.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::bus::Width;
use crate::link::bell::Bell;
use crate::virtio::driver::{BUFFERS, Driver, FEATURES, SIZE, WRITE};
use crate::virtio::vsock::Vsock;
use crate::virtio::vsock::packet::{HEADER_BYTES, HOST, Header, Operation, STREAM};

pub(super) const CID: u32 = 52;
/// The guest's port in each connection.
pub(super) const PORT: u32 = 1024;
/// Where the parts of the ring for received packets lie, and their buffers.
pub(super) const TABLE: u64 = 0x5000;
pub(super) const AVAILABLE: u64 = 0x6000;
const USED: u64 = 0x7000;
const ROOMS: u64 = 0x8_0000;
const ROOM_BYTES: u32 = 0x1800;
const PAYLOAD: u64 = BUFFERS + 0x1000;

/// The guest.
pub(super) struct Guest {
    pub(super) driver: Driver,
    address: SocketAddr,
    /// What it says of its room.
    pub(super) room: u32,
    pub(super) forwarded: u32,
    taken: u16,
}

impl Guest {
    pub(super) fn new() -> Self {
        Self::with_errands(None)
    }

    /// One who may connect to the host, by whoever is asked by `errands`.
    pub(super) fn with_errands(errands: Option<OwnedFd>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("afterimage-vsock-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from_abstract_name(name).expect("a name is short");
        let listener = UnixListener::bind_addr(&address).expect("nobody has the name");
        listener.set_nonblocking(true).expect("a socket may not block");
        let bell = Bell::new().expect("the host has descriptors");
        let vsock = Vsock::new(CID, Arc::new(OwnedFd::from(listener)), errands.map(Arc::new), bell);
        let driver = Driver::new(Vsock::identity(CID), Box::new(vsock));
        driver.use_msix();
        let mut guest = Self { driver, address, room: 1 << 20, forwarded: 0, taken: 0 };
        guest.begin();
        guest
    }

    /// The driver begins, with a buffer in each entry of its ring.
    pub(super) fn begin(&mut self) {
        self.driver.store(0x16, Width::Word, 0);
        self.driver.store(0x18, Width::Word, SIZE.into());
        for (offset, address) in [(0x20, TABLE), (0x28, AVAILABLE), (0x30, USED)] {
            self.driver.store(offset, Width::Dword, address);
            self.driver.store(offset + 4, Width::Dword, 0);
        }
        self.driver.store(0x1c, Width::Word, 1);
        let rooms: Vec<_> = (0..SIZE).map(|entry| (place(entry), ROOM_BYTES, WRITE, 0)).collect();
        self.driver.describe(TABLE, &rooms);
        self.driver.put(USED, &[0; 4]);
        let entries: Vec<u8> = (0..SIZE).flat_map(u16::to_le_bytes).collect();
        self.driver.put(AVAILABLE + 4, &entries);
        self.driver.put(AVAILABLE + 2, &SIZE.to_le_bytes());
        self.taken = 0;
        self.driver.begin_queue(1, FEATURES | 1);
    }

    /// A program of the host's that connects, and says this.
    pub(super) fn connect(&self, line: &[u8]) -> UnixStream {
        let mut stream = UnixStream::connect_addr(&self.address).expect("the device listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a minute is a time");
        // Who says nonsense may be sent away before its end.
        let _said = stream.write_all(line);
        stream
    }

    /// A connection that the guest has accepted, and the host's port of it.
    pub(super) fn connected(&mut self) -> (UnixStream, u32) {
        let mut host = self.connect(format!("CONNECT {PORT}\n").as_bytes());
        let port = loop {
            let asked = self.receive().0;
            if asked.operation == Operation::Request {
                break asked.from_port;
            }
        };
        self.send(port, Operation::Response, b"");
        let expected = format!("OK {port}\n");
        let mut line = vec![0; expected.len()];
        host.read_exact(&mut line).expect("the host is told");
        assert_eq!(line, expected.as_bytes());
        (host, port)
    }

    /// The packet of a connection with that port of the host's.
    pub(super) fn packet(&self, port: u32, operation: Operation) -> Header {
        Header {
            from_cid: CID.into(),
            to_cid: HOST,
            from_port: PORT,
            to_port: port,
            len: 0,
            kind: STREAM,
            operation,
            flags: 0,
            room: self.room,
            forwarded: self.forwarded,
        }
    }

    pub(super) fn send(&mut self, port: u32, operation: Operation, bytes: &[u8]) {
        let packet = self.packet(port, operation);
        self.send_packet(packet, bytes);
    }

    pub(super) fn say(&mut self, port: u32, bytes: &[u8]) {
        self.send(port, Operation::Data, bytes);
    }

    pub(super) fn shut(&mut self, port: u32, flags: u32) {
        let packet = Header { flags, ..self.packet(port, Operation::Shutdown) };
        self.send_packet(packet, b"");
    }

    pub(super) fn send_packet(&mut self, packet: Header, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).expect("a packet is short");
        self.driver.put(BUFFERS, &Header { len, ..packet }.bytes());
        self.driver.put(PAYLOAD, bytes);
        let header = (BUFFERS, 44, 0);
        let written = match len {
            0 => self.driver.request(&[header]),
            len => self.driver.request(&[header, (PAYLOAD, len, 0)]),
        };
        assert_eq!(written, 0, "nothing is written into what is to be read");
    }

    /// The next packet for the guest, and what is behind it.
    pub(super) fn receive(&mut self) -> (Header, Vec<u8>) {
        self.driver.until("a packet", || self.driver.word(USED + 2) != self.taken);
        let entry = self.driver.bytes(USED + 4 + 8 * u64::from(self.taken % SIZE), 8);
        let head = u16::from_le_bytes([entry[0], entry[1]]);
        let written = u32::from_le_bytes(entry[4..].try_into().expect("four bytes"));
        let bytes = self.driver.bytes(place(head), written as usize);
        let (header, data) = bytes.split_first_chunk::<HEADER_BYTES>().expect("there is a header");
        let header = Header::parse(header);
        assert_eq!(header.len as usize, data.len(), "what is written is what is said");
        assert_eq!(u64::from(CID), header.to_cid);
        self.offer(head);
        (header, data.to_vec())
    }

    /// Whether one has come.
    pub(super) fn has_packet(&self) -> bool {
        self.driver.word(USED + 2) != self.taken
    }

    /// Sends what is refused, `most` times, with one more that is not looked at; and takes an answer, whereupon it is.
    pub(super) fn takes_no_answers(&mut self, most: usize) {
        (0..most).for_each(|_| self.send(80, Operation::Data, b""));
        self.driver.offer(0);
        self.driver.until("all rooms to be used", || self.driver.word(USED + 2) == SIZE);
        let used = self.driver.word(crate::virtio::driver::USED + 2);
        assert_eq!(usize::from(used), most, "one more refusal has no place");
        let _answer = self.receive();
        self.driver.used();
    }

    fn offer(&mut self, head: u16) {
        self.driver.put(AVAILABLE + 4 + 2 * u64::from(self.taken % SIZE), &head.to_le_bytes());
        self.taken = self.taken.wrapping_add(1);
        self.driver.put(AVAILABLE + 2, &self.taken.wrapping_add(SIZE).to_le_bytes());
        self.driver.ring();
    }

    /// The bytes of the next packet, which has some.
    pub(super) fn data(&mut self) -> Vec<u8> {
        let (packet, data) = self.receive();
        assert_eq!(packet.operation, Operation::Data);
        data
    }

    /// Nothing is for the guest: the answer to what it says now is the next packet.
    pub(super) fn says_nothing(&mut self) {
        let packet = Header { from_port: 9, ..self.packet(9, Operation::Data) };
        self.send_packet(packet, b"");
        let answer = self.receive().0;
        assert_eq!((answer.operation, answer.to_port), (Operation::Reset, 9));
    }
}

fn place(entry: u16) -> u64 {
    ROOMS + u64::from(entry) * u64::from(ROOM_BYTES)
}
