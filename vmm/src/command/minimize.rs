//! `afterimage minimize`: the weakest order of a program that is still safe.
//!
//! Invariant: what is called proved was judged, and what is called needed no proved order does without.

mod conclusion;
mod drawn;
mod refusal;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ordering::engine::Options;
use ordering::language::did_you_mean;
use ordering::language::syntax::{Expect, Scenario};
use ordering::lowering::Lowered;
use ordering::minimize::{Limits, MinimizeError, Refusal, minimize};

use super::apart::apart;
use super::files::{self, Source};
use super::pictures::PictureArguments;
use super::progress::Progress;
use super::{HOST, UNDECIDED, UNUSABLE, complain, say};

/// States of all orders at once, some hundred bytes each.
const AT_ONCE: usize = 200_000;

/// What can be asked of an order.
#[derive(Debug, Args)]
pub(super) struct MinimizeArguments {
    /// A scenario file, `-` for standard input, or the name of a scenario that `afterimage zoo` lists
    #[arg(value_name = "FILE|NAME")]
    path: PathBuf,
    /// Whose program is to be weakened
    #[arg(long, value_name = "NAME")]
    agent: String,
    /// Which scenario of the file; without it the first that is expected to be proved and has the agent
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Print one JSON object instead of the report
    #[arg(long)]
    json: bool,
    /// Orders that are explored once more by themselves, at most; all were judged at once before
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    orders: u32,
    /// States of one exploration at most
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    max_states: usize,
    #[command(flatten)]
    pictures: PictureArguments,
}

/// Searches the weakest order and prints it.
pub(super) fn run(arguments: &MinimizeArguments) -> ExitCode {
    match found(arguments) {
        Ok(status) => status,
        Err(message) => {
            complain(message);
            UNUSABLE.into()
        }
    }
}

fn found(arguments: &MinimizeArguments) -> Result<ExitCode, String> {
    let source = files::one(&arguments.path).map_err(|error| error.to_string())?;
    let render = |found: &[_]| {
        let shown = super::colour::errors(found, &source.name, &source.text);
        format!("{} cannot be read:\n{shown}", source.name)
    };
    let loaded = ordering::lowering::load(&source.text).map_err(|found| render(&found))?;
    let scenario = choose(&loaded, arguments, &source)?;
    let limits = Limits {
        options: Options { max_states: arguments.max_states, ..Options::default() },
        singly: arguments.orders,
        at_once: AT_ONCE,
    };
    apart(&arguments.pictures.written(), source.path.as_deref())?;
    let mut pictures = arguments.pictures.open()?;
    let progress = Progress::start(format!("{}, {}", scenario.name.node, arguments.agent));
    let weakest = minimize(scenario, &source.text, &arguments.agent, &limits);
    drop(progress);
    match weakest {
        Ok(weakest) => {
            let report = report::Report::new(&scenario.name.node, &arguments.agent, &weakest);
            say(if arguments.json { super::outcome::as_json(&report) } else { report.to_string() });
            if pictures.are_wanted() {
                drawn::draw(&mut pictures, &source, scenario, &weakest, &report);
            }
            match pictures.write(&format!("{}, {}", scenario.name.node, arguments.agent)) {
                Ok(()) => Ok(ExitCode::SUCCESS),
                Err(message) => {
                    complain(message);
                    Ok(HOST.into())
                }
            }
        }
        Err(MinimizeError::Unreadable(diagnostics)) => Err(render(&diagnostics)),
        Err(MinimizeError::NotProved { scenario, refusal }) if *refusal == Refusal::BoundHit => {
            complain(format_args!(
                "whether {scenario} is proved as it stands was not decided: allow more with --max-states"
            ));
            Ok(UNDECIDED.into())
        }
        Err(error @ MinimizeError::NotProved { .. }) => {
            complain(&error);
            if let MinimizeError::NotProved { refusal, .. } = error
                && let Refusal::Violated { trace, .. } = *refusal
            {
                say(trace);
            }
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The scenario that is meant.
fn choose<'a>(
    loaded: &'a [(Scenario, Lowered)],
    arguments: &MinimizeArguments,
    source: &Source,
) -> Result<&'a Scenario, String> {
    let names: Vec<&str> = loaded.iter().map(|(scenario, _)| scenario.name.node.as_str()).collect();
    if let Some(wanted) = arguments.scenario.as_ref().or(source.only.as_ref()) {
        let found = loaded.iter().find(|(scenario, _)| scenario.name.node == *wanted);
        return found.map(|(scenario, _)| scenario).ok_or_else(|| {
            let help = did_you_mean(wanted, &names, &format!("its scenarios are {}", names.join(", ")));
            format!("{} has no scenario `{wanted}`: {help}", source.name)
        });
    }
    let fits = |(scenario, lowered): &&(Scenario, Lowered)| {
        let proved = matches!(lowered.expect, None | Some(Expect::Proved));
        proved && scenario.agents.iter().any(|agent| agent.name.node == arguments.agent)
    };
    let found = loaded.iter().find(fits).or_else(|| loaded.first());
    found.map(|(scenario, _)| scenario).ok_or_else(|| format!("{} has no scenario", source.name))
}
