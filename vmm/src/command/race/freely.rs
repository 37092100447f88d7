//! `afterimage race --mode free`: a scenario runs by itself, again and again, and what it ends with is counted.
//!
//! Invariant: an end that the model does not have, or a round that stands still, is a divergence; so is nothing that a list
//! which was cut short does not have.

use std::fmt;
use std::thread;

use ordering::engine::Options;
use ordering::language::Diagnostic;
use ordering::language::syntax::Scenario;
use ordering::lowering::Caches;
use race::free::{Bar, Free, Histogram, Plan};
use serde::Serialize;

use super::super::files::Source;
use super::super::interrupt::Interrupt;
use super::super::unfinished::Unfinished;
use super::{Mode, RaceArguments, machine};

/// Turns of a loop at most by which a step waits in a window: some microseconds.
const WINDOW: u32 = 2000;
/// Threads at most: whoever has more CPUs has no more agents.
const MOST_THREADS: usize = 8;

/// What became of one scenario.
pub(super) struct Freed {
    pub(super) file: String,
    pub(super) free: Free,
    histogram: Histogram,
    /// Whether a guest executed the accesses of its vCPUs; none: it has none.
    vcpus: Option<OnKvm>,
}

/// Where vCPUs ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OnKvm {
    Yes,
    No,
}

/// Why a scenario did not run.
pub(super) enum NotRun {
    /// It has errors.
    Wrong(Vec<Diagnostic>),
    /// The host lacks something.
    Host(Unfinished),
}

/// Runs one scenario.
pub(super) fn run(
    source: &Source,
    scenario: &Scenario,
    arguments: &RaceArguments,
    interrupt: &Interrupt,
) -> Result<Freed, NotRun> {
    let options = Options { max_states: arguments.max_states, ..Options::default() };
    let free = Free::new(scenario, &source.text, &options).map_err(NotRun::Wrong)?;
    let (machine, on_kvm) = machine(free.lowered(), arguments.cpu).map_err(NotRun::Host)?;
    let has_vcpus = free.lowered().scene.users.iter().any(|user| is_vcpu(user.caches));
    let vcpus = has_vcpus.then_some(if on_kvm { OnKvm::Yes } else { OnKvm::No });
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let window = match arguments.mode {
        Mode::Windows => WINDOW,
        Mode::Free | Mode::Steered => 0,
    };
    let (rounds, time, seed) = (arguments.rounds(), arguments.seconds, arguments.seed);
    let histogram = interrupt.stops(|stop| {
        free.run(&machine, &Plan { rounds, time, seed, threads, window, stop: Some(stop.as_ref()) })
    });
    Ok(Freed { file: source.name.clone(), free, histogram, vcpus })
}

const fn is_vcpu(caches: Caches) -> bool {
    match caches {
        Caches::Shadow | Caches::VcpuTlb => true,
        Caches::Tlb | Caches::Iotlb | Caches::DeviceTlb => false,
    }
}

impl Freed {
    /// Whether the model has all that was seen.
    pub(super) fn agrees(&self) -> bool {
        self.histogram.agrees()
    }

    pub(super) fn name(&self) -> &str {
        &self.free.lowered().name
    }

    /// Rounds, and seconds that they took.
    pub(super) fn rounds(&self) -> (u64, f64) {
        (self.histogram.rounds, self.histogram.time.as_secs_f64())
    }

    /// Line on which the scenario begins.
    pub(super) fn line_of_scenario(&self) -> u32 {
        self.free.lowered().line
    }

    /// What the model does not have, a sentence each.
    pub(super) fn divergences(&self) -> Vec<String> {
        let ends = self.histogram.bars.iter().filter(|bar| !bar.is_allowed).map(|bar| self.line(bar));
        let stalled = self.histogram.stalled.iter().flatten();
        let stalled = stalled.map(|(agent, step)| format!("a round made no progress: {agent} waits: {step}"));
        let found: Vec<String> = ends.chain(stalled).collect();
        if found.is_empty() { vec!["no round came to an end".to_owned()] } else { found }
    }

    fn seen(&self) -> usize {
        self.histogram.bars.iter().filter(|bar| self.free.ends().found.contains(&bar.outcome)).count()
    }

    const fn where_vcpus_ran(&self) -> &'static str {
        match self.vcpus {
            None => "",
            Some(OnKvm::Yes) => "   vCPUs on KVM",
            Some(OnKvm::No) => "   vCPUs in software",
        }
    }

    fn line(&self, bar: &Bar) -> String {
        let line = self.free.ends().line(&bar.outcome);
        // The line's own mark speaks of what breaks at the end alone.
        let text = line.get(2..).map_or(line.as_str(), |text| text);
        let mark = if bar.is_fine { ' ' } else { '*' };
        let divergence = if bar.is_allowed { "" } else { "   <-- DIVERGENCE: the model has no such end" };
        format!("{mark} {text}{divergence}")
    }
}

