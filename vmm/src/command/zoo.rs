//! `afterimage zoo`: the catalogue of scenarios that comes with the program.
//!
//! Invariant: the list says what each scenario expects, which a test holds against every interleaving; what is shown of
//! one scenario is explored now.

mod copy;
mod markdown;
mod site;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use ordering::catalogue::{self, Entry};
use ordering::engine::{Counting, Options};
use ordering::language::did_you_mean;
use ordering::language::syntax::Expect;
use serde::Serialize;

use super::columns::{Place, blocks};
use super::outcome::{Checked, as_json};
use super::pager::{Paging, PagingArguments, say_long};
use super::voice::{HOST, UNUSABLE, complain, say};

/// What can be asked of the catalogue.
#[derive(Debug, Args)]
pub(super) struct ZooArguments {
    /// A scenario: its text, its programs, its source and its counterexample
    name: Option<String>,
    /// Print one JSON object instead of the list
    #[arg(long)]
    json: bool,
    /// Print the list as docs/catalogue.md
    #[arg(long, conflicts_with_all = ["json", "name"])]
    markdown: bool,
    /// Write the catalogue as a site: a start page that can be searched, and a page with the pictures of each file
    #[arg(long, value_name = "DIR", conflicts_with_all = ["json", "name", "markdown"])]
    html: Option<PathBuf>,
    /// Write the catalogue's files into a folder that is empty or not there, to be changed and checked
    #[arg(long, value_name = "DIR", conflicts_with_all = ["json", "name", "markdown", "html"])]
    save: Option<PathBuf>,
    #[command(flatten)]
    paging: PagingArguments,
}

#[derive(Serialize)]
struct List<'a> {
    scenarios: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    scenario: &'a str,
    file: &'a str,
    about: Option<&'a str>,
    source: Option<&'a str>,
    like: Option<&'a str>,
    expected: String,
}

/// Prints the list, or one scenario.
pub(super) fn run(arguments: &ZooArguments) -> ExitCode {
    if let Some(folder) = &arguments.save {
        return save(folder);
    }
    let mut entries = catalogue::entries();
    if let Some(folder) = &arguments.html {
        return write(folder, &entries);
    }
    if let Some(name) = &arguments.name {
        let Some(at) = entries.iter().position(|entry| entry.scenario.is_called(name)) else {
            let known: Vec<&str> = entries.iter().map(|entry| entry.lowered.name.as_str()).collect();
            let help = did_you_mean(name, &known, "`afterimage zoo` lists all of them");
            complain(format_args!("there is no scenario `{name}`: {help}"));
            return UNUSABLE.into();
        };
        entries = vec![entries.swap_remove(at)];
        if !arguments.json {
            return show(&entries[0], arguments.paging.wanted());
        }
    }
    if arguments.markdown {
        say(markdown::page(&entries).trim_end());
    } else if arguments.json {
        say(as_json(&List { scenarios: entries.iter().map(row).collect() }));
    } else {
        say_long(&list(&entries, Place::here()), arguments.paging.wanted());
    }
    ExitCode::SUCCESS
}

/// Writes the files.
fn save(folder: &Path) -> ExitCode {
    let (status, message) = match copy::write(folder) {
        Ok(told) => {
            say(told);
            return ExitCode::SUCCESS;
        }
        Err(copy::NoCopy::Unusable(message)) => (UNUSABLE, message),
        Err(copy::NoCopy::Host(message)) => (HOST, message),
    };
    complain(message);
    status.into()
}

/// Writes the site.
fn write(folder: &Path, entries: &[Entry]) -> ExitCode {
    let (status, message) = match site::write(folder, entries) {
        Ok(told) => {
            say(told);
            return ExitCode::SUCCESS;
        }
        Err(site::NoSite::Unusable(message)) => (UNUSABLE, message),
        Err(site::NoSite::Host(message)) => (HOST, message),
    };
    complain(message);
    status.into()
}

fn row(entry: &Entry) -> Row<'_> {
    let scenario = &entry.scenario;
    Row {
        scenario: &scenario.name.node,
        file: entry.file.path,
        about: scenario.about.as_deref(),
        source: scenario.source.as_deref(),
        like: scenario.like.as_ref().map(|like| like.node.as_str()),
        expected: expected(entry),
    }
}

/// The verdict that the scenario expects.
fn expected(entry: &Entry) -> String {
    match entry.lowered.expect {
        None | Some(Expect::Proved) => "proved".to_owned(),
        Some(Expect::Violation { steps: None, .. }) => "violation".to_owned(),
        Some(Expect::Violation { steps: Some(steps), .. }) => format!("violation in {steps} steps"),
    }
}

/// One line a scenario, below the name of its file.
fn list(entries: &[Entry], place: Place) -> String {
    // How many steps a violation takes is the reader's second question.
    let row = |entry: &Entry| {
        let verdict = expected(entry).split(' ').next().unwrap_or_default().to_owned();
        vec![entry.lowered.name.clone(), verdict, entry.scenario.about.clone().unwrap_or_default()]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    let files = entries.chunk_by(|a, b| a.file.path == b.file.path);
    let mut out = String::new();
    let mut blocks = blocks(&rows, place).into_iter();
    for file in files {
        out.push_str(file[0].file.path);
        for block in blocks.by_ref().take(file.len()) {
            out.push('\n');
            out.push_str(&block);
        }
        out.push_str("\n\n");
    }
    format!("{out}{} scenarios; `afterimage zoo NAME` shows one.", entries.len())
}

/// How one scenario is written, with what it takes over from another one.
fn text(entry: &Entry) -> String {
    let written = entry.written();
    let mut text = format!("# tests/scenarios/{}\n{written}\n\n", entry.file.path);
    let Some(like) = &entry.scenario.like else { return text };
    if let (false, Some(source)) = (written.contains("\nsource"), &entry.scenario.source) {
        text += &format!("# source, of what it is like: {source}\n\n");
    }
    text += &format!(
        "# alone it cannot be checked: `afterimage zoo --save DIR` writes {} with what it is like\n\n",
        entry.file.path
    );
    text += &format!("# its programs, with what it takes over from {}\n{}\n", like.node, entry.programs());
    text
}

/// Everything that is known of one scenario.
fn show(entry: &Entry, paging: Paging) -> ExitCode {
    let mut text = text(entry);
    let options = Options { interleavings: Counting::On, ..Options::default() };
    match Checked::explore(entry.file.path, &entry.scenario, entry.lowered.clone(), &options, false) {
        Ok(checked) => {
            let line = if Place::here().is_narrow() { format!("{checked:#}") } else { checked.to_string() };
            text.extend(
                [line].into_iter().chain(checked.counterexample().map(|table| format!("\n\n{table}"))),
            );
            say_long(&text, paging);
            if checked.is_as_expected() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say_long(text.trim_end(), paging);
            complain(error.render(entry.file.path, entry.file.text));
            UNUSABLE.into()
        }
    }
}
