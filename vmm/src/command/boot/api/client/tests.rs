use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

use super::{Client, Gone, MOST_LINE, Wants};
use crate::command::boot::api::answer::Answer;

fn pair() -> (UnixStream, Client) {
    let (near, far) = UnixStream::pair().expect("the host has descriptors");
    far.set_nonblocking(true).expect("it is ours");
    near.set_nonblocking(true).expect("it is ours");
    (near, Client::new(far.into()))
}

fn echo(line: &[u8]) -> Answer {
    Answer::of(json!(String::from_utf8_lossy(line)))
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
    assert_eq!(read(&mut near), "{\"api\":1,\"result\":\"one\"}\n");
    assert_eq!(client.wants(), Wants::ToSay, "there is another line");
    assert_eq!(client.go_on(echo), Ok(()));
    assert_eq!(read(&mut near), "{\"api\":1,\"result\":\"two\"}\n");
    assert_eq!((client.wants(), client.go_on(echo)), (Wants::ToHear, Ok(())));
    assert_eq!(read(&mut near), "", "the third is not whole");
    near.shutdown(std::net::Shutdown::Write).expect("it is ours");
    assert_eq!(client.go_on(echo), Err(Gone));
    assert_eq!(read(&mut near), "{\"api\":1,\"result\":\"thr\"}\n");
}

#[test]
fn who_says_too_much_without_an_end_is_told_so_and_left() {
    let (mut near, mut client) = pair();
    near.write_all(&[b'x'; 3 * MOST_LINE]).expect("there is room");
    let mut turns = 0;
    while client.go_on(echo).is_ok() {
        turns += 1;
        assert!(turns < 4 && client.heard.len() <= 2 * MOST_LINE, "{turns}");
    }
    assert!(read(&mut near).contains("a request is a line of less than 4096 bytes"));
}

#[test]
fn who_does_not_read_is_not_heard_and_costs_one_answer() {
    let (mut near, mut client) = pair();
    let long = |_: &[u8]| Answer::of(json!("x".repeat(1 << 20)));
    near.write_all(&b"again\n".repeat(100)).expect("there is room");
    for _ in 0..1000 {
        assert_eq!(client.go_on(long), Ok(()));
    }
    assert_eq!(client.wants(), Wants::ToSay);
    assert!(client.unsaid.len() < 1 << 21 && client.heard.len() <= 2 * MOST_LINE, "{}", client.unsaid.len());
    drop(near);
    assert_eq!(client.go_on(long), Err(Gone));
}
