//! One machine of a race with what its round needs: where each agent stands, what was returned, who has found nothing to do.
//!
//! Invariant: a counter is written by one thread. Standing still is certain: every thread has found all of its agents
//! waiting, and nobody has moved since any of them began to look.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use ordering::language::syntax::BuiltIn;
use ordering::lowering::{Key, Lowered};
use ordering::model::{Guard, Var};
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::program::{Program, key_of};
use crate::look::Seen;
use crate::machine::{Machine, Stuck};

/// What is there at an end.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
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

/// What all rounds of a scenario have in common.
pub(super) struct Setting<'a> {
    pub(super) lowered: &'a Lowered,
    pub(super) programs: Vec<Program<'a>>,
    /// What each value of each variable of the model looks like on the machines, which are alike.
    looks: Vec<Vec<Seen>>,
    /// The user variables that an outcome names, by index, and the entries.
    variables: Vec<usize>,
    entries: Vec<Var>,
    /// The number of values that an outcome keeps of what is returned.
    places: usize,
}

impl<'a> Setting<'a> {
    /// That of `lowered`, on machines like `machine`.
    pub(super) fn new(lowered: &'a Lowered, machine: &Machine, registers: &[Var]) -> Self {
        let agents = 0..lowered.model.agents.len();
        let looks_of = |(key, variable): (&Key, &ordering::model::Variable)| {
            let values = 0..u32::try_from(variable.values.len()).expect("a variable has few values");
            values.map(|value| machine.expected(key, value)).collect()
        };
        let observed = || lowered.observed.iter();
        let index = |(var, _): &(Var, _)| match key_of(lowered, *var) {
            Key::User(index) => *index,
            other => unreachable!("{other:?} is no variable of the scenario"),
        };
        Self {
            programs: agents.map(|agent| Program::new(lowered, agent, registers)).collect(),
            looks: lowered.keys.iter().zip(&lowered.model.variables).map(looks_of).collect(),
            variables: observed().flat_map(|observed| &observed.variables).map(index).collect(),
            entries: observed().flat_map(|observed| observed.entries.iter().copied()).collect(),
            places: registers.len(),
            lowered,
        }
    }
}

/// A machine, and the round on it.
pub(super) struct World<'a> {
    pub(super) setting: &'a Setting<'a>,
    pub(super) machine: &'a Machine,
    /// By agent: where it stands. Written by the thread that runs it.
    pub(super) at: Vec<AtomicUsize>,
    /// By place of the outcome: what was returned last, plus one.
    pub(super) returned: Vec<AtomicU64>,
    /// The steps that the machine does in several are taken alone, if another thread has agents too.
    alone: RwLock<()>,
    /// By thread: steps so far, and how many all had taken when it found nothing to do.
    pub(super) steps: Vec<Padded>,
    pub(super) still: Vec<Padded>,
    /// Agents whose end is awaited.
    pub(super) awaited: AtomicUsize,
    pub(super) broken: Mutex<Option<BuiltIn>>,
    /// Who waits for what, if a round made no progress.
    pub(super) stalled: Mutex<Option<Vec<(String, String)>>>,
    /// Who has done something that the model does not do there.
    pub(super) foreign: Mutex<Option<(usize, String)>>,
    pub(super) is_over: AtomicBool,
    /// The round that runs here, from 1; [`CLOSED`] once there is no other.
    pub(super) begun: AtomicU64,
    /// Threads that have come to it, and that have ended it.
    pub(super) there: AtomicUsize,
    pub(super) ended: AtomicUsize,
}

/// In the place of a count: the thread has no agent in this round.
pub(super) const NOBODY: u64 = u64::MAX - 1;
/// In the place of a count: it has not found that all of them wait.
const MOVES: u64 = u64::MAX;
/// In the place of a round: none begins any more.
pub(super) const CLOSED: u64 = u64::MAX;

/// Looks before a thread that has nothing to do offers its CPU to others.
const SPINS: u32 = 200;
/// Looks for the lock of steps before a thread offers its CPU to others: nobody holds it for longer than a step.
const LOOKS: u32 = 1000;

/// A counter on a cache line of its own.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(super) struct Padded(pub(super) AtomicU64);

