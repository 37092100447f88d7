//! `afterimage new`: a first scenario, with a remark at each line that a reader would ask about.
//!
//! Invariant: what is written checks as it says, and stands in its form: tests hold both. Nothing is written over.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::voice::{HOST, UNUSABLE, complain, say};
use crate::remedy::remedy;

/// What can be begun with.
#[derive(Debug, Args)]
pub(super) struct NewArguments {
    /// What the scenario is about
    #[arg(value_name = "cow|ksm|driver")]
    about: About,
    /// The file that is written; without it cow.scn and the like, and `-` is standard output
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// A subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum About {
    /// A page is copied for a write, and a device keeps its translation
    Cow,
    /// Two pages of equal content become one, and somebody still writes
    Ksm,
    /// A driver unmaps what a device still reaches by DMA
    Driver,
}

impl About {
    const fn name(self) -> &'static str {
        match self {
            Self::Cow => "cow",
            Self::Ksm => "ksm",
            Self::Driver => "driver",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Cow => include_str!("new/cow.scn"),
            Self::Ksm => include_str!("new/ksm.scn"),
            Self::Driver => include_str!("new/driver.scn"),
        }
    }
}

/// Writes the file.
pub(super) fn run(arguments: &NewArguments) -> ExitCode {
    let text = arguments.about.text();
    let path = arguments.file.clone().unwrap_or_else(|| format!("{}.scn", arguments.about.name()).into());
    if path.as_os_str() == "-" {
        say(text.trim_end());
        return ExitCode::SUCCESS;
    }
    match write(&path, text) {
        Ok(()) => {
            let name = path.display();
            say(format_args!("{name}: `afterimage check {name}` proves one order and refutes another"));
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            complain(format_args!("{} is there, and is not written over; name another file", path.display()));
            UNUSABLE.into()
        }
        Err(error) => {
            let remedy = remedy(&error, "name a file in a folder that can be written");
            complain(format_args!("cannot write {}: {error}; {remedy}", path.display()));
            HOST.into()
        }
    }
}

/// Writes a file that was not there.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        // Half of a file would be taken for a whole one.
        let _removed = std::fs::remove_file(path);
    }
    written
}
