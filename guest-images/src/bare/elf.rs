//! An ELF file with one segment.
//!
//! Source: System V ABI, chapters 4 and 5.

use super::ElfWidth;

/// The segment's place in the file, as in memory the beginning of a page.
const OFFSET: u32 = 0x1000;
const EXECUTABLE: u16 = 2;
const LOAD: u32 = 1;
const READ_WRITE_EXECUTE: u32 = 7;

/// A file that is entered at `entry` and has `code` at `address`.
pub(super) fn wrap(code: &[u8], address: u32, entry: u32, width: ElfWidth) -> Vec<u8> {
    let len_bytes = u32::try_from(code.len()).unwrap_or_else(|_| unreachable!("an image is a frame at most"));
    let mut file = match width {
        ElfWidth::Bits32 => header_32(address, entry, len_bytes),
        ElfWidth::Bits64 => header_64(address.into(), entry.into(), len_bytes.into()),
    };
    file.resize(OFFSET as usize, 0);
    file.extend_from_slice(code);
    file
}

/// Magic, class, little-endian, version, padding; then kind, machine and version.
fn identification(class: u8, machine: u16) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', class, 1, 1];
    file.resize(16, 0);
    file.extend([EXECUTABLE, machine].iter().flat_map(|half| half.to_le_bytes()));
    file.extend(1_u32.to_le_bytes());
    file
}

fn header_32(address: u32, entry: u32, len_bytes: u32) -> Vec<u8> {
    let mut file = identification(1, 3);
    file.extend([entry, 52, 0, 0].iter().flat_map(|word| word.to_le_bytes()));
    file.extend([52_u16, 32, 1, 0, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
    let segment = [LOAD, OFFSET, address, address, len_bytes, len_bytes, READ_WRITE_EXECUTE, 0x1000];
    file.extend(segment.iter().flat_map(|word| word.to_le_bytes()));
    file
}

fn header_64(address: u64, entry: u64, len_bytes: u64) -> Vec<u8> {
    let mut file = identification(2, 62);
    file.extend([entry, 64, 0].iter().flat_map(|word| word.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    file.extend([64_u16, 56, 1, 0, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
    file.extend([LOAD, READ_WRITE_EXECUTE].iter().flat_map(|word| word.to_le_bytes()));
    let segment = [u64::from(OFFSET), address, address, len_bytes, len_bytes, 0x1000];
    file.extend(segment.iter().flat_map(|word| word.to_le_bytes()));
    file
}
