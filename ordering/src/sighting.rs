//! What was seen of a run on a machine, made a run of the model: its rows in an order that their times allow, and between
//! them what nobody sees.
//!
//! Invariant: each row of the run was seen, at a time between the two of its sighting, or is one that hardware takes by
//! itself and was filled in. What must be seen stands in it, up to the last row. Of several runs one with the fewest
//! rows filled in is found; a search that hit its bound says so, and refuses nothing.
//! Source: Wing and Gong, "Testing and Verifying Concurrent Objects" (1993).

mod search;

use crate::counterexample::{Seen, Table};
use crate::engine::replay::{Move, State};
use crate::engine::{Step, Trace};
use crate::lowering::Lowered;
use crate::model::PropertyId;

use self::search::{Found, Search};

/// Something that was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sighting {
    /// Index of the agent that did it.
    pub agent: usize,
    /// Its row, as a `trace` says it; one of several where it was not seen which.
    pub rows: Vec<String>,
    /// All that the row changes has this value afterwards, in the model's words, if that was seen.
    pub leads_to: Option<String>,
    /// It did not happen before, in nanoseconds.
    pub began_ns: u64,
    /// It had happened.
    pub ended_ns: u64,
    /// Whether it stands in the run.
    pub stands: Stands,
}

/// Whether a row that was seen stands in the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stands {
    /// If the run comes so far. Those of one agent keep the order in which they are given.
    Always,
    /// If it matters.
    Perhaps,
}

/// A run that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// The run; its last step is the last sighting, and breaks the property.
    pub trace: Trace,
    /// How each of its steps is known.
    pub seen: Vec<Seen>,
    /// The property.
    pub broken: PropertyId,
}

/// The model has no such run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unexplained {
    /// The search looked at so many places, as it was allowed to, and found none; there may be one.
    BoundHit(usize),
    /// The sighting with this index is the first that cannot stand there, whatever is filled in.
    Refused(usize),
    /// The last row can be come to, and breaks nothing there.
    Unbroken,
}

/// The most sightings of a run.
pub const MOST: usize = 128;

/// Places that are enough for a search if nobody says otherwise.
pub const MOST_PLACES: usize = 200_000;

/// Finds a run of `lowered` of which the sightings are seen, with the last of them as its last row, which breaks a property;
/// looks at so many places at most.
///
/// # Errors
/// [`Unexplained`].
///
/// # Panics
/// If there is no sighting, or more than [`MOST`], or one of an agent that the model does not have.
pub fn explain(
    lowered: &Lowered,
    sightings: &[Sighting],
    most_places: usize,
) -> Result<Explained, Unexplained> {
    assert!((1..=MOST).contains(&sightings.len()), "{} sightings, of 1 to {MOST}", sightings.len());
    let known = |one: &Sighting| one.agent < lowered.model.agents.len();
    assert!(sightings.iter().all(known), "a sighting of nobody");
    Search::new(lowered, sightings).run(most_places).map(|found| explained(lowered, sightings, &found))
}

impl Explained {
    /// As it is printed and replayed.
    #[must_use]
    pub fn table(&self, lowered: &Lowered) -> Table {
        Table::of_seen(lowered, &self.trace, self.broken, &self.seen)
    }

    /// How many rows were filled in.
    #[must_use]
    pub fn filled_in(&self) -> usize {
        self.seen.iter().filter(|seen| **seen == Seen::FilledIn).count()
    }
}

fn explained(lowered: &Lowered, sightings: &[Sighting], found: &Found) -> Explained {
    let mut state = State::initial(&lowered.model);
    let (mut steps, mut seen, mut now_ns) = (Vec::new(), Vec::new(), 0);
    for (taken, sighting) in &found.rows {
        let Move { agent, pc, alternative } = *taken;
        let way = &lowered.model.agents[agent].program[usize::from(pc.0)].alternatives[alternative];
        let after = state.after(agent, way);
        steps.push(Step { agent, pc, alternative, changes: state.changes(&after) });
        seen.push(match sighting {
            None => Seen::FilledIn,
            Some(index) => {
                // The earliest time that the order allows: no row is shown before the one above it.
                now_ns = sightings[*index].began_ns.max(now_ns);
                Seen::At(now_ns)
            }
        });
        state = after;
    }
    Explained { trace: Trace { steps, last: state, round: None }, seen, broken: found.broken }
}

#[cfg(test)]
mod tests;
