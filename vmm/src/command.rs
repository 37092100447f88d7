//! The command line. Exit status: 0 when everything was as expected, 1 when not, 2 for wrong usage or a machine that
//! cannot run it, 3 when nothing was wrong and not all of it could be decided, 7 when what is to be said cannot be written, 141 when its
//! reader has gone away; `boot` has a table of its own.

mod boot;
mod check;
mod demo;
mod drawn;
mod files;
mod generate;
mod guests;
mod limit;
mod merge;
mod messages;
mod minimize;
mod observe;
mod origin;
mod outcome;
mod partition;
mod pictures;
mod progress;
mod race;
mod replay;
mod size;
mod steps;
mod trace;
mod zoo;

use std::env;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use log::LevelFilter;

use self::trace::{Blamed, Lack};

/// Finds stale translations: what a TLB, a shadow page table or an IOTLB still shows after the page table changed.
#[derive(Debug, Parser)]
#[command(name = "afterimage", version = origin::VERSION, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: the demonstration.
    #[command(flatten)]
    demo: demo::DemoArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Break COW and merge with KSM under a guest, a CPU and a device, in the right order and in each wrong one
    Demo(demo::DemoArguments),
    /// Launch a guest in a machine with a PCI bus, devices and a serial port on standard input and output
    Boot(Box<boot::BootArguments>),
    /// List the guests that come with this program
    Guests,
    /// Prove or refute scenarios over every interleaving
    Check(check::CheckArguments),
    /// Unite the JSON of all parts of a check that was made by `check --partition`
    Merge(merge::MergeArguments),
    /// Make scenarios happen on a live machine: the counterexample of each that is refuted, and random runs of all
    Race(race::RaceArguments),
    /// Replay the traces of a file: what each row changes, which property breaks, why a row cannot happen
    Replay(replay::ReplayArguments),
    /// Read traces of kernels: which order each operation took, and whether that is proved
    Observe(observe::ObserveArguments),
    /// Find the weakest order of a program that is still safe, and what each of its needs is for
    Minimize(minimize::MinimizeArguments),
    /// Decide all small orders of an operation's steps: which are safe for whom, and what each user needs
    Generate(generate::GenerateArguments),
    /// List the scenarios that come with this program, or show one of them
    Zoo(zoo::ZooArguments),
    /// List the steps, operations, looks and options that a scenario can be written with
    Steps(steps::StepsArguments),
    /// What `boot` starts to remove its sockets
    #[command(hide = true)]
    KeepSocket(boot::KeepSocketArguments),
}

/// Nothing can be shown: wrong usage, or a machine that cannot.
const UNUSABLE: u8 = 2;
/// Nothing was wrong, and not all of it could be decided.
const UNDECIDED: u8 = 3;
/// The host lacks something, such as room on a disk.
const HOST: u8 = 7;
/// Whoever read what is said has gone away: as if SIGPIPE had ended the program.
const READER_GONE: u8 = 141;

/// Runs the command of the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    origin::begin();
    // A file that may not grow is an answer to a write, not the end of the program. Without a handler it ends it.
    let _handled = signal_hook::flag::register(libc::SIGXFSZ, Arc::default());
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => return answer(&told),
    };
    let level = match &arguments.command {
        Some(Command::Boot(_)) => None,
        _ => Some(LevelFilter::Error),
    };
    // A run of a guest has messages that wait for nobody.
    if let Some(level) = level {
        messages::init(level, None);
    }
    // Without a command the arguments are the demonstration's.
    match arguments.command {
        Some(Command::Demo(demo)) => demo::run(&demo),
        Some(Command::Boot(boot)) => boot::run(&boot),
        Some(Command::Guests) => guests::run(),
        Some(Command::Check(check)) => check::run(&check),
        Some(Command::Merge(parts)) => merge(&parts),
        Some(Command::Race(race)) => race::run(&race),
        Some(Command::Replay(replay)) => replay::run(&replay),
        Some(Command::Observe(observe)) => observe::run(&observe),
        Some(Command::Minimize(minimize)) => minimize::run(&minimize),
        Some(Command::Generate(generate)) => generate::run(&generate),
        Some(Command::Zoo(zoo)) => zoo::run(&zoo),
        Some(Command::Steps(steps)) => steps::run(&steps),
        Some(Command::KeepSocket(socket)) => boot::keep_socket(&socket),
        None => demo::run(&arguments.demo),
    }
}

/// Says what the parts of a check say together, with the status of the whole.
fn merge(arguments: &merge::MergeArguments) -> ExitCode {
    match merge::run(arguments) {
        Ok(merged) => {
            say(&merged.text);
            let status = if merged.errors > 0 { UNUSABLE } else { u8::from(merged.wrong > 0) };
            status.into()
        }
        Err(message) => {
            complain(message);
            UNUSABLE.into()
        }
    }
}

/// Says what clap has to say: help and version as any output, and what is wrong with the arguments on standard error.
fn answer(told: &clap::Error) -> ExitCode {
    if told.use_stderr() {
        // Nobody may be there to read it.
        let _read = told.print();
        return UNUSABLE.into();
    }
    let text = told.render();
    let text = if is_coloured() { text.ansi().to_string() } else { text.to_string() };
    say(text.trim_end());
    ExitCode::SUCCESS
}

/// Whether standard output shows colours, and nobody forbids them (no-color.org).
fn is_coloured() -> bool {
    let is_forbidden = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stdout().is_terminal() && !is_forbidden && env::var_os("TERM").is_some_and(|name| name != "dumb")
}

/// One line for the user, on standard error; nobody may be there to read it.
fn complain(message: impl std::fmt::Display) {
    let _read = writeln!(stderr(), "afterimage: {message}");
}

/// Says what a trace lacks, and gives the status of a run that has `own` without it.
fn finish_trace(lacks: &[Lack], own: u8) -> u8 {
    lacks.iter().fold(own, |own, lack| {
        complain(&lack.text);
        if own == 0 { status_of(lack.blamed) } else { own }
    })
}

/// The status of a run in which nothing else went wrong.
const fn status_of(blamed: Blamed) -> u8 {
    match blamed {
        Blamed::Nobody => 0,
        Blamed::Host => HOST,
        Blamed::Reader => READER_GONE,
    }
}

/// What was asked for, on standard output. A reader that went away ends the program, as it ends any filter; so does a disk
/// that is full.
fn say(text: impl std::fmt::Display) {
    let Err(error) = writeln!(stdout(), "{text}") else { return };
    let is_gone = error.kind() == ErrorKind::BrokenPipe;
    if !is_gone {
        complain(format_args!("standard output cannot be written: {error}"));
    }
    std::process::exit(i32::from(if is_gone { READER_GONE } else { HOST }));
}
