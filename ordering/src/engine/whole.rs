//! The search of a model, or of a part of one, as a whole: with persistent sets where these leave out enough.
//!
//! Invariant: what is decided depends on the model and the limits alone. Persistent sets change neither the verdict nor
//! whether there is one.

use super::options::{Options, PersistentSets};
use super::plan::Plan;
use super::search::{End, Searched};
use super::tables::Tables;
use super::word::Word;

/// Of the states that were found without persistent sets, one in so many is looked at first with them.
const LOOKED_AT: usize = 16;
/// Persistent sets pay if they leave at most so many states, of so many: a state costs up to twice as much with them.
const PAYING: [usize; 2] = [4, 7];
/// And if from the first states to all of them they do not lose more than this part of what they are worth: otherwise
/// they are worth nothing in the end.
const LASTING: usize = 2;

/// The search, and the options it was made with: nothing is left to be asked.
pub(super) fn searched<'w, W: Word>(tables: &Tables<W>, options: &Options<'w>) -> (Searched<W>, Options<'w>) {
    match options.reductions.persistent_sets {
        PersistentSets::Off | PersistentSets::On => (Searched::run(tables, &options.plan::<W>().0), *options),
        PersistentSets::Asked { at } => {
            let plan = options.with(PersistentSets::Off).plan::<W>().0;
            go_on(tables, options, Searched::start(tables, &plan).until(at, tables, &plan))
        }
    }
}

/// The same, where so much was searched without persistent sets that it is time to ask.
pub(super) fn go_on<'w, W: Word>(
    tables: &Tables<W>,
    options: &Options<'w>,
    plain: Searched<W>,
) -> (Searched<W>, Options<'w>) {
    let (with, without) = (options.with(PersistentSets::On), options.with(PersistentSets::Off));
    let plan = without.plan::<W>().0;
    // Where there is room for few states, with them it may be enough.
    if plain.end == End::Full {
        return (Searched::run(tables, &with.plan::<W>().0), with);
    }
    if plain.is_open(&plan)
        && let Some(reduced) = few(tables, &with, &plain)
    {
        drop(plain);
        return (reduced.go_on(tables, &with.plan::<W>().0), with);
    }
    (plain.go_on(tables, &plan), without)
}

/// The levels of `plain` with persistent sets, if these leave out so much that it is worth the time of choosing them.
pub(super) fn few<W: Word>(tables: &Tables<W>, with: &Options, plain: &Searched<W>) -> Option<Searched<W>> {
    let [left, of] = PAYING;
    let room = with.plan_beside::<W>(plain.states).max_states;
    let most = |states: usize| Plan { max_states: room.min(states * left / of), ..with.plan::<W>().0 };
    let (depth, states) = plain.depth_of(plain.states / LOOKED_AT);
    let plan = most(states);
    let first = Searched::start(tables, &plan).down_to(depth, tables, &plan);
    let found = first.states;
    let plan = most(plain.states);
    let begun = first.down_to(plain.depth(), tables, &plan);
    // States without persistent sets for each with them, in the first levels and in the others.
    let lasting = (plain.states - states) * LASTING * found >= states * (begun.states - found);
    (begun.end == End::Exhausted && lasting).then_some(begun)
}
