//! Which changes were met by a use, and which of them were reported.
//!
//! Invariant: a change is due once, and with patience not before software has waited since it was met. What is
//! remembered is bounded; after that a change may be due again.

use std::collections::HashMap;
use std::hash::Hash;

use crate::stale::watch::Patience;

/// Changes that are remembered at most.
const MOST_CHANGES: usize = 1 << 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger<K> {
    changes: HashMap<K, Seen>,
}

/// A change that a use met.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Event of the first use after it.
    first: u64,
    is_reported: bool,
}

/// When a change is met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meeting {
    /// Event of the use.
    pub(super) event: u64,
    /// Event of the last wait that completed; 0 if none has.
    pub(super) last_wait: u64,
    pub(super) patience: Patience,
}

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self { changes: HashMap::new() }
    }
}

impl<K: Eq + Hash> Ledger<K> {
    /// Those that were met.
    pub(super) fn changes(&self) -> impl Iterator<Item = &K> {
        self.changes.keys()
    }

    /// Whether a change that a use met just now is to be reported.
    pub(super) fn is_due(&mut self, change: K, meeting: Meeting) -> bool {
        if self.changes.len() >= MOST_CHANGES {
            self.changes.clear();
        }
        let Meeting { event, last_wait, patience } = meeting;
        let seen = self.changes.entry(change).or_insert(Seen { first: event, is_reported: false });
        let has_waited = last_wait >= seen.first && last_wait != 0;
        let is_due = !seen.is_reported && (patience == Patience::FirstUse || has_waited);
        seen.is_reported |= is_due;
        is_due
    }
}
