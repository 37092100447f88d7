//! Configuration space: 4 KiB of bytes, and which of their bits software may change.
//!
//! Invariant: the bytes are the state, and a write of any value to any offset is harmless. Source: PCI 3.0, 6.1 and 6.2.

use crate::bus::Width;
use crate::masked::MaskedBytes;
use crate::pci::bar::{Bar, BarRange};
use crate::pci::capability::{Capability, CapabilityId};

/// Bytes of a function's configuration space.
pub const CONFIG_BYTES: u16 = 4096;
/// The part of them that ports 0xcf8 and 0xcfc reach.
pub const CONVENTIONAL_BYTES: u16 = 256;

/// Offsets of the type 0 header.
pub mod header {
    /// Vendor id, 16 bits.
    pub const VENDOR: u16 = 0x00;
    /// Device id, 16 bits.
    pub const DEVICE: u16 = 0x02;
    /// Command register, 16 bits.
    pub const COMMAND: u16 = 0x04;
    /// Status register, 16 bits.
    pub const STATUS: u16 = 0x06;
    /// Revision id, 8 bits, with the class code above it.
    pub const REVISION: u16 = 0x08;
    /// Header type, 8 bits.
    pub const TYPE: u16 = 0x0e;
    /// First base address register, 32 bits; five more follow.
    pub const BARS: u16 = 0x10;
    /// Subsystem vendor id and subsystem id, 16 bits each.
    pub const SUBSYSTEM: u16 = 0x2c;
    /// Offset of the first capability, 8 bits.
    pub const CAPABILITIES: u16 = 0x34;
    /// Interrupt line, 8 bits: a note of the firmware to the operating system.
    pub const INTERRUPT_LINE: u16 = 0x3c;
    /// Interrupt pin, 8 bits: 0 none, 1 INTA#.
    pub const INTERRUPT_PIN: u16 = 0x3d;
}

/// Bits of the command register.
pub mod command {
    /// Decodes its memory BARs.
    pub const MEMORY: u16 = 1 << 1;
    /// May issue requests.
    pub const BUS_MASTER: u16 = 1 << 2;
    /// Does not assert INTx.
    pub const INTX_DISABLE: u16 = 1 << 10;
    /// The bits that software may change: those above, I/O decoding, parity response and SERR#.
    pub const WRITABLE: u16 = 1 | MEMORY | BUS_MASTER | 1 << 6 | 1 << 8 | INTX_DISABLE;
}

/// Bits of the status register.
mod status {
    /// INTx is asked for.
    pub(super) const INTERRUPT: u16 = 1 << 3;
    /// There is a list of capabilities.
    pub(super) const CAPABILITIES: u16 = 1 << 4;
}

/// Where capabilities begin: after the header, and after the conventional part.
const FIRST_CAPABILITY: u16 = 0x40;
const FIRST_EXTENDED: u16 = CONVENTIONAL_BYTES;

/// What a function is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Class code: base class, subclass, programming interface.
    pub class: [u8; 3],
    /// Revision.
    pub revision: u8,
}

/// The configuration space of one function.
#[derive(Debug)]
pub struct ConfigSpace {
    registers: MaskedBytes,
    bars: Vec<Bar>,
    capabilities: Vec<(CapabilityId, u16)>,
    /// Where the next capability goes, in each of the two lists.
    next: u16,
    next_extended: u16,
    /// Where the pointer to it is written, in the conventional list.
    link: u16,
}

