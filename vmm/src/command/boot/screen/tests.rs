//! The guest's bytes and reports, on one terminal and apart.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Mingling, Screen};

/// What both sides wrote, in its order.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is seen when the guest writes some pieces and a report follows each.
fn seen(mingling: Mingling, pieces: &[&str]) -> String {
    let paper = Paper::default();
    let screen = Screen::new(Box::new(paper.clone()), Box::new(paper.clone()), mingling);
    let mut guest = screen.guest_side();
    for piece in pieces {
        guest.write_all(piece.as_bytes()).expect("paper takes everything");
        let was_open = screen.is_line_open();
        screen.report(if was_open { "open\nline" } else { "free" });
        assert!(!screen.is_line_open() || mingling == Mingling::Apart);
    }
    let bytes = paper.0.lock().clone();
    String::from_utf8(bytes).expect("only text was written")
}

#[test]
fn on_a_terminal_a_report_begins_a_line() {
    assert_eq!(seen(Mingling::Together, &["boot", "ing\r\n"]), "boot\r\nopen\r\nline\r\ning\r\nfree\r\n");
}

#[test]
fn elsewhere_the_sides_stay_as_they_are() {
    assert_eq!(seen(Mingling::Apart, &["boot", "ing\r\n"]), "bootfree\ning\r\nfree\n");
}
