//! A run of `afterimage boot`, from the machine to the exit status.
//!
//! Invariant: the end of a run depends on no reader, no thread and no signal that does not come: what is to be said has a
//! bounded time, and is said in the order guest, reports, summary, message.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use iommu::stale::watch::Watching;
use iommu::vtd::Vtd;

use super::reports::Reports;
use super::screen::Screen;
use super::{BootArguments, status};
use crate::command::{UNUSABLE, complain, messages};
use crate::machine::board::BoardError;
use crate::machine::console::{Console, Round, Signals};
use crate::machine::ending::Ending;
use crate::machine::{Machine, MachineError, Run};
use crate::sandbox::Sandbox;
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
    let (screen, signals, sandbox) = match prepare(arguments) {
        Ok(prepared) => prepared,
        Err((status, message)) => {
            complain(message);
            return status.into();
        }
    };
    messages::init(arguments.log_level(), Some(screen.messages()));
    tell_panics(&screen);
    // Told by the hook, but not written yet: a thread does that, which ends with the process.
    let carried_out =
        panic::catch_unwind(AssertUnwindSafe(|| carry_out(arguments, &screen, signals, sandbox)));
    let (ending, (status, message)) = carried_out.unwrap_or_else(|_| {
        (
            None,
            (
                status::HOST,
                Some("this program panicked, which is a mistake in it: please report it".to_owned()),
            ),
        )
    });
    tell(&screen, message);
    screen.settle(if ending.is_none_or(|ending| ending.is_of_guest()) { PATIENT } else { HURRIED });
    finish(&screen, status).into()
}

/// What a run needs before there is a machine. Of descriptors that were there before, the reports' alone is kept.
fn prepare(arguments: &BootArguments) -> Result<(Arc<Screen>, Signals, Sandbox), (u8, String)> {
    let host = |error: io::Error| (status::HOST, format!("the host refuses a thread or a signal: {error}"));
    let file = arguments.report_file().map_err(|message| (UNUSABLE, message))?;
    let kept = file.as_ref().map(|(_, file)| file.as_raw_fd());
    let sandbox =
        Sandbox::begin(arguments.sandbox, kept).map_err(|error| (status::HOST, error.to_string()))?;
    let screen = Screen::of_process(file, sandbox).map_err(host)?;
    Ok((screen, Signals::receive().map_err(host)?, sandbox))
}

fn tell(screen: &Screen, message: Option<String>) {
    if let Some(message) = message {
        screen.report(&format!("afterimage: {message}"));
    }
}

/// The status of a run whose `own` is this: all is well only if it could be said.
fn finish(screen: &Screen, own: u8) -> u8 {
    let Some(ending) = screen.failure().filter(|_| own == 0) else { return own };
    let (status, message) = status::of(&ending, 0, status::ExitCode::Verdict);
    tell(screen, message);
    screen.settle(HURRIED);
    status
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

fn carry_out(
    arguments: &BootArguments,
    screen: &Arc<Screen>,
    signals: Signals,
    sandbox: Sandbox,
) -> (Option<Ending>, Verdict) {
    let machine = match build(arguments, screen, sandbox) {
        Ok(machine) => machine,
        Err((status, message)) => return (None, (status, Some(message))),
    };
    match watch(machine, arguments, screen, signals) {
        Ok((run, stale)) => {
            for (vcpu, place) in &run.places {
                screen.report(&format!("{vcpu} {place}"));
            }
            for thread in &run.behind {
                screen.report(&format!(
                    "afterimage: the thread \"{thread}\" did not end, which is a mistake: please report it"
                ));
            }
            let verdict = status::of(&run.ending, stale, arguments.exit_code);
            (Some(run.ending), verdict)
        }
        Err(error) => (None, (of_error(&error), Some(error.to_string()))),
    }
}

fn build(arguments: &BootArguments, screen: &Screen, sandbox: Sandbox) -> Result<Machine, (u8, String)> {
    let wrong = |message| (UNUSABLE, message);
    let options = arguments.options(sandbox).map_err(wrong)?;
    let payload = arguments.payload().map_err(wrong)?;
    Machine::new(&options, &payload, screen.guest_side())
        .map_err(|error| (of_error(&error), error.to_string()))
}

/// Whether the arguments are wrong, or the host.
const fn of_error(error: &MachineError) -> u8 {
    match error {
        MachineError::Boot(_) | MachineError::Board(BoardError::Full(_) | BoardError::NoRoom(_)) => UNUSABLE,
        MachineError::System(_)
        | MachineError::Memory(_)
        | MachineError::Vm(_)
        | MachineError::Board(BoardError::Thread(_) | BoardError::Timer(_))
        | MachineError::Processor(_)
        | MachineError::Sandbox(_)
        | MachineError::Host { .. } => status::HOST,
    }
}

/// Runs the guest to its end and reports the stale uses of the unit, if there is one that is watched; how many there were.
fn watch(
    machine: Machine,
    arguments: &BootArguments,
    screen: &Arc<Screen>,
    signals: Signals,
) -> Result<(Run, u64), MachineError> {
    let console = Console { timeout: arguments.timeout.map(Duration::from_secs_f64), signals };
    let is_watched = |unit: &Arc<Vtd>| unit.options().stale.watching != Watching::Off;
    let mut reports =
        machine.unit().filter(is_watched).map(|unit| arguments.reports(unit, Arc::clone(screen)));
    let mut act = |notes: &[String]| look(screen, reports.as_mut(), notes);
    let run = machine.run(console, Round { every: EVERY, act: &mut act })?;
    let ended_by_itself = run.ending.is_of_guest();
    let stale = reports.map_or(0, |reports| reports.conclude(ended_by_itself));
    Ok((run, stale))
}

fn look(screen: &Screen, reports: Option<&mut Reports>, notes: &[String]) -> ControlFlow<Ending> {
    notes.iter().for_each(|note| screen.report(note));
    if let Some(ending) = screen.failure() {
        return ControlFlow::Break(ending);
    }
    reports.map_or(ControlFlow::Continue(()), Reports::look)
}
