//! PCI Express: says that the function is an endpoint integrated into the root complex, and that it can be reset alone.
//!
//! Source: PCI Express 4.0, 7.5.3, 6.6.2 (function-level reset).

use super::{Capability, CapabilityId};
use crate::pci::ConfigSpace;

/// Its id.
pub const ID: CapabilityId = CapabilityId::Standard(0x10);

const CAPABILITIES: u16 = 2;
const DEVICE_CAPABILITIES: u16 = 4;
const DEVICE_CONTROL: u16 = 8;
const DEVICE_CAPABILITIES_2: u16 = 0x24;
const DEVICE_CONTROL_2: u16 = 0x28;

const VERSION_2: u16 = 2;
const INTEGRATED_ENDPOINT: u16 = 0b1001 << 4;
/// It can be reset by [`INITIATE_RESET`].
const FUNCTION_LEVEL_RESET: u32 = 1 << 28;
/// Reads as 0.
const INITIATE_RESET: u16 = 1 << 15;
/// The one field that software may change and that outlives a reset.
const MAX_PAYLOAD: u16 = 0b111 << 5;
/// Requests may carry a PASID: end-to-end TLP prefixes, of which there may be one.
const PREFIXES: u32 = 1 << 21 | 0b01 << 22;
/// It completes and asks for 64-bit atomics.
const ATOMICS: u32 = 1 << 8;
/// Relaxed ordering, no snoop, sizes of payloads and read requests, error reporting: notes that nobody reads.
const CONTROL_NOTES: u16 = 0x78ff;
const ATOMIC_REQUESTER: u16 = 1 << 6;

/// A root-complex integrated endpoint.
#[must_use]
pub fn integrated_endpoint() -> Capability {
    Capability::new(ID, 0x3c)
        .constant(CAPABILITIES, (VERSION_2 | INTEGRATED_ENDPOINT).to_le_bytes())
        .constant(DEVICE_CAPABILITIES, FUNCTION_LEVEL_RESET.to_le_bytes())
        .writable_at(DEVICE_CONTROL, (CONTROL_NOTES | INITIATE_RESET).to_le_bytes())
        .constant(DEVICE_CAPABILITIES_2, (PREFIXES | ATOMICS).to_le_bytes())
        .writable_at(DEVICE_CONTROL_2, ATOMIC_REQUESTER.to_le_bytes())
}

/// Whether software has just asked for a reset; it is taken note of once.
pub fn take_reset(config: &mut ConfigSpace) -> bool {
    let Some(at) = config.find(ID) else { return false };
    let control = config.get16(at + DEVICE_CONTROL);
    config.set16(at + DEVICE_CONTROL, control & !INITIATE_RESET);
    control & INITIATE_RESET != 0
}

/// Puts configuration space back, but for what a reset of the function leaves alone.
pub fn reset(config: &mut ConfigSpace) {
    let control = config.find(ID).map(|at| (at + DEVICE_CONTROL, config.get16(at + DEVICE_CONTROL)));
    config.reset();
    if let Some((at, before)) = control {
        config.set16(at, before & MAX_PAYLOAD);
    }
}
