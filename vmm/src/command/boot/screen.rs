//! What the user sees: the guest's serial line on standard output, and reports and messages on standard error.
//!
//! Invariant: the guest's bytes are passed on at once, since it may stop at any of them, and nobody waits for whoever
//! reads. Where both go to one terminal or file, no report begins inside a line, and no byte of the guest's comes inside
//! a report.

use std::fs::File;
use std::io::{self, Write, stderr, stdout};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::fstat;

use crate::machine::ending::Ending;
use crate::sandbox::{Role, Sandbox};
use crate::spool::{Account, Patience, Spool};

/// Both sides, each with a queue of its own.
pub(super) struct Screen {
    guest: Spool,
    reports: Spool,
    mingling: Mingling,
    /// For tools.
    tools: Option<Spool>,
    /// That file and the others, and what they are called.
    files: Vec<(String, Spool)>,
}

/// Whether both sides meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mingling {
    /// Different files or pipes: whoever mixes them does so knowingly.
    Apart,
    /// One terminal, file or pipe.
    Together,
}

/// For messages of the program, which are reports.
pub(super) struct Messages(Spool);

const GUEST: &str = "standard output";
const REPORTS: &str = "standard error";

impl Screen {
    /// Standard output and standard error, a file for tools if there is one, and files for pictures; written by threads in
    /// `sandbox`.
    ///
    /// # Errors
    /// What the host says if it has no thread left.
    pub(super) fn of_process(
        tools: Option<(String, File)>,
        pictures: Vec<(String, File)>,
        sandbox: Sandbox,
    ) -> io::Result<Arc<Self>> {
        let (guest, reports) = (File::from(stdout().as_fd().try_clone_to_owned()?), stderr());
        let reports = File::from(reports.as_fd().try_clone_to_owned()?);
        let mingling = if is_same(&guest, &reports) { Mingling::Together } else { Mingling::Apart };
        let mut screen = Self::new(guest, reports, mingling, tools, sandbox)?;
        for (name, file) in pictures {
            let spool = Spool::start("picture", move || sandbox.enter(Role::Output), file)?;
            screen.files.push((name, spool));
        }
        Ok(Arc::new(screen))
    }

    /// The two sides on any files, and the file for tools.
    pub(super) fn new(
        guest: impl Write + Send + 'static,
        reports: impl Write + Send + 'static,
        mingling: Mingling,
        tools: Option<(String, impl Write + Send + 'static)>,
        sandbox: Sandbox,
    ) -> io::Result<Self> {
        let begin = move || sandbox.enter(Role::Output);
        let guest = Spool::start("output", begin, guest)?;
        let reports = match mingling {
            Mingling::Together => guest.clone(),
            Mingling::Apart => Spool::start("reports", begin, reports)?,
        };
        let start = |(name, file)| Spool::start("report file", begin, file).map(|spool| (name, spool));
        let tools = tools.map(start).transpose()?;
        let (files, tools) = (tools.iter().cloned().collect(), tools.map(|(_, spool)| spool));
        Ok(Self { guest, reports, mingling, tools, files })
    }

    /// For the machine's serial port.
    pub(super) fn guest_side(&self) -> Box<Spool> {
        Box::new(self.guest.clone())
    }

    /// For the logger.
    pub(super) fn messages(&self) -> Box<Messages> {
        Box::new(Messages(self.reports.clone()))
    }

    /// Whether a report would have to break into a line.
    pub(super) fn is_line_open(&self) -> bool {
        self.mingling == Mingling::Together && self.guest.is_line_open()
    }

    /// Prints `text` on lines of its own. Nobody may be there to read it.
    pub(super) fn report(&self, text: &str) {
        self.reports.put_lines(text);
    }

    /// Whether tools are told.
    pub(super) fn has_file(&self) -> bool {
        self.tools.is_some()
    }

    /// Writes what belongs into the file of that name, whole or not at all.
    pub(super) fn draw(&self, name: &str, text: &str) {
        let named = self.files.iter().filter(|(known, _)| known == name);
        named.for_each(|(_, spool)| spool.put_lines(text));
    }

    /// Tells tools an object, or some, a line each.
    pub(super) fn record(&self, json: &str) {
        if let Some(tools) = &self.tools {
            tools.put_lines(json);
        }
    }

    /// The end of the guest if nobody can be told anything any more.
    pub(super) fn failure(&self) -> Option<Ending> {
        let ending = |file: &str, reason| Ending::Unheard { file: file.to_owned(), reason };
        let file = self.files.iter().map(|(name, spool)| (name.as_str(), spool));
        let mut all = [(GUEST, &self.guest), (REPORTS, &self.reports)].into_iter().chain(file);
        all.find_map(|(name, spool)| Some(ending(name, spool.failure()?)))
    }

    /// Waits until everything is written, as long as `patience` lasts, and says what was lost.
    pub(super) fn settle(&self, patience: Patience) {
        let begun = Instant::now();
        let file = self.files.iter().map(|(name, spool)| (name.as_str(), spool));
        for (name, spool) in [(GUEST, &self.guest)].into_iter().chain(file) {
            let Account { lost, unwritten, failure } = spool.settle(begun, patience);
            if failure.is_none() && lost + unwritten > 0 {
                let lost = lost + unwritten;
                self.report(&format!(
                    "afterimage: {name}: {lost} bytes are lost, because nobody read them in time"
                ));
            }
        }
        // Nobody is left to be told of a failure.
        let _account = self.reports.settle(begun, patience);
    }
}

pub(super) fn is_same(one: &File, other: &File) -> bool {
    let identity = |file: &File| fstat(file).ok().map(|about| (about.st_dev, about.st_ino));
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

impl Write for Messages {
    /// One message, as the logger writes it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put_lines(String::from_utf8_lossy(bytes).trim_end());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
