//! How `check` and `race` say what they have found: `--format`, `--quiet`, `--output`.
//!
//! Invariant: a format changes what is printed, never what is found, nor the exit status; each says that a run was not
//! finished, if it was not. All but text and JSON are printed from one [`report::Report`], so that they cannot tell
//! different things. A file is seen to be writable before anything runs, and stands as it was until there is something to
//! write; whoever opens it has held it [apart](super::apart) from others.

mod github;
mod gitlab;
mod junit;
mod markdown;
pub(super) mod report;
mod root;
mod sarif;
mod tap;

use std::fmt::Display;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use self::report::Report;
use super::apart::Named;
use super::columns::Place;
use super::pictures::{Opened, no_scenario};
use super::voice::say;

/// What can be asked of the output.
#[derive(Debug, Args)]
pub(super) struct FormatArguments {
    /// How what was found is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Print only what is wrong, and the last line
    #[arg(short, long)]
    quiet: bool,
    /// Write it into a file instead of to standard output
    #[arg(long, value_name = "FILE", value_parser = no_scenario)]
    output: Option<PathBuf>,
}

/// A form of output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    /// Lines for people
    Text,
    /// One object: docs/schema says what is in it
    Json,
    /// Workflow commands, which GitHub shows beside the lines of a change
    Github,
    /// A code quality report, which GitLab shows beside the lines of a change
    Gitlab,
    /// XML as Jenkins, GitLab and others read test results
    Junit,
    /// SARIF 2.1.0, as code scanning reads it
    Sarif,
    /// TAP 14
    Tap,
    /// A table, and below it what is wrong: for the summary of a job, or a comment
    Markdown,
}

/// Where what was found is said.
pub(super) struct Telling {
    format: Format,
    quiet: bool,
    /// A file and what will stand in it; none: standard output, at once.
    file: Option<(Opened, String)>,
    /// A file whose name is said before the next line, if one comes.
    heading: Option<String>,
    /// The file whose name stands above the last line: of two scenarios that were named, it need not be said twice.
    under: Option<String>,
    begun: bool,
}

impl FormatArguments {
    /// What is to be written.
    pub(super) fn written(&self) -> Option<Named<'_>> {
        self.output.as_deref().map(|path| ("--output", path))
    }

    /// Whether it is one object.
    pub(super) fn is_json(&self) -> bool {
        self.json || self.format == Format::Json
    }

    /// Sees that the output can be written.
    ///
    /// # Errors
    /// Why it cannot, or what is asked for that does not fit together.
    pub(super) fn open(&self) -> Result<Telling, String> {
        let format = if self.json { Format::Json } else { self.format };
        if self.quiet && format != Format::Text {
            return Err("--quiet is for --format text: whoever reads the others wants all of it".to_owned());
        }
        let file = self.output.as_deref().map(Opened::new).transpose()?.map(|file| (file, String::new()));
        Ok(Telling { format, quiet: self.quiet, file, heading: None, under: None, begun: false })
    }
}

impl Telling {
    /// Whether lines for people are wanted, as they come.
    pub(super) fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    /// Whether what is as it should be is passed over.
    pub(super) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The file whose scenarios come next.
    pub(super) fn heading(&mut self, name: &str) {
        if !self.is_text() {
            return;
        }
        if self.under.as_deref() == Some(name) {
            self.heading = None;
            return;
        }
        self.heading = Some(name.to_owned());
        if !self.quiet {
            self.take_heading();
        }
    }

    /// A line for people, below the name of its file.
    pub(super) fn line(&mut self, text: impl Display) {
        if self.is_text() {
            self.take_heading();
            self.write(text);
        }
    }

    /// The line of a result, or two where a terminal is too narrow for one.
    pub(super) fn result(&mut self, one: &impl Display) {
        if self.file.is_none() && Place::here().is_narrow() {
            self.line(format_args!("{one:#}"));
        } else {
            self.line(one);
        }
    }

    /// What stands at the end: lines for people, or what the format makes of the report.
    pub(super) fn conclude(
        &mut self,
        report: &Report<'_>,
        json: impl FnOnce() -> String,
        line: impl FnOnce() -> String,
    ) {
        let text = match self.format {
            Format::Text => line(),
            Format::Json => json(),
            Format::Github => format!("{}{}", github::commands(report), line().trim_start()),
            Format::Gitlab => gitlab::issues(report),
            Format::Junit => junit::xml(report),
            Format::Sarif => sarif::log(report),
            Format::Tap => tap::stream(report),
            Format::Markdown => markdown::page(report, &line()),
        };
        let text = if self.begun { text.as_str() } else { text.trim_start_matches('\n') };
        self.write(text.trim_end_matches('\n'));
    }

    /// Writes the file, if there is one.
    ///
    /// # Errors
    /// What the host says.
    pub(super) fn finish(self) -> Result<(), String> {
        self.file.map_or(Ok(()), |(file, text)| file.write(&text))
    }

    fn take_heading(&mut self) {
        if let Some(name) = self.heading.take() {
            let line = if self.begun { "\n" } else { "" };
            self.write(format_args!("{line}{name}"));
            self.under = Some(name);
        }
    }

    fn write(&mut self, text: impl Display) {
        self.begun = true;
        match &mut self.file {
            Some((_, kept)) => kept.push_str(&format!("{text}\n")),
            None => say(text),
        }
    }
}
