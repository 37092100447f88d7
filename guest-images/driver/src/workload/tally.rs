//! Where transfers and interrupts went, and what is said of it at the end.
//!
//! Invariant: without a bug the program ends with success only if everything went where it belongs. With one it always
//! does.

use core::fmt;

use crate::bug::Bug;
use crate::console::say;
use crate::ending;

/// Where transfers and interrupts went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    /// All.
    pub(crate) all: u64,
    /// To or from a page that was not mapped any more.
    pub(crate) astray: u64,
    /// Nowhere.
    pub(crate) blocked: u64,
    /// Interrupts.
    pub(crate) interrupts: u64,
    /// To a vector that is another's by now, or to none.
    pub(crate) misled: u64,
}

impl Tally {
    /// Counts an interrupt, which came by its vector or did not.
    pub(crate) fn count_interrupt(&mut self, arrived: bool) {
        self.interrupts += 1;
        self.misled += u64::from(!arrived);
    }

    /// Says it, and ends the machine.
    pub(crate) fn conclude(self, bug: Option<Bug>) -> ! {
        let Self { all, astray, blocked, interrupts, misled } = self;
        match bug {
            Some(bug) => say!("vtd-bug-{}: {bug}; {self}", bug.name()),
            None if astray + blocked + misled == 0 => {
                say!("passed: {all} transfers reached their pages, {interrupts} interrupts their vectors");
            }
            None => {
                say!("FAILED: {self}");
                ending::failed()
            }
        }
        ending::passed()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, astray, blocked, interrupts, misled } = self;
        write!(
            f,
            "of {all} transfers {astray} met a page that has another owner by now, {blocked} were blocked"
        )?;
        write!(f, "; of {interrupts} interrupts {misled} missed their vectors")
    }
}
