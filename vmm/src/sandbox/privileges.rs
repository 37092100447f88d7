//! Privileges: capabilities, and new ones that a program could get.
//!
//! Invariant: afterwards this thread and those that it starts have no capability in any set that the kernel lets them
//! change, and executing a file gives them none. Source: capabilities(7), prctl(2).

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::SandboxError;

/// Capabilities are bits of a word; the kernel says which is the first that it does not know.
const BITS: u32 = u64::BITS;

/// Gives up all of them.
pub(super) fn drop_all() -> Result<(), SandboxError> {
    set_no_new_privs(true).map_err(SandboxError::of("set no_new_privs"))?;
    empty_bounding_set().map_err(SandboxError::of("empty the bounding set"))?;
    // An ambient one goes with the permitted one that it stands on.
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(SandboxError::of("drop capabilities"))
}

/// Only who has CAP_SETPCAP may; nobody else has anything that the set would bound, for no_new_privs stands.
fn empty_bounding_set() -> Result<(), Errno> {
    for bit in 0..BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::PERM) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
