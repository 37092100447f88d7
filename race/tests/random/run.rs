//! Random scenarios, run.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ordering::engine::replay::Move;
use ordering::engine::{self, Options, Step, Verdict};
use ordering::lowering::{Lowered, load};
use race::machine::Machine;
use race::steered::Steered;

use super::census::Census;
use super::draw::scenario;

/// How many seeds are tried if nothing is said.
const SEEDS: Range<u64> = 0..400;

/// States that are looked at for a counterexample, random runs, and rows of each at most.
const STATES: usize = 3000;
const RUNS: usize = 20;
const ROWS: usize = 60;

/// The seeds that are asked for.
fn seeds() -> Range<u64> {
    let Ok(asked) = std::env::var("AFTERIMAGE_RACE") else { return SEEDS };
    let range = asked.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.unwrap_or_else(|| panic!("AFTERIMAGE_RACE={asked}; write it as 0..200"))
}

/// The scenario without the lines that the language refuses; none if nothing that runs is left.
fn accepted(lines: &mut Vec<String>) -> Option<Lowered> {
    while lines.len() > 1 {
        match load(&(lines.join("\n") + "\n")) {
            Ok(mut loaded) => return loaded.pop().map(|(_, lowered)| lowered),
            Err(found) => {
                let wrong: BTreeSet<usize> = found.iter().map(|found| found.span.line as usize).collect();
                if wrong.contains(&1) {
                    return None;
                }
                let mut line = 0;
                lines.retain(|_| {
                    line += 1;
                    !wrong.contains(&line)
                });
            }
        }
    }
    None
}

/// What a run of the scenario comes to.
#[derive(Default)]
struct Ran {
    happened: bool,
    rows: usize,
}

/// Makes the counterexample happen, if there is one, and takes random runs.
fn run(lowered: &Lowered, seed: u64) -> Result<Ran, String> {
    let steered = Steered::new(lowered, Machine::new(lowered).map_err(|error| error.to_string())?);
    let mut ran = Ran::default();
    if let Ok(packed) = engine::compile(&lowered.model) {
        let options = Options { max_states: STATES, ..Options::default() };
        if let Verdict::Violated { trace, .. } = engine::explore(&packed, &options).verdict {
            let round = trace.round.iter().flat_map(|round| round.lead.iter().chain(&round.cycle));
            let of = |step: &Step| Move { agent: step.agent, pc: step.pc, alternative: step.alternative };
            let moves: Vec<Move> = trace.steps.iter().chain(round).map(of).collect();
            ran.rows += steered.run(&moves).map_err(|found| format!("{found:#?}"))?;
            ran.happened = true;
        }
    }
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..RUNS {
        ran.rows += steered.random(&mut random, ROWS).map_err(|found| format!("{found:#?}"))?;
    }
    Ok(ran)
}

/// As [`run`]; a panic is an error.
fn survived(lowered: &Lowered, seed: u64) -> Result<Ran, String> {
    catch_unwind(AssertUnwindSafe(|| run(lowered, seed))).unwrap_or_else(|_| Err("a panic".to_owned()))
}

/// The fewest lines that still fail.
fn shrunk(mut lines: Vec<String>, seed: u64) -> (Vec<String>, String) {
    let fails = |lines: &[String]| {
        let lowered = load(&(lines.join("\n") + "\n")).ok()?.pop()?.1;
        survived(&lowered, seed).err()
    };
    let mut why = fails(&lines).unwrap_or_else(|| "it does not fail again".to_owned());
    let mut shorter = true;
    while shorter {
        shorter = false;
        for line in (1..lines.len()).rev() {
            let mut fewer = lines.clone();
            fewer.remove(line);
            if let Some(found) = fails(&fewer) {
                (lines, why, shorter) = (fewer, found, true);
            }
        }
    }
    (lines, why)
}

#[test]
fn random_scenarios_of_the_whole_language_agree() {
    let seeds = seeds();
    let (mut census, mut failures) = (Census::default(), Vec::new());
    for seed in seeds.clone() {
        let mut lines = scenario(seed);
        let Some(lowered) = accepted(&mut lines) else {
            census.refused += 1;
            continue;
        };
        census.count(&lines, &lowered);
        match survived(&lowered, seed) {
            Ok(ran) => {
                census.rows += ran.rows;
                census.happened += usize::from(ran.happened);
            }
            Err(_) => {
                let (lines, why) = shrunk(lines, seed);
                failures.push(format!("seed {seed}:\n{}\n{why}", lines.join("\n")));
            }
        }
    }
    census.print();
    assert!(failures.is_empty(), "{} of {seeds:?}\n\n{}", failures.len(), failures.join("\n\n"));
    if seeds == SEEDS {
        census.assert_that_everything_occurs();
    }
}
