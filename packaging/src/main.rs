//! Writes man pages and completions of the `afterimage` command into a folder.
//!
//! Invariant: both are made of the grammar that the command itself reads its arguments with, so they name no option that
//! it does not have, and each that it has. The command does not carry what makes them (decision 44).

mod completions;
mod grammar;
mod pages;

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

/// Writes man pages and completions of the `afterimage` command.
#[derive(Debug, Parser)]
#[command(name = "afterimage-packaging")]
struct Arguments {
    /// The folder: `man/` in it gets a page for the command and one for each subcommand, `completions/` a file a shell
    folder: PathBuf,
}

/// A file or a folder that cannot be written, and why.
#[derive(Debug)]
struct Unwritable {
    path: PathBuf,
    error: std::io::Error,
}

impl Unwritable {
    fn at(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |error| Self { path: path.to_owned(), error }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match write(&arguments.folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Unwritable { path, error }) => {
            let remedy = "name a folder that you may write to";
            // Nobody may be there to read it.
            let _read = writeln!(
                stderr(),
                "afterimage-packaging: {} cannot be written: {error}; {remedy}",
                path.display()
            );
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> Result<(), Unwritable> {
    let command = grammar::shown(&vmm::command::grammar());
    pages::write(&command, &folder.join("man"))?;
    completions::write(&command, &folder.join("completions"))
}

/// Writes `text` to the file `name` of `folder`, which is made if it is not there.
fn put(folder: &Path, name: &str, text: &[u8]) -> Result<(), Unwritable> {
    std::fs::create_dir_all(folder).map_err(Unwritable::at(folder))?;
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(Unwritable::at(&path))
}

#[cfg(test)]
mod tests;
