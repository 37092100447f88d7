//! A device's own thread: started, woken, stopped, joined.
//!
//! Invariant: a worker's thread does not outlive it, unless the host holds it up for longer than anybody waits, and a wake-up
//! that comes while it works is not lost. What it left, or that it panicked, is told by [`Worker::join`].

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, MutexGuard};

/// How long whoever drops a worker waits for its thread: a write to a host's disk may take for ever.
const MOST_WAIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_micros(500);
/// How often whoever waits for what a thread does looks whether it has ended.
const LOOK_FOR_END: Duration = Duration::from_millis(10);

/// A running thread.
pub struct Worker<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<T>>,
    wake: Option<Wake>,
}

/// What the thread itself knows of its end.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

/// A worker that panicked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Panicked;

type Begin = Box<dyn FnOnce() + Send>;
type Tell = Box<dyn FnOnce(&str) + Send>;
type Wake = Box<dyn Fn() + Send + Sync>;

/// What is done in a thread besides its work.
#[derive(Default)]
pub struct Hooks {
    begin: Option<Begin>,
    alarm: Option<Tell>,
    wake: Option<Wake>,
}

impl Hooks {
    /// `begin` comes before the work. If either panics, `alarm` is told the thread's name, when all that they held has been
    /// let go of.
    #[must_use]
    pub fn new(begin: impl FnOnce() + Send + 'static, alarm: impl FnOnce(&str) + Send + 'static) -> Self {
        Self { begin: Some(Box::new(begin)), alarm: Some(Box::new(alarm)), wake: None }
    }

    /// `wake` comes with each wake-up, for a thread that waits for more than a park ends.
    #[must_use]
    pub fn waking(self, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { wake: Some(Box::new(wake)), ..self }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// Tells of a panic.
struct Alarm {
    name: String,
    tell: Option<Tell>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take().filter(|_| thread::panicking()) {
            tell(&self.name);
        }
    }
}

impl Stop {
    /// Whether it is to end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread called `name` on `work`, which ends soon after a stop is requested.
    ///
    /// # Errors
    /// What the host says if it has no thread left.
    pub fn start(
        name: String,
        hooks: Hooks,
        work: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Stop(Arc::clone(&stop));
        let Hooks { begin, alarm, wake } = hooks;
        let alarm = Alarm { name: name.clone(), tell: alarm };
        let thread = thread::Builder::new().name(name).spawn(move || {
            let _alarm = alarm;
            if let Some(begin) = begin {
                begin();
            }
            work(&seen)
        })?;
        Ok(Self { stop, thread: Some(thread), wake })
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends it and returns what it left.
    ///
    /// # Errors
    /// [`Panicked`] if it did.
    pub fn join(mut self) -> Result<T, Panicked> {
        self.request_stop();
        self.thread.take().ok_or(Panicked)?.join().map_err(|_| Panicked)
    }
}

impl<T> Worker<T> {
    /// Ends a park of it, the next one if it is not parked.
    pub fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        if let Some(wake) = &self.wake {
            wake();
        }
    }

    /// Asks it to end.
    pub fn request_stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }
}

/// Wakes `workers` and waits until they have done something, which they tell by `changed`, one has ended, or `limit` is
/// over.
pub(crate) fn wait_until<S>(
    workers: &[Worker<()>],
    is_done: impl Fn(&S) -> bool,
    state: &mut MutexGuard<'_, S>,
    changed: &Condvar,
    limit: Option<Duration>,
) {
    let begun = Instant::now();
    workers.iter().for_each(Worker::wake);
    while !is_done(state)
        && !workers.iter().any(Worker::is_finished)
        && limit.is_none_or(|limit| begun.elapsed() < limit)
    {
        changed.wait_for(state, LOOK_FOR_END);
    }
}

impl<T> Worker<T> {
    /// Asks it to end, and waits for `limit` at most.
    fn end_within(&mut self, limit: Duration) {
        self.request_stop();
        let Some(thread) = self.thread.take() else { return };
        let begun = Instant::now();
        while !thread.is_finished() {
            if begun.elapsed() >= limit {
                let name = thread.thread().name().unwrap_or("a device");
                return log::warn!(
                    "the host holds up the thread \"{name}\", which is not waited for any more"
                );
            }
            thread::sleep(LOOK);
        }
        // Its panic, if any, has been printed by its own thread.
        let _ended = thread.join();
    }
}

/// Ends `workers` together, so that a host that holds all of them up is waited for once.
pub(crate) fn end_together<T>(workers: &mut [Worker<T>]) {
    workers.iter().for_each(Worker::request_stop);
    let begun = Instant::now();
    for worker in workers {
        worker.end_within(MOST_WAIT.saturating_sub(begun.elapsed()));
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.end_within(MOST_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{park, sleep};
    use std::time::Duration;

    use super::{Hooks, Panicked, Worker};

    #[test]
    fn every_thread_begins_and_a_panic_alone_is_told() {
        let (sender, told) = channel();
        let hooks = |sender: Sender<String>| {
            let begun = sender.clone();
            Hooks::new(
                move || begun.send("begun".to_owned()).expect("somebody listens"),
                move |name| sender.send(name.to_owned()).expect("somebody listens"),
            )
        };
        let good = Worker::start("good".to_owned(), hooks(sender.clone()), |_| 7);
        assert_eq!(good.expect("there is a thread").join(), Ok(7));
        let bad = Worker::<()>::start("bad".to_owned(), hooks(sender), |_| panic!("on purpose"));
        assert_eq!(bad.expect("there is a thread").join(), Err(Panicked));
        assert_eq!(told.iter().collect::<Vec<_>>(), ["begun", "begun", "bad"]);
    }

    #[test]
    fn a_worker_that_does_not_end_is_not_waited_for_for_ever() {
        let (go, goes) = channel::<()>();
        let (has_ended, ended) = channel();
        let work = move |_: &_| {
            goes.recv().expect("the test goes on");
            has_ended.send(()).expect("the test waits");
        };
        let mut worker = Worker::start("held up".to_owned(), Hooks::default(), work).expect("a thread");
        worker.end_within(Duration::from_millis(20));
        assert!(ended.try_recv().is_err(), "it has not ended");
        go.send(()).expect("it waits");
        assert_eq!(ended.recv(), Ok(()));
    }

    #[test]
    fn a_worker_that_is_dropped_has_ended() {
        let has_ended = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&has_ended);
        let worker = Worker::start("dropped".to_owned(), Hooks::default(), move |stop| {
            while !stop.is_requested() {
                park();
            }
            sleep(Duration::from_millis(50));
            ends.store(true, Ordering::Release);
        });
        drop(worker.expect("there is a thread"));
        assert!(has_ended.load(Ordering::Acquire));
    }
}
