//! Every scenario of the catalogue on the live machine: what is refuted happens, and random runs of all of them agree.

use ordering::catalogue::{self, Entry};
use ordering::engine::replay::Move;
use ordering::engine::{self, Options, Trace, Verdict};
use race::live::not_live;
use race::machine::Machine;
use race::steered::Steered;

/// Random runs of a scenario, and rows of each at most.
const RUNS: usize = 5;
const ROWS: usize = 200;

/// The scenarios that are on the machine.
fn live() -> impl Iterator<Item = Entry> {
    catalogue::entries().into_iter().filter(|entry| not_live(&entry.lowered).is_none())
}

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
    for entry in live() {
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
    for (seed, entry) in live().enumerate() {
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

#[test]
fn context_entries_alone_are_not_on_the_machine_and_the_line_is_said() {
    let missing = |entry: &Entry| not_live(&entry.lowered).map(|why| (entry.file.path, why.to_string()));
    let missing: Vec<_> = catalogue::entries().iter().filter_map(missing).collect();
    assert!(!missing.is_empty());
    for (file, why) in missing {
        assert_eq!(file, "iommu/torn-context-entries.scn");
        assert!(why.starts_with("line ") && why.contains("_context"), "{why}");
    }
}
