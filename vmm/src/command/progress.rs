//! The progress line: what is running and for how long, on a terminal only.
//!
//! Invariant: the line is erased before anything else is printed, and nothing is written to a pipe or a file.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use ordering::engine::Visited;

use event_manager::{EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberOps};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::timerfd::TimerFd;

/// A running progress line; dropping it erases it.
pub(super) struct Progress {
    running: Option<(EventFd, JoinHandle<()>)>,
}

/// Redraws at each tick of the timer, until the event comes.
struct Line {
    text: String,
    /// What a search has found; such a line is shown after a second only.
    search: Option<Arc<Visited>>,
    begun: Instant,
    timer: TimerFd,
    stop: EventFd,
    stopped: bool,
}

const TICK: std::time::Duration = std::time::Duration::from_millis(100);

impl Progress {
    /// Starts a line that says `text`. Without a terminal, or if the host has nothing left for it, there is none.
    pub(super) fn start(text: String) -> Self {
        Self::of(text, None)
    }

    /// Starts a line for the search of `text`, for when it takes more than a second.
    pub(super) fn search(text: String, visited: &Arc<Visited>) -> Self {
        Self::of(text, Some(Arc::clone(visited)))
    }

    fn of(text: String, search: Option<Arc<Visited>>) -> Self {
        let running = if stderr().is_terminal() { draw(text, search).ok() } else { None };
        Self { running }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let Some((stop, thread)) = self.running.take() else { return };
        if stop.write(1).is_ok() {
            // A line that broke down has nothing to erase.
            let _ended = thread.join();
        }
    }
}

fn draw(text: String, search: Option<Arc<Visited>>) -> std::io::Result<(EventFd, JoinHandle<()>)> {
    let stop = EventFd::new(libc::EFD_NONBLOCK)?;
    let mut timer = TimerFd::new()?;
    timer.reset(TICK, Some(TICK))?;
    let line = Line { text, search, begun: Instant::now(), timer, stop: stop.try_clone()?, stopped: false };
    let thread = thread::Builder::new().name("progress".to_owned()).spawn(move || line.run())?;
    Ok((stop, thread))
}

impl Line {
    fn run(self) {
        let Ok(mut events) = EventManager::<Self>::new() else { return };
        let id = events.add_subscriber(self);
        while events.run().is_ok() {
            if events.subscriber_mut(id).map_or(true, |line| line.stopped) {
                break;
            }
        }
        erase();
    }

    /// What stands behind the time; none: it is too early for a line.
    fn shown(&self, seconds: f64) -> Option<String> {
        let Some(visited) = &self.search else { return Some(String::new()) };
        // A count of states is far below what a double holds exactly.
        #[expect(clippy::cast_precision_loss)]
        let states = visited.states() as f64;
        (seconds >= 1.0).then(|| format!(", {states} states, {:.0} a second", states / seconds))
    }

    fn redraw(&self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let Some(found) = self.shown(seconds) else { return };
        // A terminal that cannot be written to shows no progress.
        let _written = write!(stderr(), "\r\x1b[2K{} … {seconds:.1} s{found}", self.text);
    }
}

fn erase() {
    let _written = write!(stderr(), "\r\x1b[2K");
}

impl MutEventSubscriber for Line {
    fn process(&mut self, events: Events, _: &mut EventOps) {
        use std::os::fd::AsRawFd;
        if events.fd() == self.stop.as_raw_fd() {
            self.stopped = true;
        } else if self.timer.wait().is_ok() {
            self.redraw();
        }
    }

    fn init(&mut self, ops: &mut EventOps) {
        let added = [Events::new(&self.timer, EventSet::IN), Events::new(&self.stop, EventSet::IN)]
            .into_iter()
            .try_for_each(|events| ops.add(events));
        self.stopped = added.is_err();
    }
}
