//! That both sides agree, and that one would see it if they did not.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ordering::lowering;
use steps::one_page::{
    CHANGE_PTE, CLEAR_PTE, COPY, FLUSH_TLB, LOCK_TABLE, NOTIFY, Protection, RANGE_START, RESTORE_PTE, Role,
    UNLOCK_TABLE, lock_page, map, mark_stable, put, set_pte, unmap,
};

use super::act::Act;
use super::lockstep::{Difference, Ran, run};
use super::model::Scenario;
use super::program::program;
use super::scenario::scenario;
use super::setting::Setting;

/// Seeds that are run if nobody asks for others.
const SEEDS: Range<u64> = 0..1500;
/// Names a range of seeds.
const ASKED: &str = "AFTERIMAGE_DIFFERENTIAL";

/// A setting with its scenario; a seed names one.
struct Settings(Vec<(Setting, Scenario)>);

impl Settings {
    fn new() -> Self {
        let with = |setting| (setting, Scenario::new(&setting));
        Self(Setting::all().into_iter().map(with).collect())
    }

    fn of(&self, seed: u64) -> &(Setting, Scenario) {
        let count = self.0.len() as u64;
        &self.0[usize::try_from(seed % count).expect("a small number")]
    }
}

fn seeds() -> Range<u64> {
    let Ok(asked) = std::env::var(ASKED) else { return SEEDS };
    let bounds =
        asked.split_once("..").and_then(|(first, last)| Some(first.parse().ok()?..last.parse().ok()?));
    bounds.unwrap_or_else(|| panic!("{ASKED} is `{asked}`; write first..last, such as 0..100000"))
}

/// Runs a program; a panic of either side is a difference too.
fn outcome(setting: &Setting, scenario: &Scenario, program: &[Act]) -> Ran {
    catch_unwind(AssertUnwindSafe(|| run(setting, scenario, program, None))).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".to_owned());
        let act = *program.last().expect("an empty program does not panic");
        let difference =
            Difference { act, what: "the end".to_owned(), model: "orderly".to_owned(), machine: said };
        Ran { difference: Some(difference), ..Ran::default() }
    })
}

/// Leaves out of a failing program whatever is not needed for the same thing to differ.
fn shortest(setting: &Setting, scenario: &Scenario, mut program: Vec<Act>, what: &str) -> Vec<Act> {
    let fails = |program: &[Act]| {
        let found = outcome(setting, scenario, program).difference;
        found.is_some_and(|difference| difference.what == what)
    };
    loop {
        let before = program.len();
        for at in (0..before).rev() {
            let mut without = program.clone();
            without.remove(at);
            if fails(&without) {
                program = without;
            }
        }
        if program.len() == before {
            return program;
        }
    }
}

fn report(seed: u64, setting: &Setting, model: &Scenario, found: &Difference) -> String {
    let shortest = shortest(setting, model, program(seed), &found.what);
    let ran = outcome(setting, model, &shortest);
    let difference = ran.difference.as_ref().unwrap_or(found);
    let acts: Vec<_> = shortest.iter().map(|act| format!("    {act:?}")).collect();
    format!(
        "seed {seed}: {difference}\nthe shortest program ({ASKED}={seed}..{} runs the whole):\n{}\non the model:\n{}",
        seed + 1,
        acts.join("\n"),
        scenario(setting, &ran.rows)
    )
}

#[test]
fn random_programs_leave_the_model_and_the_live_machine_in_the_same_state() {
    let settings = Settings::new();
    let (mut compared, seeds) = (0, seeds());
    for seed in seeds.clone() {
        let (setting, model) = settings.of(seed);
        let ran = outcome(setting, model, &program(seed));
        if let Some(found) = &ran.difference {
            panic!("{}", report(seed, setting, model, found));
        }
        compared += ran.compared;
    }
    println!("{compared} steps of {} programs compared", seeds.end - seeds.start);
    assert!(compared as u64 >= 30 * (seeds.end - seeds.start), "only {compared} steps were compared");
}

#[test]
fn a_machine_that_leaves_a_step_out_is_found_out() {
    let role = Role::Old;
    let steps = [
        FLUSH_TLB,
        NOTIFY,
        RANGE_START,
        CHANGE_PTE,
        CLEAR_PTE,
        set_pte(role, Protection::ReadOnly),
        RESTORE_PTE,
        COPY,
        LOCK_TABLE,
        UNLOCK_TABLE,
        lock_page(role),
        mark_stable(role),
        map(role),
        unmap(role),
        put(role),
    ];
    let settings = Settings::new();
    for step in steps {
        let differs = |seed| {
            let (setting, model) = settings.of(seed);
            run(setting, model, &program(seed), Some(step)).difference.is_some()
        };
        assert!(SEEDS.into_iter().any(differs), "nobody noticed that `{step}` was left out");
    }
}

#[test]
fn a_run_printed_as_a_scenario_replays() {
    let settings = Settings::new();
    for seed in 0..40 {
        let (setting, model) = settings.of(seed);
        let text = scenario(setting, &outcome(setting, model, &program(seed)).rows);
        if let Err(found) = lowering::load(&text) {
            panic!("{}", ordering::language::render_all(&found, &format!("seed {seed}"), &text));
        }
    }
}
