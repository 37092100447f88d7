//! What a search costs where the scenario is not kind: states a second, reduced and not, and their times as a ratio.
//!
//! Run: `cargo bench -p afterimage-ordering --bench stress [-- FILTER|FILE ...]`; files are scenarios to be measured too,
//! of which those that take less than a millisecond are left out. Compare ratios, not runs.
//!
//! The two rules that it shows the keeping of: at least 200,000 states a second, and no search more than a tenth slower
//! reduced than unreduced.

use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use ordering::engine::{Counting, Options, Outcome, Packed, Reductions, Verdict, compile, explore};
use ordering::lowering::load;

mod texts;

use texts::Stress;

/// States of an unreduced search at most.
const STATES: usize = 1 << 20;
/// A search is repeated until so much time is over.
const ENOUGH: Duration = Duration::from_millis(300);
/// Searches that take less, reduced and not, show nothing.
const SHORT: Duration = Duration::from_millis(1);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|text| !text.starts_with("--")).collect();
    let (files, filters): (Vec<String>, Vec<String>) =
        arguments.into_iter().partition(|argument| argument.ends_with(".scn"));
    say(&format!(
        "{:44} {:>4} | {:>9} {:>8} | {:>9} {:>8} | {:>8} | {:>10} {:>9}",
        "scenario", "bits", "states", "k/s", "unreduced", "k/s", "time", "orders", "compile"
    ));
    for stress in texts::all().iter().filter(|one| filters.iter().all(|part| one.name.contains(part))) {
        measure(stress, Duration::ZERO);
    }
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file that is named can be read");
        measure(&Stress { name: String::new(), text }, SHORT);
    }
}

fn say(line: &str) {
    writeln!(stdout(), "{line}").expect("the output takes a line");
}

fn measure(stress: &Stress, shortest: Duration) {
    let loaded =
        load(&stress.text).unwrap_or_else(|wrong| panic!("{}: {wrong:?}\n{}", stress.name, stress.text));
    for (_, lowered) in loaded {
        let (packed, compiled) = timed(|| compile(&lowered.model).expect("a scenario's model fits"));
        if shortest.is_zero() {
            let outcome = explore(&packed, &Options { max_states: STATES, ..Options::default() });
            assert!(!matches!(outcome.verdict, Verdict::Violated { .. }), "{}", stress.name);
        }
        let name = if stress.name.is_empty() { &lowered.name } else { &stress.name };
        row(name, &packed, compiled, shortest);
    }
}

fn row(name: &str, packed: &Packed, compiled: Duration, shortest: Duration) {
    let options = Options { max_states: STATES, ..Options::default() };
    let none = Options { reductions: Reductions::NONE, ..options };
    let (reduced, time) = best(packed, &options);
    let (unreduced, longer) = best(packed, &none);
    if time.max(longer) < shortest {
        return;
    }
    let counting = Options { interleavings: Counting::On, ..options };
    let (_, counted) = timed(|| explore(packed, &counting));
    say(&format!(
        "{name:44} {:>4} | {:>9} {:>8} | {:>9} {:>8} | {}{:>7.2} | {:>7.1} ms {:>6.1} ms",
        packed.state_bits(),
        reduced.statistics.states,
        speed(&reduced, time),
        unreduced.statistics.states,
        speed(&unreduced, longer),
        if matches!(unreduced.verdict, Verdict::BoundHit { .. }) { '<' } else { ' ' },
        time.as_secs_f64() / longer.as_secs_f64(),
        counted.as_secs_f64() * 1e3,
        compiled.as_secs_f64() * 1e3,
    ));
}

/// Thousands of states a second.
fn speed(outcome: &Outcome, time: Duration) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of states is far below what a double holds exactly"
    )]
    let states = outcome.statistics.states as f64;
    format!("{:.0}", states / time.as_secs_f64() / 1e3)
}

fn best(packed: &Packed, options: &Options) -> (Outcome, Duration) {
    let begun = Instant::now();
    let mut best = timed(|| explore(packed, options));
    while begun.elapsed() < ENOUGH {
        best.1 = best.1.min(timed(|| explore(packed, options)).1);
    }
    best
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}
