//! Every scenario of the catalogue on the live machine: what is refuted happens, and random runs of all of them agree.

use ordering::catalogue::{self, Entry};
use ordering::engine::replay::Move;
use ordering::engine::{self, Options, Trace, Verdict};
use race::machine::Machine;
use race::steered::Steered;

/// Random runs of a scenario, and rows of each at most.
const RUNS: usize = 5;
const ROWS: usize = 200;

fn steered(entry: &Entry) -> Steered<'_> {
    Steered::new(&entry.lowered, Machine::new(&entry.lowered).expect("a scenario needs little memory"))
}

/// The shortest counterexample, if there is one within a bound.
fn counterexample(entry: &Entry) -> Option<Trace> {
    let options = Options { max_states: 200_000, ..Options::default() };
    let packed = engine::compile(&entry.lowered.model).expect("the catalogue can be packed");
    match engine::explore(&packed, &options).verdict {
        Verdict::Violated { trace, .. } => Some(trace),
        Verdict::Proved | Verdict::BoundHit { .. } => None,
    }
}

fn moves(trace: &Trace) -> Vec<Move> {
    let of = |step: &engine::Step| Move { agent: step.agent, pc: step.pc, alternative: step.alternative };
    trace.steps.iter().map(of).collect()
}

#[test]
fn every_counterexample_happens() {
    let mut happened = 0;
    for entry in catalogue::entries() {
        let Some(trace) = counterexample(&entry) else { continue };
        let rows = steered(&entry).run(&moves(&trace));
        assert!(rows.is_ok(), "{} in {}: {:#?}", entry.lowered.name, entry.file.path, rows);
        happened += 1;
    }
    assert!(happened > 200, "{happened} scenarios are refuted: the catalogue was not read");
}

#[test]
fn random_runs_of_every_scenario_agree() {
    let mut rows = 0;
    for (seed, entry) in catalogue::entries().into_iter().enumerate() {
        let steered = steered(&entry);
        let mut random = fastrand::Rng::with_seed(seed as u64);
        for _ in 0..RUNS {
            match steered.random(&mut random, ROWS) {
                Ok(taken) => rows += taken,
                Err(found) => panic!("{} in {}: {found:#?}", entry.lowered.name, entry.file.path),
            }
        }
    }
    assert!(rows > 10_000, "{rows} rows: the runs ended before they began");
}
