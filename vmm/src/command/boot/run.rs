//! A run of `afterimage boot`, from the machine to the exit status.
//!
//! Invariant: the end of a run depends on no reader, no thread and no signal that does not come: what is to be said has a
//! bounded time, and is said in the order guest, reports, summary, message.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use picture::report::Report;

use super::api::{Api, Desk};
use super::gdb::Gdb;
use super::journal::Journal;
use super::reports::{Concluded, Reports};
use super::screen::{self, Screen};
use super::socket::{Socket, SocketError};
use super::{BootArguments, net, status};
use crate::command::pictures::Format;
use crate::command::trace::{Lack, MachineTrace};
use crate::command::{UNUSABLE, complain, messages, status_of};
use crate::kvm::System;
use crate::kvm::processor::debug::Reach;
use crate::machine::board::BoardError;
use crate::machine::console::{Console, Round, Signals};
use crate::machine::control::Control;
use crate::machine::ending::Ending;
use crate::machine::options::VirtioKind;
use crate::machine::tracer::Tracer;
use crate::machine::{Machine, MachineError, Run, Service};
use crate::remedy::remedy;
use crate::sandbox::{Role, Sandbox};
use crate::spool::Patience;

/// How often the unit is asked, and the screen.
const EVERY: Duration = Duration::from_millis(20);
/// For readers when the guest has ended by itself.
const PATIENT: Patience = Patience { idle: Duration::from_secs(2), total: Duration::from_secs(10) };
/// For readers when somebody waits for the end.
const HURRIED: Patience = Patience { idle: Duration::from_millis(250), total: Duration::from_millis(400) };

/// A status and what is said of it.
type Verdict = (u8, Option<String>);

/// Boots, and gives the exit status.
pub(in crate::command) fn run(arguments: &BootArguments) -> ExitCode {
    let prepared = match prepare(arguments) {
        Ok(prepared) => prepared,
        Err((status, message)) => {
            complain(message);
            return status.into();
        }
    };
    let screen = &prepared.screen;
    messages::init(arguments.log_level(), Some(screen.messages()));
    let (ending, (status, message)) = guarded(screen, || carry_out(arguments, &prepared));
    drop((prepared.api, prepared.gdb, prepared.vsock));
    let patience = patience(ending.as_ref());
    let status = conclude(screen, prepared.trace.as_ref(), status, patience);
    tell(screen, message);
    screen.settle(patience);
    finish(screen, status).into()
}

/// What `work` gives, or that it panicked. From now on each panic is told by the hook, but not written yet: a thread does
/// that, which ends with the process.
fn guarded(
    screen: &Arc<Screen>,
    work: impl FnOnce() -> (Option<Ending>, Verdict),
) -> (Option<Ending>, Verdict) {
    tell_panics(screen);
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let message = "this program panicked, which is a mistake in it: please report it";
        (None, (status::HOST, Some(message.to_owned())))
    })
}

/// With the readers of a run that ended so, or that never began.
fn patience(ending: Option<&Ending>) -> Patience {
    if ending.is_none_or(Ending::is_of_guest) { PATIENT } else { HURRIED }
}

/// What a run needs before there is a machine.
struct Prepared {
    screen: Arc<Screen>,
    signals: Signals,
    sandbox: Sandbox,
    api: Option<Socket>,
    gdb: Option<(Socket, Reach)>,
    vsock: Option<Socket>,
    /// Interfaces and sockets, open.
    links: Vec<VirtioKind>,
    /// Files for pictures, by name.
    pictures: Vec<(Format, String)>,
    trace: Option<MachineTrace>,
}

impl Prepared {
    fn tracer(&self) -> Option<Arc<Tracer>> {
        self.trace.as_ref().map(|trace| Arc::clone(&trace.tracer))
    }
}

