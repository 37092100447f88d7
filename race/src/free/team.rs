//! Threads that run rounds: side by side on the machines that they share, and each now and then on one of its own.
//!
//! Invariant: each shared machine has a keeper. He begins its round when everything is put back, and counts it when all
//! threads have ended it: in between he touches nothing. All threads take the machines in the same order, so nobody waits in
//! a circle. What a thread runs apart nobody else comes near. Whoever waits for others runs rounds apart meanwhile.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::Plan;
use super::count::Counted;
use super::round::Worker;
use super::world::{CLOSED, World, wait};

/// For each round that threads share, each runs so many apart.
const APART: i64 = 1;
/// Rounds that a thread may have run apart before it was their turn, while it waited.
pub(super) const AHEAD: i64 = 1024;
/// Looks for the others at the start of a round, before a thread does something else for a while.
const LOOKS: u32 = 60;
/// How often it looks so, at most: who is not there by then may come later.
const TURNS: u32 = 8;

/// What all threads share beside the machines.
#[derive(Debug)]
pub(super) struct Team {
    /// Rounds that nobody has taken yet.
    left: AtomicU64,
    /// Threads that take part; 0 until that is known.
    threads: AtomicUsize,
    /// Nobody begins another round.
    pub(super) quits: AtomicBool,
    /// A thread has panicked: nobody waits for it.
    pub(super) lost: AtomicBool,
}

impl Team {
    /// A team that is to run so many rounds.
    pub(super) fn new(rounds: u64) -> Self {
        Self {
            left: AtomicU64::new(rounds),
            threads: AtomicUsize::new(0),
            quits: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        }
    }

    /// So many threads are there: they begin.
    pub(super) fn begin(&self, threads: usize) {
        self.threads.store(threads, Ordering::Release);
    }

    /// Takes a round; false: there is none.
    fn take(&self) -> bool {
        let fewer = |left: u64| left.checked_sub(1);
        !self.quits.load(Ordering::Acquire)
            && self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer).is_ok()
    }
}

/// Lets nobody wait for a thread that panics while it has this.
pub(super) struct Attendance<'w, 'a>(pub(super) &'w Team, pub(super) &'w [World<'a>]);

impl Drop for Attendance<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lost.store(true, Ordering::Release);
            self.0.quits.store(true, Ordering::Release);
            self.1.iter().for_each(|world| world.is_over.store(true, Ordering::Release));
        }
    }
}

/// A thread.
pub(super) struct Member<'w, 'a> {
    team: &'w Team,
    number: usize,
    all: &'w [World<'a>],
    shared: Vec<Worker<'w, 'a>>,
    own: Option<Worker<'w, 'a>>,
    /// Rounds that it has to run apart; less than none if it has run some while it waited.
    due: i64,
    counted: Counted,
}

/// Why a thread ends.
struct IsOver;

