//! `afterimage fmt`: scenario files in the form of the catalogue.
//!
//! Invariant: a file is replaced as a whole, by one that is written beside it and has its permissions, or it stays as it
//! was; whoever is stopped, or has no room left, loses nothing. A file that cannot be read as scenarios is left alone.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use ordering::language::format::{Unformed, format};
use tempfile::NamedTempFile;

use super::colour;
use super::files::{self, Source};
use super::voice::{HOST, UNUSABLE, complain, say};
use crate::remedy::remedy;

/// What can be asked.
#[derive(Debug, Args)]
pub(super) struct FmtArguments {
    /// Scenario files, folders of them, patterns such as 'a/**/*.scn', or `-` for standard input, whose form is printed
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Write nothing: name the files that are not in their form, and end with status 1 if there are any
    #[arg(long)]
    check: bool,
}

/// What became of a file.
enum Formed {
    As,
    Changed,
    Refused,
    /// The host does not let it be written.
    Unwritten,
}

/// Writes the form of all files.
pub(super) fn run(arguments: &FmtArguments) -> ExitCode {
    let sources = match files::read(&arguments.paths) {
        Ok(sources) => sources,
        Err(error) => {
            complain(error);
            return UNUSABLE.into();
        }
    };
    if let Some(source) = sources.iter().find(|source| source.only.is_some()) {
        let name = source.only.as_deref().unwrap_or_default();
        complain(format_args!(
            "{name} is a scenario of this program, and no file; name files or folders of them"
        ));
        return UNUSABLE.into();
    }
    let mut status = 0;
    for source in &sources {
        status = match formed(source, arguments.check) {
            Formed::As => status,
            Formed::Changed => {
                if arguments.check {
                    status.max(1)
                } else {
                    status
                }
            }
            Formed::Refused => status.max(UNUSABLE),
            Formed::Unwritten => status.max(HOST),
        };
    }
    status.into()
}

fn formed(source: &Source, check: bool) -> Formed {
    let text = match format(&source.text) {
        Ok(text) => text,
        Err(Unformed::Wrong(wrong)) => {
            let shown = colour::errors(&wrong, &source.name, &source.text);
            complain(format_args!("{} cannot be read, and stays as it is:\n{shown}", source.name));
            return Formed::Refused;
        }
        Err(Unformed::Differs) => {
            let help = "indent rows by two blanks a block, those of `replace` too";
            complain(format_args!("{} would mean something else, and stays as it is; {help}", source.name));
            return Formed::Refused;
        }
    };
    let is_same = text == source.text;
    if check {
        if is_same {
            return Formed::As;
        }
        say(format_args!("{}:{}: not in its form", source.name, first_difference(&source.text, &text)));
        return Formed::Changed;
    }
    let Some(path) = &source.path else {
        say(text.trim_end_matches('\n'));
        return Formed::As;
    };
    if is_same {
        return Formed::As;
    }
    match replace(path, &text) {
        Ok(()) => Formed::Changed,
        Err(error) => {
            let remedy = remedy(&error, "make its folder writable, or print the form with `-`");
            complain(format_args!(
                "{} cannot be replaced, and stays as it is: {error}; {remedy}",
                source.name
            ));
            Formed::Unwritten
        }
    }
}

/// The first line that differs, from 1.
fn first_difference(one: &str, other: &str) -> usize {
    one.lines().zip(other.lines()).take_while(|(one, other)| one == other).count() + 1
}

/// Puts `text` in the place of what a file says. A link leads to the file that is replaced.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let known = fs::metadata(&path)?;
    // Whoever may not write the file is not to replace it, though the folder would let him.
    drop(fs::OpenOptions::new().write(true).open(&path)?);
    let mut beside = NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().set_permissions(known.permissions())?;
    beside.as_file().sync_all()?;
    beside.persist(&path)?;
    Ok(())
}
