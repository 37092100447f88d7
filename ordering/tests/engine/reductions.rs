//! Every combination of reductions, one and two threads, against the plain explorer, on random models.
//!
//! `AFTERIMAGE_FUZZ_MODELS` sets how many models and `AFTERIMAGE_FUZZ_FIRST` the first seed; a failure prints its seed.

use ordering::engine::replay::{Move, replay};
use ordering::engine::{
    Counting, Interleavings, Length, Options, Outcome, PersistentSets, Reduction, Reductions, Step, Threads,
    Trace, Verdict, compile, explore, witness,
};
use ordering::model::{Check, Model, PropertyId};

use crate::{naive, random};

/// Models that are explored unless told otherwise.
const MODELS: u64 = 3000;
/// Larger models are passed over.
const STATES: usize = 20_000;
/// So early that small models come to it.
const ASKED: PersistentSets = PersistentSets::Asked { at: 40 };

fn reductions() -> impl Iterator<Item = Reductions> {
    let switch = |bits: u32, bit: u32| if bits >> bit & 1 == 1 { Reduction::On } else { Reduction::Off };
    let persistent_sets = [PersistentSets::Off, PersistentSets::On, ASKED];
    persistent_sets.into_iter().flat_map(move |persistent_sets| {
        (0..4).map(move |bits| Reductions {
            liveness: switch(bits, 0),
            symmetry: switch(bits, 1),
            persistent_sets,
        })
    })
}

fn any_reductions(seed: u64) -> Reductions {
    reductions().nth((seed % 12) as usize).expect("there are twelve")
}

/// Tells what the models were like, so that the test cannot become vacuous.
#[derive(Default, Debug)]
struct Census {
    explored: u64,
    violated: u64,
    /// By kind: of steps, always, finally, deadlock.
    kinds: [u64; 5],
    /// Proved with more than 50 states.
    proved: u64,
    symmetric: u64,
    reduced: u64,
    /// Where persistent sets matter and are asked about: used, and not.
    asked: u64,
    refused: u64,
    /// Proved in parts.
    apart: u64,
    /// With more than 63 bits.
    wide: u64,
    /// Proved, with a mark that no run carries.
    uncovered: u64,
    /// Violated, or proved though a property could break and there is more than one run.
    serious: u64,
}

#[test]
fn every_combination_of_reductions_agrees_with_the_plain_explorer() {
    let models =
        std::env::var("AFTERIMAGE_FUZZ_MODELS").ok().and_then(|count| count.parse().ok()).unwrap_or(MODELS);
    let mut census = Census::default();
    let first = std::env::var("AFTERIMAGE_FUZZ_FIRST").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    for seed in first..first + models {
        compare(seed, &mut census);
    }
    println!("{census:?}");
    assert!(census.explored * 10 >= models * 9, "most models must be small enough: {census:?}");
    assert!(census.violated * 5 >= models, "a fifth of the models must be violated: {census:?}");
    assert!(census.proved * 10 >= models, "a tenth of the models must be proved with effort: {census:?}");
    assert!(census.reduced * 10 >= models, "persistent sets must matter in a tenth: {census:?}");
    assert!(census.asked * 20 >= models, "asked, they must be used in a twentieth: {census:?}");
    assert!(census.refused * 20 >= models, "asked, they must be refused in a twentieth: {census:?}");
    assert!(census.apart * 100 >= models, "a hundredth must be proved in parts: {census:?}");
    assert!(census.symmetric * 10 >= models, "symmetry must be used in a tenth: {census:?}");
    assert!(census.wide * 20 >= models, "a twentieth must be wide: {census:?}");
    assert!(census.serious * 2 >= models, "half of the models must put a property at stake: {census:?}");
    assert!(census.uncovered * 20 >= models, "a twentieth must leave ways untaken: {census:?}");
    assert!(census.kinds.iter().all(|&kind| kind * 100 >= models), "every kind must break: {census:?}");
}

fn compare(seed: u64, census: &mut Census) {
    let model = random::model(seed);
    let Some(expected) = naive::explore(&naive::without_unread(&model), STATES) else { return };
    let packed = compile(&model).expect("a random model is well formed and small");
    census.explored += 1;
    census.symmetric += packed.symmetries() as u64;
    census.wide += u64::from(packed.state_bits() > 63);
    let (mut unreduced, mut with) = (0, 0);
    for reductions in reductions() {
        let options = Options { reductions, ..Options::default() };
        let outcome = explore(&packed, &options);
        let context = format!("seed {seed}, {reductions:?}");
        check(&model, &outcome, &expected, &context);
        let parts = outcome.statistics.parts;
        assert!(outcome.statistics.states <= parts * expected.states, "{context}");
        if reductions == Reductions::NONE {
            let counts = (outcome.statistics.states, outcome.statistics.transitions);
            assert_eq!(counts, (expected.states, expected.transitions), "{context}");
            unreduced = expected.states;
        }
        let alone = reductions.liveness == Reduction::Off && reductions.symmetry == Reduction::Off;
        if alone && expected.broken.is_none() {
            let states = outcome.statistics.states;
            match reductions.persistent_sets {
                PersistentSets::Off => {}
                PersistentSets::Asked { .. } if parts > 1 => census.apart += 1,
                PersistentSets::On => {
                    census.reduced += u64::from(states < unreduced);
                    with = states;
                }
                PersistentSets::Asked { .. } if with < unreduced => {
                    assert!([with, unreduced].contains(&states), "{context}");
                    census.asked += u64::from(states == with);
                    census.refused += u64::from(states == unreduced);
                }
                PersistentSets::Asked { .. } => {}
            }
        }
    }
    let options = Options { reductions: any_reductions(seed), ..Options::default() };
    let threads = Threads::new(2 + (seed / 32 % 3) as usize).each_from(1 + (seed / 8 % 4) as usize);
    let several = explore(&packed, &Options { threads, ..options });
    assert_eq!(several, explore(&packed, &options), "seed {seed}: {threads:?} differ from one");
    census.serious += u64::from(expected.broken.is_some());
    match expected.broken {
        Some((_, property)) => census.count(&model, property),
        None => {
            census.uncovered += u64::from(!expected.unseen.is_empty());
            check_proved(&model, seed, expected.states, census);
        }
    }
}

