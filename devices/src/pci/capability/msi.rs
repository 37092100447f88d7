//! Msi-signalled interrupts: one vector, 64-bit address, no mask bits.
//!
//! Source: PCI 3.0, 6.8.1.

use pcie::Msi;

use super::{Capability, CapabilityId};
use crate::pci::ConfigSpace;

/// Its id.
pub const ID: CapabilityId = CapabilityId::Standard(0x05);

const CONTROL: u16 = 2;
const ADDRESS: u16 = 4;
const DATA: u16 = 12;

const ENABLE: u16 = 1 << 0;
const SIXTY_FOUR: u16 = 1 << 7;

/// One vector.
#[must_use]
pub fn capability() -> Capability {
    Capability::new(ID, 14)
        .constant(CONTROL, SIXTY_FOUR.to_le_bytes())
        .writable_at(CONTROL, ENABLE.to_le_bytes())
        .writable_at(ADDRESS, (!0b11_u64).to_le_bytes())
        .writable_at(DATA, u16::MAX.to_le_bytes())
}

/// What the function sends, if MSI is there and enabled.
#[must_use]
pub fn message(config: &ConfigSpace) -> Option<Msi> {
    let at = config.find(ID).filter(|at| config.get16(at + CONTROL) & ENABLE != 0)?;
    let address = u64::from(config.get32(at + ADDRESS)) | u64::from(config.get32(at + ADDRESS + 4)) << 32;
    Some(Msi { address, data: config.get16(at + DATA).into() })
}
