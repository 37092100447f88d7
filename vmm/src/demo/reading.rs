//! The first violation of an order, read as a run of the order's scenario.
//!
//! Invariant: what is shown is a run that the model has, of rows that were seen within their times; hardware's own rows
//! are filled in where nobody saw them, and say so. A violation that is no run of the scenario is a divergence: the live
//! machine does what the model excludes; a search that was over before it found one says neither.

mod seen;
mod window;

use mmu::trace::Action;
use ordering::counterexample::{Seen, Table};
use ordering::lowering::{Lowered, load};
use ordering::sighting::{Explained, Sighting, Unexplained, explain};
use picture::timeline::Timeline;

use self::seen::Scene;
use self::window::windows;
use super::options::Trial;
use super::recorder::Violation;
use super::scenario::{OPERATOR, OrderScenario};

/// What the first violation is to the order's scenario.
#[derive(Clone, Debug)]
pub enum Reading {
    /// A counterexample of it.
    Counterexample(Box<Counterexample>),
    /// Nothing that it can do: what was seen, and where the model stops.
    Divergence(String),
    /// Not known: the search looked at so many places, found no run, and was to look at no more.
    BoundHit(usize),
    /// Not to be told: the recorder has the last events only.
    TooLong,
}

/// A violation that happened and is a run of the scenario.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The run.
    pub table: Table,
    /// The scenario with the run as its trace: it is read again and holds.
    pub text: String,
    /// Rows of the run that nobody saw.
    pub filled_in: usize,
    /// The same run, to be drawn.
    pub run: Timeline,
    /// How each of its rows is known.
    pub seen: Vec<Seen>,
}

/// Reads the first violation of `trial`; a search looks at so many places at most.
///
/// # Panics
/// If the order's scenario cannot be read, which a test excludes.
#[must_use]
pub fn read(trial: &Trial, violation: &Violation, most_places: usize) -> Reading {
    let is_lost = matches!(violation.event.action, Action::LostStore { .. });
    // Who finds a page at rest without what was stored there looks at it through the page table.
    let victim = if is_lost { OPERATOR } else { violation.event.agent };
    let (mut refused, mut bound_hit) = (None, None);
    for window in &windows(trial.operation, violation) {
        let walkers = window.walkers(victim);
        let order = OrderScenario::new(trial).for_reader(victim).with(walkers.iter().copied());
        let lowered = lowered(&order);
        let operation = trial.operation;
        let scene = Scene { operation, lowered: &lowered, victim, walkers, violation, window };
        let sightings = scene.sightings();
        match explain(&lowered, &sightings, most_places) {
            Ok(found) => return counterexample(&order, &lowered, &found),
            Err(Unexplained::BoundHit(places)) => bound_hit = Some(places),
            Err(Unexplained::Refused(index)) => {
                let text = "no run of the scenario has these rows; the first that none has is marked";
                refused = refused.or_else(|| Some(divergence(&lowered, &sightings, Some(index), text)));
            }
            Err(Unexplained::Unbroken) => {
                let text = "the scenario can come to the last row, which breaks nothing there";
                refused = refused.or_else(|| Some(divergence(&lowered, &sightings, None, text)));
            }
        }
    }
    // A run may be where nobody has looked: that other windows have none excludes nothing.
    match (bound_hit, refused) {
        (Some(places), _) => Reading::BoundHit(places),
        (None, Some(seen)) => Reading::Divergence(seen),
        (None, None) => Reading::TooLong,
    }
}

fn lowered(order: &OrderScenario<'_>) -> Lowered {
    match load(&order.text()).map(|mut loaded| loaded.pop()) {
        Ok(Some((_, lowered))) => lowered,
        found => panic!("the scenario {} cannot be read: {found:?}", order.name()),
    }
}

fn counterexample(order: &OrderScenario<'_>, lowered: &Lowered, found: &Explained) -> Reading {
    let table = found.table(lowered);
    let property = table.broken().map_or_else(String::new, |broken| broken.text.clone());
    let text = format!("{}{table}", order.violating(&property));
    let filled_in = found.filled_in();
    let run = Timeline::new(lowered, &found.trace, Some(found.broken));
    let seen = found.seen.clone();
    Reading::Counterexample(Box::new(Counterexample { table, text, filled_in, run, seen }))
}

/// What was seen, in the order in which it began, below `text`; the sighting that is `refused` is marked.
fn divergence(lowered: &Lowered, sightings: &[Sighting], refused: Option<usize>, text: &str) -> String {
    let mut rows: Vec<(usize, &Sighting)> = sightings.iter().enumerate().collect();
    rows.sort_by_key(|(_, one)| one.began_ns);
    let rows = rows.into_iter().map(|(index, one)| {
        let mark = if refused == Some(index) { "-->" } else { "" };
        let name = &lowered.model.agents[one.agent].name;
        let leads_to = one.leads_to.as_ref().map(|to| format!(": {to}")).unwrap_or_default();
        let ended = if one.ended_ns == u64::MAX { "later".to_owned() } else { us(one.ended_ns) };
        format!(
            "\n{mark:4}{:>10} to {ended:>10} µs  {name}: {}{leads_to}",
            us(one.began_ns),
            one.rows.join(" or ")
        )
    });
    std::iter::once(text.to_owned()).chain(rows).collect()
}

/// Microseconds.
fn us(ns: u64) -> String {
    format!("{}.{:03}", ns / 1000, ns % 1000)
}
