//! The explorer: every interleaving of a model, proved or refuted.
//!
//! A model is [compiled](compile()) into tables over states of one machine word, then [explored](explore()) level by
//! level. Reading order: [`replay`] (what a model means), `reach` and `pruned` (what cannot happen), `layout`, `condition`
//! and `tables` (the packed model), `plan`, `expand`, `recent`, `set` and `search`, then the reductions `liveness`, `symmetry`, `cycles` and
//! `persistent`, and what comes after a search: `livelock`, `coverage`, `trace`, `round`, `witness`, `counting`.
//! Another question, all that runs can end with, is in `ends`; a search larger than memory is in [`disk`].
//!
//! Invariant: a verdict is exact. States are compared whole, a limit that was hit is never called a proof, and the
//! outcome does not depend on the number of threads.
//!
//! Source of the method: explicit-state search as in Holzmann, The SPIN Model Checker, 2003; the reductions name theirs.

mod bits;
mod cases;
mod condition;
mod counting;
mod coverage;
pub mod cow_n;
mod cycles;
pub mod disk;
mod ends;
mod expand;
mod layout;
mod livelock;
mod liveness;
mod options;
mod outcome;
mod parts;
mod persistent;
mod plan;
mod properties;
mod pruned;
mod reach;
mod recent;
pub mod replay;
mod round;
mod search;
mod set;
mod symmetry;
mod tables;
mod too_large;
mod trace;
mod whole;
mod witness;
mod word;

pub(crate) use self::ends::MOST_ENDS;
pub use self::ends::{Ends, Final, Look, Shortfall, ends};
use self::expand::Broken;
use self::livelock::Hope;
pub use self::options::{
    Bound, Counting, Options, PersistentSets, Reduction, Reductions, Stop, Threads, Visited,
};
pub use self::outcome::{
    Coverage, Interleavings, LAST_LEVELS, Length, Outcome, Round, Statistics, Step, Trace, Verdict,
};
use self::parts::{Apart, Counterexample, Proof};
use self::pruned::Pruned;
use self::search::{End, Searched};
use self::tables::Tables;
pub use self::too_large::{Biggest, TooLarge};
use self::word::Word;
use crate::model::Model;

/// A model that can be explored.
#[derive(Clone, Debug)]
pub struct Packed {
    model: Model,
    tables: Width,
}

#[derive(Clone, Debug)]
enum Width {
    Narrow(Tables<u64>),
    Wide(Tables<u128>),
}

/// Packs a model for exploration.
///
/// # Errors
///
/// If the model is not well formed, or if a state takes more than 127 bits.
pub fn compile(model: &Model) -> Result<Packed, TooLarge> {
    compile_until(model, None)
}

/// The same, unless it is told to stop.
///
/// # Errors
///
/// Likewise, and if it was told to stop.
pub fn compile_until(model: &Model, stop: Option<&Stop>) -> Result<Packed, TooLarge> {
    model.validate()?;
    let pruned = Pruned::of(model, stop)?;
    let tables = match Tables::of(model, &pruned, stop) {
        Ok(tables) => Width::Narrow(tables),
        Err(TooLarge::Bits { .. }) => Width::Wide(Tables::of(model, &pruned, stop)?),
        Err(other @ (TooLarge::Malformed(_) | TooLarge::Stopped)) => return Err(other),
    };
    Ok(Packed { model: model.clone(), tables })
}

/// Explores every interleaving and says whether a property can break.
///
/// On a violation found with persistent sets the search is repeated without them, no deeper than the violation, because
/// they do not keep the shortest trace.
#[must_use]
pub fn explore(packed: &Packed, options: &Options) -> Outcome {
    match &packed.tables {
        Width::Narrow(tables) => explore_tables(&packed.model, tables, options),
        Width::Wide(tables) => explore_tables(&packed.model, tables, options),
    }
}

/// One complete run: every agent whose end is awaited ends, and nothing breaks. None if there is no such run, or none
/// within the limits; its states are reduced as can be, whatever the options say.
#[must_use]
pub fn witness(packed: &Packed, options: &Options) -> Option<Trace> {
    let moves = match &packed.tables {
        Width::Narrow(tables) => witness::find(&packed.model, tables, options),
        Width::Wide(tables) => witness::find(&packed.model, tables, options),
    };
    moves.map(|moves| trace::shown(&packed.model, &moves))
}

impl Packed {
    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Bits of each variable in a packed state, in the order of the model's variables; 0 if it never changes.
    #[must_use]
    pub fn bits(&self) -> Vec<u32> {
        let slots = match &self.tables {
            Width::Narrow(tables) => &tables.layout.slots,
            Width::Wide(tables) => &tables.layout.slots,
        };
        slots.iter().map(layout::Slot::bits).collect()
    }

    /// Bits of a packed state, the places of the agents included.
    #[must_use]
    pub fn state_bits(&self) -> u32 {
        match &self.tables {
            Width::Narrow(tables) => tables.layout.bits,
            Width::Wide(tables) => tables.layout.bits,
        }
    }

    /// Bytes of memory that a search of so many states takes at most at one time.
    #[must_use]
    pub fn memory_of(&self, states: usize) -> usize {
        match &self.tables {
            Width::Narrow(_) => plan::peak_of::<u64>(states, 0),
            Width::Wide(_) => plan::peak_of::<u128>(states, 0),
        }
    }

