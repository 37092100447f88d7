//! `afterimage check`: every interleaving of every scenario in the files that are named.
//!
//! Invariant: a limit that was hit is never shown as a proof, and an error in a file is never passed over.

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Args;
use ordering::engine::disk::DiskError;
use ordering::engine::{Counting, Options, Reductions, Stop, Threads, Visited};
use ordering::language::Diagnostic;
use ordering::language::syntax::Scenario;
use ordering::lowering::Lowered;

use super::ahead::{Ahead, Loaded};
use super::apart::apart;
use super::colour;
use super::files::{self, Source};
use super::format::report::{Error, Group, Report};
use super::format::{FormatArguments, Telling};
use super::interrupt::Interrupt;
use super::limit::Limit;
use super::outcome::{self, Checked, Wrong};
use super::partition::{Dealt, Partition};
use super::pictures::{PictureArguments, Pictures};
use super::progress::Progress;
use super::selection::Selection;
use super::size;
use super::unfinished::Unfinished;
use super::voice::{HOST, UNUSABLE, complain};
use crate::remedy::remedy;

/// Threads that can be asked for.
const MOST_THREADS: i64 = 1024;

/// What can be asked of the explorer.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Scenario files, folders of them, patterns such as 'a/**/*.scn', `-` for standard input, or names of scenarios that
    /// `afterimage zoo` lists
    #[arg(required = true, value_name = "FILE|DIR|NAME")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    format: FormatArguments,
    /// Print the trace of every violation, not only of those that were not expected
    #[arg(long)]
    traces: bool,
    /// Print one complete run of every scenario that is proved
    #[arg(long)]
    witness: bool,
    /// Print the bits that each variable takes, and count orders also where the proof left some out
    #[arg(long)]
    stats: bool,
    /// Explore without reductions: every state
    #[arg(long)]
    no_reduce: bool,
    /// Print all that runs can end with, as litmus tests are read, and how often each property holds
    #[arg(long)]
    outcomes: bool,
    /// Explore with and without reductions, and compare
    #[arg(long)]
    cross_check: bool,
    /// Threads of the search at most, by default one for each CPU that there is; where a search has few states at a
    /// time it takes fewer, and what is found does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    threads: Option<u16>,
    /// Memory for the search of one scenario, such as 512M or 2G
    #[arg(long, default_value = "2G", value_parser = bytes)]
    memory: usize,
    /// Keep the states of a scenario in files in this folder, which have no names and are gone at the end: for searches
    /// larger than memory. Orders are not counted then
    #[arg(long, value_name = "DIR", conflicts_with_all = ["outcomes", "cross_check"])]
    disk: Option<PathBuf>,
    /// States of one scenario at most
    #[arg(long, value_name = "N")]
    max_states: Option<usize>,
    /// Check every Nth scenario of all from the Kth on; `afterimage merge` unites the JSON of all N parts
    #[arg(long, value_name = "K/N")]
    partition: Option<Partition>,
    /// Time for one scenario; a search that it ends is no proof
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    time: Option<Duration>,
    #[command(flatten)]
    pictures: PictureArguments,
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|time| !time.is_zero()).ok_or_else(|| "give seconds, such as 60 or 0.5".to_owned())
}

/// What the states of one scenario need at least.
fn bytes(text: &str) -> Result<usize, String> {
    let bytes = usize::try_from(size::bytes(text)?).ok().filter(|bytes| *bytes >= 1 << 16);
    bytes.ok_or_else(|| "give 64K or more".to_owned())
}

impl CheckArguments {
    /// Sees that all files can be written.
    fn open(&self, sources: &[Source]) -> Result<(Telling, Pictures), String> {
        let written = self.format.written().into_iter().chain(self.pictures.written());
        apart(&written.collect::<Vec<_>>(), files::paths(sources))?;
        if self.partition.is_some() && !self.format.is_json() {
            return Err("--partition is for --format json, which `afterimage merge` reads".to_owned());
        }
        Ok((self.format.open()?, self.pictures.open()?))
    }

    /// How to explore, told of and stopped by these.
    fn options<'w>(&self, visited: &'w Visited, stop: &'w Stop) -> Options<'w> {
        Options {
            reductions: if self.no_reduce { Reductions::NONE } else { Reductions::PAYING },
            max_states: self.max_states.unwrap_or(usize::MAX),
            memory_bytes: self.memory,
            threads: self.threads(),
            interleavings: if self.stats { Counting::On } else { Counting::OfProof },
            watched: Some(visited),
            stop: Some(stop),
        }
    }

    /// The options that an answer depends on.
    fn that_decide(&self) -> String {
        let Self {
            selection, stats, no_reduce, outcomes, cross_check, memory, disk, max_states, time, ..
        } = self;
        let disk = disk.is_some();
        let chosen = selection.names();
        format!(
            "{stats} {no_reduce} {outcomes} {cross_check} {memory} {disk} {max_states:?} {time:?} {chosen:?}"
        )
    }

