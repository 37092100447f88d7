//! One level expanded by a thread for each of two shards.
//!
//! Invariant: a shard is touched by its own thread only; states that belong to the other one are sent there. A thread
//! ends when it has expanded its part and the other one has hung up. Nobody waits with a full inbox: who cannot send
//! takes in first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use super::super::expand::Expander;
use super::super::plan::Plan;
use super::super::tables::Tables;
use super::super::word::Word;
use super::{BEGUN, Level, Shard, alone, owner};

/// States in a message.
const MESSAGE: usize = 4096;
/// Messages that may wait for one thread.
const INBOX: usize = 64;

/// Expands the last level of both shards; without a second thread if the host has none left.
pub(super) fn level<W: Word>(
    shards: &mut [Shard<W>],
    tables: &Tables<W>,
    plan: &Plan,
    depth: usize,
) -> Level<W> {
    let expanded = match &mut *shards {
        [first, second] => by_two(first, second, tables, plan, depth),
        _ => None,
    };
    expanded.unwrap_or_else(|| alone(shards, tables, plan, depth))
}

/// None, with nothing done, if there is no second thread.
fn by_two<W: Word>(
    first: &mut Shard<W>,
    second: &mut Shard<W>,
    tables: &Tables<W>,
    plan: &Plan,
    depth: usize,
) -> Option<Level<W>> {
    let found = AtomicUsize::new(first.set.len() + second.set.len());
    let (to_first, first_inbox) = sync_channel(INBOX);
    let (to_second, second_inbox) = sync_channel(INBOX);
    let worker = |own, shard, inbox, outbox| Worker {
        own,
        shard,
        mail: Mail { inbox, outbox, leaving: Vec::with_capacity(MESSAGE) },
        found: &found,
        plan,
        stopped: false,
        expander: plan.expander(tables),
    };
    let first = worker(0, first, first_inbox, to_second);
    let second = worker(1, second, second_inbox, to_first);
    thread::scope(|scope| {
        let second = thread::Builder::new().spawn_scoped(scope, move || second.run(depth)).ok()?;
        let first = first.run(depth);
        Some(first.and(&second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
    })
}

/// A thread's shard and what it needs to expand it.
struct Worker<'a, W> {
    own: usize,
    shard: &'a mut Shard<W>,
    mail: Mail<W>,
    /// States found by both.
    found: &'a AtomicUsize,
    plan: &'a Plan<'a>,
    stopped: bool,
    expander: Expander<'a, W>,
}

/// The way to the other thread and back.
struct Mail<W> {
    inbox: Receiver<Vec<W>>,
    outbox: SyncSender<Vec<W>>,
    leaving: Vec<W>,
}

impl<W: Word> Worker<'_, W> {
    fn run(mut self, depth: usize) -> Level<W> {
        let states = self.shard.levels.last_mut().map(std::mem::take).expect(BEGUN);
        let mut staying = Vec::with_capacity(2 * MESSAGE);
        let own = self.own;
        for &state in &states {
            let leaving = &mut self.mail.leaving;
            self.expander.expand(state, depth, |successor| {
                if owner(successor, 2) == own { staying.push(successor) } else { leaving.push(successor) }
            });
            if staying.len() >= MESSAGE {
                self.insert(&staying);
                staying.clear();
                self.take_in();
            }
            if self.mail.leaving.len() >= MESSAGE {
                self.send();
            }
            if self.is_full() {
                break;
            }
            self.stopped = self.plan.is_stopped();
            if self.stopped {
                break;
            }
        }
        self.insert(&staying);
        self.send();
        if let Some(level) = self.shard.levels.last_mut() {
            *level = states;
        }
        self.finish()
    }

    fn is_full(&self) -> bool {
        self.found.load(Ordering::Relaxed) > self.plan.max_states
    }

    fn insert(&mut self, states: &[W]) {
        insert(self.shard, states, self.found, self.plan);
    }

    fn take_in(&mut self) {
        while let Ok(states) = self.mail.inbox.try_recv() {
            self.insert(&states);
        }
    }

    fn send(&mut self) {
        let mut message = std::mem::replace(&mut self.mail.leaving, Vec::with_capacity(MESSAGE));
        while let Err(TrySendError::Full(unsent)) = self.mail.outbox.try_send(message) {
            message = unsent;
            self.take_in();
            thread::yield_now();
        }
    }

    /// Hangs up, and takes in what comes until the other one has.
    fn finish(self) -> Level<W> {
        let Mail { inbox, outbox, .. } = self.mail;
        drop(outbox);
        for states in inbox {
            insert(self.shard, &states, self.found, self.plan);
        }
        Level::of(self.expander, self.stopped)
    }
}

/// Inserts nothing if there are too many already: the search has failed, and its memory is used up.
fn insert<W: Word>(shard: &mut Shard<W>, states: &[W], found: &AtomicUsize, plan: &Plan) {
    if found.load(Ordering::Relaxed) > plan.max_states {
        return;
    }
    let before = shard.set.len();
    shard.insert(states);
    let new = shard.set.len() - before;
    plan.found(found.fetch_add(new, Ordering::Relaxed) + new);
}
