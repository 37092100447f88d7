//! `afterimage merge`: the reports of all parts of one check as one.
//!
//! Invariant: what comes out is what `check` of everything would have said, in the same order and with the same
//! exit status, or one line that says which part is missing, twice there or of something else, and what is to be
//! run again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::columns::{self, Place};
use super::outcome::{all_expected, as_json};
use super::partition::Part;
use crate::schema::{CHECK, require};

/// Which reports.
#[derive(Debug, Args)]
pub(super) struct MergeArguments {
    /// What `check --json --partition K/N` has printed, for each K
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON object instead of the lines
    #[arg(long)]
    json: bool,
}

/// The report of a part, as far as it is looked into.
#[derive(Deserialize)]
struct Report {
    scenarios: Vec<Value>,
    errors: Vec<Value>,
    partition: Part,
    /// Why scenarios are missing, if some are.
    unfinished: Option<String>,
    origin: Origin,
}

#[derive(Deserialize)]
struct Origin {
    version: String,
    commit: Option<String>,
    arguments: Vec<String>,
}

/// All parts as one.
#[derive(Serialize)]
struct Whole {
    schema: &'static str,
    scenarios: Vec<Value>,
    errors: Vec<Value>,
}

/// What all parts say together.
pub(super) struct Merged {
    /// As it is printed.
    pub(super) text: String,
    /// Mistakes in files that could not be checked.
    pub(super) errors: usize,
    /// Scenarios that are not as expected.
    pub(super) wrong: usize,
}

/// Merges the reports.
///
/// # Errors
/// What keeps them from being one whole, and what to run again.
pub(super) fn run(arguments: &MergeArguments) -> Result<Merged, String> {
    let whole = merged(&arguments.files)?;
    let expected = |one: &Value| one["as_expected"] == Value::Bool(true);
    let wrong = whole.scenarios.iter().filter(|one| !expected(one)).count();
    let (count, errors) = (whole.scenarios.len(), whole.errors.len());
    if arguments.json {
        return Ok(Merged { text: as_json(&whole), errors, wrong });
    }
    let last = match (wrong, errors) {
        (0, 0) => all_expected(count),
        (_, 0) => format!("\n{wrong} of {count} scenarios NOT AS EXPECTED."),
        (_, _) => format!("\n{errors} errors in files that could not be checked."),
    };
    let lines: Vec<String> =
        whole.scenarios.iter().map(|one| line(one, Place::here())).chain([last]).collect();
    Ok(Merged { text: lines.join("\n"), errors, wrong })
}

/// A scenario in one line, and what is not as expected below it.
fn line(one: &Value, place: Place) -> String {
    let text = |field: &str| one[field].as_str().unwrap_or_default();
    let steps = one["steps"].as_u64().map_or_else(String::new, |steps| format!(" in {steps}"));
    let verdict = format!("{}{steps}", text("verdict"));
    let between = columns::between(place.is_narrow());
    let mut line = format!(
        "{:40} {verdict:20}{between}{:>9} states   {}",
        text("scenario"),
        one["states"],
        text("file")
    );
    for fault in one["faults"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        line += &format!("\n    NOT AS EXPECTED: {fault}");
    }
    line
}

fn merged(files: &[PathBuf]) -> Result<Whole, String> {
    let mut parts: BTreeMap<usize, (&Path, Report)> = BTreeMap::new();
    for file in files {
        let report = read(file)?;
        if let Some((first, like)) = parts.values().next() {
            same(file, &report, first, like)?;
        }
        let index = report.partition.index;
        if let Some((other, _)) = parts.get(&index) {
            let of = report.partition.of;
            let (file, other) = (file.display(), other.display());
            return Err(format!("{other} and {file} are both part {index}/{of}: leave out one of them"));
        }
        parts.insert(index, (file, report));
    }
    let (_, first) = parts.values().next().expect("at least one file is given");
    let of = first.partition.of;
    // A part that the host did not let finish may not have come to the last one.
    let count = parts.values().map(|(_, report)| report.partition.scenarios).max().unwrap_or(0);
    if let Some(lost) = (1..=of).find(|index| !parts.contains_key(index)) {
        return Err(format!("part {lost}/{of} is missing: run `{}`", again(first, lost)));
    }
    for (file, report) in parts.values() {
        let (found, index) = (report.scenarios.len(), report.partition.index);
        if let Some(why) = &report.unfinished {
            let (file, run) = (file.display(), again(report, index));
            return Err(format!("{file} is not all of part {index}/{of}: {why}: run `{run}`"));
        }
        let own = report.partition.own(count);
        let found = found + refused(report).len();
        if own != found {
            let (file, run) = (file.display(), again(report, index));
            return Err(format!("{file} ends after {found} of its {own} scenarios: run `{run}`"));
        }
    }
    consistent(parts.values())?;
    let errors = errors(parts.values().map(|(_, report)| report));
    let refused: HashSet<usize> = parts.values().flat_map(|(_, report)| refused(report)).collect();
    let mut left: Vec<_> = parts.into_values().map(|(_, report)| report.scenarios.into_iter()).collect();
    let explored = (0..count).filter(|number| !refused.contains(&(number + 1)));
    let scenarios = explored.filter_map(|number| left[number % of].next()).collect();
    Ok(Whole { schema: CHECK, scenarios, errors })
}

/// The number of the scenario that the error is of; none if it is the file's.
fn number(error: &Value) -> Option<usize> {
    error["number"].as_u64().and_then(|number| usize::try_from(number).ok())
}

