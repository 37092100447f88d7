//! The search: level by level, each state expanded once.
//!
//! Invariant: what comes out depends on the model and the reductions alone, not on the number of shards, on threads or on
//! the order inside a level: a level is finished before anything is concluded, and a limit is a number of states.

use super::coverage::Seen;
use super::expand::{Broken, Expander};
use super::plan::{Plan, Shards, Violations};
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
pub(super) struct Searched<W> {
    pub(super) end: End<W>,
    shards: Vec<Shard<W>>,
    /// States found, without those of a level that was not finished.
    pub(super) states: usize,
    /// Steps taken, likewise.
    pub(super) transitions: u64,
    /// What was seen, likewise.
    pub(super) seen: Seen,
}

/// The states whose hashes begin with the shard's number.
struct Shard<W> {
    set: Set<W>,
    levels: Vec<Vec<W>>,
    /// The next level.
    fresh: Vec<W>,
}

/// What a level brought.
struct Level<W> {
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
    fn of(expander: Expander<'_, W>, stopped: bool) -> Self {
        let Expander { transitions, broken, seen, .. } = expander;
        Self { transitions, broken, seen, stopped }
    }

    fn and(mut self, other: &Self) -> Self {
        self.seen.add(&other.seen);
        let broken = self.broken.into_iter().chain(other.broken).min();
        let stopped = self.stopped || other.stopped;
        Self { transitions: self.transitions + other.transitions, broken, stopped, ..self }
    }
}

impl<W: Word> Searched<W> {
    /// Searches from the initial state.
    pub(super) fn run(tables: &Tables<W>, plan: &Plan) -> Self {
        Self::start(tables, plan).go_on(tables, plan)
    }

    /// Searches on until there are so many states, or it is over.
    pub(super) fn until(mut self, states: usize, tables: &Tables<W>, plan: &Plan) -> Self {
        while self.is_open(plan) && self.states < states {
            self.level(tables, plan);
        }
        self
    }

    /// Searches on to this depth, or until it is over.
    pub(super) fn down_to(mut self, depth: usize, tables: &Tables<W>, plan: &Plan) -> Self {
        while self.is_open(plan) && self.depth() < depth {
            self.level(tables, plan);
        }
        self
    }

    /// Searches to the end.
    pub(super) fn go_on(mut self, tables: &Tables<W>, plan: &Plan) -> Self {
        while self.is_open(plan) {
            self.level(tables, plan);
        }
        if self.width() == 0 && self.depth() > 0 {
            self.shards.iter_mut().for_each(|shard| drop(shard.levels.pop()));
        }
        self
    }

    /// Whether there is a level to expand.
    pub(super) fn is_open(&self, plan: &Plan) -> bool {
        self.end == End::Exhausted && self.depth() <= plan.max_depth && self.width() > 0
    }

    /// The depth of the last level.
    pub(super) fn depth(&self) -> usize {
        self.shards[0].levels.len() - 1
    }

    /// The depth to which there are at most so many states, and how many there are.
    pub(super) fn depth_of(&self, most: usize) -> (usize, usize) {
        let states = |depth: usize| self.shards.iter().map(|shard| shard.levels[depth].len()).sum::<usize>();
        let sums = (0..=self.depth()).scan(0, |sum, depth| {
            *sum += states(depth);
            Some((depth, *sum))
        });
        sums.take_while(|(_, sum)| *sum <= most).last().unwrap_or((0, states(0)))
    }

