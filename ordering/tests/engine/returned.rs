//! The outcomes of random scenarios, against a plain search that remembers what each statement was shown to return.
//!
//! Invariant: the plain search knows nothing of registers: it reads the values off the steps as traces show them.
//! `AFTERIMAGE_FUZZ_OUTCOMES=FROM..TO` sets the seeds; a failure prints its text.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ordering::engine::replay::State;
use ordering::engine::{Options, PersistentSets, Reductions, Threads};
use ordering::lowering::{Lowered, load};
use ordering::model::{Alternative, Check, Mark, MarkId, Model};
use ordering::outcomes::{Outcome, Seen, outcomes};

use crate::{naive, scenarios};

/// Seeds unless told otherwise.
const SEEDS: std::ops::Range<u64> = 0..200;
/// Larger scenarios are passed over.
const STATES: usize = 8_000;

/// What the scenarios were like, so that the test cannot become vacuous.
#[derive(Default, Debug)]
struct Census {
    explored: u64,
    /// With outcomes that differ in what was returned.
    returned: u64,
    /// With outcomes beside those that something breaks.
    mixed: u64,
    broken: u64,
}

/// By statement what it returned last; then x and y.
type Vector = (BTreeMap<MarkId, u32>, [u32; 2]);

/// What a search comes to.
#[derive(Default, PartialEq, Eq, Debug)]
struct Found {
    ended: BTreeSet<Vector>,
    stuck: BTreeSet<Vector>,
    /// The properties that a row breaks.
    broken: BTreeSet<u16>,
}

