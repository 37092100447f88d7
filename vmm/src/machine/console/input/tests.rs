//! Input that comes later, that is over, and that never lets anybody wait.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};

use super::{Input, Waiting};

/// A pipe whose end that is read does not block, and the other.
fn pipe() -> (Input, File) {
    let (reader, writer): (OwnedFd, OwnedFd) = pipe_with(PipeFlags::NONBLOCK).expect("there are descriptors");
    (Input::of(reader.into()), writer.into())
}

#[test]
fn nothing_to_read_for_now_is_not_the_end() {
    let (mut input, mut writer) = pipe();
    let mut buffer = [0; 8];
    assert_eq!((input.read(&mut buffer), input.waiting()), (0, Waiting::ForMore));
    writer.write_all(b"abc").expect("there is room");
    assert_eq!((input.read(&mut buffer), input.waiting()), (3, Waiting::ForMore));
    drop(writer);
    assert_eq!((input.read(&mut buffer), input.waiting()), (0, Waiting::Over));
}

#[test]
fn what_is_over_stays_over() {
    let path = std::env::temp_dir().join(format!("afterimage-input-{}", std::process::id()));
    let mut writer = File::create(&path).expect("there is a temporary folder");
    let mut input = Input::of(File::open(&path).expect("it was made"));
    input.never_waits();
    assert_eq!(input.waiting(), Waiting::Never);
    let mut buffer = [0; 8];
    assert_eq!((input.read(&mut buffer), input.waiting()), (0, Waiting::Over));
    writer.write_all(b"too late").expect("there is room");
    assert_eq!((input.read(&mut buffer), input.waiting()), (0, Waiting::Over));
    input.never_waits();
    assert_eq!(input.waiting(), Waiting::Over);
    fs::remove_file(path).expect("it was made");
}

#[test]
fn none_at_all_is_over() {
    let mut input = Input::none();
    assert_eq!((input.read(&mut [0; 8]), input.waiting(), input.file().is_none()), (0, Waiting::Over, true));
}
