//! Packets that no right driver sends: each ends its connection or is answered, or breaks the device, and nothing else.

use super::guest::{AVAILABLE, Guest, PORT, TABLE};
use super::rest;
use crate::virtio::driver::{BUFFERS, NEXT, SIZE, WRITE};
use crate::virtio::vsock::packet::{Header, Operation};

#[test]
fn what_belongs_to_no_connection_is_refused_and_a_reset_is_not_answered() {
    let mut guest = Guest::new();
    for operation in [
        // Where nobody connects for the guest, its own connections are refused, too.
        Operation::Request,
        Operation::Response,
        Operation::Shutdown,
        Operation::Data,
        Operation::CreditUpdate,
        Operation::CreditRequest,
        Operation::Unknown(0),
        Operation::Unknown(0xffff),
    ] {
        guest.send(80, operation, b"");
        let answer = guest.receive().0;
        assert_eq!((answer.operation, answer.from_port, answer.to_port), (Operation::Reset, 80, PORT));
    }
    guest.send(80, Operation::Reset, b"");
    guest.says_nothing();
}

#[test]
fn a_packet_in_somebody_elses_name_or_for_somebody_else_is_dropped() {
    let mut guest = Guest::new();
    let (host, port) = guest.connected();
    let right = guest.packet(port, Operation::Reset);
    for wrong in [
        Header { from_cid: 2, ..right },
        Header { from_cid: 53, ..right },
        Header { from_cid: 52 | 1 << 32, ..right },
        Header { to_cid: 52, ..right },
        Header { to_cid: 1, ..right },
    ] {
        guest.send_packet(wrong, b"");
    }
    guest.says_nothing();
    guest.say(port, b"still there");
    guest.send(port, Operation::Reset, b"");
    assert_eq!(rest(&host), b"still there");
}

#[test]
fn a_packet_out_of_turn_ends_its_connection() {
    for operation in [Operation::Request, Operation::Response, Operation::Unknown(8)] {
        let mut guest = Guest::new();
        let (host, port) = guest.connected();
        guest.send(port, operation, b"");
        assert_eq!(guest.receive().0.operation, Operation::Reset, "{operation:?}");
        assert_eq!(rest(&host), b"", "{operation:?}");
    }
    for operation in [Operation::Request, Operation::Data, Operation::Shutdown, Operation::CreditRequest] {
        let mut guest = Guest::new();
        let host = guest.connect(b"CONNECT 1024\n");
        let port = guest.receive().0.from_port;
        guest.send(port, operation, b"");
        assert_eq!(guest.receive().0.operation, Operation::Reset, "{operation:?}");
        assert_eq!(rest(&host), b"", "{operation:?}");
    }
}

#[test]
fn a_kind_of_socket_that_is_not_there_is_refused_and_harms_no_connection() {
    let mut guest = Guest::new();
    let (host, port) = guest.connected();
    guest.send_packet(Header { kind: 2, ..guest.packet(port, Operation::Data) }, b"a message");
    let answer = guest.receive().0;
    assert_eq!((answer.operation, answer.kind), (Operation::Reset, 2));
    guest.say(port, b"a stream");
    guest.send(port, Operation::Reset, b"");
    assert_eq!(rest(&host), b"a stream");
}

#[test]
fn a_guest_that_sends_more_than_it_may_has_no_connection_any_more() {
    let mut guest = Guest::new();
    let (host, port) = guest.connected();
    // Nobody reads: the kernel keeps some, the device its 64 KiB.
    let sent = (1..=1024).find(|_| {
        guest.say(port, &[3; 4096]);
        guest.has_packet() && is_reset(&mut guest)
    });
    let sent = sent.expect("4 MiB are more than anybody keeps") * 4096;
    assert!(rest(&host).len() < sent, "the last packet was not kept");
    // The others live.
    let (_host, port) = guest.connected();
    guest.send(port, Operation::CreditRequest, b"");
    assert_eq!(guest.receive().0.operation, Operation::CreditUpdate);
}

/// Of packets that have come: what was told of the room does not count.
fn is_reset(guest: &mut Guest) -> bool {
    while guest.has_packet() {
        match guest.receive().0.operation {
            Operation::CreditUpdate => {}
            other => return other == Operation::Reset,
        }
    }
    false
}

#[test]
fn who_has_said_that_it_sends_no_more_may_not_send() {
    let mut guest = Guest::new();
    let (host, port) = guest.connected();
    guest.shut(port, 2);
    guest.say(port, b"more");
    assert_eq!(guest.receive().0.operation, Operation::Reset);
    assert_eq!(rest(&host), b"");
}

#[test]
fn a_guest_that_takes_no_answers_is_not_listened_to_for_ever() {
    let mut guest = Guest::new();
    // As many as there are buffers, refusals that wait, and one that waits in the ring.
    guest.takes_no_answers(usize::from(SIZE) + super::super::MOST_REFUSALS);
}

#[test]
fn what_is_no_packet_and_no_room_for_one_breaks_the_device_until_it_is_reset() {
    let header = |guest: &Guest, len| Header { len, ..guest.packet(80, Operation::Data) }.bytes();
    for (what, len, pieces) in [
        ("a header that is short", 0, &[(BUFFERS, 43, 0)][..]),
        ("to be written", 0, &[(BUFFERS, 44, WRITE)]),
        ("to be written behind", 0, &[(BUFFERS, 44, NEXT), (BUFFERS + 44, 4, WRITE)]),
        ("fewer bytes than it says", 5, &[(BUFFERS, 44 + 4, 0)]),
        ("as many as there can be", u32::MAX, &[(BUFFERS, 44 + 4, 0)]),
        ("nowhere", 0, &[(1 << 40, 44, 0)]),
    ] {
        let mut guest = Guest::new();
        guest.driver.put(BUFFERS, &header(&guest, len));
        guest.driver.describe(crate::virtio::driver::TABLE, pieces_of(pieces).as_slice());
        guest.driver.offer(0);
        guest.driver.breaks();
        guest.driver.reset();
        guest.begin();
        let (_host, port) = guest.connected();
        assert!(port >= super::super::FIRST_PORT, "{what}");
    }
}

fn pieces_of(pieces: &[(u64, u32, u16)]) -> Vec<(u64, u32, u16, u16)> {
    (1..).zip(pieces).map(|(next, &(at, len, flags))| (at, len, flags, next)).collect()
}

#[test]
fn a_buffer_for_packets_that_holds_no_header_or_is_to_be_read_breaks_the_device() {
    for (len, flags) in [(43, WRITE), (4096, 0)] {
        let guest = Guest::new();
        // The device has the first in hand; all others are wrong.
        let wrong: Vec<_> = (0..SIZE).map(|_| (BUFFERS, len, flags, 0)).collect();
        guest.driver.describe(TABLE, &wrong);
        let _hosts: Vec<_> = (0..2).map(|_| guest.connect(b"CONNECT 1024\n")).collect();
        guest.driver.until("the device to break", || guest.driver.status() & 0x40 != 0);
    }
    let guest = Guest::new();
    guest.driver.put(AVAILABLE + 2, &(2 * SIZE + 1).to_le_bytes());
    // Whoever has a buffer in hand does not look for another until it is used.
    let _host = guest.connect(b"CONNECT 1024\n");
    guest.driver.ring();
    guest.driver.until("the device to break", || guest.driver.status() & 0x40 != 0);
}