impl<'w, 'a> Member<'w, 'a> {
    /// The thread of that number, with its places in the worlds that all share, and in its own.
    pub(super) fn new(
        team: &'w Team,
        shared: &'w [World<'a>],
        own: Option<&'w World<'a>>,
        number: usize,
        plan: &Plan<'_>,
    ) -> Self {
        let seed = plan.seed.wrapping_add(number as u64);
        let worker = |(index, world): (u64, &'w World<'a>)| {
            Worker::new(world, number, seed.wrapping_add(index << 16), plan.window, own.is_some())
        };
        let own = own.map(|own| Worker::new(own, 0, seed.wrapping_add(1 << 32), plan.window, false));
        let shared_by_me = (0..).zip(shared).map(worker).collect();
        Self { team, number, all: shared, shared: shared_by_me, own, due: 0, counted: Counted::default() }
    }

    /// Runs rounds until there is no more; `is_late` is asked now and then whether there are.
    pub(super) fn run(mut self, is_late: impl Fn() -> bool) -> Counted {
        let _attendance = Attendance(self.team, self.all);
        let _is_over = self.laps(is_late);
        self.counted
    }

    fn laps(&mut self, is_late: impl Fn() -> bool) -> Result<(), IsOver> {
        let mut turns = 0;
        while self.team.threads.load(Ordering::Acquire) == 0 {
            self.goes_on()?;
            wait(&mut turns);
        }
        let threads = self.team.threads.load(Ordering::Acquire);
        for lap in 1.. {
            if is_late() {
                self.team.quits.store(true, Ordering::Release);
            }
            for index in (self.number..self.all.len()).step_by(threads) {
                self.keep(index, lap, threads)?;
            }
            let mut rounds = 0;
            for index in 0..self.all.len() {
                rounds += i64::from(self.share(index, lap, threads)?);
            }
            if rounds == 0 {
                break;
            }
            self.due += APART * rounds;
            while self.due > 0 && self.goes_apart() {}
        }
        Ok(())
    }

    fn goes_on(&self) -> Result<(), IsOver> {
        if self.team.lost.load(Ordering::Acquire) { Err(IsOver) } else { Ok(()) }
    }

    /// Counts the round before on a machine that this thread keeps, and begins the next there, or closes it.
    fn keep(&mut self, index: usize, lap: u64, threads: usize) -> Result<(), IsOver> {
        let world = &self.all[index];
        if world.begun.load(Ordering::Relaxed) == CLOSED {
            return Ok(());
        }
        if lap > 1 {
            self.wait_until(|| world.ended.load(Ordering::Acquire) == threads)?;
            if !self.counted.count(&mut self.shared[index]) {
                self.team.quits.store(true, Ordering::Release);
            }
        }
        let begins = self.team.take() && self.counted.begins(world, threads);
        if !begins && self.counted.stalled.is_some() {
            self.team.quits.store(true, Ordering::Release);
        }
        world.begun.store(if begins { lap } else { CLOSED }, Ordering::Release);
        Ok(())
    }

    /// Takes part in the round of a shared machine; false: it is closed.
    fn share(&mut self, index: usize, lap: u64, threads: usize) -> Result<bool, IsOver> {
        let world = &self.all[index];
        let begun = || world.begun.load(Ordering::Acquire);
        self.wait_until(|| begun() == lap || begun() == CLOSED)?;
        if begun() == CLOSED {
            return Ok(false);
        }
        if threads > 1 && !self.shared[index].takes_turns(lap) {
            self.meet(index, threads);
        }
        self.shared[index].round(lap, threads);
        world.ended.fetch_add(1, Ordering::AcqRel);
        Ok(true)
    }

    /// Looks whether all threads are there, so that they begin at the same time if they all run.
    fn meet(&mut self, index: usize, threads: usize) {
        let world = &self.all[index];
        world.there.fetch_add(1, Ordering::AcqRel);
        for _ in 0..TURNS {
            for _ in 0..LOOKS {
                if world.there.load(Ordering::Acquire) >= threads {
                    return;
                }
                hint::spin_loop();
            }
            self.goes_apart();
        }
    }

    fn wait_until(&mut self, is_so: impl Fn() -> bool) -> Result<(), IsOver> {
        let mut turns = 0;
        while !is_so() {
            self.goes_on()?;
            if turns < LOOKS || !self.goes_apart() {
                wait(&mut turns);
            }
        }
        Ok(())
    }

    /// Runs all agents on the machine that the thread has for itself; false: it has none, or no round for it.
    fn goes_apart(&mut self) -> bool {
        let Some(own) = self.own.as_mut().filter(|_| self.due > -AHEAD) else { return false };
        if !self.team.take() {
            return false;
        }
        self.due -= 1;
        let goes_on = self.counted.begins(own.world, 1) && {
            own.round(1, 1);
            self.counted.count(own)
        };
        if !goes_on {
            self.team.quits.store(true, Ordering::Release);
        }
        goes_on
    }
}

/// When a run is to stop.
pub(super) fn is_late(plan: &Plan<'_>, begun: Instant) -> bool {
    let is_stopped = plan.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
    is_stopped || plan.time.is_some_and(|time| begun.elapsed() >= time)
}
