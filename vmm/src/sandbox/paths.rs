//! Paths: none can be opened any more, made, removed or renamed, by this thread and those that it starts.
//!
//! Invariant: what is open stays usable. Where the kernel lacks Landlock the filters still refuse every call that
//! names a path, so that is told and no error. Source: Documentation/userspace-api/landlock.rst.

use std::io;
use std::sync::Once;

use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetError, RulesetStatus};

use super::SandboxError;

/// All that can be forbidden; an older kernel forbids what it knows.
const NEWEST: ABI = ABI::V10;

/// Closes all of them.
pub(super) fn close() -> Result<(), SandboxError> {
    let status = forbid().map_err(io::Error::other).map_err(SandboxError::of("forbid all paths"))?;
    static TOLD: Once = Once::new();
    if status == RulesetStatus::NotEnforced {
        TOLD.call_once(|| {
            log::info!("this kernel has no Landlock; paths are refused by the filters alone");
        });
    }
    Ok(())
}

/// Everything is handled, and no rule allows any of it.
fn forbid() -> Result<RulesetStatus, RulesetError> {
    let rules = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?.create()?;
    Ok(rules.restrict_self()?.ruleset)
}
