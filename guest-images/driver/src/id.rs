//! What things are called between driver, unit and device.

use core::fmt;

/// A domain, as context and PASID entries name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Domain(pub u16);

/// A process, as requests name it. Below 2^20.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pasid(pub u32);

/// A PCI function, as requests name it: bus, device, function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source(pub u16);

/// An entry of the interrupt remapping table, as messages name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Index(pub u16);

/// An interrupt, as the processor takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vector(pub u8);

/// An address as a device issues it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Iova(pub u64);

impl Source {
    /// The bus.
    #[must_use]
    pub const fn bus(self) -> u64 {
        self.0 as u64 >> 8
    }

    /// Device and function.
    #[must_use]
    pub const fn devfn(self) -> u64 {
        self.0 as u64 & 0xff
    }
}

impl Iova {
    /// The first address of its page of 4 KiB.
    #[must_use]
    pub const fn page(self) -> u64 {
        self.0 & !0xfff
    }

    /// Which entry of a table of `level` translates it, 1 for the tables of leaves.
    #[must_use]
    pub const fn index(self, level: u32) -> u64 {
        self.0 >> (12 + 9 * (level - 1)) & 511
    }
}

impl fmt::Display for Iova {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
