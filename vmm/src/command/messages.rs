//! Messages on standard error, beside what a command itself says.
//!
//! Invariant: a guest decides how often there is something to complain of, not how many lines that takes: it must not
//! fill a disk. What the user asks for below warnings is not counted.

use std::sync::atomic::{AtomicU64, Ordering};

use env_logger::{Builder, Env};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Warnings and errors that are shown.
const MOST_WARNINGS: u64 = 1000;

/// A logger that falls silent.
struct Bounded<L> {
    logger: L,
    shown: AtomicU64,
}

/// Shows messages from `level` on, or from that which AFTERIMAGE_LOG names.
pub(super) fn init(level: LevelFilter) {
    let logger = Builder::from_env(Env::new().filter_or("AFTERIMAGE_LOG", level.as_str())).build();
    log::set_max_level(logger.filter());
    // The only one: this is called once.
    let _first = log::set_boxed_logger(Box::new(Bounded::new(logger)));
}

impl<L: Log> Bounded<L> {
    const fn new(logger: L) -> Self {
        Self { logger, shown: AtomicU64::new(0) }
    }

    /// How many came before this one that counts.
    fn count(&self, record: &Record<'_>) -> u64 {
        let counts = record.level() <= Level::Warn && self.logger.enabled(record.metadata());
        if counts { self.shown.fetch_add(1, Ordering::Relaxed) } else { 0 }
    }
}

impl<L: Log> Log for Bounded<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        match self.count(record) {
            ..MOST_WARNINGS => self.logger.log(record),
            MOST_WARNINGS => {
                let text = format_args!("more than {MOST_WARNINGS} warnings; no other is shown");
                self.logger.log(&Record::builder().metadata(record.metadata().clone()).args(text).build());
            }
            _ => {}
        }
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use log::{Level, Log, Metadata, Record};

    use super::{Bounded, MOST_WARNINGS};

    /// Counts what it is given.
    #[derive(Default)]
    struct Count(AtomicU64);

    impl Log for Count {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() != "silent"
        }

        fn log(&self, _: &Record<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn flush(&self) {}
    }

    fn shown(logger: &Bounded<Count>, level: Level, target: &str, times: u64) -> u64 {
        let before = logger.logger.0.load(Ordering::Relaxed);
        let record = Record::builder().level(level).target(target).args(format_args!("a line")).build();
        (0..times).for_each(|_| logger.log(&record));
        logger.logger.0.load(Ordering::Relaxed) - before
    }

    #[test]
    fn warnings_end_with_one_that_says_so_and_what_was_asked_for_goes_on() {
        let logger = Bounded::new(Count::default());
        shown(&logger, Level::Warn, "silent", 10);
        assert_eq!(shown(&logger, Level::Warn, "devices", 2 * MOST_WARNINGS), MOST_WARNINGS + 1);
        assert_eq!(shown(&logger, Level::Error, "devices", 5), 0);
        assert_eq!(shown(&logger, Level::Debug, "devices", 2 * MOST_WARNINGS), 2 * MOST_WARNINGS);
    }
}
