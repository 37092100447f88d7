//! The filter of a thread: its role's list, as a program for the kernel.
//!
//! Invariant: a call that is on no list is trapped or logged, as the mode says, and never simply fails, but for those
//! that the runtime makes when a panic is to be told. Source: seccomp(2),
//! Documentation/userspace-api/seccomp_filter.rst.
#![expect(unsafe_code, reason = "asks seccomp(2) what it can do")]

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use super::role::ANSWERED_WITH_AN_ERROR;
use super::{Mode, Role, SandboxError};

/// Numbers, each with the arguments that it may have; none for any.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Whether the kernel can do what `mode` asks.
pub(super) fn check(mode: Mode) -> Result<(), SandboxError> {
    let action = if mode == Mode::Log { libc::SECCOMP_RET_LOG } else { libc::SECCOMP_RET_TRAP };
    let asked = &raw const action;
    // SAFETY: the kernel reads one word at the pointer, which is `action`.
    let status = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, asked) };
    if status == 0 { Ok(()) } else { Err(refused("any thread")(io::Error::last_os_error())) }
}

/// Leaves this thread the calls of `role`.
pub(super) fn install(role: Role, mode: Mode) -> Result<(), SandboxError> {
    let refused = |error: seccompiler::Error| refused(role.name())(io::Error::other(error));
    let backend = |error: BackendError| refused(error.into());
    if mode == Mode::On {
        // First, for the list allows no other filter.
        apply_filter(&answering().map_err(backend)?).map_err(refused)?;
    }
    apply_filter(&listing(role, mode).map_err(backend)?).map_err(refused)
}

/// Answers what a panic asks; both filters see every call, and the stricter answer counts.
fn answering() -> Result<BpfProgram, BackendError> {
    let rules = ANSWERED_WITH_AN_ERROR.iter().map(|number| (*number, Vec::new())).collect();
    let denied = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, denied, TargetArch::x86_64)?.try_into()
}

/// Allows what is on the list.
fn listing(role: Role, mode: Mode) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::new();
    for call in role.calls() {
        let rules = rules.entry(call.number).or_default();
        rules.extend(call.rule()?);
    }
    let otherwise = match mode {
        Mode::On => {
            // The other filter has answered these.
            rules.extend(ANSWERED_WITH_AN_ERROR.iter().map(|number| (*number, Vec::new())));
            SeccompAction::Trap
        }
        Mode::Log | Mode::Off => SeccompAction::Log,
    };
    SeccompFilter::new(rules, otherwise, SeccompAction::Allow, TargetArch::x86_64)?.try_into()
}

fn refused(what: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |source| SandboxError::Filter { what, source }
}
