//! The same orders with narrow windows and with wide ones: how often each user meets the old page.
//!
//! Invariant: every order is watched for the same time in every width, so that counts can be compared. A right order that is
//! violated in any width is not as expected; a wrong one that nobody caught in any of them is undecided.

use std::collections::BTreeMap;
use std::process::ExitCode;

use picture::plot::{Panel, Plot};
use steps::operation::Verdict;

use super::csv::table as csv;
use super::{DemoArguments, Files};
use crate::command::columns::Place;
use crate::command::outcome::as_json;
use crate::command::progress::Progress;
use crate::command::{HOST, UNDECIDED, UNUSABLE, complain, say};
use crate::demo::guest::CpuKind;
use crate::demo::options::{DemoOptions, WatchedFor};
use crate::demo::report::table::Layout;
use crate::demo::report::{json, table};
use crate::demo::scenario::OrderScenario;
use crate::demo::window::Widening;
use crate::demo::{Demonstration, RunReport};

/// Runs all orders with windows of each width, and prints what was seen.
pub(super) fn run(options: &DemoOptions, arguments: &DemoArguments, files: Files) -> ExitCode {
    let cpu = options.cast.cpu;
    let mut reports = Vec::new();
    if !arguments.json {
        say(table::heading(cpu, Layout::within(Place::here().columns())));
    }
    for width_us in &arguments.windows {
        if !arguments.json {
            say(format_args!("windows of up to {width_us} µs"));
        }
        let widening = Widening::Fixed { width_us: *width_us };
        let options = DemoOptions { widening, watching: WatchedFor::Alike, ..options.clone() };
        match orders(&Demonstration::new(options), *width_us, arguments.json) {
            Ok(seen) => reports.extend(seen),
            Err(status) => return status,
        }
    }
    conclude(cpu, options, arguments, files, &reports)
}

/// All orders in one width.
fn orders(demonstration: &Demonstration, width_us: u64, is_json: bool) -> Result<Vec<RunReport>, ExitCode> {
    let mut reports = Vec::new();
    for trial in demonstration.trials() {
        let name = format!("{} {}", trial.operation.name(), trial.order.name);
        let progress = Progress::start(format!("{name}, {width_us} µs"));
        let report = demonstration.run(trial);
        drop(progress);
        match report {
            Ok(report) => {
                if !is_json {
                    say(table::counts(&report, Layout::within(Place::here().columns())));
                }
                reports.push(report);
            }
            Err(error) => {
                complain(format_args!("{name}: {error}"));
                return Err(if error.is_of_host() { HOST } else { UNUSABLE }.into());
            }
        }
    }
    Ok(reports)
}

fn conclude(
    cpu: CpuKind,
    options: &DemoOptions,
    arguments: &DemoArguments,
    files: Files,
    reports: &[RunReport],
) -> ExitCode {
    let Found { wrong, open } = found(reports);
    if arguments.json {
        say(as_json(&json::object(cpu, options, reports)));
    } else if !wrong.is_empty() {
        say(format_args!("\nNOT AS EXPECTED: {}.", wrong.join(", ")));
    } else if open.is_empty() {
        say("\nNo right order was violated in any width, and each wrong one was in some.");
    } else {
        let open = open.join(", ");
        say(format_args!(
            "\nNo right order was violated; not caught in any width: {open}. Watch longer (--seconds)."
        ));
    }
    let plot = files.plot.map_or(Ok(()), |file| file.write(&plot(&arguments.windows, reports).svg()));
    if let Err(error) = plot.and(files.csv.map_or(Ok(()), |file| file.write(&csv(reports, options.seed)))) {
        complain(error);
        return HOST.into();
    }
    match (wrong.is_empty(), open.is_empty()) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => UNDECIDED.into(),
        (true, true) => ExitCode::SUCCESS,
    }
}

/// The runs of each order, by its name, in the order in which orders were tried.
fn by_order(reports: &[RunReport]) -> Vec<(String, Vec<&RunReport>)> {
    let mut found: Vec<(String, Vec<&RunReport>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for report in reports {
        let name = OrderScenario::new(&report.trial).name();
        let place = *places.entry(name.clone()).or_insert(found.len());
        if place == found.len() {
            found.push((name, Vec::new()));
        }
        found[place].1.push(report);
    }
    found
}

/// What is not as it is held to be.
#[derive(Default)]
struct Found {
    wrong: Vec<String>,
    /// Wrong orders that nobody caught.
    open: Vec<String>,
}

fn found(reports: &[RunReport]) -> Found {
    let mut found = Found::default();
    for (name, runs) in by_order(reports) {
        let is_violated = runs.iter().any(|run| run.verdict() == Verdict::Violated);
        let is_undecided = runs.iter().any(|run| run.is_undecided());
        let expected = runs.iter().map(|run| run.trial.order.expected).next();
        if runs.iter().any(|run| run.diverges()) {
            found.wrong.push(format!("{name} diverges from its scenario"));
        } else if expected == Some(Verdict::Coherent) && is_violated {
            found.wrong.push(format!("{name} was violated"));
        } else if expected == Some(Verdict::Violated) && (is_undecided || !is_violated) {
            found.open.push(name);
        }
    }
    found
}

/// Stale loads of each user, and uses of freed frames, a second against the width; a small picture an order.
fn plot(windows: &[u64], reports: &[RunReport]) -> Plot {
    let rate = |count: u64, run: &RunReport| count as f64 / run.time.as_secs_f64().max(1e-3);
    let panel = |(name, runs): (String, Vec<&RunReport>)| {
        let harm = |run: &RunReport| [run.cpu.stale, run.vcpu.stale, run.device.stale, run.freed_uses()];
        let curve = |index: usize| runs.iter().map(|run| rate(harm(run)[index], run)).collect();
        let curves: [Vec<f64>; 4] = [0, 1, 2, 3].map(curve);
        Panel { name, curves: curves.into() }
    };
    Plot {
        title:
            "How often the old page is met, against the width of the windows between the steps of an order"
                .to_owned(),
        upwards: "stale loads by each, and uses of freed frames, a second".to_owned(),
        along: "µs".to_owned(),
        values: windows.iter().map(u64::to_string).collect(),
        curves: ["CPU", "vCPU", "device", "freed"].map(str::to_owned).into(),
        panels: by_order(reports).into_iter().map(panel).collect(),
    }
}