    /// A host that does not say how many CPUs there are gets one thread.
    fn threads(&self) -> Threads {
        let asked = self.threads.map(usize::from);
        Threads::new(asked.unwrap_or_else(|| available_parallelism().map_or(1, usize::from)))
    }
}

/// Checks all scenarios and prints what was found.
pub(super) fn run(arguments: &CheckArguments) -> ExitCode {
    let sources = match files::read(&arguments.paths) {
        Ok(sources) => Arc::new(sources),
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
    let (interrupt, mut dealt) = (Interrupt::watched(), Dealt::to(arguments.partition));
    let mut found = Found::default();
    let ended = {
        let interrupt = &interrupt;
        let mut run =
            Run { arguments, interrupt, dealt: &mut dealt, telling: &mut telling, pictures: &mut pictures };
        let mut ahead = Ahead::of(&sources, arguments.threads() != Threads::ONE);
        sources.iter().find_map(|source| run.file(source, ahead.next(source), &mut found).err())
    };
    let unfinished = ended.and_then(|ended| match ended {
        Ended::Refused(why) => Some(Unfinished { status: HOST, why }),
        Ended::BySignal => interrupt.unfinished(),
    });
    if let Some(Unfinished { why, .. }) = &unfinished {
        complain(why);
    }
    let Found { checked, wrong_files, files } = found;
    let conclusion = || match (&unfinished, wrong_files.len()) {
        (Some(_), _) => "\nNot all scenarios were checked: the search was ended before.".to_owned(),
        (None, 0) => outcome::conclusion(&checked),
        (None, wrong) => format!("\n{wrong} of {} files could not be checked.", sources.len()),
    };
    let part = dealt.part(&sources, &arguments.that_decide());
    let json = || outcome::json(&checked, &wrong_files, part, unfinished.as_ref());
    telling.conclude(&report(files, &checked, unfinished.as_ref()), json, conclusion);
    if let Err(message) = telling.finish().and_then(|()| pictures.write(&title(&sources))) {
        complain(message);
        return HOST.into();
    }
    match (unfinished, wrong_files.len(), checked.iter().all(Checked::is_as_expected)) {
        (Some(Unfinished { status, .. }), _, _) => status.into(),
        (None, 0, true) => ExitCode::SUCCESS,
        (None, 0, false) => ExitCode::FAILURE,
        (None, _, _) => UNUSABLE.into(),
    }
}

/// A file with those of all that were checked that are its own, and what is wrong with it.
type FileFound<'s> = (&'s Source, Range<usize>, Vec<Error>);

/// What was found so far.
#[derive(Default)]
struct Found<'s> {
    checked: Vec<Checked>,
    wrong_files: Vec<(&'s Source, Vec<Wrong>)>,
    files: Vec<FileFound<'s>>,
}

/// Why nothing is searched any more.
enum Ended {
    /// The host refuses what the search needs.
    Refused(String),
    /// The user wants no more.
    BySignal,
}

/// Everything, for other programs.
fn report<'a>(
    files: Vec<FileFound<'a>>,
    checked: &[Checked],
    unfinished: Option<&'a Unfinished>,
) -> Report<'a> {
    let group = |(source, range, errors): FileFound<'a>| Group {
        file: source.name.as_str(),
        cases: checked[range].iter().map(Checked::case).collect(),
        errors,
    };
    Report { command: "check", groups: files.into_iter().map(group).collect(), unfinished }
}

/// What a page of all that was checked is called.
fn title(sources: &[Source]) -> String {
    match sources {
        [one] => one.name.clone(),
        several => format!("{} scenario files", several.len()),
    }
}

/// What is asked of a search, what it says, and what stops it.
struct Run<'r> {
    arguments: &'r CheckArguments,
    /// Looked at in searches alone: what is read and written may wait for others, and ends by the signal itself.
    interrupt: &'r Interrupt,
    dealt: &'r mut Dealt,
    telling: &'r mut Telling,
    pictures: &'r mut Pictures,
}

