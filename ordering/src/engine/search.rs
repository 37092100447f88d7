//! The search: level by level, each state expanded once.
//!
//! Invariant: what comes out depends on the model and the reductions alone, not on the number of threads or on the order
//! inside a level: a level is finished before anything is concluded, and a limit is a number of states.

use super::coverage::Seen;
use super::expand::{Broken, Expander};
use super::plan::{Plan, Violations};
use super::recent::Recent;
use super::set::Set;
use super::tables::Tables;
use super::word::Word;

mod shared;

const BEGUN: &str = "a search begins with a level";

/// Successors that are collected before they are inserted.
const BATCH: usize = 1024;

/// How a search ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End<W> {
    /// Every state within the depth was expanded.
    Exhausted,
    /// Something is broken, at the least depth of this search.
    Broken(Broken<W>),
    /// There are more states than the plan allows.
    Full,
    /// It was told to stop.
    Stopped,
}

/// A finished search.
pub(super) struct Searched<W: Word> {
    pub(super) end: End<W>,
    set: Set<W>,
    /// What this thread has handed to the set.
    recent: Recent<W>,
    /// Each level in parts, one from each thread that has found some of it.
    levels: Vec<Vec<Vec<W>>>,
    /// States found, without those of a level that was not finished.
    pub(super) states: usize,
    /// Steps taken, likewise.
    pub(super) transitions: u64,
    /// What was seen, likewise.
    pub(super) seen: Seen,
}

/// What a level brought.
struct Level<W> {
    /// The states of the next one, in parts.
    fresh: Vec<Vec<W>>,
    transitions: u64,
    broken: Option<Broken<W>>,
    seen: Seen,
    /// Whether it was told to stop on its way.
    stopped: bool,
}

impl Plan<'_> {
    /// Who expands its states.
    pub(super) fn expander<'t, W: Word>(&self, tables: &'t Tables<W>) -> Expander<'t, W> {
        Expander::new(tables, self.reductions).with(self.violations)
    }
}

impl<W: Word> Level<W> {
    fn of(expander: Expander<'_, W>, fresh: Vec<Vec<W>>, stopped: bool) -> Self {
        let Expander { transitions, broken, seen, .. } = expander;
        Self { fresh, transitions, broken, seen, stopped }
    }

    fn and(mut self, mut other: Self) -> Self {
        self.seen.add(&other.seen);
        self.fresh.append(&mut other.fresh);
        let broken = self.broken.into_iter().chain(other.broken).min();
        let stopped = self.stopped || other.stopped;
        Self { transitions: self.transitions + other.transitions, broken, stopped, ..self }
    }
}

impl<W: Word> Searched<W> {
    /// Searches from the initial state.
    pub(super) fn run(tables: &Tables<W>, plan: &Plan<'_>) -> Self {
        Self::start(tables, plan).go_on(tables, plan)
    }

    /// Searches on until there are so many states, or it is over.
    pub(super) fn until(mut self, states: usize, tables: &Tables<W>, plan: &Plan<'_>) -> Self {
        while self.is_open(plan) && self.states < states {
            self.level(tables, plan);
        }
        self
    }

    /// Searches on to this depth, or until it is over.
    pub(super) fn down_to(mut self, depth: usize, tables: &Tables<W>, plan: &Plan<'_>) -> Self {
        while self.is_open(plan) && self.depth() < depth {
            self.level(tables, plan);
        }
        self
    }

    /// Searches to the end.
    pub(super) fn go_on(mut self, tables: &Tables<W>, plan: &Plan<'_>) -> Self {
        while self.is_open(plan) {
            self.level(tables, plan);
        }
        if self.width() == 0 && self.depth() > 0 {
            self.levels.pop();
        }
        self
    }

    /// Whether there is a level to expand.
    pub(super) fn is_open(&self, plan: &Plan<'_>) -> bool {
        self.end == End::Exhausted && self.depth() <= plan.max_depth && self.width() > 0
    }