/// The scenarios of the part that could not be explored: errors say so in place of a verdict.
fn refused(report: &Report) -> HashSet<usize> {
    report.errors.iter().filter_map(number).collect()
}

/// What is wrong, in the order of files and scenarios. What is wrong with a whole file is said in every part.
fn errors<'p>(parts: impl Iterator<Item = &'p Report>) -> Vec<Value> {
    let (mut errors, mut files) = (Vec::<&Value>::new(), &[][..]);
    for report in parts {
        // Of one check: the same in all parts.
        files = report.partition.files.as_slice();
        let of_others = errors.len();
        for error in &report.errors {
            if !errors[..of_others].contains(&error) {
                errors.push(error);
            }
        }
    }
    let place =
        |error: &Value| files.iter().position(|one| error["file"].as_str() == Some(one.file.as_str()));
    errors.sort_by_key(|error| (place(error), number(error)));
    errors.into_iter().cloned().collect()
}

/// Sees that each scenario is there once, and that what is said of it does not contradict itself: a merge believes its
/// parts, and would be green for what somebody has put together.
fn consistent<'p>(parts: impl Iterator<Item = &'p (&'p Path, Report)>) -> Result<(), String> {
    let mut known = HashMap::new();
    for (file, report) in parts {
        for error in &report.errors {
            // Reports of an older afterimage have no numbers.
            let is_own = number(error).is_some_and(|number| report.partition.has(number));
            if !(error["number"].is_null() || is_own) {
                let (file, run) = (file.display(), again(report, report.partition.index));
                let number = &error["number"];
                return Err(format!(
                    "{file} has an error of scenario {number}, which is of another part: run `{run}`"
                ));
            }
        }
        for one in &report.scenarios {
            let refused = |what: &str| {
                let (name, of) = (&one["scenario"], report.partition.of);
                let (file, run) = (file.display(), again(report, report.partition.index));
                format!("{file} is not what `check` prints for a part of {of}: {name} {what}: run `{run}`")
            };
            let is_faultless = one["faults"].as_array().is_some_and(Vec::is_empty);
            let is_met = is_faultless && one["verdict"] == one["expected"];
            if one["as_expected"] != Value::Bool(is_met) {
                return Err(refused("is as expected and is not"));
            }
            let place = [&one["file"], &one["line"], &one["scenario"]].map(Value::to_string);
            if known.insert(place, file).is_some() {
                return Err(refused("is there twice"));
            }
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Report, String> {
    let text = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let no_report = |error: serde_json::Error| {
        let file = file.display();
        format!(
            "{file} is not what `check --json --partition K/N` prints, or not all of it ({error}): run that again"
        )
    };
    let object: Value = serde_json::from_slice(&text).map_err(no_report)?;
    require(&object, CHECK, &file.display().to_string())?;
    let report: Report = serde_json::from_value(object).map_err(no_report)?;
    let Part { index, of, scenarios, .. } = report.partition;
    if !report.partition.is_possible() {
        let file = file.display();
        return Err(format!(
            "{file} says that it is part {index}/{of} of {scenarios} scenarios: run it again"
        ));
    }
    Ok(report)
}

/// Says what is not the same in two reports that must be of one check.
fn same(file: &Path, report: &Report, first: &Path, like: &Report) -> Result<(), String> {
    let run = again(like, report.partition.index.min(like.partition.of));
    let (file, first) = (file.display(), first.display());
    let version = |report: &Report| {
        let commit =
            report.origin.commit.as_deref().map_or_else(String::new, |commit| format!(" ({commit})"));
        format!("{}{commit}", report.origin.version)
    };
    let (this, that) = (version(report), version(like));
    if this != that {
        return Err(format!("{file} is of version {this}, {first} of {that}: run `{run}` with one version"));
    }
    if report.partition.of != like.partition.of {
        let (this, that) = (report.partition.of, like.partition.of);
        return Err(format!("{file} is one part of {this}, {first} one of {that}: run `{run}`"));
    }
    let mut contents = report.partition.files.iter().zip(&like.partition.files);
    if let Some((one, _)) = contents.find(|(one, other)| one.file == other.file && one != other) {
        let name = &one.file;
        return Err(format!(
            "{file} and {first} are of different contents of {name}: run `{run}` with the same file"
        ));
    }
    if report.partition.inputs != like.partition.inputs {
        return Err(format!("{file} is of other files or options than {first}: run `{run}`"));
    }
    Ok(())
}

/// The command that makes a part, from that of another one.
fn again(report: &Report, index: usize) -> String {
    let of = report.partition.of;
    let mut words = vec!["afterimage".to_owned()];
    let mut is_value = false;
    for argument in &report.origin.arguments {
        let replaced = if is_value || argument.starts_with("--partition=") {
            let name = if is_value { "" } else { "--partition=" };
            format!("{name}{index}/{of}")
        } else {
            argument.clone()
        };
        is_value = argument == "--partition";
        words.push(quoted(replaced));
    }
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: String) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_./=:,@%+-".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    //! Claims about the command that is proposed.

    use super::quoted;

    #[test]
    fn a_word_that_a_shell_would_change_is_quoted() {
        for (word, told) in
            [("a/b-c.scn", "a/b-c.scn"), ("s-*", "'s-*'"), ("a b", "'a b'"), ("it's", r"'it'\''s'")]
        {
            assert_eq!(quoted(word.to_owned()), told);
        }
    }
}
