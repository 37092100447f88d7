//! The progress line: what is running and for how long, on a terminal only.
//!
//! Invariant: the line is erased before anything else is printed, and nothing is written to a pipe or a file. The thread that draws
//! it is not indicatif's own, which panics where the host has no thread left: without a thread there is no line.

use std::io::{self, IsTerminal, stderr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ordering::engine::Visited;

/// A running progress line; dropping it erases it.
pub(super) struct Progress {
    /// Dropped to end the thread.
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

const TICK: Duration = Duration::from_millis(100);
/// A search that is over before needs no line.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

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
        let Some((ended, thread)) = self.running.take() else { return };
        drop(ended);
        // A line that broke down has nothing to erase.
        let _ended = thread.join();
    }
}

fn draw(text: String, search: Option<Arc<Visited>>) -> io::Result<(Sender<()>, JoinHandle<()>)> {
    let (ended, waits) = channel();
    let begin = move || redraw(&text, search.as_ref(), &waits);
    let thread = thread::Builder::new().name("progress".to_owned()).spawn(begin)?;
    Ok((ended, thread))
}

/// Draws the line at each tick, until nobody wants it any more.
fn redraw(text: &str, search: Option<&Arc<Visited>>, ended: &Receiver<()>) {
    let begun = Instant::now();
    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        if let Some(found) = found(search.map(Arc::as_ref), begun.elapsed()) {
            line.set_message(format!("{text} … {:.1} s{found}", begun.elapsed().as_secs_f64()));
        }
    }
    line.finish_and_clear();
}

/// What stands behind the time; none: it is too early for a line.
fn found(search: Option<&Visited>, time: Duration) -> Option<String> {
    let Some(visited) = search else { return Some(String::new()) };
    // A count of states is far below what a double holds exactly.
    #[expect(clippy::cast_precision_loss)]
    let states = visited.states() as f64;
    (time >= WORTH_A_LINE).then(|| format!(", {states} states, {:.0} a second", states / time.as_secs_f64()))
}
