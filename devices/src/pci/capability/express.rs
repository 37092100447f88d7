//! PCI Express: says what the function is, an endpoint integrated into the root complex or behind one of its ports, or such a
//! port; and that an endpoint can be reset alone.
//!
//! Source: PCI Express 4.0, 7.5.3, 6.6.2 (function-level reset).

use super::{Capability, CapabilityId};
use crate::pci::config::ConfigSpace;

/// Its id.
pub const ID: CapabilityId = CapabilityId::Standard(0x10);

const CAPABILITIES: u16 = 2;
const DEVICE_CAPABILITIES: u16 = 4;
const DEVICE_CONTROL: u16 = 8;
const LINK_CAPABILITIES: u16 = 0x0c;
const LINK_STATUS: u16 = 0x12;
const ROOT_CONTROL: u16 = 0x1c;
const DEVICE_CAPABILITIES_2: u16 = 0x24;
const DEVICE_CONTROL_2: u16 = 0x28;

const VERSION_2: u16 = 2;
const INTEGRATED_ENDPOINT: u16 = 0b1001 << 4;
const ROOT_PORT: u16 = 0b0100 << 4;
const KIND: u16 = 0b1111 << 4;
/// 2.5 GT/s, one lane.
const LINK: u16 = 1 | 1 << 4;
/// Errors are signalled by their role: every function since 1.1 says so.
const ROLE_BASED: u32 = 1 << 15;
/// What raises a system error or an interrupt: notes.
const ROOT_NOTES: u16 = 0b1_1111;
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

/// A root port, of a link that is up, without a slot.
#[must_use]
pub fn root_port() -> Capability {
    Capability::new(ID, 0x3c)
        .constant(CAPABILITIES, (VERSION_2 | ROOT_PORT).to_le_bytes())
        .constant(DEVICE_CAPABILITIES, ROLE_BASED.to_le_bytes())
        .writable_at(DEVICE_CONTROL, CONTROL_NOTES.to_le_bytes())
        .constant(LINK_CAPABILITIES, LINK.to_le_bytes())
        .constant(LINK_STATUS, LINK.to_le_bytes())
        .writable_at(ROOT_CONTROL, ROOT_NOTES.to_le_bytes())
        .constant(DEVICE_CAPABILITIES_2, (PREFIXES | ATOMICS).to_le_bytes())
}

/// Makes an integrated endpoint one at the other end of a port's link.
pub fn put_behind_port(config: &mut ConfigSpace) {
    let Some(at) = config.find(ID) else { return };
    let kind = config.get16(at + CAPABILITIES) & !KIND;
    config.set16(at + CAPABILITIES, kind);
    let device = config.get32(at + DEVICE_CAPABILITIES) | ROLE_BASED;
    config.set32(at + DEVICE_CAPABILITIES, device);
    config.set16(at + LINK_CAPABILITIES, LINK);
    config.set16(at + LINK_STATUS, LINK);
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
