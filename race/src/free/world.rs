//! What the threads of a race share: the machine, where each agent stands, what was returned, who has found nothing to do.
//!
//! Invariant: a counter is written by one thread. Standing still is certain: every thread has found all of its agents
//! waiting, and nobody has moved since any of them began to look.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ordering::language::syntax::BuiltIn;
use ordering::lowering::{Key, Lowered};
use ordering::model::{Guard, Var};
use parking_lot::{Mutex, RwLock};

use super::program::{Program, key_of};
use crate::machine::{Machine, Stuck};

/// What is there at an end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Values {
    pub(super) returned: Vec<Option<u32>>,
    pub(super) variables: Vec<u32>,
    /// As values of the model; none: what no scenario writes.
    pub(super) entries: Vec<Option<u32>>,
}

/// How a round has ended.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum End {
    Ended(Values),
    Stuck(Values),
    Breaks(BuiltIn),
}

/// What all threads share.
pub(super) struct World<'a> {
    pub(super) lowered: &'a Lowered,
    pub(super) machine: &'a Machine,
    pub(super) programs: &'a [Program<'a>],
    /// By agent: where it stands. Written by the thread that runs it.
    pub(super) at: Vec<AtomicUsize>,
    /// By place of the outcome: what was returned last, plus one.
    pub(super) returned: Vec<AtomicU64>,
    /// The steps that the machine does in several are taken alone, if another thread has agents too.
    pub(super) alone: RwLock<()>,
    /// By thread: steps so far, and how many all had taken when it found nothing to do.
    pub(super) steps: Vec<Padded>,
    pub(super) still: Vec<Padded>,
    /// Rounds that nobody has taken yet.
    left: AtomicU64,
    /// Agents whose end is awaited.
    pub(super) awaited: AtomicUsize,
    pub(super) broken: Mutex<Option<BuiltIn>>,
    /// Who waits for what, if a round made no progress.
    pub(super) stalled: Mutex<Option<Vec<(String, String)>>>,
    /// Who has done something that the model does not do there.
    pub(super) foreign: Mutex<Option<(usize, String)>>,
    pub(super) is_over: AtomicBool,
    /// The batch of rounds that runs, how many it has, and the threads that have ended it.
    pub(super) batch: AtomicU64,
    pub(super) rounds: AtomicUsize,
    pub(super) ended: AtomicUsize,
    pub(super) threads: AtomicUsize,
    /// Those that have come to the round.
    pub(super) there: AtomicUsize,
    /// Nobody begins another round.
    pub(super) quits: AtomicBool,
    /// All rounds are taken: each thread runs those that it has, and ends.
    pub(super) over: AtomicBool,
    /// A thread has panicked: nobody waits for it.
    pub(super) lost: AtomicBool,
}

/// Lets nobody wait for a thread that panics while it has this.
pub(super) struct Attendance<'w, 'a>(pub(super) &'w [World<'a>]);

impl Drop for Attendance<'_, '_> {
    fn drop(&mut self) {
        for world in self.0.iter().filter(|_| std::thread::panicking()) {
            world.lost.store(true, Ordering::Release);
            world.is_over.store(true, Ordering::Release);
            world.quits.store(true, Ordering::Release);
        }
    }
}

/// In the place of a count: the thread has no agent in this round.
pub(super) const NOBODY: u64 = u64::MAX - 1;
/// In the place of a count: it has not found that all of them wait.
const MOVES: u64 = u64::MAX;

/// A counter on a cache line of its own.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(super) struct Padded(pub(super) AtomicU64);

