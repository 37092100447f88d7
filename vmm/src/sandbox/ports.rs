//! Ports of TCP: none can be bound any more by this thread and those that it starts, nor connected to but by the role that does.
//!
//! Invariant: what is connected stays so. The kernel looks at ports and not at addresses; so which host a connection leads to
//! is decided by who makes it. A kernel that lacks this has the filters alone. Source: Documentation/userspace-api/landlock.rst.

use std::io;

use landlock::{ABI, Access, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetError};

use super::{Role, SandboxError};

/// All that can be forbidden; an older kernel forbids what it knows.
const NEWEST: ABI = ABI::V10;

/// Closes them to `role`.
pub(super) fn close(role: Role) -> Result<(), SandboxError> {
    let all = AccessNet::from_all(NEWEST);
    let closed = if role == Role::Sockets { all & !AccessNet::ConnectTcp } else { all };
    forbid(closed).map_err(io::Error::other).map_err(SandboxError::of("forbid ports"))
}

/// All of it is handled, and no rule allows any.
fn forbid(closed: BitFlags<AccessNet>) -> Result<(), RulesetError> {
    let _status = Ruleset::default().handle_access(closed)?.create()?.restrict_self()?;
    Ok(())
}
