//! Entries of the tables that a unit walks, as the specification draws them.
//!
//! Invariant: nothing here is shared with the emulated unit: a driver that took over the unit's layouts could not find
//! an error in them. Source: VT-d 9.1 (root), 9.3 (context), 9.4 (scalable context), 9.5 (PASID directory), 9.6 (PASID
//! entry), 9.7 (first stage), 9.8 (second stage).

use crate::id::{Domain, Source};
use crate::memory::Frame;

const PRESENT: u64 = 1;

/// A table's depth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Levels {
    /// 39 bits of address; second stage only.
    Three,
    /// 48 bits.
    Four,
    /// 57 bits; first stage only.
    Five,
}

/// Whether a device's own cache of translations is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceTlb {
    /// Requests come untranslated.
    Off,
    /// They may come translated.
    On,
}

/// What a PASID entry says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Translation {
    /// A first-stage table.
    First(u64, Levels),
    /// A second-stage table.
    Second(u64, Levels),
    /// A first-stage table whose addresses, like its entries', pass through a second-stage table.
    Nested {
        /// The first stage.
        first: (u64, Levels),
        /// The second.
        second: (u64, Levels),
    },
    /// Addresses are physical.
    PassThrough,
}

impl Levels {
    /// How many.
    #[must_use]
    pub const fn count(self) -> u32 {
        match self {
            Self::Three => 3,
            Self::Four => 4,
            Self::Five => 5,
        }
    }

    /// AW: 1 for 39 bits, 2 for 48.
    const fn second_width(self) -> u64 {
        self.count() as u64 - 2
    }

    /// FLPM: 0 for four levels, 1 for five.
    const fn first_mode(self) -> u64 {
        matches!(self, Self::Five) as u64
    }
}

/// P, in an entry's first word.
#[must_use]
pub const fn is_present(first: u64) -> bool {
    first & PRESENT != 0
}

/// An entry of the root table, of the directory of PASIDs: where the next table lies.
#[must_use]
pub const fn link(table: u64) -> u64 {
    table | PRESENT
}

/// Where such an entry leads.
#[must_use]
pub(crate) const fn linked(entry: u64) -> Frame {
    Frame::at(entry & !0xfff)
}

/// Which word of the root table leads to the context table of the function's bus, of its first 16 devices in scalable mode.
#[must_use]
pub const fn root(source: Source) -> u64 {
    2 * source.bus()
}

/// A context entry of legacy mode.
#[must_use]
pub const fn context(table: u64, levels: Levels, domain: Domain, device_tlb: DeviceTlb) -> [u64; 2] {
    let kind = match device_tlb {
        DeviceTlb::Off => 0,
        DeviceTlb::On => 1 << 2,
    };
    [table | kind | PRESENT, levels.second_width() | (domain.0 as u64) << 8]
}

/// A context entry of legacy mode that lets addresses pass.
#[must_use]
pub const fn pass_through_context(domain: Domain) -> [u64; 2] {
    [2 << 2 | PRESENT, Levels::Four.second_width() | (domain.0 as u64) << 8]
}

/// The first two words of a context entry of scalable mode: 64 directory entries, and PASID 0 for requests without one.
#[must_use]
pub const fn scalable_context(directory: u64, device_tlb: DeviceTlb) -> [u64; 2] {
    const PASIDS: u64 = 1 << 3;
    const PAGE_REQUESTS: u64 = 1 << 4;
    let device_tlb = match device_tlb {
        DeviceTlb::Off => 0,
        DeviceTlb::On => 1 << 2 | PAGE_REQUESTS,
    };
    [directory | device_tlb | PASIDS | PRESENT, 0]
}

/// The first three words of a PASID entry; the others are 0. The first is to be written last.
#[must_use]
pub const fn pasid(translation: Translation, domain: Domain) -> [u64; 3] {
    let (first, second, kind) = match translation {
        Translation::First(table, levels) => (first_stage(table, levels), 0, 1),
        Translation::Second(table, levels) => (0, second_stage(table, levels), 2),
        Translation::Nested { first, second } => {
            (first_stage(first.0, first.1), second_stage(second.0, second.1), 3)
        }
        Translation::PassThrough => (0, second_stage(0, Levels::Four), 4),
    };
    [second | kind << 6 | PRESENT, domain.0 as u64, first]
}

const fn first_stage(table: u64, levels: Levels) -> u64 {
    table | levels.first_mode() << 2
}

const fn second_stage(table: u64, levels: Levels) -> u64 {
    table | levels.second_width() << 2
}

/// Which format a page table has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The processor's: present, writable, the user's.
    First,
    /// Readable and writable, apart.
    Second,
}

impl Stage {
    /// What every entry that is there has set: everything is allowed.
    const fn allowed(self) -> u64 {
        match self {
            Self::First => 7,
            Self::Second => 3,
        }
    }

    /// An entry that leads to a table.
    #[must_use]
    pub const fn link(self, table: u64) -> u64 {
        table | self.allowed()
    }

    /// An entry of level 1.
    #[must_use]
    pub const fn page(self, frame: u64) -> u64 {
        frame | self.allowed()
    }

    /// An entry of level 2 that maps 2 MiB.
    #[must_use]
    pub const fn large_page(self, frame: u64) -> u64 {
        frame | 1 << 7 | self.allowed()
    }

    /// Where an entry leads.
    #[must_use]
    pub const fn address(entry: u64) -> u64 {
        entry & 0x000f_ffff_ffff_f000
    }
}

#[cfg(test)]
mod tests;
