//! Connections that the guest asks for, and a test that connects for it, or does not.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::guest::{Guest, PORT};
use super::rest;
use crate::virtio::vsock::MOST_CONNECTIONS;
use crate::virtio::vsock::errand::{Packet, ends, hear, tell};
use crate::virtio::vsock::packet::{Header, Operation, SENDS_NO_MORE, TAKES_NO_MORE};

/// A guest, and the socket by which somebody is asked for its connections.
fn guest() -> (Guest, OwnedFd) {
    let (device, other) = ends().expect("the host has descriptors");
    set_socket_timeout(&other, Timeout::Recv, Some(Duration::from_secs(60))).expect("a minute is a time");
    (Guest::with_errands(Some(device)), other)
}

/// The port that is asked for.
fn asked(errands: &OwnedFd) -> u32 {
    let packet = hear(errands).expect("the device asks").expect("it asks for a port");
    let Packet { port, stream: None } = packet else { panic!("{packet:?}") };
    port
}

/// The host's end of a stream that is handed over for `port`.
fn connect(errands: &OwnedFd, port: u32) -> UnixStream {
    let (host, theirs) = UnixStream::pair().expect("the host has descriptors");
    theirs.set_nonblocking(true).expect("a socket may not block");
    tell(errands, port, Some(theirs.as_fd())).expect("the device hears");
    host
}

fn from(guest: &Guest, own: u32, port: u32) -> Header {
    Header { from_port: own, ..guest.packet(port, Operation::Request) }
}

#[test]
fn a_guest_that_connects_is_connected_and_bytes_go_both_ways() {
    let (mut guest, errands) = guest();
    guest.send(77, Operation::Request, b"");
    assert_eq!(asked(&errands), 77);
    let mut host = connect(&errands, 77);
    // What the host says at once comes behind the answer.
    host.write_all(b"at once").expect("the device reads");
    let answer = guest.receive().0;
    assert_eq!((answer.operation, answer.from_port, answer.to_port), (Operation::Response, 77, PORT));
    assert_eq!(guest.data(), b"at once");
    guest.say(77, b"pong");
    let mut bytes = [0; 4];
    host.read_exact(&mut bytes).expect("the device writes, and no line of its own");
    assert_eq!(&bytes, b"pong");
    guest.shut(77, SENDS_NO_MORE | TAKES_NO_MORE);
    assert_eq!(guest.receive().0.operation, Operation::Reset);
    assert_eq!(rest(&host), b"");
}

#[test]
fn a_port_where_nobody_listens_is_refused_and_the_next_one_is_not() {
    let (mut guest, errands) = guest();
    for port in [0, 78, u32::MAX] {
        guest.send(port, Operation::Request, b"");
        assert_eq!(asked(&errands), port);
        tell(&errands, port, None).expect("the device hears");
        let answer = guest.receive().0;
        assert_eq!((answer.operation, answer.from_port, answer.to_port), (Operation::Reset, port, PORT));
    }
    guest.send(78, Operation::Request, b"");
    let _host = connect(&errands, asked(&errands));
    assert_eq!(guest.receive().0.operation, Operation::Response);
}

#[test]
fn a_guest_that_does_not_wait_for_the_answer_has_no_connection() {
    for said in
        [Operation::Reset, Operation::Request, Operation::Data, Operation::Response, Operation::Unknown(9)]
    {
        let (mut guest, errands) = guest();
        guest.send(77, Operation::Request, b"");
        assert_eq!(asked(&errands), 77);
        guest.send(77, said, b"");
        if said != Operation::Reset {
            assert_eq!(guest.receive().0.operation, Operation::Reset, "{said:?}");
        }
        assert_eq!(rest(&connect(&errands, 77)), b"", "{said:?}");
        guest.says_nothing();
    }
}

#[test]
fn a_reset_gives_up_what_was_asked_for() {
    let (mut guest, errands) = guest();
    guest.send(77, Operation::Request, b"");
    assert_eq!(asked(&errands), 77);
    guest.driver.reset();
    guest.begin();
    assert_eq!(rest(&connect(&errands, 77)), b"");
    guest.says_nothing();
    guest.send(77, Operation::Request, b"");
    let _host = connect(&errands, asked(&errands));
    assert_eq!(guest.receive().0.operation, Operation::Response);
}

#[test]
fn so_many_connections_at_a_time_and_no_more() {
    let (mut guest, errands) = guest();
    let most = u32::try_from(MOST_CONNECTIONS).expect("they are few");
    for own in 0..most {
        guest.send_packet(from(&guest, own, 77), b"");
    }
    // Nobody has answered, and yet there is no place.
    guest.send_packet(from(&guest, most, 77), b"");
    assert_eq!(guest.receive().0.to_port, most);
    let hosts: Vec<_> = (0..most).map(|_| connect(&errands, asked(&errands))).collect();
    let mut answered: Vec<_> =
        (0..most).map(|_| guest.receive().0).map(|one| (one.to_port, one.operation)).collect();
    answered.sort_unstable_by_key(|(own, _)| *own);
    assert!(answered.into_iter().eq((0..most).map(|own| (own, Operation::Response))), "each has its own");
    guest.send_packet(from(&guest, most, 77), b"");
    assert_eq!(guest.receive().0.operation, Operation::Reset);
    guest.send_packet(Header { operation: Operation::Reset, ..from(&guest, 3, 77) }, b"");
    assert_eq!(rest(&hosts[3]), b"");
    guest.send_packet(from(&guest, most, 77), b"");
    let _host = connect(&errands, asked(&errands));
    assert_eq!(guest.receive().0.operation, Operation::Response);
}

#[test]
fn who_answers_something_else_or_is_gone_is_not_asked_again() {
    for is_gone in [false, true] {
        let (mut guest, errands) = guest();
        for own in [1, 2] {
            guest.send_packet(from(&guest, own, 77), b"");
        }
        if is_gone {
            drop(errands);
        } else {
            tell(&errands, 78, None).expect("the device hears");
        }
        for own in [1, 2] {
            let answer = guest.receive().0;
            assert_eq!((answer.operation, answer.to_port), (Operation::Reset, own), "{is_gone}");
        }
        guest.send_packet(from(&guest, 3, 77), b"");
        assert_eq!(guest.receive().0.operation, Operation::Reset);
    }
}

#[test]
fn streams_that_are_no_hosts_are_no_connection() {
    let (mut guest, errands) = guest();
    let mut packet = guest.packet(77, Operation::Request);
    packet.kind = 2;
    guest.send_packet(packet, b"");
    assert_eq!(guest.receive().0.operation, Operation::Reset, "sequenced packets");
    guest.send(77, Operation::Request, b"");
    assert_eq!(asked(&errands), 77, "the first was not asked for");
}
