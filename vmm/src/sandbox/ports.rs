//! Ports of TCP: none can be bound any more by this thread and those that it starts, nor connected to but by who does that.
//!
//! Invariant: what is connected stays so. The kernel looks at ports and not at addresses; so which host a connection leads to
//! is decided by who makes it. A kernel that lacks this has the filters alone. Source: Documentation/userspace-api/landlock.rst.

use std::io;

use landlock::{ABI, Access, AccessNet, Ruleset, RulesetAttr, RulesetError};

/// All that can be forbidden; an older kernel forbids what it knows.
const NEWEST: ABI = ABI::V10;

/// What a thread may go on doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    Nothing,
    Connect,
}

/// Closes them, but for what is `left`.
pub(super) fn close(left: Left) -> io::Result<()> {
    forbid(left).map_err(io::Error::other)
}

/// All of it is handled, and no rule allows any.
fn forbid(left: Left) -> Result<(), RulesetError> {
    let all = AccessNet::from_all(NEWEST);
    let closed = match left {
        Left::Nothing => all,
        Left::Connect => all & !AccessNet::ConnectTcp,
    };
    let _status = Ruleset::default().handle_access(closed)?.create()?.restrict_self()?;
    Ok(())
}
