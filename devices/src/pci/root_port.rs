//! A PCI Express root port: one device behind it, on a bus of its own.
//!
//! Invariant: the port is its configuration space; the bus number, the memory window and the bits by which it forwards
//! requests and resets what is behind it are read there at that moment. It has no I/O window and no prefetchable one, and
//! signals no errors. Sources: PCI-to-PCI Bridge 1.2, 3.2; PCI Express 4.0, 7.5.1.3 and 7.5.3 (root port), 7.7.8 (ACS).

use std::ops::Range;

use super::bus::Function;
use super::capability::{Capability, CapabilityId, express};
use super::config::{ConfigSpace, Identity, command};
use crate::bus::Width;

/// Offsets of the type 1 header.
mod header {
    /// Primary, secondary and subordinate bus number, 8 bits each.
    pub(super) const BUSES: u16 = 0x18;
    pub(super) const SECONDARY: u16 = 0x19;
    /// Bits 31:20 of the window's first and last address, in bits 15:4.
    pub(super) const MEMORY_BASE: u16 = 0x20;
    pub(super) const MEMORY_LIMIT: u16 = 0x22;
    pub(super) const CONTROL: u16 = 0x3e;
}

/// The window begins and ends at a multiple of that.
pub const GRAIN: u64 = 1 << 20;
const WINDOW_BITS: u16 = 0xfff0;
/// Bridge control: resets the secondary bus; parity response, SERR# and the master abort mode are notes.
const SECONDARY_RESET: u16 = 1 << 6;
const CONTROL_NOTES: u16 = 0b10_0011;

/// Access control services: requests are told by their source, none goes to a peer.
const ACS: CapabilityId = CapabilityId::Extended(0x0d);
const ACS_OFFERED: u16 = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4;

/// A root port, as a function of its bus: what it does is the bus's.
#[derive(Debug)]
pub struct RootPort;

impl RootPort {
    /// A generic root port (1b36:000c).
    #[must_use]
    pub fn config() -> ConfigSpace {
        let identity = Identity { vendor: 0x1b36, device: 0x000c, class: [6, 4, 0], revision: 0 };
        ConfigSpace::bridge(identity)
            .with_writable(header::BUSES, &[0xff; 3])
            .with_writable(header::MEMORY_BASE, &WINDOW_BITS.to_le_bytes())
            .with_writable(header::MEMORY_LIMIT, &WINDOW_BITS.to_le_bytes())
            .with_writable(header::CONTROL, &(SECONDARY_RESET | CONTROL_NOTES).to_le_bytes())
            .with_interrupt_pin()
            .with(&express::root_port())
            .with(
                &Capability::new(ACS, 8)
                    .constant(4, ACS_OFFERED.to_le_bytes())
                    .writable_at(6, ACS_OFFERED.to_le_bytes()),
            )
    }
}

impl Function for RootPort {
    fn read(&self, _: u8, _: u64, width: Width) -> u64 {
        width.ones()
    }

    fn write(&self, _: u8, _: u64, _: Width, _: u64) {}
}

/// The number of the bus behind the port; 0 is none.
pub(super) fn secondary_bus(config: &ConfigSpace) -> u8 {
    config.get16(header::SECONDARY).to_le_bytes()[0]
}

/// Whether what is behind the port is held in reset.
pub(super) fn resets(config: &ConfigSpace) -> bool {
    config.get16(header::CONTROL) & SECONDARY_RESET != 0
}

/// Whether the port forwards requests of what is behind it.
pub(super) fn forwards_requests(config: &ConfigSpace) -> bool {
    config.command() & command::BUS_MASTER != 0
}

/// Addresses that the port forwards to what is behind it; none of them if it forwards nothing.
pub(super) fn window(config: &ConfigSpace) -> Range<u64> {
    let at = |offset| u64::from(config.get16(offset) & WINDOW_BITS) << 16;
    match config.command() & command::MEMORY {
        0 => 0..0,
        _ => at(header::MEMORY_BASE)..at(header::MEMORY_LIMIT) + GRAIN,
    }
}

/// Numbers the bus behind the port, gives it the window up to `end` and lets it forward, as firmware does.
pub(super) fn place(config: &mut ConfigSpace, bus: u8, start: u64, end: u64) {
    config.set(header::BUSES, &[0, bus, bus]);
    let bits = |address: u64| u16::try_from(address >> 16).map_or(WINDOW_BITS, |bits| bits & WINDOW_BITS);
    // A window without addresses ends before it begins.
    let (base, limit) = if start < end { (bits(start), bits(end - 1)) } else { (WINDOW_BITS, 0) };
    config.set16(header::MEMORY_BASE, base);
    config.set16(header::MEMORY_LIMIT, limit);
    config.set16(super::config::header::COMMAND, config.command() | command::MEMORY | command::BUS_MASTER);
}

#[cfg(test)]
mod tests;
