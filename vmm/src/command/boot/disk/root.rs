//! Where on a disk Linux's root is: what its partition table says.
//!
//! Invariant: a table is bytes that somebody made: whatever they are, a bounded number of them is read, and the answer is a
//! place or one line. A disk without a table is one file system. Source: UEFI 2.10, 5.2 (MBR) and 5.3 (GPT); the
//! Discoverable Partitions Specification (types).

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Where the root is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::command::boot) enum Root {
    /// On the whole disk.
    Disk,
    /// On its partition of that number, from 1 on.
    Partition(u32),
}

const SECTOR: usize = 512;
/// The two bytes that end a master boot record, its four entries and their kinds.
const MARK: (usize, [u8; 2]) = (510, [0x55, 0xaa]);
const ENTRIES: usize = 446;
const ENTRY_BYTES: usize = 16;
const LINUX: u8 = 0x83;
const PROTECTIVE: u8 = 0xee;
/// The GUID table: its header's mark, entries and their kinds.
const HEADER_MARK: &[u8] = b"EFI PART";
const MOST_ENTRIES: usize = 128;
const GUID_ENTRY_BYTES: std::ops::RangeInclusive<usize> = 128..=4096;
/// Types, the best first: root for x86-64, and data of Linux.
const TYPES: [[u8; 16]; 2] = [
    [0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09],
    [0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4],
];

/// Where it is on the disk of `file`.
///
/// # Errors
/// What is wrong with the table, to stand behind the disk's name.
pub(super) fn of(file: &File) -> Result<Root, &'static str> {
    let mut first = [0; SECTOR];
    if file.read_exact_at(&mut first, 0).is_err() || first[MARK.0..] != MARK.1 {
        return Ok(Root::Disk);
    }
    let entries = first[ENTRIES..MARK.0].chunks_exact(ENTRY_BYTES);
    let kinds: Vec<u8> = entries.clone().map(|entry| entry[4]).collect();
    // A boot sector of a file system ends with the mark, too, and has code where entries would be.
    let is_table = entries.clone().all(|entry| entry[0] & 0x7f == 0) && kinds.iter().any(|kind| *kind != 0);
    match kinds.iter().position(|kind| *kind == LINUX) {
        _ if !is_table => Ok(Root::Disk),
        _ if kinds.contains(&PROTECTIVE) => by_guid(file),
        Some(at) => Ok(Root::Partition(number(at))),
        None => Err("has a partition table without a partition of Linux; say root= in --cmdline"),
    }
}

fn by_guid(file: &File) -> Result<Root, &'static str> {
    const BROKEN: &str = "has a GUID partition table that cannot be read; say root= in --cmdline";
    let mut header = [0; 92];
    file.read_exact_at(&mut header, SECTOR as u64).map_err(|_| BROKEN)?;
    let word = |at: usize| header[at..at + 4].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let (start, count, len) = (word(72) | word(76) << 32, word(80), word(84));
    if !header.starts_with(HEADER_MARK) || !GUID_ENTRY_BYTES.contains(&len) || start >> 40 != 0 {
        return Err(BROKEN);
    }
    let mut entries = vec![0; len * count.min(MOST_ENTRIES)];
    file.read_exact_at(&mut entries, (start * SECTOR) as u64).map_err(|_| BROKEN)?;
    let of_type = |kind: &[u8; 16]| entries.chunks_exact(len).position(|entry| entry.starts_with(kind));
    match TYPES.iter().find_map(of_type) {
        Some(at) => Ok(Root::Partition(number(at))),
        None => Err("has a GUID partition table without a partition of Linux; say root= in --cmdline"),
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or_else(|_| unreachable!("tables have 128 entries at most"))
}

impl Root {
    /// What Linux calls it, on the first disk of all.
    pub(in crate::command::boot) fn device(self) -> String {
        match self {
            Self::Disk => "/dev/vda".to_owned(),
            Self::Partition(number) => format!("/dev/vda{number}"),
        }
    }
}

#[cfg(test)]
mod tests;
