//! Entries of the interrupt remapping table, and the messages that name them.
//!
//! Invariant: as for the other tables, the layouts are this driver's own. Source: VT-d 5.1.2 (formats), 5.1.5 (I/O APIC),
//! 9.10 (entry).

use crate::id::{Index, Source, Vector};

const PRESENT: u64 = 1;
/// In an entry: faults are not recorded.
const SILENT: u64 = 1 << 1;
/// In a message's address: it names an entry; its data are to be added to the entry's index.
const NAMES_ENTRY: u64 = 1 << 4;
const ADDS_DATA: u64 = 1 << 3;
const MESSAGES: u64 = 0xfee0_0000;

/// Who may use an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admits {
    /// Everybody.
    All,
    /// One function.
    Function(Source),
    /// All functions of its device.
    Device(Source),
    /// Functions of these buses.
    Buses {
        /// The first.
        first: u8,
        /// The last.
        last: u8,
    },
}

/// Where an entry leads: the field as it stands there. An id of 8 bits stands in its second byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Destination(pub u32);

/// An interrupt on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// Where it is written.
    pub address: u64,
    /// What.
    pub data: u32,
}

impl Destination {
    /// The only processor.
    pub const PROCESSOR: Self = Self(0);
}

impl Admits {
    const fn word(self) -> u64 {
        match self {
            Self::All => 0,
            Self::Function(source) => source.0 as u64 | 1 << 18,
            Self::Device(source) => source.0 as u64 | 3 << 16 | 1 << 18,
            Self::Buses { first, last } => (first as u64) << 8 | last as u64 | 2 << 18,
        }
    }
}

/// An entry: fixed delivery, edge triggered.
#[must_use]
pub const fn entry(vector: Vector, destination: Destination, admits: Admits) -> [u64; 2] {
    [PRESENT | (vector.0 as u64) << 16 | (destination.0 as u64) << 32, admits.word()]
}

/// The same, whose faults are not recorded.
#[must_use]
pub const fn silent([low, high]: [u64; 2]) -> [u64; 2] {
    [low | SILENT, high]
}

impl Message {
    /// One that names the entry.
    #[must_use]
    pub const fn naming(index: Index) -> Self {
        let index = index.0 as u64;
        let address = MESSAGES | NAMES_ENTRY | (index & 0x7fff) << 5 | (index >> 15) << 2;
        Self { address, data: 0 }
    }

    /// One that names the entry `added` behind `first`.
    #[must_use]
    pub const fn naming_behind(first: Index, added: u16) -> Self {
        let Self { address, .. } = Self::naming(first);
        Self { address: address | ADDS_DATA, data: added as u32 }
    }

    /// One that says itself what it wants: the compatibility format.
    #[must_use]
    pub const fn direct(vector: Vector) -> Self {
        Self { address: MESSAGES, data: vector.0 as u32 }
    }
}

/// An entry of the I/O APIC, edge triggered, that names an entry of the table. The vector serves nobody: the table decides.
#[must_use]
pub const fn line_naming(index: Index) -> u64 {
    let index = index.0 as u64;
    (index & 0x7fff) << 49 | 1 << 48 | (index >> 15) << 11
}

#[cfg(test)]
mod tests;