/// Makes it. Of descriptors that were there before, those of the reports and of interfaces alone are kept.
fn prepare(arguments: &BootArguments) -> Result<Prepared, (u8, String)> {
    let host = |error: io::Error| {
        let remedy = remedy(&error, "see the kernel log");
        (status::HOST, format!("the host refuses a thread or a signal: {error}; {remedy}"))
    };
    arguments.held_apart().map_err(|message| (UNUSABLE, message))?;
    let file = arguments.report_file().map_err(|message| (UNUSABLE, message))?;
    let mut links = net::open(&arguments.nets).map_err(|message| (UNUSABLE, message))?;
    let file_kept = file.as_ref().map(|(_, file)| file.as_raw_fd());
    let kept = file_kept.into_iter().chain(links.iter().filter_map(net::descriptor));
    let sandbox =
        Sandbox::begin(arguments.sandbox, kept).map_err(|error| (status::HOST, error.to_string()))?;
    // Behind what closes foreign descriptors, and before the fence.
    let drawings = arguments.drawings().map_err(|message| (UNUSABLE, message))?;
    // Before there are threads, and before the fence.
    let api = bind(arguments.api_socket.as_deref())?;
    let gdb = bind(arguments.gdb.as_ref().map(|words| words.path.as_path()))?;
    let vsock = bind(arguments.vsock.as_ref().map(|words| words.path.as_path()))?;
    let sockets = arguments.vsock.as_ref().zip(vsock.as_ref()).map(|(words, socket)| words.device(socket));
    links.extend(sockets.transpose().map_err(host)?);
    // Inside the fence nobody finds out.
    let gdb = gdb.map(|socket| (socket, System::reach_of_debuggers()));
    let trace = arguments.trace.open().map_err(|message| (UNUSABLE, message))?;
    let traced = trace.iter().map(|trace| ("trace", &trace.file));
    let reported = file.iter().map(|(_, file)| ("reports", file));
    let drawn = drawings.iter().map(|drawing| ("picture", &drawing.file));
    let written: Vec<(&str, &File)> = reported.chain(traced).chain(drawn).collect();
    each_alone(&written).map_err(|message| (UNUSABLE, message))?;
    let trace = trace.map(|trace| MachineTrace::start(trace, sandbox)).transpose().map_err(host)?;
    let (pictures, files) =
        drawings.into_iter().map(|one| ((one.format, one.name.clone()), (one.name, one.file))).unzip();
    let screen = Screen::of_process(file, files, sandbox).map_err(host)?;
    Ok(Prepared {
        screen,
        signals: Signals::receive().map_err(host)?,
        sandbox,
        api,
        gdb,
        vsock,
        links,
        pictures,
        trace,
    })
}

/// Whether no two of these, each with what it is for, are one file.
fn each_alone(files: &[(&str, &File)]) -> Result<(), String> {
    for (index, (what, one)) in files.iter().enumerate() {
        if let Some((other, _)) = files[..index].iter().find(|(_, other)| screen::is_same(one, other)) {
            return Err(format!("the {what} and the {other} cannot stand in one file; name two"));
        }
    }
    Ok(())
}

fn bind(path: Option<&Path>) -> Result<Option<Socket>, (u8, String)> {
    path.map(Socket::bind).transpose().map_err(|error| match error {
        SocketError::Path(message) => (UNUSABLE, message),
        SocketError::Host(message) => (status::HOST, message),
    })
}

/// Ends the trace, if there is one, and says what it lacks. The status, which is `own` without it.
fn conclude(screen: &Screen, trace: Option<&MachineTrace>, own: u8, patience: Patience) -> u8 {
    let told = trace.map(|trace| trace.conclude(patience)).unwrap_or_default();
    told.into_iter().fold(own, |own, Lack { blamed, text }| {
        tell(screen, Some(text));
        if own == 0 { status_of(blamed) } else { own }
    })
}

fn tell(screen: &Screen, message: Option<String>) {
    if let Some(message) = message {
        screen.report(&format!("afterimage: {message}"));
    }
}

/// The status of a run whose `own` is this: all is well only if it could be said, and a report that is lost is told, whatever
/// else went wrong.
fn finish(screen: &Screen, own: u8) -> u8 {
    let is_told = [status::HOST, status::READER_GONE].contains(&own);
    let Some(ending) = screen.failure().filter(|_| !is_told) else { return own };
    let (status, message) = status::of(&ending, 0, status::ExitCode::Verdict);
    tell(screen, message);
    screen.settle(HURRIED);
    let is_report_lost = own == status::STALE_USE && status == status::HOST;
    if own == 0 || is_report_lost { status } else { own }
}

/// A panic is told as reports are: whoever panics waits for nobody.
fn tell_panics(screen: &Arc<Screen>) {
    let screen = Arc::clone(screen);
    panic::set_hook(Box::new(move |about| {
        let name = thread::current().name().unwrap_or("a thread").to_owned();
        let trace = Backtrace::capture();
        let trace = match trace.status() {
            BacktraceStatus::Captured => format!("\n{trace}"),
            _ => String::new(),
        };
        screen.report(&format!("thread \"{name}\": {about}{trace}"));
    }));
}

fn carry_out(arguments: &BootArguments, prepared: &Prepared) -> (Option<Ending>, Verdict) {
    let machine = match build(arguments, prepared) {
        Ok(machine) => machine,
        Err((status, message)) => return (None, (status, Some(message))),
    };
    match watch(machine, arguments, prepared) {
        Ok((run, Concluded { stale, drawn })) => {
            draw(arguments, prepared, &drawn.unwrap_or_default());
            lines(&run).iter().for_each(|line| prepared.screen.report(line));
            let verdict = status::of(&run.ending, stale, arguments.exit_code);
            (Some(run.ending), verdict)
        }
        Err(error) => (None, (of_error(&error), Some(error.to_string()))),
    }
}

/// Writes the pictures.
fn draw(arguments: &BootArguments, prepared: &Prepared, reports: &[Report]) {
    for (format, name) in &prepared.pictures {
        prepared.screen.draw(name, &format.of(&arguments.title(), reports, &[], None));
    }
}

