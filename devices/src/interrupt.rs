//! Interrupt lines. (Messages are [`Msi`](pcie::Msi)s: memory writes of 4 bytes to 0xfeexxxxx.)
//!
//! Invariant: a line is high as long as any of its users holds it high. Source: PCI 3.0, 2.2.6.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// The level of an interrupt line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Nobody asks.
    Low,
    /// Somebody asks.
    High,
}

/// Inputs of an interrupt controller.
pub trait Pins: Send + Sync {
    /// The input `pin` is at `level` from now on.
    fn set(&self, pin: Pin, level: Level);
}

/// A numbered input of the I/O APIC: a global system interrupt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pin(pub u8);

/// One wire to a pin, shared by all who clone it.
#[derive(Clone)]
pub struct Wire {
    shared: Arc<Shared>,
}

struct Shared {
    pins: Arc<dyn Pins>,
    pin: Pin,
    /// How many hold it high.
    holders: Mutex<u32>,
}

/// One user's end of a wire. Dropping it lets go.
pub struct Line {
    wire: Wire,
    level: Mutex<Level>,
}

impl Wire {
    /// A wire to `pin` that nobody holds.
    #[must_use]
    pub fn new(pins: Arc<dyn Pins>, pin: Pin) -> Self {
        Self { shared: Arc::new(Shared { pins, pin, holders: Mutex::new(0) }) }
    }

    /// A new user's end, low.
    #[must_use]
    pub fn line(&self) -> Line {
        Line { wire: self.clone(), level: Mutex::new(Level::Low) }
    }

    /// Where it leads.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.shared.pin
    }

    fn change(&self, to: Level) {
        let mut holders = self.shared.holders.lock();
        let before = *holders;
        *holders = match to {
            Level::High => before + 1,
            Level::Low => before - 1,
        };
        // Under the lock, so that the pin sees the levels in the order of the counts.
        if before == 0 || *holders == 0 {
            self.shared.pins.set(self.shared.pin, to);
        }
    }
}

impl Line {
    /// Holds the wire high, or lets go of it.
    pub fn set(&self, level: Level) {
        let mut own = self.level.lock();
        if *own != level {
            *own = level;
            self.wire.change(level);
        }
    }

    /// Up and down again: an edge.
    pub fn pulse(&self) {
        self.set(Level::High);
        self.set(Level::Low);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.set(Level::Low);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("pin", &self.wire.pin()).field("level", &*self.level.lock()).finish()
    }
}

#[cfg(test)]
mod tests;
