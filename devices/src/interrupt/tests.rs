//! Wires that several devices share.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Level, Pin, Pins, Wire};

#[derive(Default)]
struct Recorder(Mutex<Vec<Level>>);

impl Pins for Recorder {
    fn set(&self, _: Pin, level: Level) {
        self.0.lock().push(level);
    }
}

#[test]
fn a_shared_wire_is_high_until_the_last_user_lets_go() {
    let recorder = Arc::new(Recorder::default());
    let wire = Wire::new(recorder.clone(), Pin(16));
    let (first, second) = (wire.line(), wire.line());
    first.set(Level::High);
    first.set(Level::High);
    second.set(Level::High);
    first.set(Level::Low);
    assert_eq!(*recorder.0.lock(), [Level::High]);
    drop(second);
    assert_eq!(*recorder.0.lock(), [Level::High, Level::Low]);
}
