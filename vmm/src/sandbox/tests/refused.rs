//! Calls that are on no list, made by threads of each role.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::raw::call;
use super::{SURVIVED, Status, alone, alone_on, assert_survived, text};
use crate::sandbox::role::request::{
    KVM_IOEVENTFD, KVM_RUN, KVM_SET_GUEST_DEBUG, KVM_SET_SREGS, KVM_SIGNAL_MSI,
};
use crate::sandbox::{Mode, Role, STATUS, Sandbox};

/// No descriptor, and no address.
const NONE: i64 = -1;
const PAGE: i64 = 4096;
const ANONYMOUS: i64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as i64;
const READ: i64 = libc::PROT_READ as i64;
const EXECUTE: i64 = libc::PROT_EXEC as i64;

const INET: i64 = libc::AF_INET as i64;
const TCP: [i64; 6] =
    [INET, (libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) as i64, 0, 0, 0, 0];

/// A call and what the line calls it.
type Made = (&'static str, libc::c_long, [i64; 6]);

/// By which a guest that has taken over a thread would go on.
const NOBODYS: [Made; 16] = [
    ("execve", libc::SYS_execve, [0; 6]),
    ("clone", libc::SYS_clone, [0; 6]),
    ("clone3", libc::SYS_clone3, [0; 6]),
    ("fork", libc::SYS_fork, [0; 6]),
    ("ptrace", libc::SYS_ptrace, [NONE, 0, 0, 0, 0, 0]),
    ("process_vm_writev", libc::SYS_process_vm_writev, [1, 0, 0, 0, 0, 0]),
    ("socket", libc::SYS_socket, [1, 1, 0, 0, 0, 0]),
    ("memfd_create", libc::SYS_memfd_create, [0; 6]),
    ("io_uring_setup", libc::SYS_io_uring_setup, [0; 6]),
    ("bpf", libc::SYS_bpf, [0; 6]),
    ("seccomp", libc::SYS_seccomp, [0; 6]),
    ("kill", libc::SYS_kill, [1, 0, 0, 0, 0, 0]),
    ("tgkill", libc::SYS_tgkill, [1, 1, 0, 0, 0, 0]),
    ("ioctl", libc::SYS_ioctl, [0, libc::FIONREAD as i64, 0, 0, 0, 0]),
    ("mmap", libc::SYS_mmap, [0, PAGE, READ | EXECUTE, ANONYMOUS, NONE, 0]),
    ("mprotect", libc::SYS_mprotect, [0, PAGE, READ | EXECUTE, 0, 0, 0]),
];

fn enter(mode: Mode, role: Role) {
    Sandbox::begin(mode, None).expect("this kernel has filters").enter(role);
}

/// The one line with which the process ended.
#[track_caller]
fn assert_refused(output: &std::process::Output, name: &str, number: libc::c_long, what: &str) {
    let line = format!(
        "afterimage: the sandbox refuses the system call {name} (number {number}) in thread fenced; please report it, or \
         --sandbox log\n"
    );
    assert_eq!((text(&output.stderr), output.status.code()), (line, Some(STATUS.into())), "{what}");
}

#[test]
fn a_call_that_is_on_no_list_ends_the_program_with_a_line_that_names_it() {
    let test = "refused::a_call_that_is_on_no_list_ends_the_program_with_a_line_that_names_it";
    for role in Role::ALL {
        for (name, number, arguments) in NOBODYS {
            let case = format!("{name} of {role:?}");
            let act = || {
                enter(Mode::On, role);
                call(number, arguments);
            };
            let Some(output) = alone(test, &case, act) else { continue };
            assert_refused(&output, name, number, &case);
        }
    }
}

/// Calls that some roles make, which are named, and others do not.
const SOME: [(Made, &[Role]); 24] = [
    (("ioctl", libc::SYS_ioctl, [NONE, KVM_RUN as i64, 0, 0, 0, 0]), &[Role::Vcpu, Role::DebuggedVcpu]),
    (("ioctl", libc::SYS_ioctl, [NONE, KVM_IOEVENTFD as i64, 0, 0, 0, 0]), &[Role::Vcpu, Role::DebuggedVcpu]),
    (("ioctl", libc::SYS_ioctl, [NONE, KVM_SET_GUEST_DEBUG as i64, 0, 0, 0, 0]), &[Role::DebuggedVcpu]),
    (("ioctl", libc::SYS_ioctl, [NONE, KVM_SET_SREGS as i64, 0, 0, 0, 0]), &[Role::DebuggedVcpu]),
    (
        ("ioctl", libc::SYS_ioctl, [NONE, KVM_SIGNAL_MSI as i64, 0, 0, 0, 0]),
        &[
            Role::Vcpu,
            Role::DebuggedVcpu,
            Role::Engine,
            Role::Rung,
            Role::Disk,
            Role::Cable,
            Role::Sockets,
            Role::Vsock,
            Role::LateDevices,
            Role::Console,
            Role::Control,
        ],
    ),
    (("pwrite64", libc::SYS_pwrite64, [NONE, 0, 0, 0, 0, 0]), &[Role::Disk]),
    (("pread64", libc::SYS_pread64, [NONE, 0, 0, 0, 0, 0]), &[Role::Disk]),
    (("fdatasync", libc::SYS_fdatasync, [NONE, 0, 0, 0, 0, 0]), &[Role::Disk]),
    (("ioctl", libc::SYS_ioctl, [NONE, libc::TCGETS as i64, 0, 0, 0, 0]), &[Role::Console]),
    // Of standard input it is everybody's.
    (("ioctl", libc::SYS_ioctl, [NONE, libc::TCSETS as i64, 0, 0, 0, 0]), &[Role::Console]),
    (("epoll_create1", libc::SYS_epoll_create1, [0; 6]), &[Role::Console]),
    (
        ("read", libc::SYS_read, [NONE, 0, 0, 0, 0, 0]),
        &[
            Role::Rung,
            Role::Disk,
            Role::Cable,
            Role::Sockets,
            Role::Vsock,
            Role::Console,
            Role::Output,
            Role::Control,
        ],
    ),
    (
        ("ppoll", libc::SYS_ppoll, [NONE, 1, 0, 0, 0, 0]),
        &[
            Role::Rung,
            Role::Disk,
            Role::Cable,
            Role::Sockets,
            Role::Vsock,
            Role::Console,
            Role::Output,
            Role::Control,
        ],
    ),
    (("socket", libc::SYS_socket, TCP), &[Role::Sockets]),
    (("socket", libc::SYS_socket, [INET, libc::SOCK_DGRAM as i64, 0, 0, 0, 0]), &[]),
    (("socket", libc::SYS_socket, [INET, libc::SOCK_RAW as i64, 1, 0, 0, 0]), &[]),
    (("socket", libc::SYS_socket, [libc::AF_INET6 as i64, libc::SOCK_STREAM as i64, 0, 0, 0, 0]), &[]),
    (("connect", libc::SYS_connect, [NONE, 0, 0, 0, 0, 0]), &[Role::Sockets]),
    (("sendto", libc::SYS_sendto, [NONE, 0, 0, 0, 0, 0]), &[Role::Sockets, Role::Vsock]),
    (("shutdown", libc::SYS_shutdown, [NONE, 1, 0, 0, 0, 0]), &[Role::Sockets, Role::Vsock]),
    (("bind", libc::SYS_bind, [NONE, 0, 0, 0, 0, 0]), &[]),
    (("poll", libc::SYS_poll, [0; 6]), &[Role::Console, Role::Output, Role::Control]),
    (("recvmsg", libc::SYS_recvmsg, [NONE, 0, 0, 0, 0, 0]), &[Role::Vsock]),
    (("accept4", libc::SYS_accept4, [NONE, 0, 0, 0, 0, 0]), &[Role::Vsock, Role::Control]),
];

#[test]
fn a_role_makes_its_own_calls_and_not_those_of_another() {
    let test = "refused::a_role_makes_its_own_calls_and_not_those_of_another";
    for (index, ((name, number, arguments), makers)) in SOME.into_iter().enumerate() {
        for role in Role::ALL {
            let case = format!("{index} {name} of {role:?}");
            let act = || {
                enter(Mode::On, role);
                call(number, arguments);
            };
            let Some(output) = alone(test, &case, act) else { continue };
            if makers.contains(&role) {
                assert_survived(&output, &case);
            } else {
                assert_refused(&output, name, number, &case);
            }
        }
    }
}

#[test]
fn memory_that_is_not_code_and_threads_of_the_same_process_are_everybodys() {
    let test = "refused::memory_that_is_not_code_and_threads_of_the_same_process_are_everybodys";
    for role in Role::ALL {
        let act = || {
            enter(Mode::On, role);
            assert_ne!(call(libc::SYS_mmap, [0, PAGE, READ, ANONYMOUS, NONE, 0]), NONE);
            let process = i64::from(std::process::id());
            assert_eq!(call(libc::SYS_tgkill, [process, process, 0, 0, 0, 0]), 0);
            assert!(call(libc::SYS_sched_getaffinity, [0, 0, 0, 0, 0, 0]) <= 0);
            drop(vec![1_u8; 64 << 20]);
        };
        let Some(output) = alone(test, &format!("{role:?}"), act) else { continue };
        assert_survived(&output, &format!("{role:?}"));
    }
}

#[test]
fn a_panic_is_told_in_full_and_no_refusal() {
    let test = "refused::a_panic_is_told_in_full_and_no_refusal";
    for role in Role::ALL {
        let act = || {
            enter(Mode::On, role);
            panic!("no rule was broken");
        };
        let Some(output) = alone(test, &format!("{role:?}"), act) else { continue };
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{role:?}: {told}");
        let named = told.contains("thread 'fenced'") && told.contains("no rule was broken\n");
        assert!(named && told.contains("stack backtrace:") && !told.contains("the sandbox"), "{told}");
    }
}

#[test]
fn a_crash_is_a_crash_and_no_refusal() {
    let test = "refused::a_crash_is_a_crash_and_no_refusal";
    // The first signal makes Rust's handler set the default back, as it does for an access that goes nowhere.
    for (times, ends) in [(1, None), (2, Some(libc::SIGSEGV))] {
        for role in Role::ALL {
            let case = format!("{times} of {role:?}");
            let act = || {
                enter(Mode::On, role);
                let (process, thread) = (i64::from(std::process::id()), call(libc::SYS_gettid, [0; 6]));
                for _ in 0..times {
                    call(libc::SYS_tgkill, [process, thread, libc::SIGSEGV.into(), 0, 0, 0]);
                }
            };
            let Some(output) = alone(test, &case, act) else { continue };
            assert_eq!(output.status.signal(), ends, "{case}: {}", text(&output.stderr));
            if ends.is_none() {
                assert_survived(&output, &case);
            }
        }
    }
}

#[test]
fn what_is_only_logged_or_not_filtered_is_carried_out() {
    let test = "refused::what_is_only_logged_or_not_filtered_is_carried_out";
    for (mode, filtered) in [(Mode::Log, "2"), (Mode::Off, "0")] {
        let act = || {
            let sandbox = Sandbox::begin(mode, None).expect("this kernel has filters");
            let status = Status::of_thread();
            sandbox.enter(Role::Engine);
            assert!(call(libc::SYS_getppid, [0; 6]) > 0);
            assert_eq!(status.values(["Seccomp"]), [filtered]);
        };
        let Some(output) = alone(test, &format!("{mode:?}"), act) else { continue };
        assert_survived(&output, &format!("{mode:?}"));
    }
}

#[test]
fn a_signal_that_somebody_else_sent_is_no_refusal() {
    let test = "refused::a_signal_that_somebody_else_sent_is_no_refusal";
    let act = || {
        Sandbox::begin(Mode::On, None).expect("this kernel has filters");
        let (process, thread) = (i64::from(std::process::id()), call(libc::SYS_gettid, [0; 6]));
        call(libc::SYS_tgkill, [process, thread, libc::SIGSYS.into(), 0, 0, 0]);
    };
    let Some(output) = alone(test, "sent", act) else { return };
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("", Some(STATUS.into())));
}

