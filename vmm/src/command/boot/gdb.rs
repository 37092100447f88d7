//! `--gdb`: gdb's remote protocol on a Unix socket, by the crate `gdbstub`. docs/gdb.md is for its users.
//!
//! Invariant: what a debugger sends is bytes from a stranger: it is heard as far as it reads its answers, at most one is
//! connected, and whoever goes, however that is, leaves the guest without breakpoints and running.
//!
//! Read in this order: `line` (the connection), [`registers`], `memory`, `breakpoints`, `guest` (what the stub asks for), this
//! file.

mod breakpoints;
mod guest;
mod line;
mod memory;
mod registers;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{DisconnectReason, GdbStubBuilder, MultiThreadStopReason};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketFlags, accept_with};

use crate::kvm::processor::debug::Reach;
use crate::machine::control::Control;
use crate::machine::ending::Ending;
use guest::Guest;
use line::Line;

/// How long nobody is accepted after the host has refused a descriptor.
const REST: Duration = Duration::from_millis(100);

/// What is said on the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Words {
    /// Where the socket is.
    pub(super) path: PathBuf,
    /// Whether the guest begins without a debugger.
    pub(super) waits: bool,
}

/// The words of `PATH[,nowait]`.
pub(super) fn parse(text: &str) -> Result<Words, String> {
    let (path, waits) = match text.strip_suffix(",nowait") {
        Some(path) => (path, false),
        None => (text, true),
    };
    if path.is_empty() {
        return Err("give PATH[,nowait], PATH a socket to be made".to_owned());
    }
    Ok(Words { path: path.into(), waits })
}

/// The stub between two packets or in one.
type Stub<'a> = GdbStubStateMachine<'static, Guest<'a>, Line>;

/// How a session ended.
enum Parting {
    /// The debugger left the guest alone.
    Detached,
    /// It ended the guest.
    Killed,
    /// The guest has ended.
    Ended,
    /// It is not to be talked with any more.
    Lost(String),
}

/// What there is to do.
#[derive(Clone, Copy)]
struct Ready {
    somebody_comes: bool,
    line: bool,
    stopped: bool,
}

/// The socket, and what a debugger is told of the guest's end.
pub(super) struct Gdb {
    listener: OwnedFd,
    status: Box<dyn Fn(&Ending) -> u8 + Send>,
    reach: Reach,
}

impl Gdb {
    pub(super) fn new(
        listener: OwnedFd,
        reach: Reach,
        status: impl Fn(&Ending) -> u8 + Send + 'static,
    ) -> Self {
        Self { listener, status: Box::new(status), reach }
    }

    /// Serves one debugger after the other until the machine has ended.
    pub(super) fn serve(&self, control: &Control) {
        while !control.end().is_over() {
            let ready = self.wait(control, None);
            let Some(file) = ready.somebody_comes.then(|| self.accept()).flatten() else { continue };
            let mut guest = Guest::attach(control, self.reach);
            let (parting, stub) = self.session(Line::new(file), &mut guest, control);
            match parting {
                Parting::Detached => log::info!("the debugger has left"),
                Parting::Killed => control.leave(),
                Parting::Ended => {}
                Parting::Lost(why) => log::warn!("the debugger is left: {why}; the guest goes on"),
            }
            guest.detach();
            // Whoever waits for the connection's end finds the guest as it is to be.
            drop(stub);
        }
    }

    /// Serves one debugger; how it went, and the connection, if it is still there.
    fn session<'a>(
        &self,
        line: Line,
        guest: &mut Guest<'a>,
        control: &Control,
    ) -> (Parting, Option<Stub<'a>>) {
        let built = GdbStubBuilder::new(line).build().map_err(|error| error.to_string());
        let begun = built.and_then(|stub| stub.run_state_machine(guest).map_err(|error| error.to_string()));
        let mut stub = match begun {
            Ok(stub) => stub,
            Err(why) => return (Parting::Lost(why), None),
        };
        loop {
            let ready = self.wait(control, Some(&*line_of(&mut stub)));
            if ready.somebody_comes {
                // One is enough.
                drop(self.accept());
            }
            let next = match control.end().look(&self.status) {
                Some(status) => {
                    ended(stub, guest, status);
                    return (Parting::Ended, None);
                }
                None => go_on(stub, guest, ready),
            };
            stub = match next {
                Ok(GdbStubStateMachine::Disconnected(inner)) => {
                    return (parting(inner.get_reason()), Some(inner.into()));
                }
                Ok(stub) => stub,
                Err(why) => return (Parting::Lost(why), None),
            };
        }
    }

    /// Waits until there is something to do.
    fn wait(&self, control: &Control, line: Option<&Line>) -> Ready {
        let wanted = |line: &Line| if line.has_something_to_say() { PollFlags::OUT } else { PollFlags::IN };
        let mut files = vec![
            PollFd::new(control.end().wake(), PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
        ];
        let bell = control.bell().map(|bell| PollFd::new(bell.file(), PollFlags::IN));
        files.extend(bell);
        let at = files.len();
        files.extend(line.map(|line| PollFd::new(line.file(), wanted(line))));
        let is_ready = |files: &[PollFd<'_>], index: usize| {
            files.get(index).is_some_and(|file| !file.revents().is_empty())
        };
        // A signal, or a host without memory: it is tried again.
        if poll(&mut files, None).is_err() {
            return Ready { somebody_comes: false, line: false, stopped: false };
        }
        Ready {
            somebody_comes: is_ready(&files, 1),
            stopped: at > 2 && is_ready(&files, 2),
            line: is_ready(&files, at),
        }
    }

    fn accept(&self) -> Option<OwnedFd> {
        match accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(file) => Some(file),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => None,
            Err(error) => {
                log::debug!("no debugger is accepted for a while: {error}");
                std::thread::sleep(REST);
                None
            }
        }
    }
}

