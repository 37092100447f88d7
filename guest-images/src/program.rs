//! The programs that run at CPL3.
//!
//! Invariant: a program starts at its first byte with RDI = control page, RSI = shadow window, RDX = its own
//! statistics page, RCX = its user id (vCPU number + 1), uses no stack, and asks for services by
//! [hypercalls](crate::layout::hypercall) only.

mod coherence;
mod first_output;
mod player;
mod probe;

/// A program, by what it does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Program {
    /// Reads pages of the shadow window, compares them with what was published, and writes in its turn.
    Coherence,
    /// Reads one word of the shadow window's first page until told to stop.
    Probe,
    /// Puts out one byte and stops.
    FirstOutput,
    /// Executes one access after the other, as its mailbox asks.
    Player,
}

impl Program {
    /// Its name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coherence => "coherence",
            Self::Probe => "probe",
            Self::FirstOutput => "first-output",
            Self::Player => "player",
        }
    }

    /// Its image, entered at the first byte.
    #[must_use]
    pub fn code(self) -> &'static [u8] {
        match self {
            Self::Coherence => coherence::code(),
            Self::Probe => probe::code(),
            Self::FirstOutput => first_output::code(),
            Self::Player => player::code(),
        }
    }
}

#[cfg(test)]
mod tests;
