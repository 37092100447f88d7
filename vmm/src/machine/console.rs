//! The user's side of the serial port: standard input, signals, and how long all may take.
//!
//! Invariant: input that the guest has not taken is kept here, and no more of it than `MOST_KEPT`; the terminal is as it
//! was when the console is gone. The end comes whatever anybody reads or writes.

mod asking;
mod input;
mod keys;
mod signals;
mod terminal;

use std::io;
use std::mem;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use event_manager::{EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberOps};

use super::board::Board;
use super::ending::{End, Ending};
use asking::Asking;
use input::{Input, Waiting};
use keys::{Key, Keys};
pub use signals::Signals;
use terminal::Seat;

/// How often kept input is offered again.
const RETRY: Duration = Duration::from_millis(10);
/// Bytes of input that are kept at most.
const MOST_KEPT: usize = 1 << 12;

/// What ends a run from outside.
#[derive(Debug, Default)]
pub struct Console {
    /// The guest's time.
    pub timeout: Option<Duration>,
    /// Signals that end it.
    pub signals: Signals,
    /// How long the guest may take to power off when SIGTERM came and it listens; zero if it is not asked.
    pub power_off_limit: Duration,
}

/// What is done again and again while the guest runs.
pub struct Round<'user> {
    /// How often, at least.
    pub every: Duration,
    /// Does it, and may end the guest; is given texts for the user, such as the help.
    pub act: &'user mut dyn FnMut(&[String]) -> ControlFlow<Ending>,
}

/// What the event manager calls.
struct Watcher<'machine> {
    input: Input,
    keys: Keys,
    kept: Vec<u8>,
    /// Whether the event manager tells of input.
    is_watched: bool,
    notes: Vec<String>,
    board: &'machine Board,
    end: &'machine End,
}

impl Console {
    /// Passes input to the board, and makes rounds, until the end has come.
    pub(super) fn watch(self, board: &Board, end: &End, round: &mut Round<'_>) -> io::Result<()> {
        let begun = Instant::now();
        let seat = Seat::take();
        let watcher = Watcher::new(&seat, board, end);
        let other = |error: event_manager::Error| match error {
            event_manager::Error::EventFd(error) | event_manager::Error::Epoll(error) => error.into(),
            other => io::Error::other(format!("{other:?}")),
        };
        let mut events = EventManager::new().map_err(other)?;
        let id = events.add_subscriber(watcher);
        let mut asking = Asking::default();
        while !end.is_over() {
            let watcher = events.subscriber_mut(id).map_err(other)?;
            let wait = watcher.offer_again();
            let left = self.timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
            // Before the notes are passed on: a guest that is asked may end before the next round.
            if let Some(ending) = self.ending(left, &mut asking, board, &mut watcher.notes) {
                end.finish(ending);
            }
            let notes = mem::take(&mut watcher.notes);
            let read_again = watcher.read_again();
            board.look();
            if let ControlFlow::Break(ending) = (round.act)(&notes) {
                end.finish(ending);
            }
            if let Some(file) = read_again {
                let input = Events::new_raw(file, EventSet::IN);
                events.event_ops(id).and_then(|mut ops| ops.add(input)).map_err(other)?;
            }
            let asked = asking.left(self.power_off_limit);
            let wait = [wait, left, asked, Some(round.every)].into_iter().flatten().min();
            events.run_with_timeout(milliseconds(wait)).map_err(other)?;
        }
        Ok(())
    }

    /// How the guest ends, whose time is `left`, if it is to.
    fn ending(
        &self,
        left: Option<Duration>,
        asking: &mut Asking,
        board: &Board,
        notes: &mut Vec<String>,
    ) -> Option<Ending> {
        let is_over = (left == Some(Duration::ZERO)).then_some(Ending::TimedOut);
        is_over.or_else(|| asking.ending(&self.signals, self.power_off_limit, board.power_button(), notes))
    }
}