    /// Bytes of disk that so many states take; what is merged comes to that.
    #[must_use]
    pub fn disk_of(&self, states: usize) -> usize {
        match &self.tables {
            Width::Narrow(_) => states.saturating_mul(size_of::<u64>()),
            Width::Wide(_) => states.saturating_mul(size_of::<u128>()),
        }
    }

    /// How many of the declared symmetries hold and are used.
    #[must_use]
    pub fn symmetries(&self) -> usize {
        match &self.tables {
            Width::Narrow(tables) => tables.layout.blocks.len(),
            Width::Wide(tables) => tables.layout.blocks.len(),
        }
    }
}

/// Parts are looked for after this part of the states after which persistent sets are asked about.
const SOONER: usize = 8;

/// What was searched.
enum Answer<'w, W: Word> {
    /// The model, with these options.
    Whole(Searched<W>, Options<'w>),
    /// Its parts, and nothing breaks.
    Apart(Proof),
    /// Its parts, and something breaks.
    Broken(Box<Counterexample<W>>),
}

/// The search that answers, and the options it was made with: of the whole, with persistent sets or without, or of the
/// parts. What is decided depends on the model and the limits alone.
fn searched<'w, W: Word>(tables: &Tables<W>, options: &Options<'w>) -> Answer<'w, W> {
    let PersistentSets::Asked { at } = options.reductions.persistent_sets else {
        let (searched, options) = whole::searched(tables, options);
        return Answer::Whole(searched, options);
    };
    let plan = options.with(PersistentSets::Off).plan::<W>().0;
    let plain = Searched::start(tables, &plan).until(at / SOONER, tables, &plan);
    let mut apart = Apart::Silent;
    if plain.is_open(&plan) {
        // A whole that is small answers, too, and says more: in how many orders.
        let few = Options { max_states: at.min(options.max_states), ..options.beside::<W>(plain.states) };
        apart = Apart::search(tables, &few);
    }
    if let Apart::Broken(found) = apart {
        return Answer::Broken(found);
    }
    let plain = plain.until(at, tables, &plan);
    if let Apart::TooMany = apart
        && plain.is_open(&plan)
    {
        apart = Apart::search(tables, &options.beside::<W>(plain.states));
    }
    match apart {
        Apart::Proved(proof) if plain.is_open(&plan) || plain.end == End::Full => {
            return Answer::Apart(proof);
        }
        Apart::Broken(found) => return Answer::Broken(found),
        Apart::Proved(_) | Apart::Silent | Apart::TooMany => {}
    }
    let (searched, options) = whole::go_on(tables, options, plain);
    Answer::Whole(searched, options)
}

fn explore_tables<W: Word>(model: &Model, tables: &Tables<W>, options: &Options) -> Outcome {
    let (searched, options) = match searched(tables, options) {
        Answer::Whole(searched, options) => (searched, options),
        Answer::Apart(proof) => return proof.proved(model, tables, options),
        Answer::Broken(found) => return found.violated(model, options),
    };
    let (options, (plan, bound)) = (&options, options.plan::<W>());
    match searched.end {
        End::Full => searched.bound_hit(bound),
        End::Stopped => searched.bound_hit(Bound::Stopped),
        End::Exhausted => match livelock::find(tables, &plan, &searched) {
            Hope::Everywhere => proved(model, tables, options, searched),
            Hope::Lost(found) => hopeless(model, tables, options, &searched, &found),
            Hope::Unknown => searched.bound_hit(Bound::Stopped),
        },
        End::Broken(found) if options.reductions.persistent_sets != PersistentSets::Off => {
            let beside = options.plan_beside::<W>(searched.states);
            let again = Searched::run(tables, &beside.shortest(found.depth));
            match again.end {
                End::Broken(shortest) => again.violated(model, tables, &plan, &shortest, Length::Shortest),
                End::Exhausted | End::Full | End::Stopped => {
                    searched.violated(model, tables, &plan, &found, Length::PerhapsLonger)
                }
            }
        }
        End::Broken(found) => searched.violated(model, tables, &plan, &found, Length::Shortest),
    }
}

/// No state breaks a property, and from each an end can be reached.
fn proved<W: Word>(model: &Model, tables: &Tables<W>, options: &Options, searched: Searched<W>) -> Outcome {
    let beside = options.plan_beside::<W>(searched.states);
    let coverage = Some(coverage::coverage(model, tables, &beside, &searched));
    let mut statistics = searched.statistics();
    statistics.interleavings = counting::interleavings(tables, options, Some(searched));
    Outcome { verdict: Verdict::Proved, statistics, coverage }
}

/// The search came to a state from which no end can be reached; the nearest one is looked for without persistent sets.
fn hopeless<W: Word>(
    model: &Model,
    tables: &Tables<W>,
    options: &Options,
    searched: &Searched<W>,
    found: &Broken<W>,
) -> Outcome {
    let plan = options.plan_beside::<W>(searched.states);
    if plan.reductions.persistent_sets == PersistentSets::Off {
        return searched.violated(model, tables, &plan, found, Length::Shortest);
    }
    let plan = plan.without_persistent_sets();
    let again = Searched::run(tables, &plan);
    if again.end == End::Exhausted
        && let Hope::Lost(nearest) = livelock::find(tables, &plan, &again)
    {
        return again.violated(model, tables, &plan, &nearest, Length::Shortest);
    }
    searched.violated(model, tables, &plan, found, Length::PerhapsLonger)
}

#[cfg(test)]
mod tests;
