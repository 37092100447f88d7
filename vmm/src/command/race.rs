//! `afterimage race`: scenarios on the live machine.
//!
//! Invariant: a scenario that did not run is named with its reason, and never counted as one that agreed; what is refuted
//! counts as happened only if every row of its counterexample did.

mod drawn;
mod freely;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Once;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use ordering::counterexample::Table;
use ordering::engine::replay::Move;
use ordering::engine::{self, Counting, Options, Trace, Verdict};
use ordering::language::{Diagnostic, render_all};
use ordering::lowering::{Lowered, load, too_large};
use ordering::model::PropertyId;
use race::machine::Machine;
use race::steered::{Divergence, Steered};

use self::freely::{Freed, Interrupt, NotRun};
use super::apart::apart;
use super::files::{self, Source};
use super::pictures::{PictureArguments, Pictures};
use super::progress::Progress;
use super::trace::TraceArguments;
use super::{HOST, UNUSABLE, complain, finish_trace, outcome, say};
use crate::race::{PlayError, PlayedBy, played_by};
use crate::remedy::remedy;

/// Rows of a random run at most: a loop that never ends is cut off there.
const ROWS: usize = 1000;
/// What not every scenario can be asked for.
const ON_KVM: &str = "--cpu kvm";

/// What can be asked of the live machine.
#[derive(Debug, Args)]
pub(super) struct RaceArguments {
    /// Scenario files, folders of them, or names of the catalogue's scenarios
    #[arg(required = true, value_name = "FILE|DIR|NAME")]
    paths: Vec<PathBuf>,
    /// Only the scenarios with this name
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// How agents come to take their steps
    #[arg(long, value_enum, default_value_t = Mode::Steered)]
    mode: Mode,
    /// Random runs, or rounds, of each scenario: 100 if steered, else 100000
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
    /// Time for them; whatever comes first ends them
    #[arg(long, value_name = "SECONDS", value_parser = super::check::seconds)]
    seconds: Option<Duration>,
    /// Where random runs begin: the same seed takes the same runs
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What vCPUs run on; without it KVM where it can, else software
    #[arg(long, value_enum)]
    cpu: Option<Cpu>,
    /// Print the counterexamples that happened
    #[arg(long)]
    traces: bool,
    /// Print one JSON object instead of the lines
    #[arg(long)]
    json: bool,
    /// States that the search for a counterexample may visit
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    max_states: usize,
    #[command(flatten)]
    pictures: PictureArguments,
    #[command(flatten)]
    trace: TraceArguments,
}

/// How agents come to take their steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Mode {
    /// Every row of a run is forced: of the counterexample first, then of random runs
    Steered,
    /// By themselves, many times: what they end with is counted
    Free,
    /// By themselves, with steps that wait at random
    Windows,
}

/// What vCPUs run on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Cpu {
    /// A guest executes their accesses
    Kvm,
    /// This program does
    Software,
}

impl RaceArguments {
    /// What runs are drawn in, open.
    fn drawn(&self, sources: &[Source]) -> Result<Pictures, String> {
        if self.trace.is_wanted() && self.mode != Mode::Steered {
            return Err("--trace is for --mode steered: of free runs nobody keeps the rows".to_owned());
        }
        let written = self.pictures.written().into_iter().chain(self.trace.written());
        apart(&written.collect::<Vec<_>>(), files::paths(sources))?;
        Ok(self.pictures.open()?.with_trace(self.trace.start()?))
    }

    fn rounds(&self) -> u64 {
        self.rounds.unwrap_or(match self.mode {
            Mode::Steered => 100,
            Mode::Free | Mode::Windows => 100_000,
        })
    }
}

/// What became of one scenario.
pub(super) struct Raced {
    file: String,
    lowered: Lowered,
    /// What the explorer says of it.
    model: Model,
    runs: u64,
    rows: usize,
    time: Duration,
    divergence: Option<Box<Divergence>>,
    /// Whether a guest executed the accesses of its vCPUs.
    on_kvm: bool,
}

/// What the explorer says.
enum Model {
    /// Some order breaks a property: the shortest, which was made to happen.
    Refuted(Box<Trace>, PropertyId),
    /// None does.
    Proved,
    /// Nothing was found before the limit of states.
    Open,
}

/// What was seen of all scenarios.
#[derive(Default)]
struct Seen {
    raced: Vec<Raced>,
    freed: Vec<Freed>,
    /// Scenarios whose vCPUs no guest plays, although one was asked for: file, name, reason.
    not_on_kvm: Vec<(String, String, &'static str)>,
    /// Files with scenarios that did not run.
    wrong_files: usize,
}

impl Seen {
    fn is_empty(&self) -> bool {
        self.raced.is_empty() && self.freed.is_empty() && self.not_on_kvm.is_empty() && self.wrong_files == 0
    }

