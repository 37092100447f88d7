//! The end of a thread that makes a call which is on no list: the kernel sends it SIGSYS instead.
//!
//! Invariant: the handler calls nothing that is not safe in a signal handler, takes no lock and allocates nothing,
//! for the thread may hold any lock and be anywhere; and it makes only calls that every list has. Source: seccomp(2)
//! on SECCOMP_RET_TRAP, signal-safety(7).
#![expect(unsafe_code, reason = "a signal handler reads what the kernel says and ends the process")]

use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::OnceLock;
use std::thread;

use rustix::stdio;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use syscalls::Sysno;
use vmm_sys_util::signal::register_signal_handler;

/// The exit status. As a shell's of what it may not execute; those of guests are odd.
pub const STATUS: u8 = 126;

/// si_code of a signal that a filter sent (include/uapi/asm-generic/siginfo.h).
const SYS_SECCOMP: libc::c_int = 1;

/// What the kernel says of SIGSYS: siginfo_t, whose crate names none of it.
#[repr(C)]
struct Refused {
    signal: libc::c_int,
    error: libc::c_int,
    code: libc::c_int,
    instruction: usize,
    number: libc::c_int,
}

/// A line of text that needs no allocation; what is too long is cut.
#[derive(Clone, Copy)]
struct Line<const LEN: usize> {
    bytes: [u8; LEN],
    len: usize,
}

thread_local! {
    static NAME: Cell<Line<40>> = const { Cell::new(Line::new()) };
}

/// The terminal as the program found it.
static TERMINAL: OnceLock<Termios> = OnceLock::new();

impl<const LEN: usize> Line<LEN> {
    const fn new() -> Self {
        Self { bytes: [0; LEN], len: 0 }
    }

    fn written(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// What is not UTF-8, as it may be where a name was cut, is left out.
    fn text(&self) -> &str {
        let valid = self.written().utf8_chunks().next();
        valid.map_or("", |chunk| chunk.valid())
    }
}

impl<const LEN: usize> Write for Line<LEN> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let fits = text.len().min(room.len());
        room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        Ok(())
    }
}

/// Handles SIGSYS from now on.
pub(super) fn install() -> Result<(), vmm_sys_util::errno::Error> {
    if let Ok(modes) = tcgetattr(stdio::stdin()) {
        TERMINAL.get_or_init(|| modes);
    }
    register_signal_handler(libc::SIGSYS, on_refused)
}

/// Notes what this thread is called, where the handler finds it.
pub(super) fn name_thread() {
    let mut name = Line::new();
    // A line takes everything.
    let _taken = name.write_str(thread::current().name().unwrap_or("?"));
    NAME.set(name);
}

extern "C" fn on_refused(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a siginfo_t, which begins with these fields on x86-64 and is
    // longer; of a signal that somebody else sent the last two are other numbers.
    let refused = unsafe { &*info.cast::<Refused>() };
    if refused.code == SYS_SECCOMP {
        tell(refused.number);
    }
    // SAFETY: _exit takes an integer and is safe in a handler; nothing of the process is run any more.
    unsafe { libc::_exit(STATUS.into()) }
}

/// The terminal is as the program found it.
pub(super) fn give_terminal_back() {
    if let Some(modes) = TERMINAL.get() {
        // The program ends anyway.
        let _restored = tcsetattr(stdio::stdin(), OptionalActions::Now, modes);
    }
}

fn tell(number: libc::c_int) {
    give_terminal_back();
    let line = line(number, NAME.get().text());
    let _read = rustix::io::write(stdio::stderr(), line.written());
}

fn line(number: libc::c_int, thread: &str) -> Line<240> {
    let name = usize::try_from(number).ok().and_then(Sysno::new).map_or("without a name", |call| call.name());
    let mut line = Line::new();
    // A line takes everything.
    let _taken = writeln!(
        line,
        "afterimage: the sandbox refuses the system call {name} (number {number}) in thread {thread}; please report it, or \
         --sandbox log"
    );
    line
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_call_is_told_by_name_and_one_that_has_none_by_number() {
        for (number, told) in
            [(41, "call socket (number 41) in"), (9999, "call without a name (number 9999) in")]
        {
            let line = line(number, "vCPU 0");
            let text = line.text();
            assert!(text.contains(told) && text.ends_with("--sandbox log\n"), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_cut_within_a_letter_is_no_text_beyond_it() {
        let mut name = super::Line::<3>::new();
        std::fmt::Write::write_str(&mut name, "aüü").expect("a line takes everything");
        assert_eq!(name.text(), "aü");
        let mut name = super::Line::<2>::new();
        std::fmt::Write::write_str(&mut name, "aü").expect("a line takes everything");
        assert_eq!(name.text(), "a");
    }
}
