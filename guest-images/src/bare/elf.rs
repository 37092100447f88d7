//! An ELF file with one segment, and perhaps a note.
//!
//! Source: System V ABI, chapters 4 and 5.

use super::ElfWidth;

/// The segment's place in the file, as in memory the beginning of a page.
const OFFSET: u32 = 0x1000;
const EXECUTABLE: u16 = 2;
const LOAD: u32 = 1;
const NOTE: u32 = 4;
/// The kind of the note that names a 32-bit entry.
const PVH_ENTRY: u32 = 18;
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

/// An ELF64 file with a PVH note for `entry`, and `code` at `address`.
pub(super) fn with_note(code: &[u8], address: u32, entry: u32) -> Vec<u8> {
    let mut file = wrap(code, address, entry, ElfWidth::Bits64);
    let note_at = file.len() as u64;
    // Lengths of name and content, kind, name, content.
    let note = [4, 4, PVH_ENTRY, u32::from_le_bytes(*b"Xen\0"), entry];
    file.extend(note.iter().flat_map(|word| word.to_le_bytes()));
    file[56..58].copy_from_slice(&2_u16.to_le_bytes());
    let header = [u64::from(NOTE), note_at, 0, 0, 20, 20, 4];
    for (at, word) in (120..).step_by(8).zip(header) {
        file[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
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
