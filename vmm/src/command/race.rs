//! `afterimage race`: scenarios on the live machine.
//!
//! Invariant: a scenario that did not run is named with its reason, and never counted as one that agreed; what is refuted
//! counts as happened only if every row of its counterexample did.

mod case;
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
use ordering::language::Diagnostic;
use ordering::lowering::{Lowered, load, too_large};
use ordering::model::PropertyId;
use race::machine::Machine;
use race::steered::{Divergence, Steered};

use self::case::Span;
use self::freely::{Freed, NotRun};
use super::apart::apart;
use super::colour;
use super::files::{self, Source};
use super::format::report::Error;
use super::format::{FormatArguments, Telling};
use super::interrupt::Interrupt;
use super::pictures::{PictureArguments, Pictures};
use super::progress::Progress;
use super::selection::Selection;
use super::trace::TraceArguments;
use super::unfinished::Unfinished;
use super::{HOST, UNDECIDED, UNUSABLE, complain, finish_trace, outcome};
use crate::race::{PlayError, PlayedBy, played_by};
use crate::remedy::remedy;

/// Rows of a random run at most: a loop that never ends is cut off there.
const ROWS: usize = 1000;
/// What not every scenario can be asked for.
const ON_KVM: &str = "--cpu kvm";

/// What can be asked of the live machine.
#[derive(Debug, Args)]
pub(super) struct RaceArguments {
    /// Scenario files, folders of them, patterns such as 'a/**/*.scn', `-` for standard input, or names of the catalogue's
    /// scenarios
    #[arg(required = true, value_name = "FILE|DIR|NAME")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    selection: Selection,
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
    #[command(flatten)]
    format: FormatArguments,
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
    /// What is said where, and what runs are drawn in, open.
    fn open(&self, sources: &[Source]) -> Result<(Telling, Pictures), String> {
        if self.trace.is_wanted() && self.mode != Mode::Steered {
            return Err("--trace is for --mode steered: of free runs nobody keeps the rows".to_owned());
        }
        let written = self.format.written().into_iter().chain(self.pictures.written());
        apart(&written.chain(self.trace.written()).collect::<Vec<_>>(), files::paths(sources))?;
        Ok((self.format.open()?, self.pictures.open()?.with_trace(self.trace.start()?)))
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
    fn agrees(&self) -> bool {
        self.raced.iter().all(|one| one.divergence.is_none()) && self.freed.iter().all(Freed::agrees)
    }

    /// Scenarios of which nothing is known to be wrong, and not because all of it was looked at: the search hit its limit,
    /// or nothing was run.
    fn undecided(&self) -> usize {
        let steered = self.raced.iter().filter(|one| one.is_undecided()).count();
        steered + self.freed.iter().filter(|one| one.is_undecided()).count()
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
    let opened = arguments.selection.check(&sources).and_then(|()| arguments.open(&sources));
    let (mut telling, mut pictures) = match opened {
        Ok(opened) => opened,
        Err(message) => {
            complain(message);
            return UNUSABLE.into();
        }
    };
    let interrupt = Interrupt::watched();
    let (mut seen, mut spans) = (Seen::default(), Vec::new());
    let refused = sources.iter().find_map(|source| {
        let mut run = Run { interrupt: &interrupt, telling: &mut telling, pictures: &mut pictures };
        run.file(source, arguments, &mut seen, &mut spans).err()
    });
    let unfinished = refused.or_else(|| interrupt.unfinished());
    if let Some(Unfinished { why, .. }) = &unfinished {
        complain(why);
    }
    let conclusion = || match arguments.mode {
        Mode::Steered => report::conclusion(&seen.raced, arguments.seed),
        Mode::Free | Mode::Windows => freely::conclusion(&seen.freed, arguments.seed),
    };
    let conclusion = || match seen.undecided() {
        0 => conclusion(),
        count => {
            format!("{}\n{count} not decided: nothing was run, or the search hit --max-states.", conclusion())
        }
    };
    let conclusion = || match &unfinished {
        Some(_) => format!("{}\nNot all was run that was asked for.", conclusion()),
        None => conclusion(),
    };
    let json = || report::json(&seen, arguments.seed, unfinished.as_ref());
    telling.conclude(&case::report(spans, &seen, unfinished.as_ref()), json, conclusion);
    seen.not_on_kvm.iter().for_each(|(file, name, why)| {
        complain(format_args!("{file}: {name} did not run: {ON_KVM} is not for it: {why}"));
    });
    let trace = pictures.conclude_trace();
    let written = telling.finish().and_then(|()| pictures.write("Counterexamples that happened"));
    if let Err(message) = written {
        complain(message);
        return HOST.into();
    }
    let own = match (unfinished, seen.wrong_files + seen.not_on_kvm.len(), seen.agrees()) {
        (Some(Unfinished { status, .. }), _, _) => status,
        (None, 0, true) if seen.undecided() > 0 => UNDECIDED,
        (None, 0, true) => 0,
        (None, 0, false) => 1,
        (None, _, _) => UNUSABLE,
    };
    finish_trace(&trace, own).into()
}

/// What a run says, and what stops it.
struct Run<'r> {
    interrupt: &'r Interrupt,
    telling: &'r mut Telling,
    pictures: &'r mut Pictures,
}

impl Run<'_> {
    /// Runs one file, unless a signal came before. An error is why no other runs.
    fn file<'s>(
        &mut self,
        source: &'s Source,
        arguments: &RaceArguments,
        seen: &mut Seen,
        spans: &mut Vec<Span<'s>>,
    ) -> Result<(), Unfinished> {
        if self.interrupt.came() {
            return Ok(());
        }
        self.telling.heading(&source.name);
        let (before, mut wrong) = (seen.counts(), Vec::new());
        let ended = race_file(source, arguments, self, seen, &mut wrong);
        let errors = wrong.iter().map(|one| Error::of(source, one)).collect();
        spans.push(Span { file: &source.name, before, errors });
        if !wrong.is_empty() {
            let shown = colour::errors(&wrong, &source.name, &source.text);
            complain(format_args!("{} cannot be raced:\n{shown}", source.name));
            seen.wrong_files += 1;
        }
        ended
    }
}

