//! Where an ELF file's fields lie: the two widths.

use crate::boot::bytes::{u8_at, u32_at, u64_at};

/// Offsets and lengths in bytes, for one width of the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    wide: bool,
    /// In the file header: entry, offset of the program headers, their number.
    pub(super) entry: usize,
    pub(super) headers: usize,
    pub(super) header_count: usize,
    /// In a program header: offset in the file, physical address, bytes in the file and in memory.
    pub(super) offset: usize,
    pub(super) physical: usize,
    pub(super) file_bytes: usize,
    pub(super) memory_bytes: usize,
    /// Bytes of a program header.
    pub(super) header_bytes: u64,
}

const NARROW: Layout = Layout {
    wide: false,
    entry: 24,
    headers: 28,
    header_count: 44,
    offset: 4,
    physical: 12,
    file_bytes: 16,
    memory_bytes: 20,
    header_bytes: 32,
};

const WIDE: Layout = Layout {
    wide: true,
    entry: 24,
    headers: 32,
    header_count: 56,
    offset: 8,
    physical: 24,
    file_bytes: 32,
    memory_bytes: 40,
    header_bytes: 56,
};

impl Layout {
    /// That of a little-endian file.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match (u8_at(bytes, 4)?, u8_at(bytes, 5)?) {
            (1, 1) => Some(NARROW),
            (2, 1) => Some(WIDE),
            _ => None,
        }
    }

    /// An address or a length at `offset`.
    pub(super) fn word(&self, bytes: &[u8], offset: usize) -> Option<u64> {
        if self.wide { u64_at(bytes, offset) } else { u32_at(bytes, offset).map(u64::from) }
    }
}
