//! The lab: stock Linux kernels of Debian as guests of `afterimage boot`, in a host of its own.
//!
//! The host is emulated in software by QEMU, with AMD's SVM, so its KVM is a real one with nested paging, whatever KVM this
//! machine has. Invariant: a job that did not run, and a result that is not there, is never taken for a right one.
//!
//! Read in this order: [`job`] (what runs, and what must come of it), [`packages`] (kernels), [`apt`] (where from), [`archive`] (initial RAM
//! disks), [`built`] (our own modules and programs), [`guest`], [`emulator`], [`host`] (one run), [`judge`] (whether the result is right).

mod apt;
mod archive;
mod built;
mod emulator;
mod guest;
mod host;
mod job;
mod judge;
mod kernel;
mod packages;
mod program;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use host::Host;
use job::{Jobs, Run, Set};
use packages::Store;

/// Boots stock Linux kernels under `afterimage boot`, in an emulated host, and holds what came of it against what must.
///
/// Status: 0 if each run was right, 1 if one was not, 2 if something is missing.
#[derive(Parser)]
#[command(name = "afterimage-lab")]
struct Arguments {
    /// Names of jobs; without one, those of `--set`
    jobs: Vec<String>,
    /// Which jobs
    #[arg(long, value_enum, default_value_t = Set::Short)]
    set: Set,
    /// Of these only the runs whose line in `--list` has this text; given twice, both
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Prints the runs, and runs none
    #[arg(long)]
    list: bool,
    /// The program; without it, it is built
    #[arg(long, value_name = "FILE")]
    afterimage: Option<PathBuf>,
    /// Where packages and results are kept
    #[arg(long, value_name = "DIR", default_value = "target/lab")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    match lab(&Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            let _unheard = writeln!(io::stderr(), "lab: {error}");
            ExitCode::from(2)
        }
    }
}

/// How many runs were not right.
fn lab(arguments: &Arguments) -> Result<usize, Box<dyn std::error::Error>> {
    let jobs = Jobs::read()?;
    let chosen = jobs.chosen(&arguments.jobs, arguments.set)?;
    let mut runs: Vec<Run<'_>> = chosen.into_iter().flat_map(job::Job::runs).collect();
    runs.retain(|run| arguments.only.iter().all(|text| run.to_string().contains(text)));
    if runs.is_empty() {
        return Err(
            format!("no run has all of {:?}; `--list --set whole` prints all runs", arguments.only).into()
        );
    }
    let mut out = io::stdout();
    if arguments.list {
        for run in &runs {
            writeln!(out, "{run}")?;
        }
        return Ok(0);
    }
    packages::demand_tools()?;
    let program = program::find(arguments.afterimage.as_deref())?;
    let store = Store::open(&arguments.folder)?;
    let host = Host::build(&store, &program)?;
    let mut wrong = 0;
    for run in &runs {
        let results = host.run(run, &store)?;
        let faults = judge::faults(run.job, &results.boots);
        writeln!(out, "{} {run} ({} s)", if faults.is_empty() { "ok   " } else { "WRONG" }, results.seconds)?;
        if results.starts > 1 {
            writeln!(
                out,
                "      the emulated host did not come up; it was started {} times",
                results.starts
            )?;
        }
        for line in results.boots.iter().filter_map(|boot| boot.said.as_deref()).flat_map(measured) {
            writeln!(out, "      {line}")?;
        }
        for fault in &faults {
            writeln!(out, "      {fault}")?;
        }
        if !faults.is_empty() {
            wrong += 1;
            show(&results.folder, &mut out)?;
        }
    }
    writeln!(out, "{} runs, {wrong} wrong", runs.len())?;
    Ok(wrong)
}

/// What a guest has measured.
fn measured(said: &str) -> impl Iterator<Item = &str> {
    said.lines().map(str::trim_end).filter(|line| line.starts_with("LAB speed "))
}

fn show(folder: &Path, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "      what it said: {}", folder.display())
}
