//! Counts the instructions of the hot paths by callgrind and holds them against `bounds.txt`.
//!
//! Invariant: what is counted is the work of [`counted`] and of nobody else, in a process of its own for each row,
//! built with the release profile. A row without a bound, a bound without a row and a count of nothing are failures,
//! not passes.

mod bounds;
mod fixture;
mod rows;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use self::bounds::{Bounds, Counted};
use self::rows::Row;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => hold(),
        ["--write"] => write_down(),
        ["--row", name] => run(name),
        _ => Err("usage: afterimage-guard [--write]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unheard = writeln!(io::stderr(), "guard: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What callgrind collects: it switches on when this is entered and off when it is left, and knows it by its name.
#[inline(never)]
fn counted<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// The row by itself, under callgrind.
fn run(name: &str) -> Result<(), Failure> {
    let row = Row::named(name).ok_or_else(|| format!("there is no row {name}"))?;
    let operations = row.run();
    writeln!(io::stdout(), "operations {operations}")?;
    Ok(())
}

fn hold() -> Result<(), Failure> {
    let Some(counts) = count_all()? else { return Ok(()) };
    let bounds = Bounds::read(&fs::read_to_string(path())?)?;
    let told = bounds.hold(&counts);
    io::stdout().write_all(told.text.as_bytes())?;
    if told.is_over { Err("instructions were added to a hot path, see above".into()) } else { Ok(()) }
}

fn write_down() -> Result<(), Failure> {
    let Some(counts) = count_all()? else { return Ok(()) };
    Ok(fs::write(path(), Bounds::of(&counts).text())?)
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bounds.txt")
}

/// All rows; none where there is no valgrind.
fn count_all() -> Result<Option<Vec<Counted>>, Failure> {
    if cfg!(debug_assertions) {
        return Err("bounds are of optimised code: cargo run --release -p afterimage-guard".into());
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        writeln!(io::stdout(), "skipped: valgrind is missing (apt-get install valgrind)")?;
        return Ok(None);
    }
    Row::ALL
        .into_iter()
        .map(|row| count(row).map_err(|error| format!("{}: {error}", row.name()).into()))
        .collect::<Result<_, _>>()
        .map(Some)
}

fn count(row: Row) -> Result<Counted, Failure> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*guard*counted*"])
        .arg(env::current_exe()?)
        .args(["--row", row.name()])
        .output()?;
    let (said, collected) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!("valgrind ended with {}: {}", output.status, collected.trim()).into());
    }
    Ok(bounds::counted(row.name(), &said, &collected)?)
}
