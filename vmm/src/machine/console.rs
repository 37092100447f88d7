//! The user's side of the serial port: standard input, and how long all may take.
//!
//! Invariant: input that the guest has not taken is kept here and nothing more is read; the terminal is as it was when
//! the console is gone.

mod keys;

use std::fs::File;
use std::io::{self, IsTerminal, Read, stdin};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use event_manager::{EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberOps};
use vmm_sys_util::terminal::Terminal;

use super::board::Board;
use super::ending::{End, Ending};
use keys::{Key, Keys};

/// How often kept input is offered again.
const RETRY: Duration = Duration::from_millis(10);

/// Where input comes from, and how long it may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Console {
    /// The guest's time.
    pub timeout: Option<Duration>,
}

/// What is done again and again while the guest runs.
pub struct Round<'user> {
    /// How often, at least.
    pub every: Duration,
    /// Does it, and may end the guest.
    pub act: &'user mut dyn FnMut() -> ControlFlow<Ending>,
}

/// What the event manager calls.
struct Watcher<'machine> {
    /// Standard input, without the buffer that the standard library keeps.
    input: Option<File>,
    keys: Keys,
    kept: Vec<u8>,
    board: &'machine Board,
    end: &'machine End,
}

impl Console {
    /// Passes input to the board, and makes rounds if there are any, until the end has come.
    pub(super) fn watch(self, board: &Board, end: &End, mut round: Option<Round<'_>>) -> io::Result<()> {
        let begun = Instant::now();
        let raw = RawTerminal::enter();
        let keys = Keys::new(raw.is_some());
        let input = stdin().as_fd().try_clone_to_owned().ok().map(File::from);
        let watcher = Watcher { input, keys, kept: Vec::new(), board, end };
        let other = |error: event_manager::Error| io::Error::other(format!("{error:?}"));
        let mut events = EventManager::new().map_err(other)?;
        let id = events.add_subscriber(watcher);
        while !end.is_over() {
            let watcher = events.subscriber_mut(id).map_err(other)?;
            let wait = watcher.offer_again();
            let left = self.timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
            if left == Some(Duration::ZERO) {
                end.finish(Ending::TimedOut);
            }
            if let Some(round) = &mut round
                && let ControlFlow::Break(ending) = (round.act)()
            {
                end.finish(ending);
            }
            let every = round.as_ref().map(|round| round.every);
            let wait = [wait, left, every].into_iter().flatten().min();
            events.run_with_timeout(milliseconds(wait)).map_err(other)?;
        }
        Ok(())
    }
}

/// For epoll, rounded up; -1 is for ever.
fn milliseconds(wait: Option<Duration>) -> i32 {
    wait.map_or(-1, |wait| i32::try_from(wait.as_millis()).map_or(i32::MAX, |wait| wait.saturating_add(1)))
}

impl Watcher<'_> {
    /// When to come back, if input is still kept.
    fn offer_again(&mut self) -> Option<Duration> {
        let taken = self.board.serial().offer(&self.kept);
        self.kept.drain(..taken);
        (!self.kept.is_empty()).then_some(RETRY)
    }

    fn read(&mut self, ops: &mut EventOps<'_>) {
        let mut buffer = [0; 64];
        let Some(input) = &mut self.input else { return };
        match input.read(&mut buffer) {
            Ok(0) | Err(_) => {
                let gone = Events::new(&*input, EventSet::IN);
                if let Err(error) = ops.remove(gone) {
                    log::debug!("standard input is over: {error:?}");
                }
                self.input = None;
            }
            Ok(len) => {
                for byte in &buffer[..len] {
                    match self.keys.press(*byte) {
                        Key::Nothing => {}
                        Key::Byte(byte) => self.kept.push(byte),
                        Key::Leave => self.end.finish(Ending::Left),
                    }
                }
            }
        }
    }
}

impl MutEventSubscriber for Watcher<'_> {
    fn process(&mut self, events: Events, ops: &mut EventOps<'_>) {
        let is_input = self.input.as_ref().is_some_and(|input| input.as_raw_fd() == events.fd());
        // The end is seen by the loop itself. What is kept goes first.
        if is_input && self.kept.is_empty() {
            self.read(ops);
        }
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        if let Err(error) = ops.add(Events::new(self.end.wake(), EventSet::IN)) {
            log::warn!("nothing will tell of the end: {error:?}");
        }
        let Some(input) = &self.input else { return };
        if let Err(error) = ops.add(Events::new(input, EventSet::IN)) {
            log::debug!("standard input is no terminal and no pipe, so the guest gets none: {error:?}");
            self.input = None;
        }
    }
}

/// While it lives, the terminal passes every key on as it is pressed.
struct RawTerminal;

impl RawTerminal {
    fn enter() -> Option<Self> {
        let is_raw = stdin().is_terminal() && stdin().lock().set_raw_mode().is_ok();
        is_raw.then_some(Self)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Err(error) = stdin().lock().set_canon_mode() {
            log::warn!("the terminal stays raw ({error}); `stty sane` mends it");
        }
    }
}
