//! How the engine interrupts: by MSI, by MSI-X, or by its line.
//!
//! Invariant: at most one of them is in use. Source: docs/dma-engine.md; PCI Local Bus 3.0, 6.8.

use super::{Engine, Job};
use crate::hardware::{store32, store64};
use crate::interrupt_entry::Message;
use crate::pci::Capability;

/// Registers.
const INTERRUPT_STATUS: u64 = 0x28;
const INTERRUPT_ENABLE: u64 = 0x2c;
/// In both: a descriptor that asks for it is over; all reasons.
const DONE: u32 = 1;
const ALL: u32 = 7;
/// The table of MSI-X, in the BAR, and an entry's fields.
const TABLE: u64 = 0x1000;
const ENTRY_BYTES: u64 = 16;
const ENTRY_DATA: u64 = 8;
const ENTRY_CONTROL: u64 = 12;
/// Of the capabilities.
const CONTROL: u16 = 2;
const ADDRESS: u16 = 4;
const DATA: u16 = 12;
const MSI_ON: u16 = 1;
const MSIX_ON: u16 = 1 << 15;

/// A vector of MSI-X.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot(pub u16);

impl Engine {
    /// Lets it interrupt by MSI.
    ///
    /// # Panics
    /// If it has none.
    pub fn interrupt_by_msi(&self, message: Message) {
        self.interrupt_by_line();
        let at = self.function.capability(Capability::MSI).expect("an engine has MSI");
        let [a, b, c, d, e, f, g, h] = message.address.to_le_bytes();
        self.function.write32(at + ADDRESS, u32::from_le_bytes([a, b, c, d]));
        self.function.write32(at + ADDRESS + 4, u32::from_le_bytes([e, f, g, h]));
        self.function.write32(at + DATA, message.data);
        self.function.write16(at + CONTROL, MSI_ON);
    }

    /// Lets it interrupt by MSI-X, in which `slot` sends `message`.
    ///
    /// # Panics
    /// If it has none.
    pub fn interrupt_by_msix(&self, slot: Slot, message: Message) {
        let entry = self.registers + TABLE + u64::from(slot.0) * ENTRY_BYTES;
        store64(entry, message.address);
        store32(entry + ENTRY_DATA, message.data);
        store32(entry + ENTRY_CONTROL, 0);
        let at = self.function.capability(Capability::MSIX).expect("an engine has MSI-X");
        self.function.write16(at + CONTROL, MSIX_ON);
    }

    /// Lets it interrupt by its line, which is low. Which input of the I/O APIC that is.
    pub fn interrupt_by_line(&self) -> u8 {
        for capability in [Capability::MSI, Capability::MSIX] {
            if let Some(at) = self.function.capability(capability) {
                self.function.write16(at + CONTROL, 0);
            }
        }
        store32(self.registers + INTERRUPT_ENABLE, DONE);
        self.acknowledge();
        self.function.line()
    }

    /// Takes back every reason to interrupt.
    pub fn acknowledge(&self) {
        store32(self.registers + INTERRUPT_STATUS, ALL);
    }

    /// Lets it interrupt. The interrupt has left, or was blocked, when this returns.
    pub fn interrupt(&mut self, slot: Slot) {
        // An interrupt leaves behind its descriptor's record, and before the next descriptor's.
        let done = self.run([Job::Interrupt(slot), Job::Nothing]);
        assert!(done == [Ok(0); 2], "the engine does nothing");
        self.acknowledge();
    }
}