impl<'a> World<'a> {
    /// For so many threads.
    pub(super) fn new(setting: &'a Setting<'a>, machine: &'a Machine, threads: usize) -> Self {
        let counters = || (0..threads).map(|_| Padded::default()).collect();
        Self {
            setting,
            machine,
            at: setting.programs.iter().map(|_| AtomicUsize::new(0)).collect(),
            returned: (0..setting.places).map(|_| AtomicU64::new(0)).collect(),
            alone: RwLock::new(()),
            steps: counters(),
            still: counters(),
            awaited: AtomicUsize::new(0),
            broken: Mutex::new(None),
            stalled: Mutex::new(None),
            foreign: Mutex::new(None),
            is_over: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            there: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
        }
    }

    pub(super) fn programs(&self) -> &'a [Program<'a>] {
        &self.setting.programs
    }

    /// Nobody else takes a step meanwhile.
    pub(super) fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        spun(|| self.alone.try_write()).unwrap_or_else(|| self.alone.write())
    }

    /// Nobody else takes a step alone meanwhile.
    pub(super) fn among_others(&self) -> RwLockReadGuard<'_, ()> {
        spun(|| self.alone.try_read()).unwrap_or_else(|| self.alone.read())
    }

    pub(super) fn all_steps(&self) -> u64 {
        self.steps.iter().map(|steps| steps.0.load(Ordering::Acquire)).sum()
    }

    /// Whether every thread has found, after so many steps of all, that its agents wait.
    pub(super) fn stand_still(&self, steps: u64) -> bool {
        let stands = |still: &Padded| {
            let found = still.0.load(Ordering::Acquire);
            found == steps || found == NOBODY
        };
        self.still.iter().all(stands) && self.all_steps() == steps
    }

    /// Puts everything back to the start, for a round among so many threads: those behind them never come.
    pub(super) fn begin(&self, threads: usize) -> Result<(), Stuck> {
        self.machine.reset()?;
        self.at.iter().for_each(|at| at.store(0, Ordering::Relaxed));
        self.returned.iter().for_each(|returned| returned.store(0, Ordering::Relaxed));
        self.steps.iter().for_each(|counter| counter.0.store(0, Ordering::Relaxed));
        for (number, still) in self.still.iter().enumerate() {
            still.0.store(if number < threads { MOVES } else { NOBODY }, Ordering::Relaxed);
        }
        let awaited = self.programs().iter().filter(|program| !program.spontaneous).count();
        self.awaited.store(awaited, Ordering::Relaxed);
        *self.broken.lock() = None;
        self.is_over.store(awaited == 0, Ordering::Relaxed);
        self.there.store(0, Ordering::Relaxed);
        self.ended.store(0, Ordering::Release);
        Ok(())
    }

    /// The value of a variable of the model, as the machine shows it; none if the model has no such value.
    pub(super) fn value(&self, var: Var) -> Option<u32> {
        let seen = self.machine.look(key_of(self.setting.lowered, var))?;
        let looks = &self.setting.looks[usize::from(var.0)];
        (0..).zip(looks).find(|(_, look)| **look == seen).map(|(value, _)| value)
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

    /// Writes down what is there.
    pub(super) fn note(&self, values: &mut Values) {
        let variable = |index: &usize| self.machine.shared.variables[*index].load(Ordering::Acquire);
        let returned = |returned: &AtomicU64| {
            let one_more = returned.load(Ordering::Acquire).checked_sub(1);
            one_more.and_then(|value| u32::try_from(value).ok())
        };
        values.returned.clear();
        values.returned.extend(self.returned.iter().map(returned));
        values.variables.clear();
        values.variables.extend(self.setting.variables.iter().map(variable));
        values.entries.clear();
        values.entries.extend(self.setting.entries.iter().map(|var| self.value(*var)));
    }
}

/// Waits a little, and lets others run if that takes longer.
pub(super) fn wait(turns: &mut u32) {
    *turns = turns.saturating_add(1);
    if *turns < SPINS { hint::spin_loop() } else { thread::yield_now() }
}

/// What `tried` gives within some looks.
fn spun<T>(tried: impl Fn() -> Option<T>) -> Option<T> {
    (0..LOOKS).find_map(|_| {
        let found = tried();
        if found.is_none() {
            hint::spin_loop();
        }
        found
    })
}
