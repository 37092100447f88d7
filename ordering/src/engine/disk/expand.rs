//! A level expanded into sorted runs of successors, by several threads.
//!
//! Invariant: every state of the level is expanded once, and each successor is in a run or in what a thread has kept in
//! memory. A thread has a buffer of its own, sorts it when it is full, and writes it only if that leaves it full.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

use super::super::coverage::Seen;
use super::super::expand::{Broken, Expander};
use super::super::plan::Plan;
use super::super::recent::Recent;
use super::super::tables::Tables;
use super::store::{Folder, Key, Level, Run, Writer};

/// States of the level that a thread reads at once.
const PIECE: usize = 1 << 10;
/// Successors that a buffer holds at least.
const LEAST: usize = 64;

/// What a level brought.
pub(super) struct Expanded<W> {
    /// Successors on disk.
    pub(super) runs: Vec<Run>,
    /// Successors in memory, ascending.
    pub(super) kept: Vec<Vec<W>>,
    pub(super) transitions: u64,
    pub(super) broken: Option<Broken<W>>,
    pub(super) seen: Seen,
    /// Whether it was told to stop on its way.
    pub(super) stopped: bool,
}

/// What is to be done, for all.
struct Work<'a> {
    level: &'a Level,
    depth: usize,
    /// The first state that nobody has taken.
    next: AtomicU64,
    /// Whether to leave everything as it is: somebody said to stop, or a thread has failed.
    halted: AtomicBool,
    folder: &'a dyn Folder,
    plan: &'a Plan<'a>,
    /// Successors in a buffer.
    room: usize,
}

/// Expands a level, with so many bytes for all buffers.
pub(super) fn expand<W: Key>(
    tables: &Tables<W>,
    plan: &Plan<'_>,
    folder: &dyn Folder,
    (level, depth): (&Level, usize),
    bytes: usize,
) -> io::Result<Expanded<W>> {
    let threads = plan.threads.of_level(level.count());
    let room = (bytes / threads / size_of::<W>()).max(LEAST);
    let (next, halted) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = &Work { level, depth, next, halted, folder, plan, room };
    let mut parts = thread::scope(|scope| {
        let start = |_| {
            let run = move || Worker::new(plan.expander(tables)).run(work);
            // Without it the others have more to do.
            thread::Builder::new().spawn_scoped(scope, run).ok()
        };
        let others: Vec<_> = (1..threads).filter_map(start).collect();
        let own = Worker::new(plan.expander(tables)).run(work);
        let joined = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(own).chain(joined).collect::<Vec<_>>()
    })
    .into_iter();
    let mut all = parts.next().expect("this thread has worked")?;
    for part in parts {
        all.add(part?);
    }
    Ok(all)
}

impl<W: Key> Expanded<W> {
    fn add(&mut self, mut other: Self) {
        self.runs.append(&mut other.runs);
        self.kept.append(&mut other.kept);
        self.transitions += other.transitions;
        self.broken = self.broken.into_iter().chain(other.broken).min();
        self.seen.add(&other.seen);
        self.stopped |= other.stopped;
    }
}

/// What one thread does.
struct Worker<'t, W> {
    expander: Expander<'t, W>,
    /// What it has put into its buffer.
    recent: Recent<W>,
    buffer: Vec<W>,
    runs: Vec<Run>,
    writer: Option<Writer>,
}

impl<'t, W: Key> Worker<'t, W> {
    fn new(expander: Expander<'t, W>) -> Self {
        Self { expander, recent: Recent::nothing(), buffer: Vec::new(), runs: Vec::new(), writer: None }
    }

    fn run(mut self, work: &Work<'_>) -> io::Result<Expanded<W>> {
        let halts = Halts(&work.halted);
        let worked = self.work(work);
        drop(halts);
        let stopped = worked.inspect_err(|_| work.halted.store(true, Relaxed))?;
        self.sort();
        self.buffer.shrink_to_fit();
        let Expander { transitions, broken, seen, .. } = self.expander;
        Ok(Expanded { runs: self.runs, kept: vec![self.buffer], transitions, broken, seen, stopped })
    }

    /// Whether it was told to stop.
    fn work(&mut self, work: &Work<'_>) -> io::Result<bool> {
        let (mut bytes, mut states) = (Vec::new(), Vec::with_capacity(PIECE));
        while !work.halted.load(Relaxed) {
            let from = work.next.fetch_add(PIECE as u64, Relaxed);
            if from >= work.level.len {
                break;
            }
            states.clear();
            work.level.read(from, PIECE, &mut bytes, &mut states)?;
            for &state in &states {
                self.expander.expand(state, work.depth, |successor| {
                    if self.recent.is_new(successor) {
                        self.buffer.push(successor);
                    }
                });
                if self.buffer.len() >= work.room {
                    self.spill(work)?;
                }
                if work.plan.is_stopped() {
                    work.halted.store(true, Relaxed);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn sort(&mut self) {
        self.buffer.sort_unstable();
        self.buffer.dedup();
    }

    /// Makes room in the buffer.
    fn spill(&mut self, work: &Work<'_>) -> io::Result<()> {
        self.sort();
        if self.buffer.len() <= work.room / 2 {
            return Ok(());
        }
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::new(work.folder, (work.room * size_of::<W>() / 8).clamp(1 << 9, 1 << 20))?,
        };
        self.buffer.drain(..).try_for_each(|key| writer.push(key))?;
        self.runs.push(writer.run::<W>()?);
        self.writer = Some(writer);
        Ok(())
    }
}

/// Tells all to halt when its thread panics.
struct Halts<'a>(&'a AtomicBool);

impl Drop for Halts<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Relaxed);
        }
    }
}
