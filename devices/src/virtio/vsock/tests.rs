//! Sockets between a driver, right or hostile, and programs of the host that a test is.

mod guest;
mod hostile;
mod outward;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

use super::MOST_CONNECTIONS;
use super::connection::ROOM_BYTES;
use super::packet::{Operation, SENDS_NO_MORE, TAKES_NO_MORE};
use crate::bus::Width;
use guest::{Guest, PORT};

/// What is left to be read; an end that is no clean one is an end as well.
fn rest(mut stream: &UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    let is_late = end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(!is_late, "it does not end");
    bytes
}

#[test]
fn the_configuration_is_the_guests_cid() {
    let guest = Guest::new();
    assert_eq!([0, 4].map(|at| guest.driver.load(0x2000 + at, Width::Dword)), [52, 0]);
}

#[test]
fn who_connects_from_the_host_hears_of_it_and_bytes_go_both_ways() {
    let mut guest = Guest::new();
    let (mut host, port) = guest.connected();
    host.write_all(b"ping").expect("the device reads");
    assert_eq!(guest.data(), b"ping");
    guest.say(port, b"pong");
    let mut answer = [0; 4];
    host.read_exact(&mut answer).expect("the device writes");
    assert_eq!(&answer, b"pong");
}

#[test]
fn what_a_host_says_at_once_is_the_guests_behind_the_line() {
    let mut guest = Guest::new();
    let host = guest.connect(b"CONNECT 1024\nat once");
    let asked = guest.receive().0;
    guest.send(asked.from_port, Operation::Response, b"");
    assert_eq!(guest.data(), b"at once");
    drop(host);
}

#[test]
fn a_guest_that_refuses_ends_the_hosts_stream_without_a_word() {
    let mut guest = Guest::new();
    let host = guest.connect(b"CONNECT 1024\n");
    let asked = guest.receive().0;
    guest.send(asked.from_port, Operation::Reset, b"");
    assert_eq!(rest(&host), b"");
}

#[test]
fn who_says_something_else_than_connect_is_sent_away_and_the_guest_is_not_asked() {
    let mut guest = Guest::new();
    for wrong in [&b"GET / HTTP/1.1\r\n"[..], b"CONNECT x\n", &[b'1'; 64]] {
        assert_eq!(rest(&guest.connect(wrong)), b"");
    }
    let _host = guest.connect(b"CONNECT 7\n");
    assert_eq!(guest.receive().0.to_port, 7);
}

#[test]
fn a_host_that_leaves_is_heard_to_its_end_and_then_the_guest_is_told() {
    let mut guest = Guest::new();
    let (mut host, port) = guest.connected();
    host.write_all(&[7; 10_000]).expect("the device reads");
    drop(host);
    let mut bytes = 0;
    let flags = loop {
        let (packet, data) = guest.receive();
        bytes += data.len();
        // It may be seen to send no more before it is seen to be gone.
        if packet.operation == Operation::Shutdown && packet.flags != SENDS_NO_MORE {
            break packet.flags;
        }
    };
    assert_eq!((bytes, flags), (10_000, SENDS_NO_MORE | TAKES_NO_MORE));
    guest.send(port, Operation::Reset, b"");
    guest.says_nothing();
}

#[test]
fn a_host_that_leaves_before_the_guest_has_answered_is_told_of_at_once() {
    let mut guest = Guest::new();
    let host = guest.connect(b"CONNECT 1024\n");
    let asked = guest.receive().0;
    drop(host);
    let told = guest.receive().0;
    assert_eq!((told.operation, told.from_port), (Operation::Reset, asked.from_port));
}

#[test]
fn a_host_that_sends_no_more_is_answered_all_the_same() {
    let mut guest = Guest::new();
    let (host, port) = guest.connected();
    host.shutdown(Shutdown::Write).expect("it is connected");
    let told = guest.receive().0;
    assert_eq!((told.operation, told.flags), (Operation::Shutdown, SENDS_NO_MORE));
    guest.say(port, b"late");
    guest.shut(port, SENDS_NO_MORE | TAKES_NO_MORE);
    assert_eq!(guest.receive().0.operation, Operation::Reset);
    assert_eq!(rest(&host), b"late");
}

