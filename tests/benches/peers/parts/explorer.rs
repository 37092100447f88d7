//! The explorer on cow-n: as a scenario that is read, lowered and searched, and as a model that was written by hand,
//! against stateright and Spin.
//!
//! Invariant: without reductions everybody counts the same states; the violation has the same length for all who look
//! for a shortest one. A search that takes long is made once a round, and the rounds are few.

use std::env::temp_dir;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use ordering::engine::cow_n::{Order, Size, cow_n};
use ordering::engine::{Options, Reductions, Verdict, compile, explore};
use ordering::lowering::load;
use ordering::model::Model;
use tests_support::measure::round::{Effort, Row, Turn, Unit, turn};
use tests_support::measure::target::Held;

use crate::Run;
use crate::cow_n::{CowN, promela, scenario, stateright};

/// Rounds at most: a peer's search takes many seconds.
const FEW: usize = 3;

pub(crate) fn run(run: &mut Run) {
    let effort = match run.effort {
        Effort::Measured { rounds } => Effort::Measured { rounds: rounds.min(FEW) },
        Effort::Once => Effort::Once,
    };
    let whole = CowN { pages: 4, devices: 2, reads: 3, is_late: false };
    let size = effort.pick(whole, CowN { pages: 2, devices: 1, reads: 2, is_late: false });
    let spin = Spin::built(size);
    let said = match &spin {
        Ok(spin) => format!("nothing of Spin's; its verifier was built in {} ms", spin.built_ms),
        Err(why) => format!("Spin: {why}"),
    };
    run.skipped.push(said);
    let spin = spin.ok();
    proof(run, effort, size, spin.as_ref());
    unreduced(run, effort, size, spin.as_ref());
    violation(run, effort, CowN { is_late: true, ..size });
}

/// By hand, as the explorer's own yardstick.
fn by_hand(size: CowN) -> Model {
    let order = if size.is_late { Order::NotifyLast } else { Order::NotifyFirst };
    let CowN { pages, devices, reads, .. } = size;
    cow_n(Size { pages: pages.into(), devices: devices.into(), reads: reads.into() }, order)
}

/// 1 of a proof, the number of states where none was left out, the steps of a violation.
fn explored(model: &Model, reductions: Reductions) -> u64 {
    let packed = compile(model).expect("cow-n fits");
    let outcome = explore(&packed, &Options { reductions, max_states: 1 << 28, ..Options::default() });
    match outcome.verdict {
        Verdict::Proved if reductions == Reductions::NONE => outcome.statistics.states as u64,
        Verdict::Proved => 1,
        Verdict::Violated { trace, .. } => trace.steps.len() as u64,
        Verdict::BoundHit { what } => panic!("cow-n is within the limits, but {what:?}"),
    }
}

/// From the text on, as `check` does it.
fn of_text(text: &str, reductions: Reductions) -> u64 {
    let loaded = load(text).unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"));
    loaded.iter().map(|(_, lowered)| explored(&lowered.model, reductions)).sum()
}

fn once(work: impl FnOnce() -> u64) -> Turn {
    turn(1, work)
}

/// The proof, by whatever reductions a tool has.
fn proof(run: &mut Run, effort: Effort, size: CowN, spin: Option<&Spin>) {
    let text = scenario::text(size);
    let CowN { pages, devices, reads, .. } = size;
    let ours = || once(|| of_text(&text, Reductions::PAYING));
    let thousand = Held::Faster { must: 1000.0, stretch: 1000.0 };
    let row = Row::new(format!("cow-n {pages}/{devices}/{reads} as a .scn, proof"), Unit::Milliseconds, ours);
    let mut row = row
        .at_most(15.0, 9.6)
        .against("ours, hand-written model", Held::Within { must: 1.5, stretch: 1.0 }, || {
            once(|| explored(&by_hand(size), Reductions::PAYING))
        })
        .against("stateright", thousand, || once(|| u64::from(stateright::proved(size).is_some())));
    if let Some(spin) = spin {
        row = row.against("Spin", thousand, || spin.turn(|states| u64::from(states > 0)));
    }
    run.rows.push(row.run(effort));
}

