//! `afterimage replay`: the traces of a file, row by row.
//!
//! Invariant: a row is shown only if the scenario's programs can take it there; the first that they cannot take ends the
//! replay with its place and what it waits for.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ordering::counterexample::Table;
use ordering::language::syntax::Scenario;
use ordering::language::{Diagnostic, did_you_mean, parse};
use ordering::lowering::{Lowered, Replayed, lower, replay};
use picture::report::{Report, Tone};
use picture::timeline::Timeline;

use super::apart::apart;
use super::drawn;
use super::files::{self, Source};
use super::pictures::{PictureArguments, Pictures};
use super::trace::TraceArguments;
use super::{HOST, UNUSABLE, complain, finish_trace, say};

/// What can be replayed.
#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    /// A scenario file with a `trace`, such as `check --traces` prints, or `-` for standard input
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// Which scenario of the file; without it all that have a trace
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    #[command(flatten)]
    pictures: PictureArguments,
    #[command(flatten)]
    trace: TraceArguments,
}

/// Replays and prints the traces.
pub(super) fn run(arguments: &ReplayArguments) -> ExitCode {
    let opened = files::one(&arguments.path).map_err(|error| error.to_string());
    let replayed = opened.and_then(|source| {
        let written = arguments.pictures.written().into_iter().chain(arguments.trace.written());
        apart(&written.collect::<Vec<_>>(), source.path.as_deref())?;
        let mut pictures = arguments.pictures.open()?.with_trace(arguments.trace.start()?);
        let all = replayed(arguments, &source, &mut pictures)?;
        let trace = pictures.conclude_trace();
        Ok((all, trace, pictures.write(&source.name)))
    });
    match replayed {
        Ok((all, trace, Ok(()))) => finish_trace(&trace, if all { 0 } else { 1 }).into(),
        Ok((.., Err(message))) => {
            complain(message);
            HOST.into()
        }
        Err(message) => {
            complain(message);
            UNUSABLE.into()
        }
    }
}

/// Whether every row can happen.
fn replayed(arguments: &ReplayArguments, source: &Source, pictures: &mut Pictures) -> Result<bool, String> {
    let file = parse(&source.text);
    let unreadable = |found: &[Diagnostic]| {
        format!(
            "{} cannot be read:\n{}",
            source.name,
            super::colour::errors(found, &source.name, &source.text)
        )
    };
    if !file.diagnostics.is_empty() {
        return Err(unreadable(&file.diagnostics));
    }
    let mut all = true;
    for scenario in chosen(&file.scenarios, arguments, source)? {
        // Without its trace, so that what is wrong with the scenario and with a row stay apart.
        let bare = Scenario { trace: Vec::new(), ..scenario.clone() };
        let lowered = lower(&bare, &source.text).map_err(|found| unreadable(&found))?;
        let name = &scenario.name.node;
        match replay(&lowered.model, &scenario.trace, &source.text) {
            Ok(Replayed { trace, broken }) => {
                let table = Table::new(&lowered, &trace, broken);
                if pictures.are_wanted() {
                    pictures.add(source, report(source, scenario, &lowered, &Replayed { trace, broken }));
                }
                let rest = scenario.trace.len().saturating_sub(table.steps());
                say(format_args!("scenario {name}: {} rows can happen\n\n{table}", table.steps()));
                if rest > 0 {
                    say(format_args!(
                        "The last {rest} rows stand behind the violation, and were not replayed.\n"
                    ));
                }
            }
            Err(row) => {
                let shown = row.render(&source.name, &source.text);
                if pictures.are_wanted() {
                    pictures.add(source, refusal(source, scenario, &shown));
                }
                let shown = super::colour::errors(&[row], &source.name, &source.text);
                complain(format_args!("scenario {name}:\n{shown}"));
                all = false;
            }
        }
    }
    Ok(all)
}

/// The replayed run, for whoever draws it.
fn report(source: &Source, scenario: &Scenario, lowered: &Lowered, replayed: &Replayed) -> Report {
    let run = Timeline::new(lowered, &replayed.trace, replayed.broken);
    let (verdict, tone) = match replayed.broken {
        Some(_) => ("VIOLATED", Tone::Bad),
        None => ("REPLAYED", Tone::Open),
    };
    Report {
        verdict: verdict.to_owned(),
        tone,
        detail: format!("{} rows can happen", run.run()),
        title: "The trace, replayed".to_owned(),
        run: Some(run),
        ..drawn::of(&source.name, scenario)
    }
}

/// The trace that cannot happen, for whoever draws it: there is no run.
fn refusal(source: &Source, scenario: &Scenario, why: &str) -> Report {
    Report {
        verdict: "CANNOT HAPPEN".to_owned(),
        tone: Tone::Open,
        detail: "a row of the trace cannot be taken".to_owned(),
        remarks: why.lines().map(str::to_owned).collect(),
        ..drawn::of(&source.name, scenario)
    }
}

/// The scenarios that are meant.
fn chosen<'a>(
    scenarios: &'a [Scenario],
    arguments: &ReplayArguments,
    source: &Source,
) -> Result<Vec<&'a Scenario>, String> {
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name.node.as_str()).collect();
    let wanted = arguments.scenario.as_ref().or(source.only.as_ref());
    if let Some(wanted) = wanted
        && !names.contains(&wanted.as_str())
    {
        let help = did_you_mean(wanted, &names, &format!("its scenarios are {}", names.join(", ")));
        return Err(format!("{} has no scenario `{wanted}`: {help}", source.name));
    }
    let meant = |scenario: &&Scenario| {
        let named = wanted.is_none_or(|wanted| *wanted == scenario.name.node);
        named && !scenario.trace.is_empty()
    };
    let found: Vec<&Scenario> = scenarios.iter().filter(meant).collect();
    if found.is_empty() {
        let help = "append what `afterimage check --traces` prints below its scenario";
        return Err(format!("{} has no trace to replay: {help}", source.name));
    }
    Ok(found)
}