/// For epoll, rounded up; -1 is for ever.
fn milliseconds(wait: Option<Duration>) -> i32 {
    wait.map_or(-1, |wait| i32::try_from(wait.as_millis()).map_or(i32::MAX, |wait| wait.saturating_add(1)))
}

impl<'machine> Watcher<'machine> {
    fn new(seat: &Seat, board: &'machine Board, end: &'machine End) -> Self {
        let (input, note) = match seat {
            Seat::Plain => (Input::open(), None),
            Seat::Raw { .. } => (Input::open(), Some(keys::HINT)),
            Seat::Elsewhere => (Input::none(), Some(keys::ELSEWHERE)),
        };
        Self {
            input,
            keys: Keys::new(matches!(seat, Seat::Raw { .. })),
            kept: Vec::new(),
            is_watched: false,
            notes: note.into_iter().map(str::to_owned).collect(),
            board,
            end,
        }
    }

    /// When to come back, if input is still kept or a file may have more.
    fn offer_again(&mut self) -> Option<Duration> {
        if self.kept.is_empty() && self.input.waiting() == Waiting::Never {
            self.read();
        }
        let taken = self.board.offer(&self.kept);
        self.kept.drain(..taken);
        let is_unfinished = !self.kept.is_empty() || self.input.waiting() == Waiting::Never;
        is_unfinished.then_some(RETRY)
    }

    /// Takes what there is. Whoever has a terminal can leave however much the guest has not read.
    fn read(&mut self) {
        let mut buffer = [0; 64];
        let read = self.input.read(&mut buffer);
        for byte in &buffer[..read] {
            match self.keys.press(*byte) {
                Key::Nothing => {}
                Key::Byte(byte) if self.kept.len() < MOST_KEPT => self.kept.push(byte),
                Key::Byte(_) => log::debug!("a key is lost: the guest does not read"),
                Key::Help => self.notes.push(keys::HELP.to_owned()),
                Key::Leave => self.end.finish(Ending::Left),
            }
        }
        if self.input.waiting() == Waiting::Over {
            self.board.serial().hang_up();
        }
    }

    /// The file whose input nobody waits for because the guest had no place for it, if the guest has taken all: it is
    /// waited for from now on.
    fn read_again(&mut self) -> Option<RawFd> {
        let is_free = !self.is_watched && self.kept.is_empty();
        let file = self.input.file().filter(|_| is_free && self.input.waiting() == Waiting::ForMore)?;
        self.is_watched = true;
        Some(file.as_raw_fd())
    }

    /// Of a terminal every key is looked at; others wait until the guest has taken what they gave.
    fn is_full(&self) -> bool {
        self.keys == Keys::Plain && !self.kept.is_empty()
    }
}

impl MutEventSubscriber for Watcher<'_> {
    fn process(&mut self, events: Events, ops: &mut EventOps<'_>) {
        // The end is seen by the loop itself.
        if self.input.file().is_none_or(|file| file.as_raw_fd() != events.fd()) {
            return;
        }
        self.read();
        let taken = self.board.offer(&self.kept);
        self.kept.drain(..taken);
        if self.is_full() || self.input.waiting() == Waiting::Over {
            self.is_watched = false;
            if let Err(error) = ops.remove(Events::new_raw(events.fd(), EventSet::IN)) {
                log::debug!("standard input is not waited for: {error:?}");
            }
        }
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        if let Err(error) = ops.add(Events::new(self.end.wake(), EventSet::IN)) {
            log::warn!("nothing will tell of the end: {error:?}");
        }
        let Some(file) = self.input.file() else { return };
        match ops.add(Events::new(file, EventSet::IN)) {
            Ok(()) => self.is_watched = true,
            // No terminal and no pipe: a file, which never lets anybody wait.
            Err(_) => self.input.never_waits(),
        }
    }
}

#[cfg(test)]
mod tests;