    /// The depth of the last level.
    pub(super) fn depth(&self) -> usize {
        self.levels.len() - 1
    }

    /// The depth to which there are at most so many states, and how many there are.
    pub(super) fn depth_of(&self, most: usize) -> (usize, usize) {
        let states = |depth: usize| self.levels[depth].iter().map(Vec::len).sum::<usize>();
        let sums = (0..=self.depth()).scan(0, |sum, depth| {
            *sum += states(depth);
            Some((depth, *sum))
        });
        sums.take_while(|(_, sum)| *sum <= most).last().unwrap_or((0, states(0)))
    }

    /// The states of one level.
    pub(super) fn states_at(&self, depth: usize) -> impl Iterator<Item = W> + '_ {
        self.levels.get(depth).into_iter().flatten().flatten().copied()
    }

    /// The set.
    #[cfg(test)]
    pub(super) fn set(&self) -> &Set<W> {
        &self.set
    }

    /// Numbers below which all places are.
    pub(super) fn capacity(&self) -> usize {
        self.set.capacity()
    }

    /// The number of a state that was found, which no other has.
    pub(super) fn place(&self, state: W) -> Option<usize> {
        self.set.slot(state)
    }

    /// The initial state alone.
    pub(super) fn start(tables: &Tables<W>, plan: &Plan<'_>) -> Self {
        let (mut set, mut fresh) = (Set::new(), Vec::new());
        set.insert_all(&[plan.expander(tables).canonical(tables.initial)], &mut fresh);
        let seen = Seen::nothing(tables.ways.len());
        let (levels, recent) = (vec![vec![fresh]], Recent::nothing());
        Self { end: End::Exhausted, set, recent, levels, states: 1, transitions: 0, seen }
    }

    fn width(&self) -> usize {
        self.levels.last().map_or(0, |parts| parts.iter().map(Vec::len).sum())
    }

    fn level(&mut self, tables: &Tables<W>, plan: &Plan<'_>) {
        let depth = self.depth();
        let threads = plan.threads.of_level(self.width());
        let mut level = if threads == 1 {
            alone(self, tables, plan, depth)
        } else {
            shared::level(self, tables, plan, threads)
        };
        let found = self.set.len();
        if found > plan.max_states {
            self.end = End::Full;
            return;
        }
        let broken = match plan.violations {
            Violations::End => level.broken,
            Violations::Pass => None,
        };
        // What broke did so, also in a level that was not finished; none before it did.
        if level.stopped && broken.is_none() {
            self.end = End::Stopped;
            return;
        }
        self.end = broken.map_or(End::Exhausted, End::Broken);
        self.states = found;
        self.transitions += level.transitions;
        self.seen.add(&level.seen);
        level.fresh.iter_mut().for_each(Vec::shrink_to_fit);
        self.levels.push(level.fresh);
    }
}

/// Expands the last level on this thread.
fn alone<W: Word>(searched: &mut Searched<W>, tables: &Tables<W>, plan: &Plan<'_>, depth: usize) -> Level<W> {
    let mut expander = plan.expander(tables);
    let mut outbox: Vec<W> = Vec::with_capacity(2 * BATCH);
    let parts = searched.levels.last_mut().map(std::mem::take).expect(BEGUN);
    let (set, recent) = (&mut searched.set, &mut searched.recent);
    let (mut fresh, mut stopped) = (Vec::new(), false);
    for &state in parts.iter().flatten() {
        stopped = plan.is_stopped();
        if stopped {
            break;
        }
        expander.expand(state, depth, |successor| {
            if recent.is_new(successor) {
                outbox.push(successor);
            }
        });
        if outbox.len() >= BATCH {
            set.insert_all(&outbox, &mut fresh);
            outbox.clear();
            plan.found(set.len());
            if set.len() > plan.max_states {
                break;
            }
        }
    }
    set.insert_all(&outbox, &mut fresh);
    if let Some(level) = searched.levels.last_mut() {
        *level = parts;
    }
    Level::of(expander, vec![fresh], stopped)
}

#[cfg(test)]
mod tests;
