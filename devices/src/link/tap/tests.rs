//! An interface that is played by the other end of a socket, which keeps frames apart as well.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::{PREFIX_BYTES, Tap};
use crate::link::bell::Bell;
use crate::link::{FRAME_BYTES, Link, Received, Sent};

fn tap() -> (Tap, OwnedFd) {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let (near, far) = pair.expect("the host has descriptors");
    (Tap::new(near.into(), "played".to_owned()), far)
}

fn put(far: &OwnedFd, len: usize) {
    rustix::io::write(far, &vec![7; len]).expect("there is room");
}

#[test]
fn frames_go_both_ways_behind_a_prefix_that_says_nothing() {
    let (mut tap, far) = tap();
    assert_eq!(tap.send(&[1, 2, 3]), Sent::Taken);
    let mut came = [9; 64];
    assert_eq!(rustix::io::read(&far, &mut came), Ok(PREFIX_BYTES + 3));
    assert_eq!((&came[..PREFIX_BYTES], &came[PREFIX_BYTES..][..3]), (&[0; PREFIX_BYTES][..], &[1, 2, 3][..]));
    put(&far, PREFIX_BYTES + 5);
    let mut room = [0; FRAME_BYTES];
    assert_eq!((tap.receive(&mut room), &room[..6]), (Received::Frame(5), &[7, 7, 7, 7, 7, 0][..]));
    assert_eq!(tap.receive(&mut room), Received::Nothing);
}

#[test]
fn a_frame_that_is_too_long_or_none_is_lost_and_the_next_is_not() {
    let (mut tap, far) = tap();
    for len in [PREFIX_BYTES + FRAME_BYTES + 1, 1 << 14, PREFIX_BYTES - 1, PREFIX_BYTES + FRAME_BYTES] {
        put(&far, len);
    }
    let mut room = [0; FRAME_BYTES];
    let came: Vec<_> = (0..4).map(|_| tap.receive(&mut room)).collect();
    assert_eq!(came, [Received::Lost, Received::Lost, Received::Lost, Received::Frame(FRAME_BYTES)]);
    assert_eq!(tap.send(&[0; FRAME_BYTES + 2]), Sent::Lost);
}

#[test]
fn a_reader_that_does_not_read_is_not_waited_for() {
    let (mut tap, _far) = tap();
    let sent = (0..100_000).map(|_| tap.send(&[0; 1000])).find(|sent| *sent == Sent::Lost);
    assert_eq!(sent, Some(Sent::Lost), "the host keeps some of them, not all");
}

#[test]
fn what_a_guest_has_no_room_for_is_lost_and_counted() {
    let (mut tap, far) = tap();
    (0..3).for_each(|_| put(&far, 100));
    assert_eq!((tap.lose(), tap.lose()), (3, 0));
}

#[test]
fn an_interface_that_is_gone_ends_no_wait() {
    let (mut tap, far) = tap();
    let bell = Bell::new().expect("the host has descriptors");
    drop(far);
    tap.wait(&bell);
    assert_eq!(tap.receive(&mut [0; FRAME_BYTES]), Received::Nothing);
    bell.ring();
    tap.wait(&bell);
    assert!(tap.is_gone);
}
