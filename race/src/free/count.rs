//! What rounds have ended with, as it is counted.
//!
//! Invariant: a round is counted once, by the thread that began it, with nobody else at work on its machine.

use std::collections::HashMap;

use super::round::Worker;
use super::world::{End, World};

/// What one thread has counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) ends: HashMap<End, u64>,
    pub(super) rounds: u64,
    /// Those of them in which several threads had agents.
    pub(super) together: u64,
    pub(super) endless: u64,
    pub(super) stalled: Option<Vec<(String, String)>>,
}

impl Counted {
    /// What another thread has counted.
    pub(super) fn add(&mut self, other: Self) {
        other.ends.into_iter().for_each(|(end, count)| *self.ends.entry(end).or_default() += count);
        self.rounds += other.rounds;
        self.together += other.together;
        self.endless += other.endless;
        self.stalled = self.stalled.take().or(other.stalled);
    }

    /// Puts everything back, for a round among so many threads; false if that cannot be.
    pub(super) fn begins(&mut self, world: &World<'_>, threads: usize) -> bool {
        let begun = world.begin(threads);
        if let Err(stuck) = &begun {
            self.stalled.get_or_insert_with(|| vec![("the machine".to_owned(), stuck.to_string())]);
        }
        begun.is_ok()
    }

    /// Counts a round that has ended; false: it was the last one.
    pub(super) fn count(&mut self, worker: &mut Worker<'_, '_>) -> bool {
        let world = worker.world;
        self.rounds += 1;
        self.together += u64::from(worker.is_together);
        let foreign = world.foreign.lock().take().map(|(agent, part)| {
            let name = world.setting.lowered.model.agents[agent].name.clone();
            vec![(name, format!("something that the model does not do there: {part}"))]
        });
        let stalled = world.stalled.lock().take();
        if let Some(told) = foreign.or(stalled) {
            self.stalled.get_or_insert(told);
            return false;
        }
        let Some(end) = worker.end() else {
            self.endless += 1;
            return true;
        };
        // Nearly every end has been seen before: only a new one is kept.
        match self.ends.get_mut(end) {
            Some(count) => *count += 1,
            None => drop(self.ends.insert(end.clone(), 1)),
        }
        true
    }
}
