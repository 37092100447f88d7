//! Advanced features: by them a conventional function says that it can be reset alone.
//!
//! Source: PCI-SIG ECN "Advanced Capabilities for Conventional PCI" (2006); linux/pci_regs.h, PCI_AF_*.

use super::{Capability, CapabilityId};
use crate::pci::config::ConfigSpace;

/// Its id.
pub const ID: CapabilityId = CapabilityId::Standard(0x13);

const LEN_BYTES: u8 = 6;
const LENGTH: u16 = 2;
const CAPABILITIES: u16 = 3;
const CONTROL: u16 = 4;

/// Whether requests are in flight is told, which a function that can be reset must do; and it can be.
const TRANSACTIONS_PENDING: u8 = 1 << 0;
const FUNCTION_LEVEL_RESET: u8 = 1 << 1;
/// Reads as 0.
const INITIATE_RESET: u8 = 1 << 0;

/// A reset of the function; no request is ever in flight when software can look.
#[must_use]
pub fn capability() -> Capability {
    Capability::new(ID, LEN_BYTES.into())
        .constant(LENGTH, [LEN_BYTES])
        .constant(CAPABILITIES, [TRANSACTIONS_PENDING | FUNCTION_LEVEL_RESET])
        .writable_at(CONTROL, [INITIATE_RESET])
}

/// Whether software has just asked for a reset; it is taken note of once.
pub fn take_reset(config: &mut ConfigSpace) -> bool {
    let Some(at) = config.find(ID) else { return false };
    let [control, _] = config.get16(at + CONTROL).to_le_bytes();
    config.set(at + CONTROL, &[control & !INITIATE_RESET]);
    control & INITIATE_RESET != 0
}
