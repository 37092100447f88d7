//! A search larger than memory: its levels are sorted files, and a state is looked up when the level is over.
//!
//! Invariant: a verdict is the one of the search in memory, with the same states, transitions and trace, and as exact:
//! keys are compared whole. What needs the graph of all states is asked in memory if the states fit there, and else not
//! decided and said so: where a scenario asks that an end can always be reached, and its steps can go round, a search
//! that found nothing broken is [`Bound::Ends`] and no proof. Runs are not counted. What the disk refuses is a
//! [`DiskError`] and no outcome.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use self::search::{Levels, Room};
use self::store::{Folder, Key};
use super::coverage::{self, Seen};
use super::expand::Broken;
use super::options::{Bound, Counting, Options, PersistentSets};
use super::outcome::{Coverage, Length, Outcome, Verdict};
use super::plan::Plan;
use super::search::{End, Searched};
use super::tables::Tables;
use super::whole::few;
use super::{Packed, Width, round, trace};
use crate::model::Model;

mod expand;
mod merge;
mod search;
mod store;

#[cfg(test)]
mod tests;

/// Bytes of memory for the first states, which decide whether persistent sets pay, whatever the limit is.
const ASKING: usize = 64 << 20;

/// What the host refused.
#[derive(Debug, Error)]
pub enum DiskError {
    /// There is no room left.
    #[error("no room is left in {folder} after {states} states: make room there, or name another folder")]
    Full {
        /// The folder.
        folder: PathBuf,
        /// States that were found before, at least.
        states: usize,
    },
    /// A file in it cannot be made, written or read.
    #[error("a file in {folder} cannot be used: {source}; name a folder that can be written to")]
    Refused {
        /// The folder.
        folder: PathBuf,
        /// What the host says.
        source: io::Error,
    },
}

/// The same as [`explore`](super::explore), with all states in files of this folder, and with
/// [`memory_bytes`](Options::memory_bytes) for what is merged; at least some hundred bytes for each level are
/// needed. The files have no names, and are gone when this returns or the program ends.
///
/// # Errors
/// If the folder has no room, or its files cannot be used.
pub fn explore(packed: &Packed, options: &Options<'_>, folder: &Path) -> Result<Outcome, DiskError> {
    explored(packed, options, &folder).map_err(|(states, source)| {
        let folder = folder.to_owned();
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
        if full.contains(&source.kind()) {
            DiskError::Full { folder, states }
        } else {
            DiskError::Refused { folder, source }
        }
    })
}

/// What was refused, and how many states were found before.
type Failed = (usize, io::Error);

fn explored(packed: &Packed, options: &Options<'_>, folder: &dyn Folder) -> Result<Outcome, Failed> {
    match &packed.tables {
        Width::Narrow(tables) => explore_tables(&packed.model, tables, options, folder),
        Width::Wide(tables) => explore_tables(&packed.model, tables, options, folder),
    }
}

/// Whether persistent sets pay, as the search in memory decides it, from the first states.
fn persistent_sets<W: Key>(tables: &Tables<W>, options: &Options<'_>) -> PersistentSets {
    let PersistentSets::Asked { at } = options.reductions.persistent_sets else {
        return options.reductions.persistent_sets;
    };
    let options = Options { memory_bytes: ASKING, ..*options };
    let (with, plan) = (options.with(PersistentSets::On), options.with(PersistentSets::Off).plan::<W>().0);
    let plain = Searched::start(tables, &plan).until(at, tables, &plan);
    if plain.end == End::Full || plain.is_open(&plan) && few(tables, &with, &plain).is_some() {
        PersistentSets::On
    } else {
        PersistentSets::Off
    }
}

/// A search that is over, and what it was made of.
struct Found<'a, W> {
    model: &'a Model,
    tables: &'a Tables<W>,
    plan: Plan<'a>,
    room: Room<'a>,
    levels: Levels<W>,
}

/// Whether an end must be within reach, and a run may go round.
fn goes_round<W: Key>(tables: &Tables<W>) -> bool {
    tables.properties.livelock().is_some() && tables.ways.iter().any(|way| way.back)
}

fn explore_tables<W: Key>(
    model: &Model,
    tables: &Tables<W>,
    options: &Options<'_>,
    folder: &dyn Folder,
) -> Result<Outcome, Failed> {
    let options = options.with(persistent_sets(tables, options));
    // States are limited by their number alone.
    let in_memory = options.plan::<W>().0;
    let plan = Plan { max_states: options.max_states, ..in_memory };
    let room = Room { folder, memory: options.memory_bytes };
    let levels = Levels::run(tables, &plan, room)?;
    let found = Found { model, tables, plan, room, levels };
    match found.levels.end {
        End::Full => Ok(found.bound_hit(Bound::States { count: options.max_states })),
        End::Stopped => Ok(found.bound_hit(Bound::Stopped)),
        End::Exhausted if goes_round(tables) && found.levels.states > in_memory.max_states => {
            Ok(found.bound_hit(Bound::Ends))
        }
        // What needs the graph is asked where there is one.
        End::Exhausted if goes_round(tables) => {
            drop(found);
            let options = Options { interleavings: Counting::Off, ..options };
            Ok(super::explore_tables(model, tables, &options))
        }
        End::Exhausted => found.proved(),
        End::Broken(broken) if plan.reductions.persistent_sets != PersistentSets::Off => {
            let shortest = plan.shortest(broken.depth);
            let again = Found { levels: Levels::run(tables, &shortest, room)?, ..found };
            match again.levels.end {
                End::Broken(shortest) => again.violated(&shortest, Length::Shortest),
                End::Exhausted | End::Full | End::Stopped => found.violated(&broken, Length::PerhapsLonger),
            }
        }
        End::Broken(broken) => found.violated(&broken, Length::Shortest),
    }
}

impl<W: Key> Found<'_, W> {
    fn bound_hit(&self, what: Bound) -> Outcome {
        Outcome { verdict: Verdict::BoundHit { what }, statistics: self.levels.statistics(), coverage: None }
    }

    /// What no search with persistent sets has seen is looked for without them.
    fn proved(self) -> Result<Outcome, Failed> {
        let reductions = self.plan.reductions;
        let unseen = |seen: &Seen| coverage::unseen(self.model, self.tables, reductions, seen);
        let statistics = self.levels.statistics();
        let mut seen = self.levels.seen;
        let (mut marks, mut end) = unseen(&seen);
        let mut complete = true;
        if reductions.persistent_sets != PersistentSets::Off && !(marks.is_empty() && end) {
            let again = Levels::run(self.tables, &self.plan.without_persistent_sets(), self.room)?;
            seen.add(&again.seen);
            (marks, end) = unseen(&seen);
            complete = again.end == End::Exhausted || (marks.is_empty() && end);
        }
        let coverage = Some(Coverage { unseen: marks, end, complete });
        Ok(Outcome { verdict: Verdict::Proved, statistics, coverage })
    }

    fn violated(&self, broken: &Broken<W>, length: Length) -> Result<Outcome, Failed> {
        let moves = self.levels.moves(self.tables, &self.plan, self.room, broken);
        let moves = moves.map_err(|error| (self.levels.states, error))?;
        let mut trace = trace::shown(self.model, &moves);
        if self.tables.properties.livelock() == Some(broken.property) {
            trace.round = round::round(self.model, &trace.last);
        }
        let verdict = Verdict::Violated { property: broken.property, trace, length };
        Ok(Outcome { verdict, statistics: self.levels.statistics(), coverage: None })
    }
}
