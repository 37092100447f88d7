//! Output that nobody waits for: a bounded queue, and a thread that writes it to a file, pipe or terminal.
//!
//! Invariant: whoever puts something in never waits for whoever reads it. Bytes keep their order; what has no room is
//! lost and counted. When the file takes nothing any more, the reason is kept for whoever asks, and the rest is dropped.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use devices::serial::Transmit;
use parking_lot::{Condvar, Mutex};

/// Bytes that wait at most, besides those that are being written.
const MOST_WAITING: usize = 1 << 20;
/// Bytes of one write(2): so much is lost of a file that is full.
const PIECE: usize = 1 << 16;
/// How long the end waits for the thread itself, which a busy host lets wait for its turn.
const MOST_TURN: Duration = Duration::from_secs(10);
/// How long the thread rests when a descriptor that does not block takes nothing.
const REST: Duration = Duration::from_millis(1);

/// A queue, shared by all who write to it.
#[derive(Clone)]
pub struct Spool(Arc<Shared>);

/// How long the end of a run waits for its readers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// Within one write.
    pub idle: Duration,
    /// In all, from the first of them on.
    pub total: Duration,
}

/// What became of all that was put in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Bytes that had no room.
    pub lost: u64,
    /// Bytes that nobody has taken yet, or that were dropped with the failure.
    pub unwritten: u64,
    /// Why nothing is written any more, if so.
    pub failure: Option<ErrorKind>,
}

struct Shared {
    state: Mutex<State>,
    /// Something was put in, written, or failed.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Bytes that the thread has taken and not written.
    taken: usize,
    /// When it began the write that it is at.
    writes: Option<Instant>,
    lost: u64,
    failure: Option<ErrorKind>,
    /// The last byte that was put in does not end a line.
    is_line_open: bool,
}

impl Spool {
    /// Starts the thread `name`, which does `begin` and then writes to `file`. The thread ends with the process: a write may
    /// never return.
    ///
    /// # Errors
    /// What the host says if it has no thread left.
    pub fn start(
        name: &str,
        begin: impl FnOnce() + Send + 'static,
        file: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let own = Arc::clone(&shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            begin();
            own.write_on(file);
        })?;
        Ok(Self(shared))
    }

    /// Puts in what there is room for.
    pub fn put(&self, bytes: &[u8]) {
        self.0.state.lock().put(bytes);
        self.0.changed.notify_all();
    }

    /// Puts in a text, whole or not at all; whether it did. What has no room does not count as lost.
    #[must_use]
    pub fn put_whole(&self, text: &str) -> bool {
        let mut state = self.0.state.lock();
        let is_taken = state.failure.is_none() && text.len() <= state.room();
        if is_taken {
            state.put(text.as_bytes());
        }
        drop(state);
        self.0.changed.notify_all();
        is_taken
    }

    /// Puts in a text on lines of its own, whole or not at all.
    pub fn put_lines(&self, text: &str) {
        let mut state = self.0.state.lock();
        let break_before = if state.is_line_open { "\n" } else { "" };
        let lines = format!("{break_before}{text}\n");
        if lines.len() > state.room() {
            state.lost += lines.len() as u64;
        } else {
            state.put(lines.as_bytes());
        }
        drop(state);
        self.0.changed.notify_all();
    }

    /// Whether the last line was begun and not ended.
    #[must_use]
    pub fn is_line_open(&self) -> bool {
        self.0.state.lock().is_line_open
    }

    /// Why nothing is written any more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<ErrorKind> {
        self.0.state.lock().failure
    }

    /// Waits until everything is written, as long as `patience` lasts, which began at `begun` for all queues of a run: readers
    /// that do not read are not waited for one after the other.
    #[must_use]
    pub fn settle(&self, begun: Instant, patience: Patience) -> Account {
        let mut state = self.0.state.lock();
        let mut first = None;
        while state.unwritten() > 0 && state.failure.is_none() {
            let deadline = match state.writes {
                None => begun + MOST_TURN,
                Some(since) => {
                    let since = since.max(begun);
                    (since + patience.idle).min(*first.get_or_insert(since) + patience.total)
                }
            };
            if self.0.changed.wait_until(&mut state, deadline).timed_out() && Instant::now() >= deadline {
                break;
            }
        }
        Account { lost: state.lost, unwritten: state.unwritten() as u64, failure: state.failure }
    }
}

impl State {
    const fn room(&self) -> usize {
        MOST_WAITING - self.waiting.len()
    }

    const fn unwritten(&self) -> usize {
        self.waiting.len() + self.taken
    }

    fn put(&mut self, bytes: &[u8]) {
        let kept = if self.failure.is_none() { bytes.len().min(self.room()) } else { 0 };
        self.waiting.extend_from_slice(&bytes[..kept]);
        self.lost += (bytes.len() - kept) as u64;
        if let Some(last) = bytes.last() {
            self.is_line_open = *last != b'\n';
        }
    }
}

impl Shared {
    fn write_on(&self, mut file: impl Write) {
        loop {
            let batch = self.take();
            for piece in batch.chunks(PIECE) {
                let written = write(&mut file, piece);
                let mut state = self.state.lock();
                state.failure = written.err().map(|error| error.kind());
                state.taken -= if state.failure.is_none() { piece.len() } else { 0 };
                state.writes = (state.taken > 0).then(Instant::now);
                self.changed.notify_all();
                if state.failure.is_some() {
                    return;
                }
            }
        }
    }

    /// Takes what waits, when there is something.
    fn take(&self) -> Vec<u8> {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.waiting.is_empty());
        state.taken = state.waiting.len();
        state.writes = Some(Instant::now());
        self.changed.notify_all();
        mem::take(&mut state.waiting)
    }
}

/// Writes all of it, also to a descriptor that somebody made non-blocking.
fn write(file: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(REST),
            Err(error) => return Err(error),
        }
    }
    file.flush()
}

impl Transmit for Spool {
    fn send(&mut self, bytes: &[u8]) {
        self.put(bytes);
    }

    fn room_bytes(&self) -> usize {
        let state = self.0.state.lock();
        // A file that takes nothing any more lets the guest go on.
        if state.failure.is_some() { MOST_WAITING } else { state.room() }
    }
}

#[cfg(test)]
mod tests;