/// The connection of a stub, whatever it is at.
fn line_of<'a>(stub: &'a mut Stub<'_>) -> &'a mut Line {
    match stub {
        GdbStubStateMachine::Idle(inner) => inner.borrow_conn(),
        GdbStubStateMachine::Running(inner) => inner.borrow_conn(),
        GdbStubStateMachine::CtrlCInterrupt(inner) => inner.borrow_conn(),
        GdbStubStateMachine::Disconnected(inner) => inner.borrow_conn(),
    }
}

/// Says, hears, and tells of a stop, as far as that goes without waiting.
fn go_on<'a>(mut stub: Stub<'a>, guest: &mut Guest<'a>, ready: Ready) -> Result<Stub<'a>, String> {
    if ready.stopped {
        stub = tell_stop(stub, guest)?;
    }
    if ready.line {
        let line = line_of(&mut stub);
        line.say().map_err(|left| left.to_string())?;
        if !line.has_something_to_say() {
            line.hear().map_err(|left| left.to_string())?;
        }
    }
    while let Some(byte) = line_of(&mut stub).next() {
        stub = hear(stub, guest, byte)?;
        if matches!(stub, GdbStubStateMachine::Disconnected(_)) {
            break;
        }
    }
    Ok(stub)
}

fn tell_stop<'a>(stub: Stub<'a>, guest: &mut Guest<'a>) -> Result<Stub<'a>, String> {
    let stop = guest.stop();
    match (stub, stop) {
        (GdbStubStateMachine::Running(inner), Some(stop)) => {
            inner.report_stop(guest, stop).map_err(|error| error.to_string())
        }
        // It was told already, with another's.
        (stub, _) => Ok(stub),
    }
}

/// Takes one byte.
fn hear<'a>(stub: Stub<'a>, guest: &mut Guest<'a>, byte: u8) -> Result<Stub<'a>, String> {
    let next = match stub {
        GdbStubStateMachine::Idle(inner) => inner.incoming_data(guest, byte),
        GdbStubStateMachine::Running(inner) => inner.incoming_data(guest, byte),
        other => Ok(other),
    };
    match next.map_err(|error| error.to_string())? {
        GdbStubStateMachine::CtrlCInterrupt(inner) => {
            // A guest that stands still has nothing to tell.
            let stop = (!guest.is_stopped()).then(|| guest.interrupt());
            inner.interrupt_handled(guest, stop).map_err(|error| error.to_string())
        }
        stub => Ok(stub),
    }
}

/// The guest has ended: whoever waits for it is told how.
fn ended<'a>(stub: Stub<'a>, guest: &mut Guest<'a>, status: u8) {
    if let GdbStubStateMachine::Running(inner) = stub {
        let told = inner.report_stop(guest, MultiThreadStopReason::Exited(status));
        if let Ok(mut stub) = told {
            let line = line_of(&mut stub);
            let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(REST.subsec_nanos()) };
            if line.has_something_to_say() {
                // Whoever does not read it now has not waited for it.
                let _ready = poll(&mut [PollFd::new(line.file(), PollFlags::OUT)], Some(&limit));
                let _said = line.say();
            }
        }
    }
}

fn parting(reason: DisconnectReason) -> Parting {
    match reason {
        DisconnectReason::Disconnect => Parting::Detached,
        DisconnectReason::Kill => Parting::Killed,
        DisconnectReason::TargetExited(_) | DisconnectReason::TargetTerminated(_) => Parting::Ended,
    }
}

#[cfg(test)]
mod tests {
    use super::{Words, parse};

    #[test]
    fn a_path_may_say_that_nobody_is_waited_for() {
        let words = |path: &str, waits| Ok(Words { path: path.into(), waits });
        assert_eq!(parse("run/g"), words("run/g", true));
        assert_eq!(parse("run/g,nowait"), words("run/g", false));
        assert_eq!(parse("a,b"), words("a,b", true));
        for wrong in ["", ",nowait"] {
            let error = parse(wrong).expect_err(wrong);
            assert!(error.contains("PATH[,nowait]"), "{error}");
        }
    }
}
