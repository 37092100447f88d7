//! The search whose levels are on disk.
//!
//! Invariant: what it concludes of a level is what the search in memory concludes: the same states, transitions, least
//! violation and end. Memory is bounded, half for what a level leads to and half for merging it with all levels.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::super::coverage::Seen;
use super::super::expand::{Broken, Expander};
use super::super::outcome::{Interleavings, Statistics, last_levels};
use super::super::plan::Plan;
use super::super::replay::Move;
use super::super::search::End;
use super::super::tables::Tables;
use super::super::trace;
use super::expand::expand;
use super::merge::{Merge, few};
use super::store::{Folder, Key, Level, Writer};

/// A search, its levels and how it ended.
pub(super) struct Levels<W> {
    pub(super) end: End<W>,
    levels: Vec<Level>,
    /// One for each thread that has merged.
    writers: Vec<Writer>,
    pub(super) states: usize,
    transitions: u64,
    pub(super) seen: Seen,
}

/// What a search on disk needs beside the model.
#[derive(Clone, Copy)]
pub(super) struct Room<'a> {
    pub(super) folder: &'a dyn Folder,
    /// Bytes of memory.
    pub(super) memory: usize,
}

impl Room<'_> {
    fn writer(&self) -> io::Result<Writer> {
        Writer::new(self.folder, (self.memory / 16).clamp(1 << 9, 1 << 20))
    }
}

impl<W: Key> Levels<W> {
    /// Searches to the end.
    pub(super) fn run(
        tables: &Tables<W>,
        plan: &Plan<'_>,
        room: Room<'_>,
    ) -> Result<Self, (usize, io::Error)> {
        let mut levels = Self::start(tables, plan, room).map_err(|error| (0, error))?;
        while levels.is_open(plan) {
            let states = levels.states;
            levels.level(tables, plan, room).map_err(|error| (states, error))?;
        }
        if levels.levels.len() > 1 && levels.levels.last().is_some_and(|level| level.len == 0) {
            levels.levels.pop();
        }
        Ok(levels)
    }

    fn start(tables: &Tables<W>, plan: &Plan<'_>, room: Room<'_>) -> io::Result<Self> {
        let mut writer = room.writer()?;
        writer.push(plan.expander(tables).canonical(tables.initial))?;
        let levels = vec![Level::of(vec![writer.run::<W>()?])];
        let seen = Seen::nothing(tables.ways.len());
        Ok(Self { end: End::Exhausted, levels, writers: vec![writer], states: 1, transitions: 0, seen })
    }

    fn is_open(&self, plan: &Plan<'_>) -> bool {
        self.end == End::Exhausted
            && self.depth() <= plan.max_depth
            && self.levels.last().is_some_and(|level| level.len > 0)
    }

    fn depth(&self) -> usize {
        self.levels.len() - 1
    }

    fn level(&mut self, tables: &Tables<W>, plan: &Plan<'_>, room: Room<'_>) -> io::Result<()> {
        let (depth, half) = (self.depth(), room.memory / 2);
        let level = expand(tables, plan, room.folder, (&self.levels[depth], depth), half)?;
        // What broke did so, also in a level that was not finished; none before it did.
        if level.stopped && level.broken.is_none() {
            self.end = End::Stopped;
            return Ok(());
        }
        let runs = few::<W>(level.runs, room.folder, half)?;
        let merge = Merge { runs: &runs, kept: &level.kept, levels: &self.levels, bytes: half };
        let threads = plan.threads.of_level(merge.count());
        while self.writers.len() < threads {
            self.writers.push(room.writer()?);
        }
        let before = self.states;
        let full = AtomicBool::new(false);
        let next = merge.fresh(&mut self.writers[..threads], &|found| {
            let states = before + found;
            plan.found(states);
            full.fetch_or(states > plan.max_states, Relaxed);
            states > plan.max_states || plan.is_stopped() && level.broken.is_none()
        })?;
        let Some(next) = next else {
            self.end = if full.load(Relaxed) { End::Full } else { End::Stopped };
            return Ok(());
        };
        self.end = level.broken.map_or(End::Exhausted, End::Broken);
        self.states += next.count();
        self.transitions += level.transitions;
        self.seen.add(&level.seen);
        self.levels.push(next);
        Ok(())
    }

    /// What was searched.
    pub(super) fn statistics(&self) -> Statistics {
        let states = |depth: usize| self.levels[depth].count();
        Statistics {
            parts: 1,
            states: self.states,
            transitions: self.transitions,
            interleavings: Interleavings::NotCounted,
            depth: self.depth(),
            bytes: self.states.saturating_mul(size_of::<W>()),
            last_levels: last_levels(self.depth(), states),
        }
    }

    /// The steps to what is broken; the levels are read backwards.
    pub(super) fn moves(
        &self,
        tables: &Tables<W>,
        plan: &Plan<'_>,
        room: Room<'_>,
        broken: &Broken<W>,
    ) -> io::Result<Vec<Move>> {
        let mut expander = Expander::new(tables, plan.without_persistent_sets().reductions);
        let piece = (room.memory / 4 / size_of::<W>()).clamp(32, 1 << 16);
        let least = |level: usize, leads: &mut dyn FnMut(&W) -> bool| {
            let (run, mut from) = (&self.levels[level], 0);
            let (mut bytes, mut states) = (Vec::new(), Vec::new());
            while from < run.len {
                states.clear();
                run.read(from, piece, &mut bytes, &mut states)?;
                // They ascend: the first that leads there is the least.
                if let Some(found) = states.iter().find(|state| leads(state)) {
                    return Ok(Some(*found));
                }
                from += states.len() as u64;
            }
            Ok(None)
        };
        trace::through(least, &mut expander, tables.initial, broken)
    }
}
