//! `afterimage generate`: all small orders of an operation's steps, with what each user makes of them.
//!
//! Invariant: every verdict is the explorer's, of that order; what was not decided is called so, and is the status 3. Files
//! that cannot be written are said before anything is explored.

mod report;
mod save;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use ordering::engine::Options;
use ordering::generate::{Kind, OPERATIONS, Operation, Order, Request, User, generate};
use ordering::language::did_you_mean;
use picture::orders::Lattice;

use super::origin::made;
use super::pictures::{Format, PictureArguments};
use super::progress::Progress;
use super::{HOST, UNDECIDED, UNUSABLE, complain, say};

/// What can be asked of the orders of an operation.
#[derive(Debug, Args)]
pub(super) struct GenerateArguments {
    /// Whose steps: cow, ksm, zap, mremap
    #[arg(long, value_name = "NAME", value_parser = operation)]
    operation: &'static Operation,
    /// For whom: cpu, vcpu, device, ats (a device with a TLB of its own); each alone, and all at once
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "cpu,vcpu,device", value_parser = user)]
    users: Vec<User>,
    /// Steps that stand elsewhere than in the kernel's order or are left out, at most; without it as many as give 1000 orders
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Which orders are listed and saved: safe (for all users), broken (for one of them), minimal (broken, and one exchange of
    /// neighbours, or one step put back, makes them safe)
    #[arg(long, value_name = "WHICH")]
    only: Option<Only>,
    /// Write each order that is listed as a scenario file into DIR
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// States of one exploration at most
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    max_states: usize,
    #[command(flatten)]
    pictures: PictureArguments,
}

/// Which orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Only {
    Safe,
    Broken,
    Minimal,
}

impl Only {
    /// Whether it is one of them.
    fn holds(self, order: &Order) -> bool {
        let is = |kind: Kind| order.judged.iter().any(|judged| judged.verdict.kind() == kind);
        match self {
            Self::Safe => order.judged.iter().all(|judged| judged.verdict.kind() == Kind::Safe),
            Self::Broken => is(Kind::Broken),
            Self::Minimal => order.minimal.iter().any(|minimal| *minimal),
        }
    }
}

fn operation(name: &str) -> Result<&'static Operation, String> {
    let known: Vec<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
    let found = OPERATIONS.iter().copied().find(|operation| operation.name == name);
    found.ok_or_else(|| did_you_mean(name, &known, &format!("the operations are {}", known.join(", "))))
}

fn user(name: &str) -> Result<User, String> {
    let known = User::ALL.map(User::name);
    let found = User::ALL.into_iter().find(|user| user.name() == name);
    found.ok_or_else(|| did_you_mean(name, &known, &format!("the users are {}", known.join(", "))))
}

/// Generates, decides, and shows.
pub(super) fn run(arguments: &GenerateArguments) -> ExitCode {
    let mut users = arguments.users.clone();
    users.sort_unstable();
    users.dedup();
    let options = Options { max_states: arguments.max_states, ..Options::default() };
    let request = Request { operation: arguments.operation, users: &users, moved: arguments.steps, options };
    match shown(arguments, &request) {
        Ok(status) => status,
        Err(message) => {
            complain(message);
            UNUSABLE.into()
        }
    }
}

fn shown(arguments: &GenerateArguments, request: &Request<'_>) -> Result<ExitCode, String> {
    let pictures = arguments.pictures.open()?;
    if let Some(folder) = &arguments.save {
        save::prepare(folder)?;
    }
    let progress = Progress::start(format!("orders of {}", request.operation.name));
    let found = generate(request);
    drop(progress);
    let found = found.map_err(|error| error.to_string())?;
    let listed: Vec<&Order> =
        found.orders.iter().filter(|order| arguments.only.is_none_or(|only| only.holds(order))).collect();
    match arguments.json {
        true => say(super::outcome::as_json(&report::Report::new(request, &found, &listed))),
        false => say(table::table(request, &found, &listed)),
    }
    let lattice = Lattice::new(request, &found);
    let written = pictures.write_each(|format| match format {
        Format::Html => lattice.html(made()),
        Format::Svg => lattice.svg(),
        Format::Dot => lattice.dot(),
    });
    let saved = written.and_then(|()| match &arguments.save {
        Some(folder) => {
            save::write(folder, request, &found, &listed).map(|told| complain_to(arguments.json, told))
        }
        None => Ok(()),
    });
    if let Err(message) = saved {
        complain(message);
        return Ok(HOST.into());
    }
    let undecided = found.orders.iter().flat_map(|order| &order.judged);
    let open = undecided.filter(|judged| judged.verdict.kind() == Kind::BoundHit).count();
    Ok(if open > 0 { UNDECIDED.into() } else { ExitCode::SUCCESS })
}

/// What was saved; a JSON object stands alone.
fn complain_to(json: bool, told: String) {
    if !json {
        say(told);
    }
}
