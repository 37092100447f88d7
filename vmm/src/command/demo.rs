//! `afterimage demo`: arguments, the choice of CPU, and the exit status.

mod csv;
mod page;
mod windows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use guest_images::layout::MAX_VCPUS;
use ordering::sighting::MOST_PLACES;
use picture::perfetto::Times;

use super::apart::apart;
use super::columns::Place;
use super::outcome::as_json;
use super::pictures::{Opened, PictureArguments, Pictures};
use super::progress::Progress;
use super::trace::{RunTrace, TraceArguments};
use super::{HOST, UNDECIDED, UNUSABLE, complain, finish_trace, say};
use crate::demo::guest::CpuKind;
use crate::demo::options::{DemoOptions, Operation, Trial, WatchedFor, trials};
use crate::demo::reading::Reading;
use crate::demo::report::table::Layout;
use crate::demo::report::trace::of as of_first;
use crate::demo::report::{json, table};
use crate::demo::stage::Cast;
use crate::demo::window::Widening;
use crate::demo::{Demonstration, RunReport};
use crate::kvm::{System, SystemError};

/// The most devices and the most seconds that are accepted.
const MAX_DEVICES: i64 = 16;
const MAX_SECONDS: f64 = 3600.0;

/// What the demonstration can be asked.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Which operation to demonstrate
    #[arg(long, value_enum, default_value = "all")]
    operation: OperationName,
    /// Which order of its steps: a name out of the table, or all
    #[arg(long, default_value = "all")]
    order: String,
    /// DMA engines behind the IOMMU
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=MAX_DEVICES))]
    devices: u16,
    /// vCPUs of the guest
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=MAX_VCPUS as i64))]
    vcpus: u16,
    /// What vCPUs run on; without it KVM, or software where there is no KVM
    #[arg(long, value_enum)]
    cpu: Option<CpuName>,
    /// How long each right order is watched, in seconds; a wrong one is watched until it has shown itself
    #[arg(long, default_value_t = 1.6, value_parser = seconds)]
    seconds: f64,
    /// How wide a window between two steps may be made, in microseconds; without it from 0 to 1600 in turn, wider after 2 s
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    window_us: Option<u64>,
    /// Where all random choices come from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many places the search for a counterexample in the order's scenario looks at; one that finds none in so many is
    /// no answer (status 3)
    #[arg(long, default_value_t = MOST_PLACES as u64, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    places: u64,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Write the scenario of each order into this directory, with the first violation as its trace, for `replay`, `check` and `race`
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Write the counts of each run as comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Try every order with windows of each of these widths, in microseconds, for --seconds each: how often is the old page
    /// met?
    #[arg(long, value_name = "US,...", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    #[arg(conflicts_with_all = ["window_us", "save", "html", "svg", "dot", "trace"])]
    windows: Vec<u64>,
    /// Draw that as curves, an SVG picture
    #[arg(long, value_name = "FILE", requires = "windows")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    pictures: PictureArguments,
    #[command(flatten)]
    trace: TraceArguments,
}

/// Files that are written when all orders were tried.
struct Files {
    pictures: Pictures,
    csv: Option<Opened>,
    plot: Option<Opened>,
    trace: Option<RunTrace>,
}