#[test]
fn what_runs_of_random_scenarios_end_with_is_what_their_steps_have_shown() {
    let seeds = std::env::var("AFTERIMAGE_FUZZ_OUTCOMES").ok().and_then(|range| {
        let (from, to) = range.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    let seeds = seeds.unwrap_or(SEEDS);
    let count = seeds.end - seeds.start;
    let mut census = Census::default();
    seeds.for_each(|seed| compare(seed, &mut census));
    println!("{census:?}");
    assert!(census.explored * 2 >= count, "half must be small enough: {census:?}");
    for (what, found) in [("returned", census.returned), ("mixed", census.mixed), ("broken", census.broken)] {
        assert!(found * 20 >= count, "too few are {what}: {census:?}");
    }
}

fn compare(seed: u64, census: &mut Census) {
    let text = scenarios::text(seed);
    let (scenario, lowered) = load(&text).expect("a random scenario can be read").remove(0);
    let Some(expected) = plain(&lowered) else { return };
    let verdict = naive::explore(&lowered.model, STATES).expect("it is small enough").broken;
    census.explored += 1;
    let persistent = Reductions { persistent_sets: PersistentSets::On, ..Reductions::NONE };
    for (reductions, threads) in [
        (Reductions::PAYING, Threads::ONE),
        (Reductions::NONE, Threads::ONE),
        (persistent, Threads::new(2).each_from(8)),
    ] {
        let options = Options { reductions, threads, ..Options::default() };
        let found = outcomes(&scenario, &text, &options).expect("it can be lowered");
        let context = format!("seed {seed}, {reductions:?}\n{text}\n{found}");
        let returning: Vec<MarkId> = returning(&lowered.model);
        assert_eq!(found.places.len(), returning.len(), "{context}");
        let seen = |seen: &Seen| vector(seen, &returning);
        let of =
            |kind: fn(&Outcome) -> Option<&Seen>| found.found.iter().filter_map(kind).map(seen).collect();
        let broken = |outcome: &Outcome| match outcome {
            Outcome::Broken(property) => Some(property.0),
            Outcome::Ended { .. } | Outcome::Stuck { .. } | Outcome::Endless { .. } => None,
        };
        let forbidden = found.found.iter().any(|outcome| !outcome.is_allowed());
        assert_eq!(forbidden, verdict.is_some(), "{context}");
        let found = Found {
            ended: of(|outcome| outcome.seen().filter(|_| matches!(outcome, Outcome::Ended { .. }))),
            stuck: of(|outcome| outcome.seen().filter(|_| matches!(outcome, Outcome::Stuck { .. }))),
            broken: found.found.iter().filter_map(broken).collect(),
        };
        assert_eq!(found, expected, "{context}");
    }
    let returned: BTreeSet<_> = expected.ended.iter().map(|(returned, _)| returned).collect();
    census.returned += u64::from(returned.len() > 1);
    census.mixed += u64::from(!expected.ended.is_empty() && !expected.broken.is_empty());
    census.broken += u64::from(!expected.broken.is_empty());
}

fn vector(seen: &Seen, returning: &[MarkId]) -> Vector {
    let values = returning.iter().zip(&seen.values).filter_map(|(mark, value)| Some((*mark, (*value)?)));
    (values.collect(), [seen.variables[0], seen.variables[1]])
}

/// The marks of the statements that return a value, in their order.
fn returning(model: &Model) -> Vec<MarkId> {
    let returns = |mark: &Mark| match mark {
        Mark::Statement(statement) => {
            ["load ", "dma_read ", "read "].iter().any(|verb| statement.text.starts_with(verb))
        }
        Mark::After(_) => false,
    };
    (0..).map(MarkId).zip(&model.marks).filter(|(_, mark)| returns(mark)).map(|(id, _)| id).collect()
}

/// Every state with what was returned on the way; none if there are too many.
fn plain(lowered: &Lowered) -> Option<Found> {
    let model = &lowered.model;
    let marks: HashSet<MarkId> = returning(model).into_iter().collect();
    let mut found = Found::default();
    let mut seen: HashSet<(State, BTreeMap<MarkId, u32>)> = HashSet::new();
    let mut open = vec![(State::initial(model), BTreeMap::new())];
    while let Some((state, returned)) = open.pop() {
        if !seen.insert((state.clone(), returned.clone())) {
            continue;
        }
        if seen.len() > STATES {
            return None;
        }
        let always = |check: &Check| matches!(check, Check::Always(_));
        if let Some(first) = broken(model, &state, always) {
            found.broken.insert(first);
            continue;
        }
        let steps = state.steps(model);
        let vector = (returned.clone(), ["x", "y"].map(|name| variable(model, &state, name)));
        if state.ended(model) {
            found.ended.insert(vector);
        } else if steps.is_empty() {
            found.stuck.insert(vector);
        }
        for (step, way) in steps {
            match way.violates {
                Some(property) => {
                    found.broken.insert(property.0);
                }
                None => open.push((state.after(step.agent, way), after(&returned, way, &marks))),
            }
        }
    }
    Some(found)
}

/// The first property of a kind that the state breaks.
fn broken(model: &Model, state: &State, kind: fn(&Check) -> bool) -> Option<u16> {
    let ids = (0..).zip(&model.properties).filter(|(_, property)| kind(&property.check));
    let breaks = |(_, property): &(u16, &ordering::model::Property)| {
        let alone = Model { properties: vec![(*property).clone()], ..model.clone() };
        state.broken(&alone).is_some()
    };
    ids.into_iter().find(breaks).map(|(id, _)| id)
}

/// What is returned when a step `load A = 1` is taken behind what was.
fn after(
    returned: &BTreeMap<MarkId, u32>,
    way: &Alternative,
    marks: &HashSet<MarkId>,
) -> BTreeMap<MarkId, u32> {
    let mut after = returned.clone();
    let value = way.text.rsplit_once(" = ").and_then(|(_, value)| value.parse().ok());
    for mark in way.marks.iter().filter(|mark| marks.contains(mark)) {
        after.extend(value.map(|value| (*mark, value)));
    }
    after
}

/// A variable that counts from 0, which no step may have mentioned.
fn variable(model: &Model, state: &State, name: &str) -> u32 {
    let index = model.variables.iter().position(|variable| variable.name == name);
    index.map_or(0, |index| state.values[index])
}
