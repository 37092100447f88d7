//! What the user's signals do to a search or a run: it ends with what it has found, and says that this is not all.
//!
//! Invariant: who does not look whether to stop is ended by the signal, as without this; so is everybody by a second
//! one. Source: signal(7); POSIX.1-2017, Shell, 2.8.2, for the status of who was ended by a signal.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::unfinished::Unfinished;

/// Those that are watched, with their names and the status of who was ended by one.
const SIGNALS: [(i32, &str, u8); 2] = [(SIGINT, "SIGINT", 130), (SIGTERM, "SIGTERM", 143)];

/// Watches for signals.
pub(super) struct Interrupt {
    /// Set: a signal ends the program. Cleared while something goes on that looks at it, which the signal sets again.
    flag: Arc<AtomicBool>,
    /// From 1, which of [`SIGNALS`] came; 0: none.
    which: Arc<AtomicUsize>,
    came: Cell<bool>,
}

impl Interrupt {
    pub(super) fn watched() -> Self {
        let (flag, which) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        for (number, (signal, _, _)) in (1..).zip(SIGNALS) {
            // Where this cannot be watched, the signal ends the program, as it does without us.
            let _ends = flag::register_conditional_default(signal, Arc::clone(&flag));
            let _names = flag::register_usize(signal, Arc::clone(&which), number);
            let _stops = flag::register(signal, Arc::clone(&flag));
        }
        Self { flag, which, came: Cell::new(false) }
    }

    /// Whether something was stopped: nothing else begins.
    pub(super) fn came(&self) -> bool {
        self.came.get()
    }

    /// Lets `run` look whether it is to stop; a second signal ends the program.
    pub(super) fn stops<T>(&self, run: impl FnOnce(&Arc<AtomicBool>) -> T) -> T {
        self.flag.store(false, Ordering::SeqCst);
        let result = run(&self.flag);
        if self.flag.swap(true, Ordering::SeqCst) {
            self.came.set(true);
        }
        result
    }

    /// What a run that was stopped is: not all of it.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        let index = self.which.load(Ordering::SeqCst).checked_sub(1).filter(|_| self.came());
        let (_, name, status) = SIGNALS.into_iter().nth(index?)?;
        Some(Unfinished { status, why: format!("{name} ended it; run it again") })
    }
}