/// Does to standard input what the console does.
pub(super) fn make_raw() {
    let mut raw = tcgetattr(rustix::stdio::stdin()).expect("it is a terminal");
    raw.make_raw();
    tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw).expect("it is ours");
}

/// A terminal's two ends.
pub(super) fn terminal() -> (OwnedFd, std::fs::File) {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the host has terminals");
    grantpt(&near).expect("it is ours");
    unlockpt(&near).expect("it is ours");
    let name = ptsname(&near, Vec::new()).expect("it has a name");
    let name = name.into_string().expect("the name is plain");
    let far = std::fs::File::options().read(true).write(true).open(name).expect("it can be opened");
    (near, far)
}

#[test]
fn a_refusal_gives_the_terminal_back_as_the_program_found_it() {
    let test = "refused::a_refusal_gives_the_terminal_back_as_the_program_found_it";
    let (near, far) = terminal();
    for role in Role::ALL {
        let act = || {
            let sandbox = Sandbox::begin(Mode::On, None).expect("this kernel has filters");
            make_raw();
            sandbox.enter(role);
            call(libc::SYS_getppid, [0; 6]);
        };
        let input = far.try_clone().expect("the host has descriptors");
        let Some(output) = alone_on(input.into(), test, &format!("{role:?}"), act) else { continue };
        assert_refused(&output, "getppid", libc::SYS_getppid, &format!("{role:?}"));
        let modes = tcgetattr(&near).expect("it is a terminal").local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO), "{role:?}: {modes:?}");
    }
}

#[test]
fn a_status_of_a_refusal_is_no_guests() {
    assert!(STATUS.is_multiple_of(2) && i32::from(STATUS) != SURVIVED);
}