impl DemoArguments {
    /// The files, which can be written.
    fn files(&self) -> Result<Files, String> {
        let counts = [("--csv", &self.csv), ("--plot", &self.plot)];
        let counts = counts.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)));
        let written = counts.chain(self.pictures.written()).chain(self.trace.written());
        apart(&written.collect::<Vec<_>>(), [])?;
        self.save.as_deref().map_or(Ok(()), prepare)?;
        let opened = |path: &Option<PathBuf>| path.as_deref().map(Opened::new).transpose();
        let (csv, plot) = (opened(&self.csv)?, opened(&self.plot)?);
        Ok(Files { pictures: self.pictures.open()?, csv, plot, trace: self.trace.start()? })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum OperationName {
    Cow,
    Ksm,
    All,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum CpuName {
    Kvm,
    Software,
}

fn seconds(text: &str) -> Result<f64, String> {
    let accepted = || format!("give seconds from 0.1 to {MAX_SECONDS}");
    let seconds: f64 = text.parse().map_err(|_| accepted())?;
    if (0.1..=MAX_SECONDS).contains(&seconds) { Ok(seconds) } else { Err(accepted()) }
}

/// Runs the demonstration and prints what it saw.
pub(super) fn run(arguments: &DemoArguments) -> ExitCode {
    let prepared =
        select(arguments).and_then(|trials| Ok((trials, arguments.files()?, choose_cpu(arguments.cpu)?)));
    let (trials, mut files, cpu) = match prepared {
        Ok(prepared) => prepared,
        Err(message) => {
            complain(message);
            return UNUSABLE.into();
        }
    };
    let options = DemoOptions {
        cast: Cast { cpu, vcpus: arguments.vcpus, devices: arguments.devices, cpus: 1 },
        trials,
        time: Duration::from_secs_f64(arguments.seconds),
        widening: arguments.window_us.map_or(Widening::AsFound, |width_us| Widening::Fixed { width_us }),
        watching: WatchedFor::UntilShown,
        seed: arguments.seed,
        most_places: usize::try_from(arguments.places).map_or(usize::MAX, |places| places),
    };
    if !arguments.windows.is_empty() {
        return windows::run(&options, arguments, files);
    }
    let mut trace = files.trace.take();
    let own = demonstrate(&Demonstration::new(options), cpu, arguments, files, trace.as_mut());
    finish_trace(&trace.map(RunTrace::conclude).unwrap_or_default(), own).into()
}

/// The exit status.
fn demonstrate(
    demonstration: &Demonstration,
    cpu: CpuKind,
    arguments: &DemoArguments,
    files: Files,
    mut trace: Option<&mut RunTrace>,
) -> u8 {
    let (is_json, layout) = (arguments.json, Layout::within(Place::here().columns()));
    let mut reports: Vec<RunReport> = Vec::new();
    if !is_json {
        say(table::heading(cpu, layout));
    }
    for trial in demonstration.trials() {
        let progress = Progress::start(format!("{} {}", trial.operation.name(), trial.order.name));
        let report = demonstration.run(trial);
        drop(progress);
        match report {
            Ok(report) => {
                if !is_json {
                    say(table::row(&report, layout));
                }
                if let Some(trace) = &mut trace {
                    draw(trace, &report);
                }
                reports.push(report);
            }
            Err(error) => {
                complain(format_args!("{} {}: {error}", trial.operation.name(), trial.order.name));
                return if error.is_of_host() { HOST } else { UNUSABLE };
            }
        }
    }
    if is_json {
        say(as_json(&json::object(cpu, demonstration.options(), &reports)));
    } else {
        reports.iter().filter_map(of_first).for_each(say);
        say(format_args!("\n{}", table::conclusion(&reports)));
    }
    let saved = arguments.save.as_ref().map_or(Ok(()), |directory| save(directory, &reports));
    // What cannot be saved keeps nothing else from being written.
    let written = write(&reports, files, arguments.seed);
    let failed = [saved, written].into_iter().filter_map(Result::err).map(complain).count() > 0;
    if failed {
        return HOST;
    }
    if !reports.iter().all(RunReport::is_as_expected) {
        return 1;
    }
    if reports.iter().any(RunReport::is_undecided) { UNDECIDED } else { 0 }
}

/// The first violation of an order, with the times at which its rows were seen.
fn draw(trace: &mut RunTrace, report: &RunReport) {
    match &report.reading {
        Some(Reading::Counterexample(found)) => {
            let title = format!("{} {}", report.trial.operation.name(), report.trial.order.name);
            trace.add(&title, &found.run, Times::Seen(&found.seen));
        }
        Some(Reading::Divergence(_) | Reading::BoundHit(_) | Reading::TooLong) | None => {}
    }
}

/// Writes the files with pictures and with counts.
fn write(reports: &[RunReport], files: Files, seed: u64) -> Result<(), String> {
    let Files { mut pictures, csv, plot: _, trace: _ } = files;
    csv.map_or(Ok(()), |file| file.write(&csv::table(reports, seed)))?;
    if pictures.are_wanted() {
        page::draw(reports, &mut pictures)?;
    }
    pictures.write("The demonstration")
}

/// Makes the directory, and sees whether a file can be written there.
fn prepare(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| unsaved(directory, &error))?;
    Opened::new(&directory.join("orders.scn")).map(drop)
}

fn unsaved(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}; name a directory that can be written", path.display())
}

/// Writes a file for each order; the control's is the right one's.
fn save(directory: &Path, reports: &[RunReport]) -> Result<(), String> {
    let orders = reports.iter().filter(|report| report.trial.operation != Operation::Control);
    for report in orders {
        let (name, text) = page::file(report);
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| unsaved(&path, &error))?;
    }
    Ok(())
}

/// The trials asked for; the control goes with them unless one order was named.
fn select(arguments: &DemoArguments) -> Result<Vec<Trial>, String> {
    let operations: &[Operation] = match arguments.operation {
        OperationName::Cow => &[Operation::Cow],
        OperationName::Ksm => &[Operation::Ksm],
        OperationName::All => &[Operation::Cow, Operation::Ksm],
    };
    let all = trials(operations);
    if arguments.order == "all" {
        return Ok([all, trials(&[Operation::Control])].concat());
    }
    let chosen: Vec<_> = all.iter().filter(|trial| trial.order.name == arguments.order).cloned().collect();
    if chosen.is_empty() {
        let mut names: Vec<_> = all.iter().map(|trial| trial.order.name).collect();
        names.sort_unstable();
        names.dedup();
        return Err(format!("no order `{}`; there are all and {}", arguments.order, names.join(", ")));
    }
    Ok(chosen)
}

/// KVM if it is there; software if that was asked for, or with a line that says why.
fn choose_cpu(asked: Option<CpuName>) -> Result<CpuKind, String> {
    match (asked, System::open()) {
        (Some(CpuName::Software), _) => Ok(CpuKind::Software),
        (_, Ok(_)) => Ok(CpuKind::Kvm),
        (Some(CpuName::Kvm), Err(error)) => Err(error.to_string()),
        (None, Err(error)) => {
            fall_back(&error);
            Ok(CpuKind::Software)
        }
    }
}

fn fall_back(error: &SystemError) {
    complain(format_args!("{error}; the vCPUs run in software instead"));
}
