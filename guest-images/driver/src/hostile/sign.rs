//! Signs that harm is done: a kind that does none would end as well as one that does.
//!
//! Invariant: a sign is what a device, a gate or another processor says, never what this program believes; each is told
//! once, and then costs nothing.

use super::Hostile;
use crate::console::say;
use crate::id::Vector;
use crate::interrupts;

/// Something that was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sign {
    /// A load brought something.
    Answered,
    /// A register is other than before the store.
    Taken,
    /// A register behind ports is other than before an `out`.
    TakenFromPort,
    /// A reset put a register back.
    Reset,
    /// An engine has executed a descriptor.
    Executed,
    /// An engine halted.
    Halted,
    /// The unit has carried a descriptor out.
    Invalidated,
    /// The unit refuses the queue.
    QueueStopped,
    /// The unit has completed a wait.
    Waited,
    /// The unit has recorded a fault.
    Faulted,
    /// An interrupt was taken.
    Interrupted,
    /// Another processor counts.
    Against,
}

impl Sign {
    const fn text(self) -> &'static str {
        match self {
            Self::Answered => "a load brought something",
            Self::Taken => "a register took a store",
            Self::TakenFromPort => "a register took a store to a port",
            Self::Reset => "a reset put a register back",
            Self::Executed => "an engine executed a descriptor",
            Self::Halted => "an engine halted",
            Self::Invalidated => "the unit carried a descriptor out",
            Self::QueueStopped => "the unit stopped the queue",
            Self::Waited => "the unit completed a wait",
            Self::Faulted => "the unit recorded a fault",
            Self::Interrupted => "an interrupt was taken",
            Self::Against => "another processor stores too",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl Hostile {
    /// Whether the sign was not told yet: only then it is worth a look.
    pub(super) const fn lacks(&self, sign: Sign) -> bool {
        self.told & sign.bit() == 0
    }

    /// Tells that the sign is there, if it is.
    pub(super) fn shows(&mut self, sign: Sign, is_there: bool) {
        if is_there && self.lacks(sign) {
            self.told |= sign.bit();
            say!("hostile: {}", sign.text());
        }
    }

    /// Tells of an interrupt that was taken, with any vector.
    pub(super) fn shows_interrupts(&mut self) {
        if self.lacks(Sign::Interrupted) {
            let is_taken = (0x20..=u8::MAX).any(|vector| interrupts::count(Vector(vector)) > 0);
            self.shows(Sign::Interrupted, is_taken);
        }
    }
}
