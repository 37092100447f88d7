//! The machine's physical addresses.
//!
//! Invariant: memory is one piece from 0 on up to [`HOLE`], and what does not fit there is another from [`HOLE_BEHIND`] on;
//! everything between belongs to devices. Images, and what they are told, lie in the first piece.

use std::ops::Range;

use super::bytes::put;

/// What boot protocols leave for the guest to read: pages of conventional memory.
pub const INFORMATION: Range<u64> = 0x1_0000..0x9_f000;
/// Conventional memory ends here.
pub const CONVENTIONAL_END: u64 = 0x9_fc00;
/// The ACPI tables, their root pointer first, where firmware's read-only memory would be.
pub const ACPI: u64 = 0xe_0000;
/// Bytes of them at most.
pub const ACPI_BYTES: u64 = 0x1_0000;
/// The SMBIOS tables, their entry point first, where a BIOS has it; services and reset vector lie at the segment's end.
pub const SMBIOS: u64 = 0xf_0000;
/// Bytes of them at most.
pub const SMBIOS_BYTES: u64 = 0x1000;
/// Memory goes on here.
pub const HIGH_MEMORY: u64 = 0x10_0000;
/// Where BARs are placed, and where the first piece of memory must have ended.
pub const HOLE: u64 = 0xc000_0000;
/// Where the second piece begins: interrupt messages, local APICs and firmware lie below.
pub const HOLE_BEHIND: u64 = 1 << 32;
/// The first address behind the place for BARs.
pub const HOLE_END: u64 = ECAM;
/// Configuration space of bus 0; that of the buses behind root ports follows, a MiB each.
pub const ECAM: u64 = 0xe000_0000;
/// What is kept of it from memory: bus 0 has 32 places, of which the host bridge takes one.
pub const ECAM_BYTES: u64 = 32 * devices::pci::host_bridge::ECAM_BYTES_PER_BUS;
/// Registers of the remapping unit.
pub const REMAPPING_UNIT: u64 = 0xfed9_0000;

/// Registers of the local APICs, and the addresses of interrupt messages.
pub const LOCAL_APICS: u64 = 0xfee0_0000;

/// What a range is for, in the numbers that E820, Multiboot and PVH share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Memory for the guest.
    Memory = 1,
    /// Not for the guest.
    Reserved = 2,
}

/// A range and its use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// The addresses.
    pub range: Range<u64>,
    /// Their use.
    pub used: Use,
}

impl Region {
    /// Start, length and use in 20 bytes, as all three protocols have them.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        put(&mut bytes, 0, self.range.start.to_le_bytes());
        put(&mut bytes, 8, (self.range.end - self.range.start).to_le_bytes());
        put(&mut bytes, 16, (self.used as u32).to_le_bytes());
        bytes
    }
}

/// Where the first piece of memory ends of `memory_bytes` bytes.
#[must_use]
pub fn first_piece_end(memory_bytes: u64) -> u64 {
    memory_bytes.min(HOLE)
}

/// The addresses of its second piece, none of them if there is none.
#[must_use]
pub fn second_piece(memory_bytes: u64) -> Range<u64> {
    HOLE_BEHIND..HOLE_BEHIND + memory_bytes.saturating_sub(HOLE)
}

/// The memory map of a machine with `memory_bytes` bytes, ascending.
#[must_use]
pub fn regions(memory_bytes: u64) -> Vec<Region> {
    let region = |range, used| Region { range, used };
    let mut regions = vec![
        region(0..CONVENTIONAL_END, Use::Memory),
        region(CONVENTIONAL_END..0xa_0000, Use::Reserved),
        region(ACPI..HIGH_MEMORY, Use::Reserved),
        region(HIGH_MEMORY..first_piece_end(memory_bytes).max(HIGH_MEMORY), Use::Memory),
        region(ECAM..ECAM + ECAM_BYTES, Use::Reserved),
    ];
    let second = second_piece(memory_bytes);
    if !second.is_empty() {
        regions.push(region(second, Use::Memory));
    }
    regions
}

#[cfg(test)]
mod tests;