    fn agrees(&self) -> bool {
        self.raced.iter().all(|one| one.divergence.is_none()) && self.freed.iter().all(Freed::agrees)
    }
}

/// Runs all scenarios and prints what was seen.
pub(super) fn run(arguments: &RaceArguments) -> ExitCode {
    let sources = match files::read(&arguments.paths) {
        Ok(sources) => sources,
        Err(error) => {
            complain(error);
            return UNUSABLE.into();
        }
    };
    let mut pictures = match arguments.drawn(&sources) {
        Ok(pictures) => pictures,
        Err(message) => {
            complain(message);
            return UNUSABLE.into();
        }
    };
    let interrupt = Interrupt::watched();
    let mut seen = Seen::default();
    for source in &sources {
        if interrupt.came() {
            break;
        }
        if !arguments.json {
            let line = if seen.is_empty() { "" } else { "\n" };
            say(format_args!("{line}{}", source.name));
        }
        let wrong = match race_file(source, arguments, &interrupt, &mut seen, &mut pictures) {
            Ok(wrong) => wrong,
            Err(Failure { status, text }) => {
                complain(text);
                return status.into();
            }
        };
        if !wrong.is_empty() {
            let shown = render_all(&wrong, &source.name, &source.text);
            complain(format_args!("{} cannot be raced:\n{shown}", source.name));
            seen.wrong_files += 1;
        }
    }
    if seen.is_empty() && !interrupt.came() {
        complain(nothing(arguments, &sources));
        return UNUSABLE.into();
    }
    say(match (arguments.json, arguments.mode) {
        (true, _) => report::json(&seen, arguments.seed),
        (false, Mode::Steered) => report::conclusion(&seen.raced, arguments.seed),
        (false, Mode::Free | Mode::Windows) => freely::conclusion(&seen.freed, arguments.seed),
    });
    seen.not_on_kvm.iter().for_each(|(file, name, why)| {
        complain(format_args!("{file}: {name} did not run: {ON_KVM} is not for it: {why}"));
    });
    let trace = pictures.conclude_trace();
    if let Err(message) = pictures.write("Counterexamples that happened") {
        complain(message);
        return HOST.into();
    }
    let own = match (seen.wrong_files + seen.not_on_kvm.len(), seen.agrees()) {
        (0, true) => 0,
        (0, false) => 1,
        _ => UNUSABLE,
    };
    finish_trace(&trace, own).into()
}

/// Why no scenario ran.
fn nothing(arguments: &RaceArguments, sources: &[Source]) -> String {
    let wanted = arguments.scenario.as_deref().unwrap_or_default();
    let loaded = sources.iter().filter_map(|source| load(&source.text).ok()).flatten();
    let names: Vec<String> = loaded.map(|(scenario, _)| scenario.name.node).collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let help = ordering::language::did_you_mean(wanted, &known, "`afterimage zoo` lists the catalogue's");
    format!("there is no scenario `{wanted}` in what was named: {help}")
}

/// Why nothing can run any more: the host lacks something, or has no KVM although that was asked for.
struct Failure {
    status: u8,
    text: String,
}

impl Failure {
    const fn of_host(text: String) -> Self {
        Self { status: HOST, text }
    }
}

/// Runs the scenarios of one file; what is wrong with those that cannot.
fn race_file(
    source: &Source,
    arguments: &RaceArguments,
    interrupt: &Interrupt,
    seen: &mut Seen,
    pictures: &mut Pictures,
) -> Result<Vec<Diagnostic>, Failure> {
    let loaded = match load(&source.text) {
        Ok(loaded) => loaded,
        Err(wrong) => return Ok(wrong),
    };
    let mut wrong = Vec::new();
    let wanted = source.only.as_ref().or(arguments.scenario.as_ref());
    for (scenario, lowered) in loaded {
        if wanted.is_some_and(|wanted| *wanted != lowered.name) || interrupt.came() {
            continue;
        }
        if let (PlayedBy::Software(reason), Some(Cpu::Kvm)) = (played_by(&lowered.scene), arguments.cpu) {
            seen.not_on_kvm.push((source.name.clone(), lowered.name, reason));
            continue;
        }
        let progress = Progress::start(lowered.name.clone());
        if arguments.mode == Mode::Steered {
            let one = match packed(&lowered) {
                Ok(packed) => race(source, lowered, &packed, arguments, interrupt),
                Err(error) => {
                    wrong.push(too_large(&scenario, &error));
                    continue;
                }
            };
            drop(progress);
            let one = one?;
            show(&one, arguments);
            if pictures.are_wanted() {
                pictures.add(source, one.drawn(&scenario));
            }
            seen.raced.push(one);
        } else {
            let one = freely::run(source, &scenario, arguments, interrupt);
            drop(progress);
            match one {
                Ok(one) => {
                    if !arguments.json {
                        say(&one);
                    }
                    if pictures.are_wanted() {
                        pictures.add(source, one.drawn(&scenario));
                    }
                    seen.freed.push(one);
                }
                Err(NotRun::Wrong(diagnostics)) => wrong.extend(diagnostics),
                Err(NotRun::Host(failure)) => return Err(failure),
            }
        }
    }
    Ok(wrong)
}

/// What belongs to a scenario that was steered.
fn show(one: &Raced, arguments: &RaceArguments) {
    if arguments.json {
        return;
    }
    say(one);
    one.counterexample().filter(|_| arguments.traces).iter().for_each(|table| {
        say(format_args!("\n{table}"));
    });
}

fn packed(lowered: &Lowered) -> Result<engine::Packed, engine::TooLarge> {
    engine::compile(&lowered.model)
}

/// Makes the counterexample of a scenario happen, if it has one, and takes random runs.
fn race(
    source: &Source,
    lowered: Lowered,
    packed: &engine::Packed,
    arguments: &RaceArguments,
    interrupt: &Interrupt,
) -> Result<Raced, Failure> {
    let options =
        Options { max_states: arguments.max_states, interleavings: Counting::Off, ..Options::default() };
    let model = match engine::explore(packed, &options).verdict {
        Verdict::Violated { property, trace, .. } => Model::Refuted(Box::new(trace), property),
        Verdict::Proved => Model::Proved,
        Verdict::BoundHit { .. } => Model::Open,
    };
    let begun = Instant::now();
    let (machine, on_kvm) = machine(&lowered, arguments.cpu)?;
    let steered = Steered::new(&lowered, machine);
    let (mut runs, mut rows, mut divergence) = (0, 0, None);
    if let Model::Refuted(trace, _) = &model {
        match steered.run(&moves(trace)) {
            Ok(taken) => rows += taken,
            Err(found) => divergence = Some(found),
        }
    }
    let mut random = fastrand::Rng::with_seed(arguments.seed);
    let is_late = || arguments.seconds.is_some_and(|seconds| begun.elapsed() >= seconds);
    interrupt.stops(|stop| {
        let is_over = || is_late() || stop.load(Ordering::Relaxed);
        while divergence.is_none() && runs < arguments.rounds() && !is_over() {
            match steered.random(&mut random, ROWS) {
                Ok(taken) => rows += taken,
                Err(found) => divergence = Some(found),
            }
            runs += 1;
        }
    });
    let (file, time) = (source.name.clone(), begun.elapsed());
    Ok(Raced { file, lowered, model, runs, rows, time, divergence, on_kvm })
}

/// The machine of a scenario, and whether a guest executes the accesses of its vCPUs.
fn machine(lowered: &Lowered, asked: Option<Cpu>) -> Result<(Machine, bool), Failure> {
    let name = &lowered.name;
    let software = || {
        let lacks = |error| format!("{name}: {error}; {}", remedy(&error, "end other programs"));
        Machine::new(lowered).map_err(|error| Failure::of_host(lacks(error)))
    };
    let kvm = match (played_by(&lowered.scene), asked) {
        (PlayedBy::Kvm, Some(Cpu::Kvm) | None) => true,
        (PlayedBy::Kvm, Some(Cpu::Software)) | (PlayedBy::Nobody | PlayedBy::Software(_), _) => false,
    };
    if !kvm {
        return Ok((software()?, false));
    }
    match crate::race::machine(lowered) {
        Ok(machine) => Ok((machine, true)),
        Err(PlayError::System(error)) if asked.is_none() => {
            static TOLD: Once = Once::new();
            TOLD.call_once(|| complain(format_args!("{error}; the vCPUs run in software instead")));
            Ok((software()?, false))
        }
        Err(PlayError::System(error)) => {
            let text = format!("{name}: {error}; leave out --cpu kvm to run the vCPUs in software");
            Err(Failure { status: UNUSABLE, text })
        }
        Err(error) => Err(Failure::of_host(format!("{name}: {error}"))),
    }
}

/// The rows of a counterexample; one that goes on for ever goes round once.
fn moves(trace: &Trace) -> Vec<Move> {
    let round = trace.round.iter().flat_map(|round| round.lead.iter().chain(&round.cycle));
    let step = |step: &engine::Step| Move { agent: step.agent, pc: step.pc, alternative: step.alternative };
    trace.steps.iter().chain(round).map(step).collect()
}

impl Raced {
    /// The counterexample that happened.
    fn counterexample(&self) -> Option<Table> {
        match &self.model {
            Model::Refuted(trace, property) if self.divergence.is_none() => {
                Some(Table::new(&self.lowered, trace, Some(*property)))
            }
            Model::Refuted(..) | Model::Proved | Model::Open => None,
        }
    }
}

/// Rows a second.
fn rate(rows: usize, time: Duration) -> f64 {
    rows as f64 / time.as_secs_f64().max(1e-9)
}

/// As the other commands print an object.
fn as_json(report: &impl serde::Serialize) -> String {
    outcome::as_json(report)
}
