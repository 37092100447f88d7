//! What the user's signals do to a search or a run: it ends with what it has found, and says that this is not all.
//!
//! Invariant: who does not look whether to stop is ended by the signal, as without this; so is everybody by a second
//! one, and by the first if nobody takes what is to be said. Source: signal(7); POSIX.1-2017, Shell, 2.8.2, for the status of who was ended by a signal.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::emulate_default_handler;

use super::unfinished::Unfinished;

/// Those that are watched, with their names and the status of who was ended by one.
const SIGNALS: [(i32, &str, u8); 2] = [(SIGINT, "SIGINT", 130), (SIGTERM, "SIGTERM", 143)];

/// How long it may take to say what was found: a pipe that nobody reads takes nothing, and who sent one signal may send no other.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Watches for signals.
pub(super) struct Interrupt {
    /// Set: a signal ends the program. Cleared while something goes on that looks at it, which the signal sets again.
    flag: Arc<AtomicBool>,
    /// Set by a signal, and never cleared.
    stop: Arc<AtomicBool>,
    /// From 1, which of [`SIGNALS`] came; 0: none.
    which: Arc<AtomicUsize>,
    came: Cell<bool>,
}

impl Interrupt {
    pub(super) fn watched() -> Self {
        let (flag, which) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let has_come = SIGNALS.map(|_| Arc::new(AtomicBool::new(false)));
        for (index, (signal, _, _)) in SIGNALS.into_iter().enumerate() {
            // Where this cannot be watched, the signal ends the program, as it does without us.
            let _ends = flag::register_conditional_default(signal, Arc::clone(&flag));
            // Two threads may take the two signals at once, and neither sees the flag set by the other. Each says that
            // its own has come before it looks for the other: one of them sees both. Two of one signal may be one, as
            // they may be for the kernel.
            let _says = flag::register(signal, Arc::clone(&has_come[index]));
            for (_, other) in has_come.iter().enumerate().filter(|(it, _)| *it != index) {
                let _ends = flag::register_conditional_default(signal, Arc::clone(other));
            }
            let _names = flag::register_usize(signal, Arc::clone(&which), index + 1);
            let _tells = flag::register(signal, Arc::clone(&stop));
            let _stops = flag::register(signal, Arc::clone(&flag));
        }
        Self { flag, stop, which, came: Cell::new(false) }
    }

    /// Set when a signal has come: for what goes on within [`stops`](Self::stops) and looks at it.
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
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
            self.end_later();
        }
        result
    }

    /// Ends the program by the signal if it is still there later. Nobody joins the thread: it goes with the program.
    fn end_later(&self) {
        let which = self.which.load(Ordering::SeqCst).checked_sub(1);
        let Some((signal, _, _)) = which.and_then(|index| SIGNALS.into_iter().nth(index)) else { return };
        // Without a thread a second signal ends the program all the same.
        let _started = thread::Builder::new().spawn(move || {
            thread::sleep(LAST_WORDS);
            emulate_default_handler(signal)
        });
    }

    /// What a run that was stopped is: not all of it.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        let index = self.which.load(Ordering::SeqCst).checked_sub(1).filter(|_| self.came());
        let (_, name, status) = SIGNALS.into_iter().nth(index?)?;
        Some(Unfinished { status, why: format!("{name} ended it; run it again") })
    }
}
