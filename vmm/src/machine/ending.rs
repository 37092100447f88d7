//! How a guest ends, and telling everybody.
//!
//! Invariant: the first ending counts. From then on no processor enters the guest again, and the remapping unit executes
//! no invalidation: a processor that waits for its queue comes back.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use iommu::vtd::Vtd;
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};

use crate::kvm::{ProcessorError, ProcessorHandle};

/// How a guest ended.
#[derive(Debug)]
pub enum Ending {
    /// It wrote this to the debug exit.
    Exit(u32),
    /// It restarted the machine, which counts as its end.
    Reset,
    /// It powered the machine off.
    PoweredOff,
    /// Its kernel panicked, and said so.
    Panicked,
    /// The user left.
    Left,
    /// It let a device use a stale translation, and that was to end it.
    StaleUse,
    /// Its time was over.
    TimedOut,
    /// It cannot go on.
    Broken(ProcessorError),
    /// The program was told to end by this signal.
    Signal(i32),
    /// What it says, or what is said of it, cannot be written any more.
    Unheard {
        /// Where to.
        file: String,
        /// Why.
        reason: io::ErrorKind,
    },
    /// A thread of this program, called so, panicked: a mistake of ours.
    ThreadPanicked(String),
}

impl Ending {
    /// Whether the guest ended by itself, and was not stopped in the middle of something.
    #[must_use]
    pub const fn is_of_guest(&self) -> bool {
        match self {
            Self::Exit(_) | Self::Reset | Self::PoweredOff => true,
            // Perhaps in the middle of something.
            Self::Panicked
            | Self::Left
            | Self::StaleUse
            | Self::TimedOut
            | Self::Broken(_)
            | Self::Signal(_)
            | Self::Unheard { .. }
            | Self::ThreadPanicked(_) => false,
        }
    }

    /// Whether somebody wants to know where the processors were: perhaps the guest hangs.
    #[must_use]
    pub const fn asks_where(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Signal(signal) => *signal == libc::SIGQUIT,
            Self::Exit(_)
            | Self::Reset
            | Self::PoweredOff
            | Self::Panicked
            | Self::Left
            | Self::StaleUse
            | Self::Broken(_)
            | Self::Unheard { .. }
            | Self::ThreadPanicked(_) => false,
        }
    }
}

/// The end of one machine, to come or come already.
#[derive(Debug)]
pub struct End {
    state: Mutex<State>,
    wake: OwnedFd,
}

#[derive(Debug, Default)]
struct State {
    ending: Option<Ending>,
    processors: Vec<ProcessorHandle>,
    unit: Option<Arc<Vtd>>,
}

impl End {
    /// One that has not come.
    ///
    /// # Errors
    /// What the host says if it has no event left.
    pub fn new() -> io::Result<Arc<Self>> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Arc::new(Self { state: Mutex::default(), wake }))
    }

    /// It stops these processors, and the unit if there is one.
    pub(super) fn stops(&self, processors: Vec<ProcessorHandle>, unit: Option<Arc<Vtd>>) {
        let mut state = self.state.lock();
        state.processors = processors;
        state.unit = unit;
    }

    /// Ends the machine, unless it has ended already.
    pub fn finish(&self, ending: Ending) {
        let mut state = self.state.lock();
        state.ending.get_or_insert(ending);
        state.processors.iter().for_each(ProcessorHandle::request_stop);
        if let Some(unit) = &state.unit {
            unit.power_off();
        }
        if let Err(error) = rustix::io::write(&self.wake, &1_u64.to_ne_bytes()) {
            log::debug!("the end was told before: {error}");
        }
    }

    /// Ends the machine when a thread has panicked whose name it is told.
    pub(super) fn alarm(self: &Arc<Self>) -> impl FnOnce(&str) + Send + 'static {
        let end = Arc::clone(self);
        move |name: &str| end.finish(Ending::ThreadPanicked(name.to_owned()))
    }

    /// Whether it has come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.lock().ending.is_some()
    }

    /// Whether it has come, and somebody wants to know where the processors were.
    #[must_use]
    pub fn asks_where(&self) -> bool {
        self.state.lock().ending.as_ref().is_some_and(Ending::asks_where)
    }

    /// What `look` makes of the ending, if it has come.
    pub fn look<T>(&self, look: impl FnOnce(&Ending) -> T) -> Option<T> {
        self.state.lock().ending.as_ref().map(look)
    }

    /// Readable from the end on.
    #[must_use]
    pub fn wake(&self) -> &OwnedFd {
        &self.wake
    }

    /// The ending that has come. To be asked when nobody looks any more whether it has.
    pub(super) fn take(&self) -> Ending {
        self.state.lock().ending.take().unwrap_or(Ending::Left)
    }
}

#[cfg(test)]
mod tests;