/// Every state.
fn unreduced(run: &mut Run, effort: Effort, size: CowN, spin: Option<&Spin>) {
    let CowN { pages, devices, reads, .. } = size;
    let ours = || once(|| explored(&by_hand(size), Reductions::NONE));
    let what = format!("cow-n {pages}/{devices}/{reads} by hand, all states");
    let mut row = Row::new(what, Unit::Milliseconds, ours).at_most(1500.0, 1500.0).against(
        "stateright",
        Held::Nothing,
        || once(|| stateright::proved(size).unwrap_or_default() as u64),
    );
    if let Some(spin) = spin {
        row = row.against("Spin", Held::Nothing, || spin.turn(|states| states));
    }
    run.rows.push(row.run(effort));
    // As a scenario it has other states: what the language adds can be told apart.
    let text = scenario::text(size);
    let ours = || once(|| of_text(&text, Reductions::NONE));
    let what = format!("cow-n {pages}/{devices}/{reads} as a .scn, all states");
    run.rows.push(Row::new(what, Unit::Milliseconds, ours).at_most(1500.0, 1500.0).run(effort));
}

/// The shortest violation.
fn violation(run: &mut Run, effort: Effort, size: CowN) {
    let CowN { pages, devices, reads, .. } = size;
    let ours = || once(|| explored(&by_hand(size), Reductions::PAYING));
    let what = format!("cow-n {pages}/{devices}/{reads} by hand, violation");
    let row = Row::new(what, Unit::Milliseconds, ours).at_most(3.0, 1.7).against(
        "stateright, breadth first",
        Held::Nothing,
        || once(|| stateright::violated(size).unwrap_or_default() as u64),
    );
    run.rows.push(row.run(effort));
    let text = scenario::text(size);
    let ours = || once(|| of_text(&text, Reductions::PAYING));
    let what = format!("cow-n {pages}/{devices}/{reads} as a .scn, violation");
    run.rows.push(Row::new(what, Unit::Milliseconds, ours).at_most(3.0, 1.7).run(effort));
}

/// A verifier that Spin wrote.
struct Spin {
    folder: PathBuf,
    built_ms: u128,
}

impl Spin {
    fn built(size: CowN) -> Result<Self, String> {
        let folder = temp_dir().join(format!("afterimage-peers-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut spin = Self { folder, built_ms: 0 };
        let began = Instant::now();
        fs::write(spin.folder.join("model.pml"), promela::text(size)).map_err(|error| error.to_string())?;
        run_in(&spin.folder, "spin", &["-a", "model.pml"])?;
        let flags = ["-DSAFETY", "-DMEMLIM=4096", "-o", "pan", "pan.c"];
        let optimised: Vec<&str> = ["-O2"].into_iter().chain(flags).collect();
        run_in(&spin.folder, "cc", &optimised).or_else(|_| run_in(&spin.folder, "tcc", &flags))?;
        spin.built_ms = began.elapsed().as_millis();
        Ok(spin)
    }

    /// One run, of which `checksum` makes something.
    fn turn(&self, checksum: impl Fn(u64) -> u64) -> Turn {
        once(|| {
            let said =
                run_in(&self.folder, "./pan", &["-m1000000", "-w24"]).expect("it ran when it was built");
            assert!(said.contains("errors: 0"), "Spin does not prove it: {said}");
            let states =
                said.lines().find_map(|line| line.split_once(" states, stored")?.0.trim().parse().ok());
            checksum(states.unwrap_or_else(|| panic!("Spin says no number of states: {said}")))
        })
    }
}

impl Drop for Spin {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.folder);
    }
}

/// What `program` says.
fn run_in(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(format!("{program} ended with {}: {said}", output.status))
    }
}
