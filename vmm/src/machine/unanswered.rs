//! Accesses that nobody answers, told once each: what an image misses is mostly the first of them.
//!
//! Invariant: a guest decides which accesses there are, so no more than [`MOST_TOLD`] are remembered and told; from then on
//! one load is all that an access costs, and as little is if nobody listens.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, log_enabled};
use parking_lot::Mutex;

/// Accesses that are told.
const MOST_TOLD: usize = 64;

/// What the guest wants of an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// `in`, which is answered by all ones.
    In,
    /// `out`.
    Out,
    /// A load from memory space, which is answered by all ones.
    Load,
    /// A store to memory space.
    Store,
}

/// An access that nobody answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Access {
    /// What is wanted.
    pub(super) kind: Kind,
    /// A port, or an address in memory space.
    pub(super) address: u64,
    /// How much; for a string instruction all of it.
    pub(super) len_bytes: usize,
}

/// Those that were told.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    told: Mutex<Vec<(Kind, u64)>>,
    is_full: AtomicBool,
}

impl Unanswered {
    /// Tells of `access`, unless that was done or nobody listens.
    pub(super) fn tell(&self, access: Access) {
        if !log_enabled!(Level::Info) {
            return;
        }
        if let Some(line) = self.line(access) {
            log::info!("{line}");
        }
    }

    /// What is to be told of `access`, if anything is.
    fn line(&self, access: Access) -> Option<String> {
        // Whoever sees too late that it is full finds out under the lock.
        if self.is_full.load(Ordering::Relaxed) {
            return None;
        }
        let mut told = self.told.lock();
        let key = (access.kind, access.address);
        if told.len() > MOST_TOLD || told.contains(&key) {
            return None;
        }
        told.push(key);
        if told.len() <= MOST_TOLD {
            return Some(access.to_string());
        }
        self.is_full.store(true, Ordering::Relaxed);
        Some(format!("nobody answers more than {MOST_TOLD} accesses; no other is told"))
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, address, len_bytes } = self;
        let bytes = if *len_bytes == 1 { "byte" } else { "bytes" };
        let does = match kind {
            Kind::In => format!("in of {len_bytes} {bytes} from port {address:#x}"),
            Kind::Out => format!("out of {len_bytes} {bytes} to port {address:#x}"),
            Kind::Load => format!("load of {len_bytes} {bytes} from {address:#x}"),
            Kind::Store => format!("store of {len_bytes} {bytes} to {address:#x}"),
        };
        write!(f, "nobody answers: {does}")
    }
}

#[cfg(test)]
mod tests;