#[test]
fn a_guest_that_sends_no_more_is_heard_to_its_end_and_answered() {
    let mut guest = Guest::new();
    let (mut host, port) = guest.connected();
    guest.say(port, b"last");
    guest.shut(port, SENDS_NO_MORE);
    assert_eq!(rest(&host), b"last");
    host.write_all(b"answer").expect("the guest takes more");
    assert_eq!(guest.data(), b"answer");
}

#[test]
fn a_guest_gets_what_it_has_room_for_and_is_asked_for_more() {
    let mut guest = Guest::new();
    guest.room = 10;
    let (mut host, port) = guest.connected();
    host.write_all(b"0123456789abcde").expect("the device reads");
    assert_eq!(guest.data(), b"0123456789");
    assert_eq!(guest.receive().0.operation, Operation::CreditRequest);
    guest.says_nothing();
    guest.forwarded = 3;
    guest.send(port, Operation::CreditUpdate, b"");
    assert_eq!(guest.data(), b"abc");
    assert_eq!(guest.receive().0.operation, Operation::CreditRequest);
    // What was never sent cannot have been taken.
    guest.forwarded = 1 << 31;
    guest.send(port, Operation::CreditUpdate, b"");
    guest.says_nothing();
}

#[test]
fn a_guest_that_keeps_to_its_credit_is_heard_whole_by_a_host_that_is_slow() {
    const BYTES: u32 = 2 << 20;
    let mut guest = Guest::new();
    let (host, port) = guest.connected();
    let reader = thread::spawn(move || rest(&host));
    let (mut sent, mut taken) = (0_u32, 0);
    while sent < BYTES {
        let len = (ROOM_BYTES - (sent - taken)).min(4000).min(BYTES - sent);
        if len == 0 {
            let told = guest.receive().0;
            assert_eq!((told.operation, told.room), (Operation::CreditUpdate, ROOM_BYTES));
            taken = told.forwarded;
            continue;
        }
        let bytes: Vec<u8> = (sent..sent + len).map(|at| (at % 251) as u8).collect();
        guest.say(port, &bytes);
        sent += len;
    }
    guest.shut(port, SENDS_NO_MORE);
    let heard = reader.join().expect("the reader reads");
    assert_eq!(heard.len(), BYTES as usize);
    assert!((0_u32..).zip(&heard).all(|(at, byte)| *byte == (at % 251) as u8));
}

#[test]
fn a_guest_that_asks_for_credit_is_told() {
    let mut guest = Guest::new();
    let (_host, port) = guest.connected();
    guest.send(port, Operation::CreditRequest, b"");
    let told = guest.receive().0;
    assert_eq!((told.operation, told.room, told.to_port), (Operation::CreditUpdate, ROOM_BYTES, PORT));
}

#[test]
fn connections_are_bounded_and_one_that_ends_makes_place() {
    let mut guest = Guest::new();
    let hosts: Vec<_> = (0..=MOST_CONNECTIONS).map(|_| guest.connect(b"CONNECT 1024\n")).collect();
    let asked: Vec<_> = (0..MOST_CONNECTIONS).map(|_| guest.receive().0.from_port).collect();
    // A refusal goes first, so that one more could hide behind it, and not behind two.
    guest.says_nothing();
    guest.says_nothing();
    guest.send(asked[0], Operation::Reset, b"");
    let next = guest.receive().0;
    assert_eq!(next.operation, Operation::Request);
    assert!(!asked.contains(&next.from_port), "a port is not used again at once");
    drop(hosts);
}

#[test]
fn a_guest_that_never_says_that_it_knows_keeps_nobody_out() {
    let mut guest = Guest::new();
    for _ in 0..3 * MOST_CONNECTIONS {
        let (host, _) = guest.connected();
        drop(host);
    }
}

#[test]
fn connections_end_with_their_driver_and_with_the_machine() {
    let mut guest = Guest::new();
    let (host, _) = guest.connected();
    guest.driver.reset();
    guest.begin();
    assert_eq!(rest(&host), b"");
    let (host, _) = guest.connected();
    drop(guest);
    assert_eq!(rest(&host), b"");
}