    /// The states of one level.
    pub(super) fn states_at(&self, depth: usize) -> impl Iterator<Item = W> + '_ {
        self.shards.iter().flat_map(move |shard| shard.levels.get(depth).into_iter().flatten().copied())
    }

    /// The set of a search that has one shard.
    #[cfg(test)]
    pub(super) fn set(&self) -> &Set<W> {
        &self.shards[0].set
    }

    /// Numbers below which all places are.
    pub(super) fn capacity(&self) -> usize {
        self.shards.iter().map(|shard| shard.set.capacity()).sum()
    }

    /// The number of a state that was found, which no other has.
    pub(super) fn place(&self, state: W) -> Option<usize> {
        let owner = owner(state, self.shards.len());
        let before: usize = self.shards[..owner].iter().map(|shard| shard.set.capacity()).sum();
        self.shards[owner].set.slot(state).map(|slot| before + slot)
    }

    /// The initial state alone.
    pub(super) fn start(tables: &Tables<W>, plan: &Plan) -> Self {
        let bits = if plan.shards == Shards::One { 0 } else { 1 };
        let shard = |_| Shard { set: Set::new(bits), levels: Vec::new(), fresh: Vec::new() };
        let mut shards: Vec<Shard<W>> = (0..1 << bits).map(shard).collect();
        let initial = plan.expander(tables).canonical(tables.initial);
        let owner = owner(initial, shards.len());
        shards[owner].insert(&[initial]);
        shards.iter_mut().for_each(Shard::next_level);
        let seen = Seen::nothing(tables.ways.len());
        Self { end: End::Exhausted, shards, states: 1, transitions: 0, seen }
    }

    fn width(&self) -> usize {
        self.shards.iter().map(|shard| shard.frontier().len()).sum()
    }

    fn level(&mut self, tables: &Tables<W>, plan: &Plan) {
        let depth = self.depth();
        let level = match plan.shards {
            Shards::Two { threads_from } if self.width() >= threads_from => {
                shared::level(&mut self.shards, tables, plan, depth)
            }
            Shards::One | Shards::Two { .. } => alone(&mut self.shards, tables, plan, depth),
        };
        let found: usize = self.shards.iter().map(|shard| shard.set.len()).sum();
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
        self.shards.iter_mut().for_each(Shard::next_level);
    }
}

impl<W: Word> Shard<W> {
    fn frontier(&self) -> &[W] {
        self.levels.last().map_or(&[], Vec::as_slice)
    }

    fn insert(&mut self, states: &[W]) {
        self.set.insert_all(states, &mut self.fresh);
    }

    fn next_level(&mut self) {
        self.fresh.shrink_to_fit();
        self.levels.push(std::mem::take(&mut self.fresh));
    }
}

/// Expands a level on this thread.
fn alone<W: Word>(shards: &mut [Shard<W>], tables: &Tables<W>, plan: &Plan, depth: usize) -> Level<W> {
    if let [only] = shards {
        return one_shard(only, tables, plan, depth);
    }
    let mut expander = plan.expander(tables);
    let mut outboxes: Vec<Vec<W>> = shards.iter().map(|_| Vec::with_capacity(2 * BATCH)).collect();
    let count = shards.len();
    let mut found = shards.iter().map(|shard| shard.set.len()).sum::<usize>();
    let mut stopped = false;
    for source in 0..count {
        let states = shards[source].levels.last_mut().map(std::mem::take).expect(BEGUN);
        for &state in &states {
            stopped |= plan.is_stopped();
            if stopped {
                break;
            }
            expander.expand(state, depth, |successor| outboxes[owner(successor, count)].push(successor));
            let new = deliver(&mut outboxes, shards, BATCH);
            found += new;
            if new > 0 {
                plan.found(found);
            }
            if found > plan.max_states {
                break;
            }
        }
        if let Some(level) = shards[source].levels.last_mut() {
            *level = states;
        }
    }
    deliver(&mut outboxes, shards, 1);
    Level::of(expander, stopped)
}

/// Expands a level of the only shard.
fn one_shard<W: Word>(shard: &mut Shard<W>, tables: &Tables<W>, plan: &Plan, depth: usize) -> Level<W> {
    let mut expander = plan.expander(tables);
    let mut outbox: Vec<W> = Vec::with_capacity(2 * BATCH);
    let states = shard.levels.last_mut().map(std::mem::take).expect(BEGUN);
    let mut stopped = false;
    for &state in &states {
        stopped = plan.is_stopped();
        if stopped {
            break;
        }
        expander.expand(state, depth, |successor| outbox.push(successor));
        if outbox.len() >= BATCH {
            shard.insert(&outbox);
            outbox.clear();
            plan.found(shard.set.len());
            if shard.set.len() > plan.max_states {
                break;
            }
        }
    }
    shard.insert(&outbox);
    if let Some(level) = shard.levels.last_mut() {
        *level = states;
    }
    Level::of(expander, stopped)
}

/// Inserts what waits in the boxes that hold at least so much; how many states were new.
#[inline]
fn deliver<W: Word>(outboxes: &mut [Vec<W>], shards: &mut [Shard<W>], least: usize) -> usize {
    let mut new = 0;
    for (outbox, shard) in outboxes.iter_mut().zip(shards) {
        if outbox.len() >= least {
            let before = shard.set.len();
            shard.insert(outbox);
            outbox.clear();
            new += shard.set.len() - before;
        }
    }
    new
}

/// The shard that a state belongs to.
#[inline]
fn owner<W: Word>(state: W, shards: usize) -> usize {
    if shards == 1 { 0 } else { usize::from(state.hash() >> 63 == 1) }
}
