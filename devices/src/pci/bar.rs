//! Base address registers: where a function's registers appear in memory.
//!
//! Invariant: a BAR's size is a power of two, and its address, whatever software writes, is a multiple of it. Source:
//! PCI 3.0, 6.2.5.1.

use std::fmt;

use super::config::{ConfigSpace, header};

/// In a BAR: a 64-bit address, whose upper half stands in the next register.
const SIXTY_FOUR: u64 = 0b100;
/// The bits below the address.
const FLAGS: u64 = 0xf;

/// How wide a BAR's address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BarWidth {
    /// 32 bits, one register.
    Bits32,
    /// 64 bits, two registers.
    Bits64,
}

/// A memory BAR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bar {
    number: u8,
    len_bytes: u64,
    width: BarWidth,
}

/// What a BAR decodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BarRange {
    /// Which BAR.
    pub number: u8,
    /// The first address.
    pub start: u64,
    /// How many bytes.
    pub len_bytes: u64,
}

impl Bar {
    /// BAR `number` with `len_bytes` bytes of memory.
    ///
    /// # Panics
    /// If there is no such BAR, or the length is no power of two from 16 to 2 GiB.
    #[must_use]
    pub fn new(number: u8, len_bytes: u64, width: BarWidth) -> Self {
        let last = if width == BarWidth::Bits64 { 4 } else { 5 };
        assert!(number <= last, "there is no BAR {number} of {width:?}");
        assert!(
            len_bytes.is_power_of_two() && (16..=1 << 31).contains(&len_bytes),
            "no BAR has {len_bytes} bytes"
        );
        Self { number, len_bytes, width }
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// Its length.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Its offset in configuration space.
    #[must_use]
    pub fn offset(&self) -> u16 {
        header::BARS + 4 * u16::from(self.number)
    }

    /// Where it is at the moment.
    #[must_use]
    pub fn range(&self, config: &ConfigSpace) -> BarRange {
        let low = u64::from(config.get32(self.offset())) & !FLAGS;
        let high = match self.width {
            BarWidth::Bits32 => 0,
            BarWidth::Bits64 => u64::from(config.get32(self.offset() + 4)) << 32,
        };
        BarRange { number: self.number, start: high | low, len_bytes: self.len_bytes }
    }

    /// Puts it at `address`, as firmware does.
    pub fn place(&self, config: &mut ConfigSpace, address: u64) {
        let bytes = (address & !(self.len_bytes - 1) | self.flags()).to_le_bytes();
        config.set(self.offset(), &bytes[..self.registers_bytes()]);
    }

    pub(super) fn initial(&self) -> Vec<u8> {
        self.flags().to_le_bytes()[..self.registers_bytes()].to_vec()
    }

    pub(super) fn writable(&self) -> Vec<u8> {
        (!(self.len_bytes - 1)).to_le_bytes()[..self.registers_bytes()].to_vec()
    }

    fn flags(&self) -> u64 {
        if self.width == BarWidth::Bits64 { SIXTY_FOUR } else { 0 }
    }

    fn registers_bytes(&self) -> usize {
        if self.width == BarWidth::Bits64 { 8 } else { 4 }
    }
}

impl BarRange {
    /// The offset of `address` in it, if it lies there.
    #[must_use]
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        address.checked_sub(self.start).filter(|offset| *offset < self.len_bytes)
    }

    /// Whether it shares a byte with the `len_bytes` bytes from `start` on.
    #[must_use]
    pub fn overlaps(&self, start: u64, len_bytes: u64) -> bool {
        self.start < start.saturating_add(len_bytes) && start < self.start.saturating_add(self.len_bytes)
    }
}

impl fmt::Display for BarRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BAR {} at {:#x} ({:#x} bytes)", self.number, self.start, self.len_bytes)
    }
}
