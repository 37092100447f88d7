//! The guest's bytes and reports, on one terminal and apart.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use devices::serial::Transmit;
use parking_lot::Mutex;

use super::{Mingling, Screen, is_same};
use crate::machine::ending::Ending;
use crate::sandbox::Sandbox;
use crate::spool::Patience;

/// For a side that is not written to.
pub(in crate::command::boot) const NO_FILE: Option<(String, Paper)> = None;
/// As long as it takes.
pub(in crate::command::boot) const LONG: Patience =
    Patience { idle: Duration::from_secs(60), total: Duration::from_secs(60) };

/// What was written, in its order.
#[derive(Clone, Default)]
pub(in crate::command::boot) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub(in crate::command::boot) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("only text was written")
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is seen on either side when the guest writes some pieces and a report follows each.
fn seen(mingling: Mingling, pieces: &[&str]) -> (String, String) {
    let (one, other) = (Paper::default(), Paper::default());
    let screen = Screen::new(one.clone(), other.clone(), mingling, NO_FILE, Sandbox::OFF);
    let screen = screen.expect("there are threads");
    let mut guest = screen.guest_side();
    for piece in pieces {
        guest.send(piece.as_bytes());
        let was_open = screen.is_line_open();
        screen.report(if was_open { "open\nline" } else { "free" });
        assert!(!screen.is_line_open());
    }
    writeln!(screen.messages(), "a message").expect("messages are taken");
    screen.settle(LONG);
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

/// A disk that is full.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_side_that_fails_is_named_and_what_it_did_not_take_is_not_laid_on_a_reader() {
    let failing = |side| {
        let paper = Paper::default();
        let screen = match side {
            "standard output" => Screen::new(Full, paper.clone(), Mingling::Apart, NO_FILE, Sandbox::OFF),
            "standard error" => Screen::new(paper.clone(), Full, Mingling::Apart, NO_FILE, Sandbox::OFF),
            file => {
                let file = Some((file.to_owned(), Full));
                Screen::new(paper.clone(), paper.clone(), Mingling::Apart, file, Sandbox::OFF)
            }
        };
        (screen.expect("there are threads"), paper)
    };
    for side in ["standard output", "standard error", "a file"] {
        let (screen, paper) = failing(side);
        screen.guest_side().send(b"guest\n");
        screen.report("report");
        screen.record("{}");
        screen.settle(LONG);
        let failure = screen.failure();
        assert!(matches!(&failure, Some(Ending::Unheard { file, .. }) if file == side), "{failure:?}");
        assert!(!paper.text().contains("lost"), "{side}: {}", paper.text());
    }
}

#[test]
fn what_nobody_read_in_time_is_counted_for_each_side() {
    let (reader, writer) = io::pipe().expect("there are descriptors");
    let paper = Paper::default();
    let file = Some(("a file".to_owned(), writer.try_clone().expect("there are descriptors")));
    let screen = Screen::new(writer, paper.clone(), Mingling::Apart, file, Sandbox::OFF);
    let screen = screen.expect("there are threads");
    // More than a pipe takes.
    let much = "x".repeat(1 << 20);
    screen.guest_side().send(much.as_bytes());
    screen.record(&much[1..]);
    let moment = Duration::from_millis(50);
    screen.settle(Patience { idle: moment, total: moment });
    let told = paper.text();
    for side in ["standard output", "a file"] {
        assert_eq!(told.matches(&format!("afterimage: {side}: ")).count(), 1, "{told}");
    }
    assert_eq!(told.matches("bytes are lost, because nobody read them in time").count(), 2, "{told}");
    drop(reader);
}

#[test]
fn two_descriptors_of_one_file_are_the_same() {
    let folder = std::env::temp_dir();
    let file = |name: &str| {
        let path = folder.join(format!("afterimage-screen-{name}-{}", std::process::id()));
        let file = File::create(&path).expect("a temporary file can be written");
        std::fs::remove_file(path).expect("it was made");
        file
    };
    let (one, other) = (file("one"), file("other"));
    assert!(is_same(&one, &one.try_clone().expect("there is a descriptor")));
    assert!(!is_same(&one, &other));
}
