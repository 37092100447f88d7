//! Kernels that lack what a fence is made of, played by a filter that answers for them.

use std::io::{Write, stderr};
use std::sync::Barrier;
use std::thread;

use log::{LevelFilter, Log, Metadata, Record};
use rustix::termios::{LocalModes, tcgetattr};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use super::given_up::{foreign, is_open};
use super::raw::end_slowly;
use super::refused::{make_raw, terminal};
use super::{alone, alone_on, assert_survived, text};
use crate::sandbox::{Mode, Role, Sandbox};

/// Makes the kernel answer `error` to one call from now on.
fn answer(number: libc::c_long, error: libc::c_int) {
    let denied = SeccompAction::Errno(error.unsigned_abs());
    let rules = [(number, Vec::new())].into_iter().collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, TargetArch::x86_64).expect("a rule");
    let program: BpfProgram = filter.try_into().expect("it is short");
    apply_filter(&program).expect("this kernel has filters");
}

#[test]
fn a_kernel_without_filters_is_an_error_with_a_remedy() {
    let test = "kernels::a_kernel_without_filters_is_an_error_with_a_remedy";
    for mode in [Mode::On, Mode::Log] {
        let act = || {
            answer(libc::SYS_seccomp, libc::ENOSYS);
            let error = Sandbox::begin(mode, None).expect_err("it has none").to_string();
            assert!(!error.contains('\n') && error.ends_with("; run with --sandbox off"), "{error}");
        };
        let Some(output) = alone(test, &format!("{mode:?}"), act) else { continue };
        assert_survived(&output, &format!("{mode:?}"));
    }
}

#[test]
fn a_thread_whose_filter_is_refused_ends_the_program() {
    let test = "kernels::a_thread_whose_filter_is_refused_ends_the_program";
    let act = || {
        let sandbox = Sandbox::begin(Mode::On, None).expect("this kernel has filters");
        answer(libc::SYS_seccomp, libc::ENOMEM);
        sandbox.enter(Role::Vcpu);
    };
    let Some(output) = alone(test, "full", act) else { return };
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{told}");
    let (begins, ends) = ("afterimage: the kernel filters no system calls of processors", "--sandbox off\n");
    assert!(told.starts_with(begins) && told.ends_with(ends) && told.lines().count() == 1, "{told}");
}

#[test]
fn threads_that_cannot_be_fenced_in_at_once_end_the_program_with_one_line() {
    let test = "kernels::threads_that_cannot_be_fenced_in_at_once_end_the_program_with_one_line";
    let act = || {
        let sandbox = Sandbox::begin(Mode::On, None).expect("this kernel has filters");
        answer(libc::SYS_seccomp, libc::ENOMEM);
        end_slowly();
        let together = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    together.wait();
                    sandbox.enter(Role::Output);
                });
            }
        });
    };
    let Some(output) = alone(test, "at once", act) else { return };
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(7), 1), "{told}");
}

#[test]
fn a_terminal_is_given_back_by_a_thread_that_cannot_be_fenced_in() {
    let test = "kernels::a_terminal_is_given_back_by_a_thread_that_cannot_be_fenced_in";
    let (near, far) = terminal();
    let act = || {
        let sandbox = Sandbox::begin(Mode::On, None).expect("this kernel has filters");
        make_raw();
        answer(libc::SYS_seccomp, libc::ENOMEM);
        sandbox.enter(Role::Vcpu);
    };
    let Some(output) = alone_on(far.into(), test, "raw", act) else { return };
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    let modes = tcgetattr(&near).expect("it is a terminal").local_modes;
    assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO), "{modes:?}");
}

#[test]
fn a_kernel_without_close_range_closes_what_it_lists() {
    let test = "kernels::a_kernel_without_close_range_closes_what_it_lists";
    let act = || {
        answer(libc::SYS_close_range, libc::ENOSYS);
        let foreign = foreign();
        Sandbox::begin(Mode::On, None).expect("this kernel has filters");
        assert!(!is_open(foreign));
    };
    let Some(output) = alone(test, "listed", act) else { return };
    assert_survived(&output, "listed");
}

/// Prints every message.
struct Loud;

impl Log for Loud {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        writeln!(stderr(), "{} {}", record.level(), record.args()).expect("a test can be read");
    }

    fn flush(&self) {}
}

#[test]
fn a_kernel_without_landlock_is_told_once_and_paths_stay_refused() {
    let test = "kernels::a_kernel_without_landlock_is_told_once_and_paths_stay_refused";
    let act = || {
        log::set_boxed_logger(Box::new(Loud)).expect("the first");
        log::set_max_level(LevelFilter::Info);
        answer(libc::SYS_landlock_create_ruleset, libc::ENOSYS);
        let sandbox = Sandbox::begin(Mode::On, None).expect("this kernel has filters");
        sandbox.confine().expect("no Landlock is no error");
        sandbox.enter(Role::Engine);
        assert!(std::fs::File::open("/dev/null").is_err());
    };
    let Some(output) = alone(test, "lacking", act) else { return };
    assert_survived(&output, "lacking");
    let told = text(&output.stderr);
    assert_eq!(told, "INFO this kernel has no Landlock; paths are refused by the filters alone\n");
}

#[test]
fn logging_says_where_to_look() {
    let test = "kernels::logging_says_where_to_look";
    let act = || {
        log::set_boxed_logger(Box::new(Loud)).expect("the first");
        log::set_max_level(LevelFilter::Warn);
        Sandbox::begin(Mode::Log, None).expect("this kernel has filters");
    };
    let Some(output) = alone(test, "log", act) else { return };
    assert_survived(&output, "log");
    assert!(text(&output.stderr).contains("type=1326"), "{}", text(&output.stderr));
}
