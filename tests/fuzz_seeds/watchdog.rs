//! Ends the process when an input hangs, and says which.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// An input that takes longer hangs. Looked at only if a time is set.
const HANG: Duration = Duration::from_secs(60);

/// Ends the process, with the seed, when an input hangs.
pub(super) struct Watchdog(Arc<Mutex<(u64, Instant)>>);

impl Watchdog {
    pub(super) fn new(target: &'static str, watches: bool) -> Self {
        let at = Arc::new(Mutex::new((0, Instant::now())));
        let seen = Arc::downgrade(&at);
        let watch = move || {
            while let Some(at) = seen.upgrade() {
                let (seed, begun) = *at.lock().unwrap_or_else(PoisonError::into_inner);
                if begun.elapsed() > HANG {
                    eprintln!("{target}: seed {seed} takes more than {HANG:?}");
                    std::process::abort();
                }
                drop(at);
                thread::sleep(Duration::from_secs(1));
            }
        };
        if watches {
            thread::spawn(watch);
        }
        Self(at)
    }

    pub(super) fn begin(&self, seed: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (seed, Instant::now());
    }
}
