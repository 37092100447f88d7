//! One level expanded by several threads.
//!
//! Invariant: each state of the level is expanded by one thread, and each new state is fresh to one. Nobody waits
//! for another: pieces of the level are taken from a counter, a state is inserted where all insert (`set/slot.rs`
//! says why that is right), and who finds no room goes home with what it has left. When all are home the table is
//! doubled, and they go on. So a thread that panics ends the others' work at their next state, and the panic is
//! passed on; a thread that the host does not start leaves its share to the others.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

use super::super::expand::Expander;
use super::super::plan::Plan;
use super::super::recent::Recent;
use super::super::set::shared::{Left, PROMISED, Shared};
use super::super::tables::Tables;
use super::super::word::Word;
use super::{BATCH, BEGUN, Level, Searched};

/// States of the level that a thread takes at once.
const PIECE: usize = 512;

/// Expands the last level.
pub(super) fn level<W: Word>(
    searched: &mut Searched<W>,
    tables: &Tables<W>,
    plan: &Plan<'_>,
    threads: usize,
) -> Level<W> {
    let depth = searched.depth();
    let parts = searched.levels.last_mut().map(std::mem::take).expect(BEGUN);
    let pieces: Vec<&[W]> = parts.iter().flat_map(|part| part.chunks(PIECE)).collect();
    let share = |pieces: &[_]| Share { pieces: pieces.to_vec(), next: AtomicUsize::new(0) };
    let shares = pieces.chunks(pieces.len().div_ceil(threads).max(1)).map(share).collect();
    let most = plan.max_states.saturating_add(threads * PROMISED);
    let work = Work { shares, halted: AtomicBool::new(false), depth, most, tables, plan };
    let mut workers: Vec<Place<'_, W>> = (0..threads).map(|own| Place { own, worker: None }).collect();
    loop {
        searched.set.shared(|set| by_all(&mut workers, &work, set));
        if work.halted.load(Relaxed) || workers.iter().all(Place::is_done) && work.is_taken() {
            break;
        }
        searched.set.double_by(threads);
    }
    let workers = workers.into_iter().filter_map(|place| place.worker);
    let levels = workers.map(|worker| Level::of(worker.expander, vec![worker.fresh], worker.stopped));
    let level = levels.reduce(Level::and).expect("the caller is a worker");
    drop(work);
    if let Some(last) = searched.levels.last_mut() {
        *last = parts;
    }
    level
}

/// Lets all work until the level is expanded or the set has no room.
fn by_all<'a, W: Word>(workers: &mut [Place<'a, W>], work: &Work<'a, W>, set: &Shared<'_, W>) {
    thread::scope(|scope| {
        let mut workers = workers.iter_mut();
        let own = workers.next();
        for other in workers {
            // Who is not started has nothing left, or is asked again below.
            let _started = thread::Builder::new().spawn_scoped(scope, || other.run(work, set));
        }
        if let Some(own) = own {
            own.run(work, set);
        }
    });
    workers.iter_mut().for_each(|worker| worker.run(work, set));
}

/// What is to be done, for all.
struct Work<'a, W: Word> {
    /// The level, a share for each thread.
    shares: Vec<Share<'a, W>>,
    /// Whether to leave everything as it is: there are too many states, somebody said to stop, or a thread has
    /// panicked.
    halted: AtomicBool,
    depth: usize,
    /// More than so many keys and promised slots are more states than the plan allows.
    most: usize,
    tables: &'a Tables<W>,
    plan: &'a Plan<'a>,
}

/// What one thread begins with: states that stand near each other lead to the same states, which that thread then knows
/// ([`Recent`]). Who has nothing left goes on with what others have.
#[repr(align(128))]
struct Share<'a, W> {
    pieces: Vec<&'a [W]>,
    /// The first piece that nobody has taken.
    next: AtomicUsize,
}

/// Where a worker is, apart from all others. Its own thread makes it when it begins, so that what the worker writes
/// comes from that thread's memory, too: at each state it writes a little, and a line of the cache that holds what two
/// threads write goes to and fro between them.
#[repr(align(128))]
struct Place<'a, W> {
    /// Its share.
    own: usize,
    worker: Option<Worker<'a, W>>,
}

/// What one thread does, and has left when it goes home.
struct Worker<'a, W> {
    /// The share that it takes pieces from first.
    share: usize,
    expander: Expander<'a, W>,
    /// The rest of its piece.
    piece: &'a [W],
    /// What it has put into its outbox.
    recent: Recent<W>,
    /// Successors that are not inserted.
    outbox: Vec<W>,
    fresh: Vec<W>,
    stopped: bool,
}

impl<W: Word> Work<'_, W> {
    /// Whether somebody has taken each piece: who finds no room goes home, whatever is left, and may find some on its way.
    fn is_taken(&self) -> bool {
        self.shares.iter().all(|share| share.next.load(Relaxed) >= share.pieces.len())
    }
}

impl<'a, W> Share<'a, W> {
    fn take(&self) -> Option<&'a [W]> {
        // Past the end the counter goes on by one each time somebody looks.
        self.pieces.get(self.next.fetch_add(1, Relaxed)).copied()
    }
}

impl<'a, W: Word> Place<'a, W> {
    fn is_done(&self) -> bool {
        self.worker.as_ref().is_none_or(Worker::is_done)
    }

    /// Works until everything is expanded and inserted, there is no room, or all are told to halt.
    fn run(&mut self, work: &Work<'a, W>, set: &Shared<'_, W>) {
        let halts = Halts(&work.halted);
        let new = || Worker::new(self.own, work.plan.expander(work.tables));
        self.worker.get_or_insert_with(new).run(work, set);
        drop(halts);
    }
}

impl<'a, W: Word> Worker<'a, W> {
    fn new(share: usize, expander: Expander<'a, W>) -> Self {
        Self {
            share,
            expander,
            piece: &[],
            recent: Recent::nothing(),
            outbox: Vec::with_capacity(2 * BATCH),
            fresh: Vec::new(),
            stopped: false,
        }
    }

    fn is_done(&self) -> bool {
        self.piece.is_empty() && self.outbox.is_empty()
    }

    fn run(&mut self, work: &Work<'a, W>, set: &Shared<'_, W>) {
        while let Some((&state, rest)) = self.next(work).split_first() {
            self.expander.expand(state, work.depth, |successor| {
                if self.recent.is_new(successor) {
                    self.outbox.push(successor);
                }
            });
            self.piece = rest;
            if self.outbox.len() >= BATCH && !self.deliver(work, set) {
                break;
            }
            self.stopped = work.plan.is_stopped();
            if self.stopped {
                work.halted.store(true, Relaxed);
            }
            if work.halted.load(Relaxed) {
                break;
            }
        }
        self.deliver(work, set);
        if self.is_done() {
            // Each copies what it has found into its place, not one for all.
            self.fresh.shrink_to_fit();
        }
    }

    /// What is left of the piece, or the next one; empty if there is none.
    fn next(&mut self, work: &Work<'a, W>) -> &'a [W] {
        if self.piece.is_empty() {
            let (before, from) = work.shares.split_at(self.share.min(work.shares.len()));
            self.piece = from.iter().chain(before).find_map(Share::take).unwrap_or(&[]);
        }
        self.piece
    }

    /// Inserts what waits; whether there was room for it.
    fn deliver(&mut self, work: &Work<'a, W>, set: &Shared<'_, W>) -> bool {
        let left = set.insert_all(&mut self.outbox, &mut self.fresh);
        let taken = set.taken();
        work.plan.found(taken);
        if taken > work.most {
            work.halted.store(true, Relaxed);
        }
        left == Left::Nothing
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
