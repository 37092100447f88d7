//! The time of a watch: that of its machine, which may stand still.
//!
//! Invariant: it never goes back. While a guest is held, it cannot invalidate anything, so no time passes in which it should.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Time since it was made, less that in which it stood still.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    standing: Mutex<Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    /// Since when it stands still, if it does.
    since: Option<Instant>,
    /// How long it stood still before.
    before: Duration,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), standing: Mutex::default() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        let standing = self.standing.lock();
        let now = standing.since.unwrap_or_else(Instant::now);
        now.saturating_duration_since(self.start).saturating_sub(standing.before)
    }

    /// Lets it stand still.
    pub(super) fn stop(&self) {
        self.standing.lock().since.get_or_insert_with(Instant::now);
    }

    /// Lets it go on.
    pub(super) fn go_on(&self) {
        let mut standing = self.standing.lock();
        if let Some(since) = standing.since.take() {
            standing.before += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::Clock;

    #[test]
    fn no_time_passes_while_it_stands_still() {
        let clock = Clock::start();
        clock.stop();
        // A second stop is no second beginning.
        clock.stop();
        let stood = clock.elapsed();
        sleep(Duration::from_millis(5));
        assert_eq!(clock.elapsed(), stood);
        clock.go_on();
        clock.go_on();
        assert!(clock.standing.lock().before >= Duration::from_millis(5), "it stood that long");
        let gone = clock.elapsed();
        sleep(Duration::from_millis(5));
        assert!(clock.elapsed() > gone && gone >= stood);
    }
}