impl fmt::Display for Freed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rounds, seconds) = self.rounds();
        let ends = self.free.ends();
        let all = ends.found.len();
        let of = if ends.is_complete() { format!("{all}") } else { format!("{all} or more") };
        let (name, seen) = (self.name(), self.seen());
        let rate = rounds as f64 / seconds.max(1e-9);
        write!(
            f,
            "{name:40} {rounds:>9} rounds {:>9} at once {rate:>9.0} rounds/s   {seen} of {of} outcomes seen{}",
            self.histogram.together,
            self.where_vcpus_ran()
        )?;
        for bar in &self.histogram.bars {
            write!(f, "\n    {:>9} {}", bar.count, self.line(bar))?;
        }
        if self.histogram.endless > 0 {
            write!(f, "\n    {:>9}   rounds were cut off: they went on and on", self.histogram.endless)?;
        }
        if rounds == 0 {
            write!(f, "\n    did not run")?;
        } else if self.histogram.bars.is_empty() && self.histogram.stalled.is_none() && !self.agrees() {
            write!(f, "\n    DIVERGENCE: no round came to an end")?;
        }
        for (agent, step) in self.histogram.stalled.iter().flatten() {
            write!(f, "\n    DIVERGENCE: a round made no progress: {agent} waits: {step}")?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
pub(super) struct Row<'a> {
    file: &'a str,
    line: u32,
    scenario: &'a str,
    rounds: u64,
    /// Those of them whose agents were on several threads.
    together: u64,
    time_us: u128,
    vcpus_on_kvm: bool,
    /// Outcomes that the model has, and whether these are all.
    allowed: usize,
    allowed_is_complete: bool,
    /// Those of them that were seen.
    seen: usize,
    cut_off: u64,
    outcomes: Vec<Outcome>,
    /// Who waited for what when a round made no progress.
    stalled: Vec<String>,
    agrees: bool,
}

#[derive(Serialize)]
struct Outcome {
    outcome: String,
    count: u64,
    /// Whether runs that break nothing end so.
    fine: bool,
    /// Whether the model has it.
    allowed: bool,
}

impl Freed {
    pub(super) fn row(&self) -> Row<'_> {
        let outcome = |bar: &Bar| {
            let line = self.free.ends().line(&bar.outcome);
            let outcome = line.get(2..).map_or_else(|| line.clone(), str::to_owned);
            Outcome { outcome, count: bar.count, fine: bar.is_fine, allowed: bar.is_allowed }
        };
        let stalled = self.histogram.stalled.iter().flatten();
        Row {
            file: &self.file,
            line: self.free.lowered().line,
            scenario: self.name(),
            rounds: self.histogram.rounds,
            together: self.histogram.together,
            time_us: self.histogram.time.as_micros(),
            vcpus_on_kvm: self.vcpus == Some(OnKvm::Yes),
            allowed: self.free.ends().found.len(),
            allowed_is_complete: self.free.ends().is_complete(),
            seen: self.seen(),
            cut_off: self.histogram.endless,
            outcomes: self.histogram.bars.iter().map(outcome).collect(),
            stalled: stalled.map(|(agent, step)| format!("{agent}: {step}")).collect(),
            agrees: self.agrees(),
        }
    }
}

/// One sentence about all of them.
pub(super) fn conclusion(freed: &[Freed], seed: u64) -> String {
    let rounds: u64 = freed.iter().map(|one| one.rounds().0).sum();
    let seconds: f64 = freed.iter().map(|one| one.rounds().1).sum();
    let (seen, all) =
        freed.iter().fold((0, 0), |(seen, all), one| (seen + one.seen(), all + one.free.ends().found.len()));
    let diverged: Vec<&str> = freed.iter().filter(|one| !one.agrees()).map(Freed::name).collect();
    let said = match diverged.is_empty() {
        true => "no divergence".to_owned(),
        false => format!("{} DIVERGE: {}", diverged.len(), diverged.join(", ")),
    };
    let scenarios = if freed.len() == 1 { "scenario" } else { "scenarios" };
    format!(
        "\n{} {scenarios} on the live machine: {rounds} rounds (seed {seed}), {:.0} rounds/s; {seen} of {all} outcomes seen; {said}.",
        freed.len(),
        rounds as f64 / seconds.max(1e-9),
    )
}
