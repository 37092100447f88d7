//! SIGTERM: the guest is asked to power off, and ended when it has not done so in time.
//!
//! Invariant: who does not listen is not waited for, and nobody is waited for longer than the limit; the same signal once
//! more, and any other, ends the guest at once.

use std::time::{Duration, Instant};

use super::Signals;
use crate::machine::ending::Ending;
use crate::machine::power_button::{PowerButton, Pressed};

/// What became of the signals so far.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// When the guest was asked.
    since: Option<Instant>,
}

impl Asking {
    /// How the guest ends, if it is to, by a signal that came or because it was asked more than `limit` ago; what its
    /// user is told goes to `notes`.
    pub(super) fn ending(
        &mut self,
        signals: &Signals,
        limit: Duration,
        button: &PowerButton,
        notes: &mut Vec<String>,
    ) -> Option<Ending> {
        match (signals.received(), self.since) {
            (Some(libc::SIGTERM), None) if !limit.is_zero() && button.press() == Pressed::Heard => {
                signals.forget(libc::SIGTERM);
                self.since = Some(Instant::now());
                let seconds = limit.as_secs_f64();
                notes.push(format!(
                    "afterimage: the guest is asked to power off, and ended in {seconds} s; once more ends it at once"
                ));
                None
            }
            (Some(signal), _) => Some(Ending::Signal(signal)),
            (None, Some(since)) if since.elapsed() >= limit => Some(Ending::Signal(libc::SIGTERM)),
            (None, _) => None,
        }
    }

    /// How much of `limit` is left to the guest, if it was asked.
    pub(super) fn left(&self, limit: Duration) -> Option<Duration> {
        self.since.map(|since| limit.saturating_sub(since.elapsed()))
    }
}
