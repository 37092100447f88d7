//! The pieces of a run whose causes no guest can bring about: panics, threads that stay behind, a host without memory.

use std::env;
use std::io::{self, ErrorKind};
use std::process::{Command, Stdio, exit};
use std::sync::Arc;
use std::thread;

use devices::pci::bus::BusFull;

use super::super::screen::tests::{LONG, NO_FILE, Paper};
use super::super::screen::{Mingling, Screen};
use super::*;
use crate::boot::BootError;

#[test]
fn readers_get_time_from_a_guest_that_ended_by_itself_and_little_from_one_that_was_stopped() {
    for (ending, expected) in [
        (None, PATIENT),
        (Some(Ending::Exit(1)), PATIENT),
        (Some(Ending::PoweredOff), PATIENT),
        (Some(Ending::Signal(libc::SIGTERM)), HURRIED),
        (Some(Ending::TimedOut), HURRIED),
        (Some(Ending::Left), HURRIED),
    ] {
        assert_eq!(patience(ending.as_ref()), expected, "{ending:?}");
    }
    assert!(HURRIED.total < PATIENT.idle);
}

#[test]
fn a_thread_that_stays_behind_is_named() {
    let run = Run { ending: Ending::TimedOut, places: Vec::new(), behind: vec!["vCPU 3".to_owned()] };
    let lines = lines(&run);
    assert!(lines.len() == 1 && lines[0].contains("the thread \"vCPU 3\" did not end"), "{lines:?}");
}

#[test]
fn a_machine_that_cannot_be_built_is_the_hosts_fault_or_the_users() {
    let host = |source| MachineError::Host { what: "a thread", source };
    for (error, status) in [
        (MachineError::Boot(BootError::NoHostMemory { file: "image".to_owned() }), 7),
        (MachineError::Boot(BootError::Unknown { file: "image".to_owned() }), 2),
        (MachineError::Board(BoardError::Full(BusFull)), 2),
        (MachineError::Board(BoardError::Thread(ErrorKind::WouldBlock.into())), 7),
        (MachineError::Board(BoardError::Timer(ErrorKind::WouldBlock.into())), 7),
        (host(io::Error::from_raw_os_error(libc::EMFILE)), 7),
    ] {
        assert_eq!(of_error(&error), status, "{error}");
    }
}

/// In the environment of the process that panics.
const CASE: &str = "AFTERIMAGE_TEST_PANICS";
const TOLD: i32 = 40;

/// In a process of its own, for a hook is the whole process's.
#[test]
fn a_panic_is_told_as_reports_are_and_its_status_is_of_this_program() {
    if env::var_os(CASE).is_some() {
        panic_on_paper();
    }
    let own = env::current_exe().expect("the test is a file");
    let test = "command::boot::run::tests::a_panic_is_told_as_reports_are_and_its_status_is_of_this_program";
    let output = Command::new(own)
        .args(["--exact", test, "--nocapture"])
        .env(CASE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("a test can be started again");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), told.as_str()), (Some(TOLD), ""));
}

fn panic_on_paper() -> ! {
    let paper = Paper::default();
    let screen = Screen::new(Paper::default(), paper.clone(), Mingling::Apart, NO_FILE, Sandbox::OFF);
    let screen = Arc::new(screen.expect("there are threads"));
    let (ending, (status, message)) = guarded(&screen, || {
        let thread = thread::Builder::new().name("unlucky".to_owned());
        let ended = thread.spawn(|| panic!("on purpose")).expect("there is a thread").join();
        assert!(ended.is_ok(), "and its own");
        (None, (0, None))
    });
    screen.settle(LONG);
    let told = paper.text();
    let is_told = told.starts_with("thread \"unlucky\": panicked at") && told.contains("on purpose");
    let is_asked = message.is_some_and(|it| it.contains("panicked") && it.contains("please report it"));
    let is_both = is_told && told.contains("and its own");
    exit(if ending.is_none() && status == 7 && is_asked && is_both { TOLD } else { 1 })
}
