//! The root pointer and the two lists of tables: with addresses of 64 bits, and for older kernels of 32.
//!
//! Source: ACPI 6.5, 5.2.5.3 (RSDP), 5.2.7 (RSDT), 5.2.8 (XSDT).

use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;

use super::{OEM, OEM_REVISION, OEM_TABLE, low};

/// Bytes of a table's header.
const HEADER_BYTES: u32 = 36;
/// In the pointer: the bytes that ACPI 1.0 knows, where they have their checksum and the older list, and where all of it
/// has its checksum.
const FIRST_PART: usize = 20;
const FIRST_CHECKSUM: usize = 8;
const OLDER_LIST: usize = 16;
const CHECKSUM: usize = 32;

/// RSDT.
pub(super) fn older_list(tables: &[u64]) -> Vec<u8> {
    list(*b"RSDT", &tables.iter().flat_map(|at| low(*at).to_le_bytes()).collect::<Vec<_>>())
}

/// XSDT.
pub(super) fn list_of_tables(tables: &[u64]) -> Vec<u8> {
    list(*b"XSDT", &tables.iter().flat_map(|at| at.to_le_bytes()).collect::<Vec<_>>())
}

fn list(signature: [u8; 4], entries: &[u8]) -> Vec<u8> {
    let mut table = Sdt::new(signature, HEADER_BYTES, 1, OEM, OEM_TABLE, OEM_REVISION);
    table.append_slice(entries);
    table.as_slice().to_vec()
}

/// RSDP.
pub(super) fn pointer(older_list: u64, list: u64) -> Vec<u8> {
    let mut pointer = super::bytes(&Rsdp::new(OEM, list));
    pointer[OLDER_LIST..FIRST_PART].copy_from_slice(&low(older_list).to_le_bytes());
    for (checksum, len) in [(FIRST_CHECKSUM, FIRST_PART), (CHECKSUM, pointer.len())] {
        pointer[checksum] = 0;
        let sum = pointer[..len].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        pointer[checksum] = 0_u8.wrapping_sub(sum);
    }
    pointer
}
