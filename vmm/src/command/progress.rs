//! The progress line: what is running and for how long, on a terminal only.
//!
//! Invariant: the line is erased before anything else is printed, and nothing is written to a pipe or a file.

use std::io::{IsTerminal, Write, stderr};
use std::thread::{self, JoinHandle};
use std::time::Instant;

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
    begun: Instant,
    timer: TimerFd,
    stop: EventFd,
    stopped: bool,
}

const TICK: std::time::Duration = std::time::Duration::from_millis(100);

impl Progress {
    /// Starts a line that says `text`. Without a terminal, or if the host has nothing left for it, there is none.
    pub(super) fn start(text: String) -> Self {
        let running = if stderr().is_terminal() { draw(text).ok() } else { None };
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

fn draw(text: String) -> std::io::Result<(EventFd, JoinHandle<()>)> {
    let stop = EventFd::new(libc::EFD_NONBLOCK)?;
    let mut timer = TimerFd::new()?;
    timer.reset(TICK, Some(TICK))?;
    let line = Line { text, begun: Instant::now(), timer, stop: stop.try_clone()?, stopped: false };
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

    fn redraw(&self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        // A terminal that cannot be written to shows no progress.
        let _written = write!(stderr(), "\r\x1b[2K{} … {seconds:.1} s", self.text);
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
