//! Messages on standard error, beside what a command itself says.
//!
//! Invariant: a guest decides how often there is something to complain of, not how many lines that takes: it must not
//! fill a disk. Each place that warns is counted for itself, so that one does not silence another; what the user asks for
//! below warnings is not counted.

use std::collections::HashMap;
use std::io::Write;

use env_logger::{Builder, Env, Target};
use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

/// Warnings and errors of one place in the program that are shown.
const MOST_WARNINGS: u64 = 1000;

/// File and line that a message comes from.
type Origin = (Option<&'static str>, Option<u32>);

/// A logger that falls silent.
struct Bounded<L> {
    logger: L,
    shown: Mutex<HashMap<Origin, u64>>,
}

/// Shows messages from `level` on, or from that which AFTERIMAGE_LOG names, on standard error or elsewhere.
pub(super) fn init(level: LevelFilter, elsewhere: Option<Box<dyn Write + Send>>) {
    let mut builder = Builder::from_env(Env::new().filter_or("AFTERIMAGE_LOG", level.as_str()));
    if let Some(elsewhere) = elsewhere {
        builder.target(Target::Pipe(elsewhere));
    }
    let logger = builder.build();
    log::set_max_level(logger.filter());
    // The only one: this is called once.
    let _first = log::set_boxed_logger(Box::new(Bounded::new(logger)));
}

impl<L: Log> Bounded<L> {
    fn new(logger: L) -> Self {
        Self { logger, shown: Mutex::default() }
    }

    /// How many came before this one that counts.
    fn count(&self, record: &Record<'_>) -> u64 {
        if record.level() > Level::Warn || !self.logger.enabled(record.metadata()) {
            return 0;
        }
        let mut shown = self.shown.lock();
        let count = shown.entry((record.file_static(), record.line())).or_default();
        *count = count.saturating_add(1);
        *count - 1
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
                let text =
                    format_args!("more than {MOST_WARNINGS} warnings like the last; no other is shown");
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
        shown_at(logger, level, target, 1, times)
    }

    fn shown_at(logger: &Bounded<Count>, level: Level, target: &str, line: u32, times: u64) -> u64 {
        let before = logger.logger.0.load(Ordering::Relaxed);
        let record = Record::builder()
            .level(level)
            .target(target)
            .line(Some(line))
            .args(format_args!("a line"))
            .build();
        (0..times).for_each(|_| logger.log(&record));
        logger.logger.0.load(Ordering::Relaxed) - before
    }

    #[test]
    fn warnings_end_with_one_that_says_so_and_what_was_asked_for_goes_on() {
        let logger = Bounded::new(Count::default());
        shown(&logger, Level::Warn, "silent", 10);
        assert_eq!(shown(&logger, Level::Warn, "devices", 2 * MOST_WARNINGS), MOST_WARNINGS + 1);
        assert_eq!(shown(&logger, Level::Error, "devices", 5), 0);
        assert_eq!(shown_at(&logger, Level::Error, "devices", 2, 5), 5, "another place");
        assert_eq!(shown(&logger, Level::Debug, "devices", 2 * MOST_WARNINGS), 2 * MOST_WARNINGS);
    }
}
