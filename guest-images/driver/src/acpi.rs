//! What the firmware's tables say of the machine: where the remapping unit and the configuration window lie.
//!
//! Invariant: a table counts only if its bytes sum up to 0. Source: ACPI 6.5, 5.2.5 (root pointer), 5.2.6 (header), 5.2.8
//! (XSDT); PCI Firmware 3.3, 4.1.2 (MCFG); VT-d 8.1, 8.3 (DMAR, hardware unit).

use crate::hardware::load8;

/// Where the root pointer may lie, at a multiple of 16.
const FIRMWARE: core::ops::Range<u64> = 0xe_0000..0x10_0000;
const ROOT_POINTER: [u8; 8] = *b"RSD PTR ";
/// In the root pointer: the address of the XSDT, and how long it all is.
const XSDT: u64 = 24;
const ROOT_POINTER_BYTES: u64 = 36;
/// Of a table's header.
const LEN_BYTES: u64 = 4;
const HEADER_BYTES: u64 = 36;
/// In MCFG: the base of the first window.
const WINDOW: u64 = 44;
/// In DMAR: the first structure; in a structure: kind, length, and of a unit the base of its registers.
const STRUCTURES: u64 = 48;
const STRUCTURE_BYTES: u64 = 2;
const REGISTERS: u64 = 8;
const HARDWARE_UNIT: u16 = 0;

/// Where the first PCI segment's configuration window lies.
#[must_use]
pub fn configuration_window() -> Option<u64> {
    Some(read64(table(*b"MCFG")? + WINDOW))
}

/// Where the registers of the first remapping unit lie.
#[must_use]
pub fn remapping_unit() -> Option<u64> {
    let table = table(*b"DMAR")?;
    let end = table + len_bytes(table);
    let mut at = table + STRUCTURES;
    while at < end {
        if read16(at) == HARDWARE_UNIT {
            return Some(read64(at + REGISTERS));
        }
        at += u64::from(read16(at + STRUCTURE_BYTES)).max(1);
    }
    None
}

/// Where the table of that signature lies.
fn table(signature: [u8; 4]) -> Option<u64> {
    let mut places = FIRMWARE.step_by(16);
    let root = places.find(|&at| read64(at) == u64::from_le_bytes(ROOT_POINTER))?;
    let list = read64(root + XSDT);
    if !sums_up(root, ROOT_POINTER_BYTES) || !sums_up(list, len_bytes(list)) {
        return None;
    }
    let mut entries = (list + HEADER_BYTES..list + len_bytes(list)).step_by(8).map(read64);
    entries.find(|&at| read32(at) == u32::from_le_bytes(signature) && sums_up(at, len_bytes(at)))
}

fn len_bytes(table: u64) -> u64 {
    read32(table + LEN_BYTES).into()
}

fn sums_up(at: u64, len_bytes: u64) -> bool {
    (at..at + len_bytes).fold(0_u8, |sum, at| sum.wrapping_add(load8(at))) == 0
}

// Byte by byte: fields lie where they lie, aligned or not.

fn read16(at: u64) -> u16 {
    u16::from_le_bytes([load8(at), load8(at + 1)])
}

fn read32(at: u64) -> u32 {
    u32::from(read16(at)) | u32::from(read16(at + 2)) << 16
}

fn read64(at: u64) -> u64 {
    u64::from(read32(at)) | u64::from(read32(at + 4)) << 32
}
