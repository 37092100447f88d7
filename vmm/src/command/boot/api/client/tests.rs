//! Turns, and what too much costs.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use super::{Client, Gone, MOST_LINE, Said, Wants};

fn pair() -> (UnixStream, Client) {
    let (near, far) = UnixStream::pair().expect("the host has descriptors");
    far.set_nonblocking(true).expect("it is ours");
    near.set_nonblocking(true).expect("it is ours");
    (near, Client::new(far.into()))
}

fn echo(said: Said<'_>) -> Vec<u8> {
    match said {
        Said::Line(line) => [b"<", line, b">"].concat(),
        Said::TooMuch => b"too much".to_vec(),
    }
}

fn read(near: &mut UnixStream) -> String {
    let mut said = vec![0; 1 << 20];
    match near.read(&mut said) {
        Ok(len) => String::from_utf8_lossy(&said[..len]).into_owned(),
        Err(error) if error.kind() == ErrorKind::WouldBlock => String::new(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_turn_is_one_line_and_the_last_needs_no_end() {
    let (mut near, mut client) = pair();
    near.write_all(b"one\ntwo\nthr").expect("there is room");
    assert_eq!(client.go_on(echo), Ok(()));
    assert_eq!(read(&mut near), "<one>");
    assert_eq!(client.wants(), Wants::ToSay, "there is another line");
    assert_eq!(client.go_on(echo), Ok(()));
    assert_eq!(read(&mut near), "<two>");
    assert_eq!((client.wants(), client.go_on(echo)), (Wants::ToHear, Ok(())));
    assert_eq!(read(&mut near), "", "the third is not whole");
    near.shutdown(std::net::Shutdown::Write).expect("it is ours");
    assert_eq!(client.go_on(echo), Err(Gone));
    assert_eq!(read(&mut near), "<thr>");
}

#[test]
fn who_says_too_much_without_an_end_is_told_so_and_left() {
    let (mut near, mut client) = pair();
    near.write_all(&[b'x'; 3 * MOST_LINE]).expect("there is room");
    let mut turns = 0;
    while client.go_on(echo).is_ok() {
        turns += 1;
        assert!(turns < 4 && client.heard.len() <= MOST_LINE, "{turns}");
    }
    assert_eq!(read(&mut near), "too much");
}

#[test]
fn a_line_that_comes_in_parts_is_no_longer_than_one_that_comes_at_once() {
    for first in [1, MOST_LINE - 1] {
        for (rest, told) in [(MOST_LINE - 1 - first, "<"), (MOST_LINE - first, "too much")] {
            let (mut near, mut client) = pair();
            near.write_all(&vec![b'x'; first]).expect("there is room");
            assert_eq!(client.go_on(echo), Ok(()));
            near.write_all(&[&vec![b'x'; rest][..], b"\n"].concat()).expect("there is room");
            let _left_or_not = client.go_on(echo);
            assert!(read(&mut near).starts_with(told), "{first} and {rest} bytes");
        }
    }
}

#[test]
fn who_does_not_read_is_not_heard_and_costs_one_answer() {
    let (mut near, mut client) = pair();
    let long = |_: Said<'_>| vec![b'x'; 1 << 20];
    near.write_all(&b"again\n".repeat(100)).expect("there is room");
    for _ in 0..1000 {
        assert_eq!(client.go_on(long), Ok(()));
    }
    assert_eq!(client.wants(), Wants::ToSay);
    assert!(client.unsaid.len() < 1 << 21 && client.heard.len() <= MOST_LINE, "{}", client.unsaid.len());
    drop(near);
    assert_eq!(client.go_on(long), Err(Gone));
}
