//! Interrupt remapping, as the unit is told of it.
//!
//! Source: VT-d 5.1.4 (x2APIC), 11.4.4 (GCMD), 11.4.12 (IRTA).

use super::{BASE, Unit};
use crate::hardware::store64;
use crate::memory::Frame;

const IRTA: u64 = 0xb8;
/// In GCMD and GSTS.
const REMAPPING: u32 = 1 << 25;
const TABLE: u32 = 1 << 24;
const DIRECT: u32 = 1 << 23;
/// In IRTA: destinations have 32 bits; a frame's entries, as a power of two less one.
const WIDE_IDS: u64 = 1 << 11;
const ENTRIES_OF_FRAME: u64 = 7;

/// How wide processors' ids are in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ids {
    /// 8 bits.
    Xapic,
    /// 32 bits (EIME).
    X2apic,
}

impl Unit {
    /// Interrupts can be remapped (ECAP.IR).
    #[must_use]
    pub const fn has_interrupt_remapping(&self) -> bool {
        self.extended >> 3 & 1 != 0
    }

    /// Ids may have 32 bits (ECAP.EIM).
    #[must_use]
    pub const fn has_wide_ids(&self) -> bool {
        self.extended >> 4 & 1 != 0
    }

    /// Takes over a table of one frame: 256 entries.
    pub fn set_interrupt_table(&self, table: Frame, ids: Ids) {
        let wide = if ids == Ids::X2apic { WIDE_IDS } else { 0 };
        store64(BASE + IRTA, table.address() | wide | ENTRIES_OF_FRAME);
        self.command(TABLE);
    }

    /// Switches remapping on or off.
    pub fn remap_interrupts(&self, on: bool) {
        self.switch(REMAPPING, on);
    }

    /// Lets messages pass that name no entry, or blocks them (CFI).
    pub fn let_direct_interrupts_pass(&self, on: bool) {
        self.switch(DIRECT, on);
    }
}
