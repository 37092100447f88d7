//! How the engine asks for pages that are missing.
//!
//! Invariant: it asks only while it translates ahead, and for one page at a time. Source: docs/dma-engine.md; PCI Express
//! 4.0, 10.5.2.

use super::Engine;
use crate::pci::Capability;

/// Of the capability.
const CONTROL: u16 = 4;
const STATUS: u16 = 6;
const ALLOTTED: u16 = 12;
const ON: u16 = 1;
/// In STATUS: an answer was a failure.
const FAILURE: u16 = 1;

impl Engine {
    /// Lets it ask for pages, or not. Whether it can.
    #[must_use]
    pub fn ask_for_pages(&self, on: bool) -> bool {
        let Some(at) = self.function.capability(Capability::PRI) else { return false };
        self.function.write32(at + ALLOTTED, 1);
        self.function.write16(at + CONTROL, if on { ON } else { 0 });
        true
    }

    /// Whether an answer was a failure; forgets that.
    #[must_use]
    pub fn take_failure(&self) -> bool {
        let Some(at) = self.function.capability(Capability::PRI) else { return false };
        let has_failed = self.function.read16(at + STATUS) & FAILURE != 0;
        self.function.write16(at + STATUS, FAILURE);
        has_failed
    }
}
