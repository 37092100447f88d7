//! Interrupt messages as the unit reads them, and the entries that remap them.
//!
//! Invariant: none; whatever an entry says, the message that it makes is one.
//! Source: VT-d 5.1.2 (request formats), 5.1.5 (IOAPIC), 5.1.6 (MSI), 9.10 (entry).

pub use pcie::Msi;
use pcie::SourceId;

use super::{bit, field, field16, field32};

/// Bytes of an interrupt remapping entry.
pub const ENTRY_BYTES: u64 = 16;

/// How a message says what it wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// It carries destination and vector itself.
    Compatibility,
    /// It names an entry.
    Remappable {
        /// Handle, plus subhandle if that is valid.
        index: u32,
    },
}

/// The two words of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterruptEntry(pub [u64; 2]);

/// Who may use an entry (SVT, SQ, SID).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceCheck {
    /// Everybody.
    None,
    /// This function; bits that are 0 in `mask` do not count.
    Function {
        /// The function.
        source: SourceId,
        /// The bits that count.
        mask: u16,
    },
    /// Functions of these buses.
    Buses {
        /// The lowest.
        first: u8,
        /// The highest.
        last: u8,
    },
}

impl Format {
    /// How `message` is to be read.
    #[must_use]
    pub const fn of(message: Msi) -> Self {
        if !bit(message.address, 4) {
            return Self::Compatibility;
        }
        let handle = field32(message.address, 5, 15) | field32(message.address, 2, 1) << 15;
        let subhandle = if bit(message.address, 3) { message.data & 0xffff } else { 0 };
        Self::Remappable { index: handle + subhandle }
    }
}

/// Whether bits of `message` are set that are reserved in the remappable format.
#[must_use]
pub const fn has_reserved(message: Msi) -> bool {
    message.address >> 32 != 0 || bit(message.address, 3) && message.data >> 16 != 0
}

impl InterruptEntry {
    /// P.
    #[must_use]
    pub const fn is_present(self) -> bool {
        bit(self.0[0], 0)
    }

    /// FPD.
    #[must_use]
    pub const fn hides_faults(self) -> bool {
        bit(self.0[0], 1)
    }

    /// Whether reserved bits are set, or IM, for posted interrupts, which this unit does not offer. Of a destination
    /// that is no x2APIC id, only bits 15:8 are not reserved.
    #[must_use]
    pub const fn has_reserved(self, x2apic: bool) -> bool {
        let [low, high] = self.0;
        let beside_id = if x2apic { 0 } else { low >> 32 & !0xff00 };
        field(low, 12, 4) != 0 || field(low, 24, 8) != 0 || high >> 20 != 0 || beside_id != 0
    }

    /// SVT, SQ, SID; none for the reserved type.
    #[must_use]
    pub const fn source_check(self) -> Option<SourceCheck> {
        let source = SourceId(field16(self.0[1], 0));
        match field(self.0[1], 18, 2) {
            0 => Some(SourceCheck::None),
            1 => {
                let mask = match field(self.0[1], 16, 2) {
                    0 => 0xffff,
                    1 => !4,
                    2 => !6,
                    _ => !7,
                };
                Some(SourceCheck::Function { source, mask })
            }
            2 => Some(SourceCheck::Buses { first: source.bus(), last: source.devfn() }),
            _ => None,
        }
    }

    /// The message that the entry makes. Destinations are x2APIC ids if `x2apic`, else bits 15:8 of the field.
    #[must_use]
    pub const fn message(self, x2apic: bool) -> Msi {
        let [low, _] = self.0;
        let destination = field(low, 32, 32);
        let destination = if x2apic { destination } else { field(destination, 8, 8) };
        let address = Msi::FIRST_ADDRESS
            | field(destination, 0, 8) << 12
            | field(low, 3, 1) << 3
            | field(low, 2, 1) << 2
            | (destination >> 8) << 40;
        // An edge asserts by being sent; a level-triggered message says that the line is up.
        let trigger = field32(low, 4, 1);
        Msi { address, data: field32(low, 16, 8) | field32(low, 5, 3) << 8 | trigger << 15 | 1 << 14 }
    }
}

impl SourceCheck {
    /// Whether an interrupt of `source` may use the entry.
    #[must_use]
    pub const fn admits(self, source: SourceId) -> bool {
        match self {
            Self::None => true,
            Self::Function { source: owner, mask } => (source.0 ^ owner.0) & mask == 0,
            Self::Buses { first, last } => first <= source.bus() && source.bus() <= last,
        }
    }
}