impl ConfigSpace {
    /// A type 0 header without BARs and capabilities.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let mut space = Self {
            registers: MaskedBytes::new(CONFIG_BYTES),
            bars: Vec::new(),
            capabilities: Vec::new(),
            next: FIRST_CAPABILITY,
            next_extended: FIRST_EXTENDED,
            link: header::CAPABILITIES,
        };
        space.set16(header::VENDOR, identity.vendor);
        space.set16(header::DEVICE, identity.device);
        let [base, sub, interface] = identity.class;
        space.set32(header::REVISION, u32::from_be_bytes([base, sub, interface, identity.revision]));
        space.set16(header::SUBSYSTEM, identity.vendor);
        space.set16(header::SUBSYSTEM + 2, identity.device);
        space.registers.allow(header::COMMAND, &command::WRITABLE.to_le_bytes());
        space.registers.allow(header::INTERRUPT_LINE, &[0xff]);
        space
    }

    /// A type 1 header, of a bridge, without BARs and capabilities.
    #[must_use]
    pub fn bridge(identity: Identity) -> Self {
        let mut space = Self::new(identity);
        // Where a device has its subsystem, a bridge has a window that this one has not.
        space.set32(header::SUBSYSTEM, 0);
        space.set(header::TYPE, &[1]);
        space
    }

    /// Software may change the bits of `mask` at `offset`.
    #[must_use]
    pub(super) fn with_writable(mut self, offset: u16, mask: &[u8]) -> Self {
        self.registers.allow(offset, mask);
        self
    }

    /// With a base address register.
    #[must_use]
    pub fn with_bar(mut self, bar: Bar) -> Self {
        self.set(bar.offset(), &bar.initial());
        self.registers.allow(bar.offset(), &bar.writable());
        self.bars.push(bar);
        self
    }

    /// With INTA#.
    #[must_use]
    pub fn with_interrupt_pin(mut self) -> Self {
        self.set(header::INTERRUPT_PIN, &[1]);
        self
    }

    /// With a capability, at the end of its list.
    ///
    /// # Panics
    /// If configuration space is full.
    #[must_use]
    pub fn with(mut self, capability: &Capability) -> Self {
        let at = match capability.id() {
            CapabilityId::Standard(id) => self.link_standard(id, capability.len_bytes()),
            CapabilityId::Extended(_) => self.link_extended(capability.len_bytes()),
        };
        let skip = usize::from(capability.header_bytes());
        self.set(at + capability.header_bytes(), &capability.bytes()[skip..]);
        if let CapabilityId::Extended(_) = capability.id() {
            self.set(at, &capability.bytes()[..skip]);
        }
        self.registers.allow(at, capability.writable());
        self.registers.clear_by_ones(at, capability.clears());
        self.capabilities.push((capability.id(), at));
        self
    }

    /// What a load returns; all ones beyond the end.
    #[must_use]
    pub fn read(&self, offset: u16, width: Width) -> u64 {
        self.registers.read(offset, width)
    }

    /// A store by software: changes what may be changed.
    pub fn write(&mut self, offset: u16, width: Width, value: u64) {
        self.registers.write(offset, width, value);
    }

    /// Every bit that software may change or clear is 0 again, as after power-on.
    pub fn reset(&mut self) {
        self.registers.reset();
    }

    /// Where the capability `id` lies.
    #[must_use]
    pub fn find(&self, id: CapabilityId) -> Option<u16> {
        self.all(id).next()
    }

    /// Where each capability `id` lies, in the order of their list.
    pub fn all(&self, id: CapabilityId) -> impl Iterator<Item = u16> {
        self.capabilities.iter().filter(move |(known, _)| *known == id).map(|(_, at)| *at)
    }

    /// Its BARs, by number.
    #[must_use]
    pub fn bars(&self) -> &[Bar] {
        &self.bars
    }

    /// The ranges it decodes at the moment; none while memory decoding is off.
    pub fn decoded(&self) -> impl Iterator<Item = BarRange> {
        let on = self.command() & command::MEMORY != 0;
        self.bars.iter().filter(move |_| on).map(|bar| bar.range(self))
    }

    /// Whether its header is a bridge's.
    #[must_use]
    pub fn is_bridge(&self) -> bool {
        self.get16(header::TYPE).to_le_bytes()[0] == 1
    }

    /// The command register.
    #[must_use]
    pub fn command(&self) -> u16 {
        self.get16(header::COMMAND)
    }

    /// Shows in the status register whether INTx is asked for.
    pub fn set_interrupt_status(&mut self, asked: bool) {
        let without = self.get16(header::STATUS) & !status::INTERRUPT;
        self.set16(header::STATUS, if asked { without | status::INTERRUPT } else { without });
    }

    /// The 16 bits at `offset`.
    #[must_use]
    pub fn get16(&self, offset: u16) -> u16 {
        u16::from_le_bytes(self.registers.get(offset))
    }

    /// The 32 bits at `offset`.
    #[must_use]
    pub fn get32(&self, offset: u16) -> u32 {
        u32::from_le_bytes(self.registers.get(offset))
    }

    /// Sets bytes as the device or the firmware does, whatever software may change.
    pub fn set(&mut self, offset: u16, bytes: &[u8]) {
        self.registers.set(offset, bytes);
    }

    /// Sets 16 bits, as [`set`](Self::set).
    pub fn set16(&mut self, offset: u16, value: u16) {
        self.set(offset, &value.to_le_bytes());
    }

    /// Sets 32 bits, as [`set`](Self::set).
    pub fn set32(&mut self, offset: u16, value: u32) {
        self.set(offset, &value.to_le_bytes());
    }

    fn link_standard(&mut self, id: u8, len_bytes: u16) -> u16 {
        let at = self.next;
        self.next += len_bytes.next_multiple_of(4);
        assert!(self.next <= CONVENTIONAL_BYTES, "capability {id:#x} does not fit behind {at:#x}");
        self.set16(header::STATUS, self.get16(header::STATUS) | status::CAPABILITIES);
        // Below 256, as just asserted.
        self.set(self.link, &at.to_le_bytes()[..1]);
        self.set(at, &[id, 0]);
        self.link = at + 1;
        at
    }

    fn link_extended(&mut self, len_bytes: u16) -> u16 {
        let at = self.next_extended;
        self.next_extended += len_bytes.next_multiple_of(4);
        assert!(self.next_extended <= CONFIG_BYTES, "an extended capability does not fit behind {at:#x}");
        let last = self.capabilities.iter().rev().find(|(id, _)| matches!(id, CapabilityId::Extended(_)));
        if let Some((_, last)) = last.copied() {
            let pointer = self.get32(last) | u32::from(at) << 20;
            self.set32(last, pointer);
        }
        at
    }
}

#[cfg(test)]
mod tests;
