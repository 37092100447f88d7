//! PCI Express: says that the function is an endpoint integrated into the root complex.
//!
//! Source: PCI Express 4.0, 7.5.3.

use super::{Capability, CapabilityId};

/// Its id.
pub const ID: CapabilityId = CapabilityId::Standard(0x10);

const CAPABILITIES: u16 = 2;
const DEVICE_CONTROL: u16 = 8;
const DEVICE_CAPABILITIES_2: u16 = 0x24;
const DEVICE_CONTROL_2: u16 = 0x28;

const VERSION_2: u16 = 2;
const INTEGRATED_ENDPOINT: u16 = 0b1001 << 4;
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
        .writable_at(DEVICE_CONTROL, CONTROL_NOTES.to_le_bytes())
        .constant(DEVICE_CAPABILITIES_2, (PREFIXES | ATOMICS).to_le_bytes())
        .writable_at(DEVICE_CONTROL_2, ATOMIC_REQUESTER.to_le_bytes())
}
