//! What the user sees: the guest's serial line on standard output, and reports on standard error.
//!
//! Invariant: the guest's bytes are passed on at once, since it may stop at any of them. Where both go to a terminal, no
//! report begins inside a line, and no byte of the guest's comes inside a report.

use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::sync::Arc;

use parking_lot::Mutex;

/// See the module.
pub(super) struct Screen(Mutex<Inner>);

/// The guest's side of it.
pub(super) struct GuestSide(Arc<Screen>);

struct Inner {
    guest: Box<dyn Write + Send>,
    reports: Box<dyn Write + Send>,
    mingling: Mingling,
    /// The guest has begun a line and not ended it.
    is_line_open: bool,
}

/// Whether both sides meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mingling {
    /// Files or pipes: whoever mixes them does so knowingly.
    Apart,
    /// On a terminal.
    Together,
}

impl Screen {
    /// Standard output and standard error.
    pub(super) fn of_process() -> Arc<Self> {
        let meet = stdout().is_terminal() && stderr().is_terminal();
        let mingling = if meet { Mingling::Together } else { Mingling::Apart };
        Self::new(Box::new(stdout()), Box::new(stderr()), mingling)
    }

    fn new(guest: Box<dyn Write + Send>, reports: Box<dyn Write + Send>, mingling: Mingling) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner { guest, reports, mingling, is_line_open: false })))
    }

    /// For the machine's serial port.
    pub(super) fn guest_side(self: &Arc<Self>) -> Box<GuestSide> {
        Box::new(GuestSide(Arc::clone(self)))
    }

    /// Whether a report would have to break into a line.
    pub(super) fn is_line_open(&self) -> bool {
        let inner = self.0.lock();
        inner.mingling == Mingling::Together && inner.is_line_open
    }

    /// Prints `text` on lines of its own. Nobody may be there to read it.
    pub(super) fn report(&self, text: &str) {
        let mut inner = self.0.lock();
        let _read = inner.report(text);
    }
}

impl Inner {
    fn report(&mut self, text: &str) -> io::Result<()> {
        if self.mingling == Mingling::Apart {
            return writeln!(self.reports, "{text}");
        }
        if std::mem::take(&mut self.is_line_open) {
            write!(self.reports, "\r\n")?;
        }
        // While the guest runs the terminal is raw: nobody else returns the carriage.
        write!(self.reports, "{}\r\n", text.replace('\n', "\r\n"))?;
        self.reports.flush()
    }
}

impl Write for GuestSide {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.0.lock();
        inner.guest.write_all(bytes)?;
        inner.guest.flush()?;
        if let Some(last) = bytes.last() {
            inner.is_line_open = *last != b'\n';
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.0.lock().guest.flush()
    }
}

#[cfg(test)]
mod tests;