fn check(model: &Model, outcome: &Outcome, expected: &naive::Found, context: &str) {
    match (&outcome.verdict, expected.broken) {
        (Verdict::Proved, None) => {
            let coverage = outcome.coverage.as_ref().expect("a proof says what runs do");
            assert!(coverage.complete, "{context}");
            assert_eq!((&coverage.unseen, coverage.end), (&expected.unseen, expected.end), "{context}");
        }
        (Verdict::Violated { property, trace, length }, Some(broken)) => {
            assert_eq!((trace.steps.len(), *property), broken, "{context}");
            assert_eq!(*length, Length::Shortest, "{context}");
            let moves: Vec<Move> = trace
                .steps
                .iter()
                .map(|step| Move { agent: step.agent, pc: step.pc, alternative: step.alternative })
                .collect();
            let (changes, last) = replay(model, &moves).expect("a trace is a run of the model");
            assert!(
                changes.iter().zip(&trace.steps).all(|(changes, step)| *changes == step.changes),
                "{context}"
            );
            let violates = trace.steps.last().and_then(|step| {
                let instruction = &model.agents[step.agent].program[usize::from(step.pc.0)];
                instruction.alternatives[step.alternative].violates
            });
            check_round(model, trace, *property, context);
            let by_state = model.properties[usize::from(property.0)].check != Check::Step;
            let livelock = model.properties[usize::from(property.0)].check == Check::Livelock;
            let broken = match () {
                () if livelock => Some(*property),
                () if by_state => last.broken(model),
                () => violates,
            };
            assert_eq!(broken, Some(*property), "{context}: the trace must end in the violation");
        }
        (verdict, expected) => panic!("{context}: {verdict:?}, expected {expected:?}"),
    }
}

/// A way round is shown for a livelock alone: it is made of steps of the model, leads back, and ends nobody.
fn check_round(model: &Model, trace: &Trace, property: PropertyId, context: &str) {
    let livelock = model.properties[usize::from(property.0)].check == Check::Livelock;
    assert_eq!(trace.round.is_some(), livelock, "{context}");
    let Some(round) = &trace.round else { return };
    let move_of = |step: &Step| Move { agent: step.agent, pc: step.pc, alternative: step.alternative };
    let to_round = || trace.steps.iter().chain(&round.lead);
    let before: Vec<Move> = to_round().map(move_of).collect();
    let after: Vec<Move> = to_round().chain(&round.cycle).map(move_of).collect();
    let (_, entered) = replay(model, &before).expect("the way to the round is a run of the model");
    let (_, again) = replay(model, &after).expect("the round is a run of the model");
    assert!(!round.cycle.is_empty() && entered == again, "{context}: the steps must lead back");
    assert!(!again.ended(model), "{context}: nobody may have ended");
}

fn check_proved(model: &Model, seed: u64, states: usize, census: &mut Census) {
    census.proved += u64::from(states > 50);
    let packed = compile(model).expect("a random model is well formed and small");
    let options = Options { interleavings: Counting::On, ..Options::default() };
    let counted = explore(&packed, &options).statistics.interleavings;
    let unreduced = Options { reductions: Reductions::NONE, interleavings: Counting::OfProof, ..options };
    assert_eq!(explore(&packed, &unreduced).statistics.interleavings, counted, "seed {seed}");
    match naive::runs(model) {
        None => assert_eq!(counted, Interleavings::Cyclic, "seed {seed}"),
        Some(runs) => assert!(is_count(counted, runs), "seed {seed}: {counted:?}, expected {runs}"),
    }
    census.serious += u64::from(counted != Interleavings::Count(1.0) && can_break(model));
    if let Some(run) = witness(&packed, &Options::default()) {
        assert!(run.last.ended(model), "seed {seed}: a witness must be complete");
    }
}

/// Whether some step or state of it could break a property, if it were reached.
fn can_break(model: &Model) -> bool {
    let mut alternatives =
        model.agents.iter().flat_map(|agent| &agent.program).flat_map(|at| &at.alternatives);
    let of_steps = alternatives.any(|alternative| alternative.violates.is_some());
    of_steps || model.properties.iter().any(|property| property.check != Check::Step)
}

/// Exact up to 2^53; above, the sum may round at every state.
fn is_count(counted: Interleavings, runs: u128) -> bool {
    let Interleavings::Count(counted) = counted else { return false };
    let error = (counted - runs as f64).abs();
    if runs <= 1 << 53 { error == 0.0 } else { error <= runs as f64 * 1e-9 }
}

impl Census {
    fn count(&mut self, model: &Model, property: PropertyId) {
        self.violated += 1;
        let kind = match model.properties[usize::from(property.0)].check {
            Check::Step => 0,
            Check::Always(_) => 1,
            Check::Finally(_) => 2,
            Check::Deadlock => 3,
            Check::Livelock => 4,
        };
        self.kinds[kind] += 1;
    }
}
