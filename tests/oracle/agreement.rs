//! Both sides on the same random scenarios.
//!
//! Invariant: what the language refuses is no scenario, and few are refused; of the others both sides say the same. The
//! comparison can fail: a mistake in the translation is noticed.

use std::fmt;
use std::ops::Range;

use super::census::Census;
use super::promela::{Mistake, translate};
use super::setting::Scenario;
use super::shrink::shrunk;
use super::spin::Answer;
use super::{explorer, random, spin};

/// How many seeds are tried if nothing is said.
const SEEDS: Range<u64> = 0..425;

/// How many seeds a mistake may stay unnoticed.
const UNNOTICED: usize = 1000;

/// What both sides say of a scenario.
pub(super) enum Outcome {
    Refused(String),
    Agreed { answer: Answer, property: String },
    Disagreed { ours: Result<Answer, String>, property: String, spin: Result<Answer, String> },
}

pub(super) fn outcome(scenario: &Scenario, mistake: Mistake, compiler: &str) -> Outcome {
    let found = match explorer::decide(&scenario.to_string()) {
        Ok(found) => found,
        Err(explorer::Trouble::Refused(why)) => return Outcome::Refused(why),
        Err(explorer::Trouble::GaveUp) => {
            let ours = Err("gave up".to_owned());
            return Outcome::Disagreed {
                ours,
                property: String::new(),
                spin: Err("was not asked".to_owned()),
            };
        }
    };
    let spin = spin::decide(&translate(scenario, mistake), compiler);
    let explorer::Found { answer, property } = found;
    match spin == Ok(answer) {
        true => Outcome::Agreed { answer, property },
        false => Outcome::Disagreed { ours: Ok(answer), property, spin },
    }
}

/// The seeds that are asked for.
fn seeds() -> Range<u64> {
    let Ok(asked) = std::env::var("AFTERIMAGE_ORACLE") else { return SEEDS };
    let range = asked.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.unwrap_or_else(|| panic!("AFTERIMAGE_ORACLE={asked}; write it as 0..200"))
}

/// The compiler, if Spin and one are there; where they must be, it fails.
fn compiler() -> Option<&'static str> {
    let found = spin::compiler();
    let must = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(found.is_some() || !must, "no spin, or no C compiler; apt-get install spin tcc");
    if found.is_none() {
        println!("skipped: no spin, or no C compiler; apt-get install spin tcc");
    }
    found
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Agreed { answer, property } => write!(f, "both: {answer:?}, {property}"),
            Self::Disagreed { ours, property, spin } => {
                write!(f, "the explorer: {ours:?}, {property}\nSpin: {spin:?}")
            }
        }
    }
}

fn failure(seed: u64, scenario: &Scenario, compiler: &str) -> String {
    let least = shrunk(scenario, compiler);
    let said = outcome(&least, Mistake::None, compiler);
    format!(
        "seed {seed}, its shortest part that still fails:\n{least}{said}\nAFTERIMAGE_ORACLE={seed}..{} cargo test \
         -p afterimage-tests --test oracle spin_and -- --nocapture\n",
        seed + 1
    )
}

#[test]
fn spin_and_the_explorer_find_the_same_shortest_violations() {
    let Some(compiler) = compiler() else { return };
    let seeds = seeds();
    let mut census = Census::default();
    let mut failures = Vec::new();
    for seed in seeds.clone() {
        let scenario = random::scenario(seed);
        let said = outcome(&scenario, Mistake::None, compiler);
        census.count(seed, &scenario, &said);
        if let Outcome::Disagreed { .. } = said {
            failures.push(failure(seed, &scenario, compiler));
        }
    }
    println!("{census}");
    assert!(failures.is_empty(), "{} of {seeds:?} disagree\n\n{}", failures.len(), failures.join("\n"));
    if seeds == SEEDS {
        census.assert_that_everything_occurs();
    }
}

#[test]
fn a_mistake_in_the_translation_is_noticed() {
    let Some(compiler) = compiler() else { return };
    for mistake in Mistake::ALL {
        let noticed = random::seeds(mistake.theme()).take(UNNOTICED).find(|seed| {
            matches!(outcome(&random::scenario(*seed), mistake, compiler), Outcome::Disagreed { .. })
        });
        assert!(noticed.is_some(), "{mistake:?}: nobody notices it in {UNNOTICED} scenarios");
    }
}
