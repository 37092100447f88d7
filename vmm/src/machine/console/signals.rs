//! Signals that end a run in order.
//!
//! Invariant: a signal that came is seen by the next round, whichever thread it hit; the last one counts.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag::register_usize;

/// The last signal that came; 0 before any.
#[derive(Clone, Debug, Default)]
pub struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// From now on SIGTERM, SIGINT, SIGHUP and SIGQUIT are received here, for ever.
    ///
    /// # Errors
    /// What the host says if it refuses.
    pub fn receive() -> io::Result<Self> {
        let signals = Self::default();
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
            let number = usize::try_from(signal).map_err(io::Error::other)?;
            register_usize(signal, Arc::clone(&signals.0), number)?;
        }
        Ok(signals)
    }

    /// `signal` is done with; if it comes once more, it is seen.
    pub(super) fn forget(&self, signal: i32) {
        let Ok(number) = usize::try_from(signal) else { return };
        // Another one that came meanwhile stays.
        let _other = self.0.compare_exchange(number, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The signal that came, if one did.
    #[must_use]
    pub fn received(&self) -> Option<i32> {
        // 0 is no signal.
        i32::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
    }
}
