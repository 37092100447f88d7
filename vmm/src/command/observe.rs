//! `afterimage observe`: traces of kernels, as orders of steps that are held against the catalogue.
//!
//! Invariant: a file is read as a stream, of which a bounded part is kept; what is no trace is refused with what to do.

mod input;
mod json;
mod record;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use observe::collect::{Collector, Found};
use observe::judge::{Judged, Standing, judge};
use observe::reader::NO_EVENT;
use observe::report::{Rest, Told};
use observe::vocabulary::{BUILT_IN, Kernel, Vocabulary};
use ordering::catalogue;

use super::{UNDECIDED, UNUSABLE, complain, say};

/// The longest vocabulary, in bytes.
const LONGEST_VOCABULARY: u64 = 1 << 20;

/// What can be observed.
#[derive(Debug, Args)]
pub(super) struct ObserveArguments {
    /// Traces as text: of tracefs (trace, trace_pipe), trace-cmd report, perf script --header, or lines of key=value; `-` is
    /// standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["vocabulary", "record"])]
    paths: Vec<PathBuf>,
    /// Without a file: print which function or tracepoint says which step. With one: put its rows before those
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    vocabulary: Option<Option<PathBuf>>,
    /// The kernel that was traced, if its trace does not say so
    #[arg(long, value_name = "VERSION", value_parser = kernel)]
    kernel: Option<Kernel>,
    /// Do this on the running kernel and record it, in a tracefs instance that is removed again; needs root
    #[arg(long, value_name = "OPERATION", conflicts_with_all = ["paths", "kernel"])]
    record: Option<record::Deed>,
    /// Print one JSON object instead of the tables
    #[arg(long)]
    json: bool,
}

/// Reads and judges what is named.
pub(super) fn run(arguments: &ObserveArguments) -> ExitCode {
    match observed(arguments) {
        Ok(code) => code,
        Err(message) => {
            complain(message);
            UNUSABLE.into()
        }
    }
}

fn observed(arguments: &ObserveArguments) -> Result<ExitCode, String> {
    let added = match &arguments.vocabulary {
        Some(None) => {
            say(BUILT_IN.trim_end());
            return Ok(ExitCode::SUCCESS);
        }
        Some(Some(path)) => Some((path, text(path)?)),
        None => None,
    };
    let text = added.as_ref().map(|(_, text)| text.as_str());
    let vocabulary = Vocabulary::with(text).map_err(|wrong| {
        let path = added.as_ref().map(|(path, _)| path.display().to_string()).unwrap_or_default();
        format!("{path}: {wrong}")
    })?;
    let mut collector = Collector::new(&vocabulary, arguments.kernel);
    let mut visible = None;
    match arguments.record {
        Some(deed) => visible = Some(record::record(deed, &vocabulary, &mut collector)?),
        None => read(arguments, &mut collector)?,
    }
    let found = collector.finish();
    found.kernel.map_or(Ok(()), |kernel| kernel.known().map(|_| ()))?;
    let judged = judge(&found, &vocabulary, &catalogue::entries());
    if arguments.json {
        say(json::json(&judged, &found, visible.as_ref()));
    } else {
        tell(&judged, &found);
        visible.iter().for_each(|visible: &record::Visible| say(visible.told(&found)));
    }
    Ok(status(&judged, visible.as_ref()))
}

/// A kernel of which something is known.
fn kernel(text: &str) -> Result<Kernel, String> {
    text.parse::<Kernel>()?.known()
}

/// 1 if an order is wrong, 3 if that is not known, or nothing is known of any; otherwise 0.
fn status(judged: &[Judged], visible: Option<&record::Visible>) -> ExitCode {
    let has = |standing| judged.iter().any(|judged| judged.ruling.standing() == standing);
    let is_wrong = has(Standing::Refuted);
    let is_told = is_wrong || has(Standing::Proved) || has(Standing::New);
    if let Some(told) = visible.and_then(record::Visible::crowded).filter(|_| is_told) {
        complain(told);
        return UNDECIDED.into();
    }
    if is_wrong {
        return ExitCode::FAILURE;
    }
    if is_told {
        return ExitCode::SUCCESS;
    }
    complain(if judged.is_empty() {
        "UNDECIDED: no operation was found: no line shows that an entry was changed or a CPU flushed within one"
    } else {
        "UNDECIDED: no order was told from refuted ones, by what the trace shows"
    });
    UNDECIDED.into()
}

fn text(path: &PathBuf) -> Result<String, String> {
    let wrong = |what: String| format!("cannot read {}: {what}", path.display());
    let length = fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !length.is_file() || length.len() > LONGEST_VOCABULARY {
        return Err(wrong(format!("a vocabulary is a file of at most {LONGEST_VOCABULARY} bytes")));
    }
    fs::read_to_string(path).map_err(|error| wrong(error.to_string()))
}

fn read(arguments: &ObserveArguments, collector: &mut Collector<'_>) -> Result<(), String> {
    for path in &arguments.paths {
        let before = collector.events();
        input::read(path, collector).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        if collector.events() == before {
            return Err(format!("{}: {NO_EVENT}", path.display()));
        }
        if let Some(other) = collector.other_kernel() {
            return Err(format!(
                "{} is of kernel {other}, and what was read before is of another; observe each kernel by itself, or say --kernel",
                path.display()
            ));
        }
    }
    Ok(())
}

fn tell(judged: &[Judged], found: &Found) {
    judged.iter().for_each(|judged| say(Told(judged)));
    say(Rest(found).to_string().trim_end());
    let count = |standing| judged.iter().filter(|judged| judged.ruling.standing() == standing).count();
    say(format_args!(
        "{} orders: {} of proved scenarios, {} new and proved, {} not told from refuted ones, {} wrong, {} not judged.",
        judged.len(),
        count(Standing::Proved),
        count(Standing::New),
        count(Standing::Untold),
        count(Standing::Refuted),
        count(Standing::Unknown)
    ));
}