/// What is said of a run beside its verdict.
fn lines(run: &Run) -> Vec<String> {
    let behind = |thread: &String| {
        format!("afterimage: the thread \"{thread}\" did not end, which is a mistake: please report it")
    };
    let places = run.places.iter().map(|(vcpu, place)| format!("{vcpu} {place}"));
    places.chain(run.behind.iter().map(behind)).collect()
}

fn build(arguments: &BootArguments, prepared: &Prepared) -> Result<Machine, (u8, String)> {
    let wrong = |message| (UNUSABLE, message);
    let Prepared { screen, sandbox, links, .. } = prepared;
    let (options, root) = arguments.options(*sandbox, screen, prepared.tracer(), links).map_err(wrong)?;
    let payload = arguments.payload(root)?;
    Machine::new(&options, &payload, screen.guest_side())
        .map_err(|error| (of_error(&error), error.to_string()))
}

/// Whether the arguments are wrong, or the host.
fn of_error(error: &MachineError) -> u8 {
    match error {
        MachineError::Boot(error) if error.is_of_host() => status::HOST,
        MachineError::Boot(_)
        | MachineError::Width { .. }
        | MachineError::Board(BoardError::Full(_) | BoardError::NoRoom(_)) => UNUSABLE,
        MachineError::System(_)
        | MachineError::Memory(_)
        | MachineError::Vm(_)
        | MachineError::Board(
            BoardError::Cache(_)
            | BoardError::Thread(_)
            | BoardError::Bell(_)
            | BoardError::Function(_)
            | BoardError::Timer(_),
        )
        | MachineError::Processor(_)
        | MachineError::Sandbox(_)
        | MachineError::Host { .. } => status::HOST,
    }
}

/// Runs the guest to its end and reports the stale uses of the unit, if there is one. Of a unit that is not watched there are
/// none.
fn watch(
    machine: Machine,
    arguments: &BootArguments,
    prepared: &Prepared,
) -> Result<(Run, Concluded), MachineError> {
    let Prepared { screen, signals, api, gdb, .. } = prepared;
    let console = Console {
        timeout: arguments.timeout.map(Duration::from_secs_f64),
        signals: signals.clone(),
        power_off_limit: Duration::from_secs_f64(arguments.power_off_limit),
    };
    let journal = api.as_ref().map(|_| Arc::default());
    let mut services = services(api.as_ref(), journal.as_ref())?;
    services.extend(debugger(gdb.as_ref(), arguments)?);
    let mut reports =
        machine.unit().map(|unit| arguments.reports(unit, Arc::clone(screen), journal, prepared.tracer()));
    if let Some(words) = arguments.gdb.as_ref().filter(|words| words.waits) {
        let path = words.path.display();
        screen.report(&format!("afterimage: the guest waits for a debugger: gdb -ex 'target remote {path}'"));
    }
    let mut act = |notes: &[String]| {
        prepared.trace.iter().for_each(|trace| trace.tracer.count());
        look(screen, reports.as_mut(), notes)
    };
    let run = machine.run(console, Round { every: EVERY, act: &mut act }, services)?;
    // A run that was over before the first round has counts, too.
    prepared.trace.iter().for_each(|trace| trace.tracer.count());
    let ended_by_itself = run.ending.is_of_guest();
    let nothing = Concluded { stale: 0, drawn: None };
    let concluded = reports.map_or(nothing, |reports| reports.conclude(ended_by_itself));
    // A trace alone has them found, and decides nothing.
    let stale = if arguments.is_watched() { concluded.stale } else { 0 };
    Ok((run, Concluded { stale, ..concluded }))
}

/// The threads beside the machine's own.
fn services(api: Option<&Socket>, journal: Option<&Arc<Journal>>) -> Result<Vec<Service>, MachineError> {
    let (Some(socket), Some(journal)) = (api, journal) else { return Ok(Vec::new()) };
    let refused = |source| MachineError::Host { what: "a descriptor", source };
    let api = Api::new(socket.listener().map_err(refused)?, Desk::new(Arc::clone(journal)));
    let work = Box::new(|control: &Control| api.serve(control));
    Ok(vec![Service { name: "api", role: Role::Control, work }])
}

/// The thread that serves a debugger.
fn debugger(
    gdb: Option<&(Socket, Reach)>,
    arguments: &BootArguments,
) -> Result<Option<Service>, MachineError> {
    let Some((socket, reach)) = gdb else { return Ok(None) };
    let refused = |source| MachineError::Host { what: "a descriptor", source };
    let code = arguments.exit_code;
    let gdb =
        Gdb::new(socket.listener().map_err(refused)?, *reach, move |ending| status::of(ending, 0, code).0);
    let work = Box::new(move |control: &Control| gdb.serve(control));
    Ok(Some(Service { name: "gdb", role: Role::Control, work }))
}

fn look(screen: &Screen, reports: Option<&mut Reports>, notes: &[String]) -> ControlFlow<Ending> {
    notes.iter().for_each(|note| screen.report(note));
    if let Some(ending) = screen.failure() {
        return ControlFlow::Break(ending);
    }
    reports.map_or(ControlFlow::Continue(()), Reports::look)
}

#[cfg(test)]
mod tests;