impl Run<'_> {
    /// Checks one file. An error is why nothing comes behind it.
    fn file<'s>(&mut self, source: &'s Source, loaded: Loaded, found: &mut Found<'s>) -> Result<(), Ended> {
        self.telling.heading(&source.name);
        let (before, mut wrong) = (found.checked.len(), Vec::new());
        let ended = self.scenarios(source, loaded, &mut found.checked, &mut wrong);
        let errors = wrong.iter().map(|one| Error::of(source, &one.diagnostic)).collect();
        found.files.push((source, before..found.checked.len(), errors));
        if !wrong.is_empty() {
            let diagnostics: Vec<_> = wrong.iter().map(|one| one.diagnostic.clone()).collect();
            let shown = colour::errors(&diagnostics, &source.name, &source.text);
            complain(format_args!("{} cannot be checked:\n{shown}", source.name));
            found.wrong_files.push((source, wrong));
        }
        ended
    }

    /// Checks the scenarios of one file, and adds what is wrong with those that cannot be.
    fn scenarios(
        &mut self,
        source: &Source,
        loaded: Loaded,
        checked: &mut Vec<Checked>,
        wrong: &mut Vec<Wrong>,
    ) -> Result<(), Ended> {
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(diagnostics) => {
                let of_file = |diagnostic| Wrong { number: None, diagnostic };
                wrong.extend(diagnostics.into_iter().map(of_file));
                return Ok(());
            }
        };
        let arguments = self.arguments;
        let is_meant = |scenario: &Scenario| arguments.selection.has(source, scenario);
        for (scenario, lowered) in loaded.into_iter().filter(|(scenario, _)| is_meant(scenario)) {
            if self.dealt.takes_next() {
                self.scenario(source, &scenario, lowered, checked, wrong)?;
            }
        }
        Ok(())
    }

    /// Checks one scenario. What a signal ended is no answer, and is not told as one.
    fn scenario(
        &mut self,
        source: &Source,
        scenario: &Scenario,
        lowered: Lowered,
        checked: &mut Vec<Checked>,
        wrong: &mut Vec<Wrong>,
    ) -> Result<(), Ended> {
        let Self { arguments, telling, pictures, .. } = self;
        let (visited, name) = (Arc::new(Visited::new()), lowered.name.clone());
        let stop = Arc::new(Stop::beside(self.interrupt.stop()));
        let options = arguments.options(&visited, &stop);
        let explored = self.interrupt.stops(|_| {
            let _progress = Progress::search(name.clone(), &visited);
            let _limit =
                arguments.time.map(|time| Limit::start(time, &stop)).transpose().map_err(|error| {
                    let remedy = remedy(&error, "leave out --time");
                    Ended::Refused(format!("the host refuses a thread for --time: {error}; {remedy}"))
                })?;
            Ok(explore(source, scenario, lowered, arguments, &options))
        })?;
        if self.interrupt.came() {
            return Err(Ended::BySignal);
        }
        match explored.map_err(|error| Ended::Refused(format!("{name}: {error}")))? {
            Ok(mut one) => {
                if telling.is_text() && !(telling.is_quiet() && one.is_as_expected()) {
                    telling.result(&one);
                    show(&mut one, arguments, &options, telling);
                }
                if pictures.are_wanted() {
                    pictures.add(source, one.drawn(scenario, &options));
                }
                checked.push(one);
            }
            Err(diagnostics) => {
                let number = Some(self.dealt.number());
                wrong.extend(diagnostics.into_iter().map(|diagnostic| Wrong { number, diagnostic }));
            }
        }
        Ok(())
    }
}

/// Explores one scenario, and all its outcomes if they are asked for.
fn explore(
    source: &Source,
    scenario: &Scenario,
    lowered: Lowered,
    arguments: &CheckArguments,
    options: &Options<'_>,
) -> Result<Result<Checked, Vec<Diagnostic>>, DiskError> {
    if let Some(folder) = &arguments.disk {
        let checked = Checked::explore_on_disk(&source.name, scenario, lowered, options, folder)?;
        return Ok(checked.map_err(|diagnostic| vec![diagnostic]));
    }
    let checked = Checked::explore(&source.name, scenario, lowered, options, arguments.cross_check);
    Ok(checked.map_err(|diagnostic| vec![diagnostic]).and_then(|checked| {
        match (arguments.outcomes, arguments.cross_check) {
            (false, _) => Ok(checked),
            (true, false) => checked.with_outcomes(scenario, &source.text, options),
            (true, true) => checked.with_outcomes(scenario, &source.text, options)?.with_outcomes_crossed(
                scenario,
                &source.text,
                options,
            ),
        }
    }))
}

/// What belongs below a scenario's line.
fn show(one: &mut Checked, arguments: &CheckArguments, options: &Options<'_>, telling: &mut Telling) {
    one.growth().iter().for_each(|line| telling.line(line));
    if let Some(outcomes) = one.take_outcomes() {
        outcomes.lines().for_each(|line| telling.line(format_args!("    {line}")));
    }
    if arguments.stats {
        telling.line(one.bits());
    }
    if arguments.traces || !one.is_as_expected() {
        one.counterexample().iter().for_each(|table| telling.line(format_args!("\n{table}")));
    }
    if arguments.witness {
        one.witness(options).iter().for_each(|table| telling.line(format_args!("\n{table}")));
    }
}
