//! How the runs of random models end: with every combination of reductions, on one thread and two, against a plain search
//! that goes on past what breaks.
//!
//! `AFTERIMAGE_FUZZ_ENDS=FROM..TO` sets the seeds; a failure prints its seed.

use std::collections::{BTreeSet, HashMap};

use ordering::engine::replay::State;
use ordering::engine::{
    Bound, Ends, Final, Look, Options, PersistentSets, Reduction, Reductions, Shortfall, Threads, ends,
};
use ordering::model::{Check, Model, Property, PropertyId, Update, Var, Variable};

use crate::random::{self, Random};

/// Seeds unless told otherwise.
const SEEDS: std::ops::Range<u64> = 0..600;
/// Larger models are passed over.
const STATES: usize = 6_000;

/// What the models were like, so that the test cannot become vacuous.
#[derive(Default, Debug)]
struct Census {
    explored: u64,
    /// With several different ends.
    several: u64,
    /// With ends behind which something breaks in other runs.
    mixed: u64,
    stuck: u64,
    endless: u64,
    /// Where several properties break.
    many: u64,
    /// Where persistent sets saw fewer states.
    reduced: u64,
}

#[test]
fn the_ends_of_runs_are_the_same_however_they_are_looked_for() {
    let seeds = std::env::var("AFTERIMAGE_FUZZ_ENDS").ok().and_then(|range| {
        let (from, to) = range.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    let seeds = seeds.unwrap_or(SEEDS);
    let count = seeds.end - seeds.start;
    let mut census = Census::default();
    seeds.for_each(|seed| compare(seed, &mut census));
    println!("{census:?}");
    assert!(census.explored * 10 >= count * 8, "most models must be small enough: {census:?}");
    for (what, found, least) in [
        ("several ends", census.several, 6),
        ("ends beside what breaks", census.mixed, 10),
        ("stuck", census.stuck, 4),
        ("endless", census.endless, 15),
        ("several that break", census.many, 40),
        ("reduced", census.reduced, 5),
    ] {
        assert!(found * least >= count, "too few have {what}: {census:?}");
    }
}

fn compare(seed: u64, census: &mut Census) {
    let mut model = random::model(seed);
    let look = look(seed, &mut model);
    let Some(expected) = plain(&model, &look) else { return };
    census.explored += 1;
    census.several += u64::from(expected.ended.len() > 1);
    census.mixed += u64::from(!expected.ended.is_empty() && !expected.broken.is_empty());
    census.stuck += u64::from(!expected.stuck.is_empty());
    census.endless += u64::from(expected.endless);
    census.many += u64::from(expected.broken.len() > 1);
    for reductions in reductions() {
        for threads in [Threads::ONE, Threads::new(2).each_from(8)] {
            let options = Options { reductions, threads, ..Options::default() };
            let found = ends(&model, &look, &options).expect("a random model is well formed and small");
            assert!(found.states <= expected.states, "seed {seed}, {reductions:?}: {found:?}");
            let fewer = reductions == with(PersistentSets::On) && found.states < expected.states;
            census.reduced += u64::from(fewer && threads == Threads::ONE);
            let found = Ends { states: expected.states, ..found };
            assert_eq!(found, expected, "seed {seed}, {reductions:?}, {threads:?}");
        }
    }
}

/// Persistent sets alone.
fn with(persistent_sets: PersistentSets) -> Reductions {
    Reductions { persistent_sets, ..Reductions::NONE }
}

fn reductions() -> [Reductions; 5] {
    let liveness = Reductions { liveness: Reduction::On, ..Reductions::NONE };
    [Reductions::NONE, liveness, with(PersistentSets::On), Reductions::ALL, Reductions::PAYING]
}

/// Frees some steps of what they wait for, and lets others break something, so that more runs end in more ways.
fn liven(model: &mut Model, random: &mut Random) {
    let is_step = |property: &&Property| property.check == Check::Step;
    let breakable = model.properties.iter().take_while(is_step).count();
    let ways =
        model.agents.iter_mut().flat_map(|agent| &mut agent.program).flat_map(|one| &mut one.alternatives);
    for way in ways {
        match random.below(8) {
            0..=3 if way.violates.is_none() => way.guard.clear(),
            4 if !way.guard.is_empty() => {
                way.violates =
                    Some(PropertyId(u16::try_from(random.below(breakable)).expect("few properties")));
            }
            _ => {}
        }
    }
}

/// A variable for each agent, which some of its steps write and none reads.
fn registers(model: &mut Model, random: &mut Random) -> Vec<Var> {
    let first = model.variables.len();
    for (index, agent) in model.agents.iter_mut().enumerate() {
        let values = ["-", "0", "1"].map(str::to_owned).to_vec();
        model.variables.push(Variable { name: format!("r{index}"), values, initial: 0 });
        let register = Var(u16::try_from(first + index).expect("few variables"));
        for way in agent.program.iter_mut().flat_map(|instruction| &mut instruction.alternatives) {
            let value = u32::try_from(random.below(4)).expect("a small number");
            way.updates.extend((1..3).contains(&value).then_some(Update::Set(register, value)));
        }
    }
    let all = first..model.variables.len();
    all.map(|index| Var(u16::try_from(index).expect("few variables"))).collect()
}

/// Some variables, or registers, of a model that is made to end more often; sometimes one must be 0 before a run has ended.
fn look(seed: u64, model: &mut Model) -> Look {
    let mut random = Random::new(seed ^ 0x5EED);
    if !seed.is_multiple_of(4) {
        liven(model, &mut random);
    }
    let registers = if seed % 2 == 1 { registers(model, &mut random) } else { Vec::new() };
    let any =
        |random: &mut Random| Var(u16::try_from(random.below(model.variables.len())).expect("few variables"));
    let some = (0..random.below(4)).map(|_| any(&mut random));
    let at: BTreeSet<Var> = some.chain(registers).collect();
    let settled = if random.below(4) == 0 { vec![any(&mut random)] } else { Vec::new() };
    let starts_at_0 = |var: &Var| model.variables[usize::from(var.0)].initial == 0;
    Look { at: at.into_iter().collect(), settled: settled.into_iter().filter(starts_at_0).collect() }
}

/// The ends by a search that reduces nothing; none if there are too many states.
fn plain(model: &Model, look: &Look) -> Option<Ends> {
    let start = State::initial(model);
    let mut found = Ends::default();
    // Each state with those behind it, and whether a run may end there.
    let mut seen: HashMap<State, (Vec<State>, bool)> = HashMap::new();
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        if seen.contains_key(&state) {
            continue;
        }
        if seen.len() > STATES {
            return None;
        }
        let (next, ends) = visit(model, look, &state, &mut found);
        open.extend(next.iter().cloned());
        seen.insert(state, (next, ends));
    }
    found.endless = is_endless(&seen);
    found.states = seen.len();
    Some(found)
}

/// Notes how runs end in a state; the states behind it, and whether one ends.
fn visit(model: &Model, look: &Look, state: &State, found: &mut Ends) -> (Vec<State>, bool) {
    let broken = |kind: fn(&Check) -> bool| -> Vec<PropertyId> {
        let of_kind = |property| Model { properties: vec![property], ..model.clone() };
        let ids = (0..).map(PropertyId).zip(&model.properties).filter(|(_, property)| kind(&property.check));
        ids.filter(|(_, one)| state.broken(&of_kind((*one).clone())).is_some()).map(|(id, _)| id).collect()
    };
    if let Some(first) = broken(|check| matches!(check, Check::Always(_))).first() {
        found.broken.insert(*first);
        return (Vec::new(), true);
    }
    let value = |var: &Var| state.values[usize::from(var.0)];
    let values = || look.at.iter().map(value).collect();
    let ended = state.ended(model);
    if ended && look.settled.iter().all(|var| value(var) == 0) {
        let broken = broken(|check| matches!(check, Check::Finally(_)));
        found.ended.insert(Final { values: values(), broken });
    }
    let steps = state.steps(model);
    if steps.is_empty() && !ended {
        let broken = broken(|check| matches!(check, Check::Deadlock));
        found.stuck.insert(Final { values: values(), broken });
    }
    let violated: Vec<PropertyId> = steps.iter().filter_map(|(_, way)| way.violates).collect();
    let ends = ended || steps.is_empty() || !violated.is_empty();
    found.broken.extend(violated);
    let on = steps.iter().filter(|(_, way)| way.violates.is_none());
    (on.map(|(step, way)| state.after(step.agent, way)).collect(), ends)
}

fn is_endless(seen: &HashMap<State, (Vec<State>, bool)>) -> bool {
    let mut hopeful: BTreeSet<&State> = BTreeSet::new();
    loop {
        let before = hopeful.len();
        for (state, (next, ends)) in seen {
            if *ends || next.iter().any(|next| hopeful.contains(next)) {
                hopeful.insert(state);
            }
        }
        if hopeful.len() == before {
            return hopeful.len() < seen.len();
        }
    }
}

#[test]
fn ends_that_were_found_before_a_limit_are_ends_and_not_all() {
    let model = random::model(0);
    let look = Look { at: vec![Var(0)], settled: Vec::new() };
    let all = ends(&model, &look, &Options::default()).expect("it is small");
    let options = Options { max_states: 2, ..Options::default() };
    let some = ends(&model, &look, &options).expect("it is small");
    assert_eq!(some.shortfall, Some(Shortfall::Search(Bound::States { count: 2 })));
    assert!(some.ended.is_subset(&all.ended) && some.broken.is_subset(&all.broken));
    assert_eq!(all.shortfall, None);
}
