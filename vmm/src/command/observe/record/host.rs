//! What a recording asks of the host: whether it is to end, and what a file of /proc says.

use std::fs::read_to_string;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Set by the signals that end a program.
pub(super) struct Stopped(Arc<AtomicBool>);

impl Stopped {
    /// From now on they end the recording first.
    pub(super) fn watch() -> Self {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // A second one ends the program at once, for whoever does not want to wait.
            let _ends = signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag));
            let _stops = signal_hook::flag::register(signal, Arc::clone(&flag));
        }
        Self(flag)
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Stopped {
    /// When the recording is over the first one ends the program, too.
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file's first line, without its end.
pub(super) fn first_line(path: &str) -> Option<String> {
    read_to_string(path).ok().and_then(|text| text.lines().next().map(str::to_owned))
}
