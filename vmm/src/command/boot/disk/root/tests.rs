//! Partition tables as tools write them, and such as nobody writes.

use std::fs::File;
use std::io::Write;

use super::{Root, TYPES, of};

/// An anonymous file with these bytes at these places, and zeroes up to a MiB.
fn disk(pieces: &[(usize, &[u8])]) -> File {
    let mut bytes = vec![0; 1 << 20];
    for (at, piece) in pieces {
        bytes[*at..at + piece.len()].copy_from_slice(piece);
    }
    let memory = rustix::fs::memfd_create("disk", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(memory);
    file.write_all(&bytes).unwrap();
    file
}

const MARK: (usize, &[u8]) = (510, &[0x55, 0xaa]);

/// Where the entry `number` of a master boot record has its kind.
const fn kind(number: usize) -> usize {
    446 + 16 * number + 4
}

/// A GUID table whose entries begin at sector 2, of the types at these numbers.
fn guid(header: &[(usize, &[u8])], types: &[(usize, [u8; 16])]) -> File {
    let mut pieces = vec![MARK, (kind(0), &[0xee][..]), (512, b"EFI PART")];
    pieces.extend([(584, &[2][..]), (592, &[128]), (596, &[128])]);
    pieces.extend(header);
    pieces.extend(types.iter().map(|(number, guid)| (1024 + 128 * number, &guid[..])));
    disk(&pieces)
}

#[test]
fn a_disk_without_a_table_is_one_file_system() {
    assert_eq!(of(&disk(&[])), Ok(Root::Disk));
    assert_eq!(of(&disk(&[MARK])), Ok(Root::Disk));
    // A boot sector of FAT: code where entries would be.
    assert_eq!(of(&disk(&[MARK, (446, &[0xcd; 64])])), Ok(Root::Disk));
    let empty = File::from(rustix::fs::memfd_create("disk", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    assert_eq!(of(&empty), Ok(Root::Disk));
}

#[test]
fn the_first_partition_of_linux_in_a_master_boot_record_is_the_root() {
    for (number, at) in (1..).zip(0..4) {
        assert_eq!(of(&disk(&[MARK, (kind(at), &[0x83])])), Ok(Root::Partition(number)));
    }
    assert_eq!(of(&disk(&[MARK, (kind(0), &[0x0c]), (kind(1), &[0x83])])), Ok(Root::Partition(2)));
    let message = of(&disk(&[MARK, (kind(0), &[0x0c])])).unwrap_err();
    assert!(message.contains("say root= in --cmdline"), "{message}");
}

/// Debian's cloud images: root first, then number 14 for GRUB and number 15 for EFI.
#[test]
fn a_guid_tables_root_goes_before_data_and_data_before_nothing() {
    let [root, data] = TYPES;
    let other = [0x28; 16];
    assert_eq!(of(&guid(&[], &[(0, root), (13, other), (14, other)])), Ok(Root::Partition(1)));
    assert_eq!(of(&guid(&[], &[(0, other), (1, data), (2, data)])), Ok(Root::Partition(2)));
    assert_eq!(of(&guid(&[], &[(0, data), (127, root)])), Ok(Root::Partition(128)));
    assert!(of(&guid(&[], &[(0, other)])).is_err());
}

#[test]
fn a_broken_guid_table_is_one_line() {
    let root = [(0, TYPES[0])];
    for broken in [
        (512, &b"EFI PORT"[..]),
        (584, &[0xff; 8]),
        (584, &[0, 0, 0, 1]),
        (596, &[127]),
        (596, &[0xff; 4]),
        (597, &[0xff]),
    ] {
        let message = of(&guid(&[broken], &root)).unwrap_err();
        assert!(message.contains("say root= in --cmdline") && !message.contains('\n'), "{message}");
    }
    assert_eq!(of(&guid(&[(592, &[0xff; 4])], &root)), Ok(Root::Partition(1)), "the first 128 count");
}
