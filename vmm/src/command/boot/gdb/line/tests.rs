//! A debugger that does not read, reads late, or is gone.

use std::io::Read;
use std::os::unix::net::UnixStream;

use gdbstub::conn::Connection;

use super::{Left, Line, MOST_UNSAID};

fn pair() -> (Line, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("the host has sockets");
    ours.set_nonblocking(true).expect("it is ours");
    (Line::new(ours.into()), theirs)
}

#[test]
fn an_answer_without_end_is_broken_off() {
    let (mut line, _theirs) = pair();
    let said = (0..2 * MOST_UNSAID).find_map(|_| line.write(b'a').err());
    assert_eq!(said, Some(Left::TooMuch));
}

#[test]
fn what_is_not_taken_is_kept_and_said_later_in_order() {
    let (mut line, mut theirs) = pair();
    let mut sent = 0_usize;
    // Until the host's own buffer is full.
    while !line.has_something_to_say() {
        for _ in 0..1024 {
            line.write(b'a' + u8::try_from(sent % 26).expect("a letter")).expect("there is room");
            sent += 1;
        }
        line.flush().expect("it is open");
    }
    let (mut heard, mut bytes) = (Vec::new(), [0; 4096]);
    while heard.len() < sent {
        let count = theirs.read(&mut bytes).expect("it is open");
        heard.extend_from_slice(&bytes[..count]);
        line.say().expect("it is open");
    }
    assert!((0..).zip(&heard).all(|(index, byte): (usize, _)| usize::from(byte - b'a') == index % 26));
}

#[test]
fn who_is_gone_is_noticed_by_either_way() {
    let (mut line, theirs) = pair();
    assert_eq!((line.hear(), line.next()), (Ok(()), None), "nothing came");
    drop(theirs);
    assert_eq!(line.hear(), Err(Left::Closed));
    line.write(b'a').expect("there is room");
    assert_eq!(line.flush(), Err(Left::Closed));
}
