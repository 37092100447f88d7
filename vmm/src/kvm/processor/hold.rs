//! A hold: a thread that is told to rests where it may, until everybody who told it lets it go on. While it rests it does what
//! others ask of it.
//!
//! Invariant: who is held rests when he asks the next time, and goes on when nobody holds him, or has to stop. Work is done
//! by him alone, at rest.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// Who holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// Somebody at the control socket.
    Client,
    /// The debugger.
    Debugger,
}

/// Of one thread, which does work of type `W`.
pub(super) struct Hold<W> {
    /// A bit for each holder. Asked before each entry, so it needs no lock.
    held_by: AtomicU8,
    state: Mutex<State<W>>,
    changed: Condvar,
}

struct State<W> {
    is_at_rest: bool,
    work: Option<W>,
}

/// The thread was not at rest in time, or has to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Busy;

impl Holder {
    const fn bit(self) -> u8 {
        match self {
            Self::Client => 1 << 0,
            Self::Debugger => 1 << 1,
        }
    }
}

impl<W> fmt::Debug for Hold<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("held_by", &self.held_by).finish_non_exhaustive()
    }
}

impl<W> Default for Hold<W> {
    fn default() -> Self {
        let state = State { is_at_rest: false, work: None };
        Self { held_by: AtomicU8::new(0), state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<W> Hold<W> {
    pub(super) fn hold(&self, holder: Holder) {
        self.held_by.fetch_or(holder.bit(), Ordering::SeqCst);
    }

    pub(super) fn release(&self, holder: Holder) {
        let _state = self.state.lock();
        self.held_by.fetch_and(!holder.bit(), Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Lets whoever rests look again whether he has to stop.
    pub(super) fn wake(&self) {
        let _state = self.state.lock();
        self.changed.notify_all();
    }

    pub(super) fn is_held(&self) -> bool {
        self.held_by.load(Ordering::SeqCst) != 0
    }

    pub(super) fn is_held_by(&self, holder: Holder) -> bool {
        self.held_by.load(Ordering::SeqCst) & holder.bit() != 0
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.state.lock().is_at_rest
    }

    /// Gives the thread something to do, when it is at rest.
    pub(super) fn give(&self, work: W, limit: Duration, is_stopping: impl Fn() -> bool) -> Result<(), Busy> {
        let until = Instant::now() + limit;
        let mut state = self.state.lock();
        while !state.is_at_rest || state.work.is_some() {
            if is_stopping() || self.changed.wait_until(&mut state, until).timed_out() {
                return Err(Busy);
            }
        }
        state.work = Some(work);
        self.changed.notify_all();
        Ok(())
    }

    /// Takes back what was given and not begun.
    pub(super) fn take_back(&self) {
        self.state.lock().work = None;
    }

    /// Returns when nobody holds the thread any more, or it is to stop; meanwhile it does what it is given.
    pub(super) fn rest(&self, is_stopping: impl Fn() -> bool, mut does: impl FnMut(W)) {
        let mut state = self.state.lock();
        while self.is_held() && !is_stopping() {
            if !state.is_at_rest {
                state.is_at_rest = true;
                self.changed.notify_all();
            }
            match state.work.take() {
                Some(work) => MutexGuard::unlocked(&mut state, || does(work)),
                None => self.changed.wait(&mut state),
            }
        }
        // Whoever waits for it is told by its end that it is not done.
        state.work = None;
        state.is_at_rest = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::{Busy, Hold, Holder};

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn who_is_held_rests_until_he_is_released_or_stopped() {
        for stops in [false, true] {
            let (hold, stop) = (Arc::new(Hold::<()>::default()), Arc::new(AtomicBool::new(false)));
            // Nobody holds it.
            hold.rest(|| false, |()| ());
            hold.hold(Holder::Client);
            let ((tell, rested), own, stopping) = (channel(), Arc::clone(&hold), Arc::clone(&stop));
            let thread = thread::spawn(move || {
                own.rest(|| stopping.load(Ordering::SeqCst), |()| ());
                tell.send(()).expect("somebody waits");
            });
            while !hold.is_at_rest() {
                thread::yield_now();
            }
            assert!(rested.try_recv().is_err(), "it is held");
            hold.wake();
            assert!(rested.recv_timeout(Duration::from_millis(20)).is_err(), "it is still held");
            if stops {
                stop.store(true, Ordering::SeqCst);
                hold.wake();
            } else {
                hold.release(Holder::Client);
            }
            rested.recv_timeout(Duration::from_secs(60)).expect("it goes on");
            thread.join().expect("it did not panic");
            assert!(!hold.is_at_rest());
        }
    }

    #[test]
    fn who_is_held_by_two_goes_on_when_both_let_go_and_works_meanwhile() {
        let hold = Arc::new(Hold::<u32>::default());
        hold.hold(Holder::Client);
        hold.hold(Holder::Debugger);
        let ((tell, done), own) = (channel(), Arc::clone(&hold));
        let thread =
            thread::spawn(move || own.rest(|| false, |work| tell.send(work).expect("somebody waits")));
        for work in 0..3 {
            hold.give(work, PATIENCE, || false).expect("it rests");
            assert_eq!(done.recv_timeout(PATIENCE), Ok(work));
        }
        hold.release(Holder::Client);
        hold.give(3, PATIENCE, || false).expect("the other still holds it");
        assert_eq!(done.recv_timeout(PATIENCE), Ok(3));
        hold.release(Holder::Debugger);
        thread.join().expect("it goes on");
        assert_eq!(hold.give(4, Duration::from_millis(1), || false), Err(Busy), "it does not rest");
        assert_eq!(hold.give(4, PATIENCE, || true), Err(Busy), "it has to stop");
    }
}
