//! The interrupt remapping table, as it lies in memory.
//!
//! Invariant: an entry is absent while it is half written, as both halves cannot be stored at once here (`cmpxchg16b`, with
//! which a kernel can, is not run by every KVM). What the unit keeps of it is for the writer to invalidate.
//! Source: VT-d 9.10 (entry), 6.5.2.7 (cache of entries).

use crate::descriptor::Invalidation;
use crate::driver::Driver;
use crate::id::Index;
use crate::memory::{Frame, Memory};
use crate::unit::Ids;

/// See the module: 256 entries.
#[derive(Clone, Copy, Debug)]
pub struct InterruptTable(Frame);

impl InterruptTable {
    /// One without entries.
    pub fn new(memory: &mut Memory) -> Self {
        Self(memory.frame())
    }

    /// Lets the unit read it, with ids of that width.
    pub fn hand_over(&self, driver: &mut Driver, ids: Ids) {
        driver.unit.set_interrupt_table(self.0, ids);
        driver.invalidate(&[Invalidation::InterruptEntries]);
    }

    /// Writes an entry.
    pub fn write(&self, index: Index, [low, high]: [u64; 2]) {
        let at = u64::from(index.0) * 2;
        self.clear(index);
        self.0.store(at + 1, high);
        self.0.store(at, low);
    }

    /// Takes P from an entry.
    pub fn clear(&self, index: Index) {
        self.0.store(u64::from(index.0) * 2, 0);
    }

    /// Writes an entry over one that is present, half by half, with `meanwhile` between them. This is a mistake.
    pub fn write_in_place(&self, index: Index, [low, high]: [u64; 2], meanwhile: impl FnOnce()) {
        let at = u64::from(index.0) * 2;
        self.0.store(at, low);
        meanwhile();
        self.0.store(at + 1, high);
    }
}
