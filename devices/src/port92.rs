//! System control port A (0x92): the gate of address line 20, and the fast reset.
//!
//! Invariant: the gate reads back as it was written and gates nothing, because memory is never wrapped at 1 MiB here.
//! Source: IBM PS/2 Model 80 Technical Reference, system control port A.

use std::sync::atomic::{AtomicU8, Ordering};

/// The port.
pub const PORT: u16 = 0x92;

const RESET: u8 = 1 << 0;
const GATE: u8 = 1 << 1;

/// What a write asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Nothing of the machine.
    Nothing,
    /// That it restarts.
    Reset,
}

/// The port's register.
#[derive(Debug)]
pub struct Port92(AtomicU8);

impl Default for Port92 {
    /// The gate is open, as firmware leaves it.
    fn default() -> Self {
        Self(AtomicU8::new(GATE))
    }
}

impl Port92 {
    /// An `in`.
    #[must_use]
    pub fn read(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// An `out`.
    pub fn write(&self, value: u8) -> Request {
        self.0.store(value & !RESET, Ordering::Relaxed);
        if value & RESET == 0 { Request::Nothing } else { Request::Reset }
    }
}

#[cfg(test)]
mod tests {
    use super::{Port92, Request};

    #[test]
    fn the_gate_reads_back_and_bit_0_restarts() {
        let port = Port92::default();
        assert_eq!(port.read(), 2, "open");
        assert_eq!((port.write(0xfc), port.read()), (Request::Nothing, 0xfc));
        assert_eq!((port.write(0x03), port.read()), (Request::Reset, 2));
    }
}