impl<'a> World<'a> {
    /// For so many threads, which take `rounds` in all, and return as many places.
    pub(super) fn new(
        lowered: &'a Lowered,
        machine: &'a Machine,
        programs: &'a [Program<'a>],
        threads: usize,
        places: usize,
        rounds: u64,
    ) -> Self {
        let counters = || (0..threads).map(|_| Padded::default()).collect();
        Self {
            lowered,
            machine,
            programs,
            at: programs.iter().map(|_| AtomicUsize::new(0)).collect(),
            returned: (0..places).map(|_| AtomicU64::new(0)).collect(),
            alone: RwLock::new(()),
            steps: counters(),
            still: counters(),
            left: AtomicU64::new(rounds),
            awaited: AtomicUsize::new(0),
            broken: Mutex::new(None),
            stalled: Mutex::new(None),
            foreign: Mutex::new(None),
            is_over: AtomicBool::new(false),
            batch: AtomicU64::new(0),
            rounds: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            threads: AtomicUsize::new(threads),
            there: AtomicUsize::new(0),
            quits: AtomicBool::new(false),
            over: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        }
    }

    /// The host has no thread for those from this number on.
    pub(super) fn lacks_thread(&self, from: usize) {
        self.threads.store(from, Ordering::Release);
    }

    /// Takes that many rounds, or as many as there are.
    pub(super) fn take(&self, rounds: u64) -> u64 {
        let fewer = |left: u64| Some(left.saturating_sub(rounds));
        let left = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer);
        left.map_or(0, |left| left.min(rounds))
    }

    pub(super) fn all_steps(&self) -> u64 {
        self.steps.iter().map(|steps| steps.0.load(Ordering::Acquire)).sum()
    }

    /// Whether every thread has found, after so many steps of all, that its agents wait.
    pub(super) fn stand_still(&self, steps: u64) -> bool {
        let threads = self.threads.load(Ordering::Acquire);
        let stands = |still: &Padded| {
            let found = still.0.load(Ordering::Acquire);
            found == steps || found == NOBODY
        };
        self.still[..threads].iter().all(stands) && self.all_steps() == steps
    }

    /// Puts everything back to the start.
    pub(super) fn begin(&self) -> Result<(), Stuck> {
        self.machine.reset()?;
        self.at.iter().for_each(|at| at.store(0, Ordering::Relaxed));
        self.returned.iter().for_each(|returned| returned.store(0, Ordering::Relaxed));
        self.steps.iter().for_each(|counter| counter.0.store(0, Ordering::Relaxed));
        self.still.iter().for_each(|still| still.0.store(MOVES, Ordering::Relaxed));
        let awaited = self.programs.iter().filter(|program| !program.spontaneous).count();
        self.awaited.store(awaited, Ordering::Relaxed);
        *self.broken.lock() = None;
        self.is_over.store(awaited == 0, Ordering::Relaxed);
        self.there.store(0, Ordering::Release);
        Ok(())
    }

    /// The value of a variable of the model, as the machine shows it; none if the model has no such value.
    pub(super) fn value(&self, var: Var) -> Option<u32> {
        let key = key_of(self.lowered, var);
        let seen = self.machine.look(key)?;
        let values = self.lowered.model.variables[usize::from(var.0)].values.len();
        (0..u32::try_from(values).ok()?).find(|value| self.machine.expected(key, *value) == seen)
    }

    pub(super) fn holds(&self, guard: &Guard) -> bool {
        match *guard {
            Guard::Is(var, value) => self.value(var) == Some(value),
            Guard::IsNot(var, value) => self.value(var) != Some(value),
            Guard::Below(var, bound) => self.value(var).is_some_and(|value| value < bound),
            Guard::Same(one, other) => self.value(one) == self.value(other),
            Guard::Differ(one, other) => self.value(one) != self.value(other),
        }
    }

    /// What is there.
    pub(super) fn values(&self) -> Values {
        let observed = self.lowered.observed.iter();
        let (variables, entries) =
            observed.fold((Vec::new(), Vec::new()), |(mut variables, mut entries), one| {
                variables.extend(one.variables.iter().map(|(var, _)| *var));
                entries.extend(one.entries.iter().copied());
                (variables, entries)
            });
        let variable = |var: &Var| match key_of(self.lowered, *var) {
            Key::User(index) => self.machine.shared.variables[*index].load(Ordering::Acquire),
            other => unreachable!("{other:?} is no variable of the scenario"),
        };
        let returned = |returned: &AtomicU64| {
            let one_more = returned.load(Ordering::Acquire).checked_sub(1);
            one_more.and_then(|value| u32::try_from(value).ok())
        };
        Values {
            returned: self.returned.iter().map(returned).collect(),
            variables: variables.iter().map(variable).collect(),
            entries: entries.iter().map(|var| self.value(*var)).collect(),
        }
    }
}
