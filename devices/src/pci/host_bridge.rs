//! The host bridge: how a CPU reaches configuration space, by ports 0xcf8 and 0xcfc or by memory (ECAM).
//!
//! Invariant: the address register keeps all 32 bits, the two lowest among them; the register number of a data access
//! is that of the address register with the port's two low bits ORed in. So software that writes an unaligned number and
//! always uses 0xcfc reaches the register it means. An access ends with the 4 aligned bytes that it begins in: for what
//! lies behind them a processor makes another, of ports that nobody answers. So none reaches beyond the first 256 bytes
//! of a function. Sources: PCI 3.0, 3.2.2.3.2; PCI Express 4.0, 7.2.2.

use std::sync::Arc;

use parking_lot::Mutex;
use pcie::SourceId;

use super::bus::{Function, PciBus};
use super::config::{CONFIG_BYTES, CONVENTIONAL_BYTES, ConfigSpace, Identity};
use crate::bus::{Registers, Width};

/// The address register; the data register is 4 ports on.
pub const ADDRESS_PORT: u16 = 0xcf8;
/// The data register's first port.
pub const DATA_PORT: u16 = 0xcfc;
/// How many ports it takes.
pub const PORTS: u8 = 8;
/// The last of them.
pub const LAST_PORT: u16 = ADDRESS_PORT + PORTS as u16 - 1;
/// Bytes of configuration space for one bus, 4 KiB for each of 256 functions.
pub const ECAM_BYTES_PER_BUS: u64 = 1 << 20;

/// In the address register: it leads to configuration space.
const ENABLE: u32 = 1 << 31;

/// The bridge's ports and its window.
pub struct HostBridge {
    bus: Arc<PciBus>,
    address: Mutex<u32>,
}

impl HostBridge {
    /// The bridge to `bus`.
    #[must_use]
    pub fn new(bus: Arc<PciBus>) -> Self {
        Self { bus, address: Mutex::new(0) }
    }

    /// An `in` from a port from 0xcf8 to 0xcff.
    #[must_use]
    pub fn read_port(&self, port: u16, width: Width) -> u64 {
        match self.target(port) {
            _ if port == ADDRESS_PORT && width == Width::Dword => (*self.address.lock()).into(),
            Some((source, offset)) => {
                let low = parts(offset, width)
                    .map(|(at, part, shift)| (self.bus.read_config(source, at, part) ^ part.ones()) << shift);
                width.ones() ^ low.sum::<u64>()
            }
            None => width.ones(),
        }
    }

    /// An `out` to a port from 0xcf8 to 0xcff.
    pub fn write_port(&self, port: u16, width: Width, value: u64) {
        let [a, b, c, d, ..] = value.to_le_bytes();
        if port == ADDRESS_PORT && width == Width::Dword {
            *self.address.lock() = u32::from_le_bytes([a, b, c, d]);
        } else if let Some((source, offset)) = self.target(port) {
            for (at, part, shift) in parts(offset, width) {
                self.bus.write_config(source, at, part, value >> shift & part.ones());
            }
        }
    }

    /// Which register a data port leads to.
    fn target(&self, port: u16) -> Option<(SourceId, u16)> {
        let within = port.checked_sub(DATA_PORT).filter(|within| *within < 4)?;
        let address = *self.address.lock();
        let [register, function, bus, _] = address.to_le_bytes();
        let source = SourceId(u16::from_le_bytes([function, bus]));
        (address & ENABLE != 0).then(|| (source, u16::from(register) | within))
    }
}

/// The accesses that are made of one of `width` at `offset`, with the places of their values in its value: itself if it
/// stays within 4 aligned bytes, otherwise one of each byte before their end.
fn parts(offset: u16, width: Width) -> impl Iterator<Item = (u16, Width, u16)> {
    let (len_bytes, left) = (u16::from(width.bytes()), 4 - offset % 4);
    let (count, part) = if len_bytes <= left { (1, width) } else { (left, Width::Byte) };
    (0..count).map(move |index| (offset + index, part, 8 * index))
}

const _: () = assert!(CONVENTIONAL_BYTES == 256, "the address register holds 8 bits of it");

/// ECAM: bus, device, function and register in the address.
impl Registers for HostBridge {
    fn read(&self, offset: u64, width: Width) -> u64 {
        ecam(offset).map_or(width.ones(), |(source, at)| self.bus.read_config(source, at, width))
    }

    fn write(&self, offset: u64, width: Width, value: u64) {
        if let Some((source, at)) = ecam(offset) {
            self.bus.write_config(source, at, width, value);
        }
    }
}

fn ecam(offset: u64) -> Option<(SourceId, u16)> {
    let source = u16::try_from(offset / u64::from(CONFIG_BYTES)).ok()?;
    let at = u16::try_from(offset % u64::from(CONFIG_BYTES)).ok()?;
    Some((SourceId(source), at))
}

/// The bridge as a function of its own bus: it says what it is, and has no registers.
#[derive(Debug)]
pub struct BridgeFunction;

impl BridgeFunction {
    /// A generic PCI Express host bridge (1b36:0008).
    #[must_use]
    pub fn config() -> ConfigSpace {
        ConfigSpace::new(Identity { vendor: 0x1b36, device: 0x0008, class: [6, 0, 0], revision: 0 })
    }
}

impl Function for BridgeFunction {
    fn read(&self, _: u8, _: u64, width: Width) -> u64 {
        width.ones()
    }

    fn write(&self, _: u8, _: u64, _: Width, _: u64) {}
}

#[cfg(test)]
mod tests;
