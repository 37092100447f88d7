//! A hold: a thread that is told to rests where it may, until it is told to go on.
//!
//! Invariant: who is held rests when he asks the next time, and goes on when he is released, or has to stop.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

/// Of one thread.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// Asked before each entry, so it needs no lock.
    is_held: AtomicBool,
    is_at_rest: Mutex<bool>,
    changed: Condvar,
}

impl Hold {
    pub(super) fn hold(&self) {
        self.is_held.store(true, Ordering::SeqCst);
    }

    pub(super) fn release(&self) {
        let _at_rest = self.is_at_rest.lock();
        self.is_held.store(false, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Lets whoever rests look again whether he has to stop.
    pub(super) fn wake(&self) {
        let _at_rest = self.is_at_rest.lock();
        self.changed.notify_all();
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::SeqCst)
    }

    pub(super) fn is_at_rest(&self) -> bool {
        *self.is_at_rest.lock()
    }

    /// Returns when the thread is not held any more, or is to stop.
    pub(super) fn rest(&self, is_stopping: impl Fn() -> bool) {
        let mut is_at_rest = self.is_at_rest.lock();
        while self.is_held() && !is_stopping() {
            *is_at_rest = true;
            self.changed.wait(&mut is_at_rest);
        }
        *is_at_rest = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::Hold;

    #[test]
    fn who_is_held_rests_until_he_is_released_or_stopped() {
        for stops in [false, true] {
            let (hold, stop) = (Arc::new(Hold::default()), Arc::new(AtomicBool::new(false)));
            // Nobody holds it.
            hold.rest(|| false);
            hold.hold();
            let ((tell, rested), own, stopping) = (channel(), Arc::clone(&hold), Arc::clone(&stop));
            let thread = thread::spawn(move || {
                own.rest(|| stopping.load(Ordering::SeqCst));
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
                hold.release();
            }
            rested.recv_timeout(Duration::from_secs(60)).expect("it goes on");
            thread.join().expect("it did not panic");
            assert!(!hold.is_at_rest());
        }
    }
}