/// What the host lacks, or has no KVM although that was asked for.
const fn refused(why: String) -> Unfinished {
    Unfinished { status: HOST, why }
}

/// Runs the scenarios of one file, and adds what is wrong with those that cannot. An error is why no other runs.
fn race_file(
    source: &Source,
    arguments: &RaceArguments,
    run: &mut Run<'_>,
    seen: &mut Seen,
    wrong: &mut Vec<Diagnostic>,
) -> Result<(), Unfinished> {
    let interrupt = run.interrupt;
    let loaded = match load(&source.text) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            wrong.extend(diagnostics);
            return Ok(());
        }
    };
    for (scenario, lowered) in loaded {
        if !arguments.selection.has(source, &scenario) || interrupt.came() {
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
            show(&one, arguments, run.telling);
            if run.pictures.are_wanted() {
                run.pictures.add(source, one.drawn(&scenario));
            }
            seen.raced.push(one);
        } else {
            let one = freely::run(source, &scenario, arguments, interrupt);
            drop(progress);
            match one {
                Ok(one) => {
                    if !(run.telling.is_quiet() && one.agrees()) {
                        run.telling.result(&one);
                    }
                    if run.pictures.are_wanted() {
                        run.pictures.add(source, one.drawn(&scenario));
                    }
                    seen.freed.push(one);
                }
                Err(NotRun::Wrong(diagnostics)) => wrong.extend(diagnostics),
                Err(NotRun::Host(failure)) => return Err(failure),
            }
        }
    }
    Ok(())
}

/// What belongs to a scenario that was steered.
fn show(one: &Raced, arguments: &RaceArguments, telling: &mut Telling) {
    if telling.is_quiet() && one.divergence.is_none() {
        return;
    }
    telling.result(one);
    one.counterexample().filter(|_| arguments.traces).iter().for_each(|table| {
        telling.line(format_args!("\n{table}"));
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
) -> Result<Raced, Unfinished> {
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
fn machine(lowered: &Lowered, asked: Option<Cpu>) -> Result<(Machine, bool), Unfinished> {
    let name = &lowered.name;
    let software = || {
        let lacks = |error| format!("{name}: {error}; {}", remedy(&error, "end other programs"));
        Machine::new(lowered).map_err(|error| refused(lacks(error)))
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
            Err(Unfinished { status: UNUSABLE, why: text })
        }
        Err(error) => Err(refused(format!("{name}: {error}"))),
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
