//! How many accesses of the device were checked, and how many were wrong.

use std::cell::Cell;
use std::io::{self, Write};

/// What is wrong is told in full so often; then it is only counted.
const TOLD: u64 = 10;

/// The counts of one operation.
#[derive(Default)]
pub(crate) struct Tally {
    accesses: Cell<u64>,
    wrong: Cell<u64>,
    refused: Cell<u64>,
}

impl Tally {
    /// So many pages were accessed, and each access is checked.
    pub(crate) fn accessed(&self, pages: usize) {
        self.accesses.set(self.accesses.get() + pages as u64);
    }

    /// An access was refused, as it may be or has to be.
    pub(crate) fn refused(&self) {
        self.refused.set(self.refused.get() + 1);
    }

    /// Counts and tells what is wrong unless the claim is true.
    pub(crate) fn claim(&self, is_true: bool, what: impl FnOnce() -> String) {
        if is_true {
            return;
        }
        self.wrong.set(self.wrong.get() + 1);
        if self.wrong.get() <= TOLD {
            let _unheard = writeln!(io::stdout(), "LAB wrong: {}", what());
        }
    }

    pub(crate) const fn accesses(&self) -> u64 {
        self.accesses.get()
    }

    pub(crate) const fn wrong(&self) -> u64 {
        self.wrong.get()
    }

    pub(crate) const fn refusals(&self) -> u64 {
        self.refused.get()
    }
}
