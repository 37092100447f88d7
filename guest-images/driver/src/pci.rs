//! Functions on PCI bus 0 and behind its root ports, through the configuration window in memory.
//!
//! Invariant: registers are accessed by their own width. Source: PCI Local Bus 3.0, 6.1 and 6.2.5; PCI-to-PCI Bridge 1.2, 3.2; PCI Express 4.0, 7.2.2
//! (window), 7.6.3 (extended capabilities).

use crate::hardware::{load8, load16, load32, store16, store32};
use crate::id::Source;

/// Where the window of bus 0 begins. One page for each function.
pub(crate) const WINDOW: u64 = 0xe000_0000;
const DEVICES: u16 = 32;
/// Registers.
const IDENTITY: u16 = 0x00;
const COMMAND: u16 = 0x04;
const HEADER_TYPE: u16 = 0x0e;
const BRIDGE: u8 = 1;
const SECONDARY_BUS: u16 = 0x19;
const BAR_0: u16 = 0x10;
const CAPABILITIES: u16 = 0x34;
const INTERRUPT_LINE: u16 = 0x3c;
const EXTENDED: u16 = 0x100;
/// In COMMAND: the function answers in memory, and may reach it.
const MEMORY: u16 = 1 << 1;
const BUS_MASTER: u16 = 1 << 2;
/// In a BAR's lower half: what is no address; 64 bits wide.
const FLAGS: u32 = 0xf;
const WIDE: u32 = 1 << 2;

/// One function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Function(Source);

/// A capability's id, in the list of its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capability {
    /// In the first 256 bytes.
    Near(u8),
    /// Behind them.
    Extended(u16),
}

impl Capability {
    /// Message-signalled interrupts.
    pub const MSI: Self = Self::Near(0x05);
    /// The same, with a table.
    pub const MSIX: Self = Self::Near(0x11);
    /// Address translation services.
    pub const ATS: Self = Self::Extended(0x0f);
    /// Page requests.
    pub const PRI: Self = Self::Extended(0x13);
    /// Process address space ids.
    pub const PASID: Self = Self::Extended(0x1b);
}

impl Function {
    /// The functions of that vendor and device, in the order of their numbers, one behind a port at the port's.
    pub fn all(vendor: u16, device: u16) -> impl Iterator<Item = Self> {
        let identity = u32::from(device) << 16 | u32::from(vendor);
        let known = (0..DEVICES).map(|number| Self(Source(number << 3)));
        known
            .filter(|it| it.read32(IDENTITY) != u32::MAX)
            .flat_map(|it| [Some(it), it.behind()])
            .flatten()
            .filter(move |it| it.read32(IDENTITY) == identity)
    }

    /// Device 0 of the bus behind it, if it is a bridge to one.
    fn behind(self) -> Option<Self> {
        let is_bridge = self.read8(HEADER_TYPE) & 0x7f == BRIDGE;
        is_bridge.then(|| Self(Source(u16::from(self.read8(SECONDARY_BUS)) << 8)))
    }

    /// What its requests carry.
    #[must_use]
    pub const fn source(self) -> Source {
        self.0
    }

    /// Lets it answer and reach memory.
    pub fn enable(self) {
        self.write16(COMMAND, self.read16(COMMAND) | MEMORY | BUS_MASTER);
    }

    /// Where its first BAR lies.
    #[must_use]
    pub fn bar(self) -> u64 {
        let low = self.read32(BAR_0);
        let high = if low & WIDE != 0 { self.read32(BAR_0 + 4) } else { 0 };
        u64::from(high) << 32 | u64::from(low & !FLAGS)
    }

    /// Which input of the I/O APIC its line leads to, as the firmware left it.
    #[must_use]
    pub fn line(self) -> u8 {
        self.read8(INTERRUPT_LINE)
    }

    /// Where its capability lies, if it has it.
    #[must_use]
    pub fn capability(self, capability: Capability) -> Option<u16> {
        match capability {
            Capability::Near(id) => self.near(id),
            Capability::Extended(id) => self.extended(id),
        }
    }

    fn near(self, id: u8) -> Option<u16> {
        let mut at = u16::from(self.read8(CAPABILITIES));
        while at != 0 {
            let header = self.read16(at);
            if header & 0xff == u16::from(id) {
                return Some(at);
            }
            at = header >> 8;
        }
        None
    }

    fn extended(self, id: u16) -> Option<u16> {
        let mut at = EXTENDED;
        while at != 0 {
            let header = self.read32(at);
            if header & 0xffff == u32::from(id) {
                return Some(at);
            }
            at = u16::try_from(header >> 20).unwrap_or_default();
        }
        None
    }

    fn place(self, register: u16) -> u64 {
        WINDOW + u64::from(self.0.0) * 0x1000 + u64::from(register)
    }

    /// Reads 8 bits of the register there.
    #[must_use]
    pub fn read8(self, register: u16) -> u8 {
        load8(self.place(register))
    }

    /// Reads 16 bits.
    #[must_use]
    pub fn read16(self, register: u16) -> u16 {
        load16(self.place(register))
    }

    /// Reads 32 bits.
    #[must_use]
    pub fn read32(self, register: u16) -> u32 {
        load32(self.place(register))
    }

    /// Writes 16 bits.
    pub fn write16(self, register: u16, value: u16) {
        store16(self.place(register), value);
    }

    /// Writes 32 bits.
    pub fn write32(self, register: u16, value: u32) {
        store32(self.place(register), value);
    }
}
