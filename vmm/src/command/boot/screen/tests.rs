//! The guest's bytes and reports, on one terminal and apart.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use devices::serial::Transmit;
use parking_lot::Mutex;

use super::{Mingling, Screen, is_same};
use crate::sandbox::Sandbox;
use crate::spool::Patience;

/// What was written, in its order.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("only text was written")
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is seen on either side when the guest writes some pieces and a report follows each.
fn seen(mingling: Mingling, pieces: &[&str]) -> (String, String) {
    let (one, other) = (Paper::default(), Paper::default());
    let screen = Screen::new(one.clone(), other.clone(), mingling, Sandbox::OFF).expect("there are threads");
    let mut guest = screen.guest_side();
    for piece in pieces {
        guest.send(piece.as_bytes());
        let was_open = screen.is_line_open();
        screen.report(if was_open { "open\nline" } else { "free" });
        assert!(!screen.is_line_open());
    }
    writeln!(screen.messages(), "a message").expect("messages are taken");
    screen.settle(Patience { idle: Duration::from_secs(60), total: Duration::from_secs(60) });
    assert!(screen.failure().is_none());
    (one.text(), other.text())
}

#[test]
fn where_both_meet_a_report_begins_a_line() {
    let (together, _) = seen(Mingling::Together, &["boot", "ing\r\n"]);
    assert_eq!(together, "boot\nopen\nline\ning\r\nfree\na message\n");
}

#[test]
fn elsewhere_the_sides_stay_as_they_are() {
    let (guest, reports) = seen(Mingling::Apart, &["boot", "ing\r\n"]);
    assert_eq!((guest.as_str(), reports.as_str()), ("booting\r\n", "free\nfree\na message\n"));
}

#[test]
fn two_descriptors_of_one_file_are_the_same() {
    let folder = std::env::temp_dir();
    let file = |name: &str| {
        let path = folder.join(format!("afterimage-screen-{name}-{}", std::process::id()));
        File::create(path).expect("a temporary file can be written")
    };
    let (one, other) = (file("one"), file("other"));
    assert!(is_same(&one, &one.try_clone().expect("there is a descriptor")));
    assert!(!is_same(&one, &other));
}
