//! A search that may take so much time and no more.
//!
//! Invariant: the search is told to stop only while its limit exists, and nobody waits for a limit that is dropped.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ordering::engine::Stop;

/// A running limit.
pub(super) struct Limit {
    stop: Arc<Stop>,
    /// Dropped to end the thread.
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Limit {
    /// Tells the search to stop when the time is over.
    ///
    /// # Errors
    /// What the host says if it has no thread left.
    pub(super) fn start(time: Duration, stop: &Arc<Stop>) -> io::Result<Self> {
        stop.set(false);
        let (stop, told) = (Arc::clone(stop), Arc::clone(stop));
        let (ended, waits) = channel();
        let thread = thread::Builder::new().name("limit".to_owned()).spawn(move || {
            if waits.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                told.set(true);
            }
        })?;
        Ok(Self { stop, running: Some((ended, thread)) })
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        if let Some((ended, thread)) = self.running.take() {
            drop(ended);
            // It only waits and sets a flag: it has nothing to say when it ends.
            let _ended = thread.join();
        }
        self.stop.set(false);
    }
}
