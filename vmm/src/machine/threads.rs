//! The threads of a machine that runs: each of them ends it, whichever way the thread itself ends by mistake.
//!
//! Invariant: a thread that panics ends the machine, and nobody waits for ever for a thread that does not end.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ending::{End, Ending};

/// How long the end waits for its threads, which a busy host lets wait for their turns.
const MOST_WAIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_micros(500);

/// Threads whose results are of one kind.
pub(super) struct Threads<T> {
    end: Arc<End>,
    running: Vec<JoinHandle<T>>,
}

/// What threads left.
pub(super) struct Left<T> {
    /// Of those that ended well.
    pub(super) results: Vec<T>,
    /// The names of those that did not end.
    pub(super) behind: Vec<String>,
}

/// Tells the end of a panic, when all that the thread held has been let go of.
struct Alarm {
    end: Arc<End>,
    name: String,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.end.finish(Ending::ThreadPanicked(self.name.clone()));
        }
    }
}

impl<T: Send + 'static> Threads<T> {
    pub(super) fn new(end: &Arc<End>) -> Self {
        Self { end: Arc::clone(end), running: Vec::new() }
    }

    /// Starts one.
    pub(super) fn start(
        &mut self,
        name: String,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<()> {
        let alarm = Alarm { end: Arc::clone(&self.end), name: name.clone() };
        let thread = thread::Builder::new().name(name).spawn(move || {
            let _alarm = alarm;
            work()
        })?;
        self.running.push(thread);
        Ok(())
    }

    /// Waits for all, for a while, when the end has come.
    pub(super) fn join(self) -> Left<T> {
        let begun = Instant::now();
        while begun.elapsed() < MOST_WAIT && !self.running.iter().all(JoinHandle::is_finished) {
            thread::sleep(LOOK);
        }
        let (ended, others): (Vec<_>, Vec<_>) = self.running.into_iter().partition(JoinHandle::is_finished);
        let name = |thread: &JoinHandle<T>| thread.thread().name().unwrap_or("a thread").to_owned();
        Left {
            behind: others.iter().map(name).collect(),
            // A panic has been told by its own thread, and to the end.
            results: ended.into_iter().filter_map(|thread| thread.join().ok()).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
