//! The command line. Exit status: 0 when everything was as expected, 1 when not, 2 for wrong usage or a machine that
//! cannot run it, 3 when nothing was wrong and not all of it could be decided, 7 when what is to be said cannot be written, 141 when its
//! reader has gone away; `boot` has a table of its own.

mod ahead;
mod apart;
mod boot;
mod check;
mod colour;
mod columns;
mod demo;
mod drawn;
mod explain;
mod files;
mod fmt;
mod format;
mod generate;
mod guests;
mod interrupt;
mod limit;
mod merge;
mod messages;
mod minimize;
mod new;
mod observe;
mod origin;
mod outcome;
mod pager;
mod partition;
mod pictures;
mod progress;
mod race;
mod replay;
mod selection;
mod size;
mod steps;
mod trace;
mod unfinished;
mod voice;
mod zoo;

use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use log::LevelFilter;

use self::trace::{Blamed, Lack};
use self::voice::{HOST, READER_GONE, UNUSABLE, complain, say};

/// Finds stale translations: what a TLB, a shadow page table or an IOTLB still shows after the page table changed.
#[derive(Debug, Parser)]
#[command(name = "afterimage", version = origin::VERSION, max_term_width = 100)]
#[command(after_help = STATUSES, override_usage = USAGE)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: the demonstration.
    #[command(flatten)]
    demo: demo::DemoArguments,
    #[command(flatten)]
    colour: colour::ColourArguments,
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
    /// Begin with a scenario that is written already, with remarks
    New(new::NewArguments),
    /// Put scenario files into one form
    Fmt(fmt::FmtArguments),
    /// Tell what the code of an error means, with an example
    Explain(explain::ExplainArguments),
    /// List the steps, operations, looks and options that a scenario can be written with
    Steps(steps::StepsArguments),
    /// What `boot` starts to remove its sockets
    #[command(hide = true)]
    KeepSocket(boot::KeepSocketArguments),
    /// What `boot` starts to connect to sockets for a guest
    #[command(hide = true)]
    ConnectSockets(boot::ConnectSocketsArguments),
}

/// Options of the demonstration alone go without a command: [`misplaced`] says so.
const USAGE: &str = "afterimage [OPTIONS]\n       afterimage [--color <WHEN>] <COMMAND>";

/// Listed by `--help`; `boot` has a table of its own.
const STATUSES: &str = "\
Exit status:
  0    all was as expected
  1    something was not: a verdict, an order, a run
  2    wrong usage, a scenario with errors, or a machine that cannot run it
  3    nothing was wrong, and not all of it could be decided
  7    the host lacks memory, threads or room for the output
  141  whoever read the output went away";

/// Nothing was wrong, and not all of it could be decided.
const UNDECIDED: u8 = 3;

/// The grammar of the command line: what man pages and completions are made of.
#[must_use]
pub fn grammar() -> clap::Command {
    Arguments::command()
}

/// The words that an argument can be, beside what its grammar says: by the names of its command and of itself. A
/// command says in its own words which others there are; a shell can offer them.
#[must_use]
pub fn words() -> [(&'static str, &'static str, Vec<String>); 3] {
    let guests = guest_images::guest::GUESTS.iter().map(|guest| guest.name.to_owned()).collect();
    let scenarios = ordering::catalogue::entries().into_iter().map(|entry| entry.lowered.name).collect();
    let codes = ordering::language::Code::ALL.iter().map(ToString::to_string).collect();
    [("boot", "guest", guests), ("zoo", "name", scenarios), ("explain", "code", codes)]
}

/// Runs the command of the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    origin::begin();
    // Later, with other threads, a guest's start waits 10 ms and more for it.
    mmu::drain::Drain::prepare();
    // A file that may not grow is an answer to a write, not the end of the program. Without a handler it ends it.
    let _handled = signal_hook::flag::register(libc::SIGXFSZ, Arc::default());
    let arguments = match parsed() {
        Ok(arguments) => arguments,
        Err(told) => return answer(&told),
    };
    arguments.colour.choose();
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
        Some(Command::New(new)) => new::run(&new),
        Some(Command::Fmt(fmt)) => fmt::run(&fmt),
        Some(Command::Explain(explain)) => explain::run(&explain),
        Some(Command::Steps(steps)) => steps::run(&steps),
        Some(Command::KeepSocket(socket)) => boot::keep_socket(&socket),
        Some(Command::ConnectSockets(sockets)) => boot::connect_sockets(&sockets),
        None => demo::run(&arguments.demo),
    }
}

/// The arguments of the process.
fn parsed() -> Result<Arguments, clap::Error> {
    let mut grammar = grammar();
    let matches = grammar.try_get_matches_from_mut(std::env::args_os())?;
    match misplaced(&mut grammar, &matches) {
        Some(told) => Err(told),
        None => Arguments::from_arg_matches(&matches),
    }
}

/// An option of the demonstration before another command, which would be lost there. clap's own check refuses those of
/// all commands with it.
fn misplaced(grammar: &mut clap::Command, matches: &ArgMatches) -> Option<clap::Error> {
    let command = matches.subcommand_name()?;
    let is_typed = |id: &clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    let typed: Vec<_> = matches.ids().filter(|id| is_typed(id)).collect();
    let own = |one: &&clap::Arg| !one.is_global_set() && typed.contains(&one.get_id());
    let option = grammar.get_arguments().find(own)?.to_string();
    let told = format!(
        "'{option}' before '{command}' is of the demonstration; write it behind '{command}', or leave it out"
    );
    Some(grammar.error(ErrorKind::ArgumentConflict, told))
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
    let text = if colour::on_output() { text.ansi().to_string() } else { text.to_string() };
    pager::say_long(text.trim_end(), pager::Paging::OnTerminal);
    ExitCode::SUCCESS
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
