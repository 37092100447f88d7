//! What a file is as a disk, and what becomes of its errors.

use std::fs::File;

use super::{Access, Disk, DiskError, Status};

fn disk(path: &str, len_bytes: u64, serial: &str) -> Result<Disk, DiskError> {
    let file = File::open(path).expect("every host has it");
    Disk::new(file, len_bytes, path.to_owned(), Access::ReadWrite, serial)
}

#[test]
fn after_a_flush_that_failed_none_succeeds() {
    let mut disk = disk("/dev/zero", 512, "").unwrap();
    assert_eq!(disk.flush(), Err(Status::Failed), "such a file cannot be flushed");
    disk.file = File::open("/proc/self/exe").expect("it runs");
    assert!(disk.file.sync_data().is_ok(), "and this one can");
    assert_eq!(disk.flush(), Err(Status::Failed));
}

#[test]
fn a_file_without_whole_sectors_is_no_disk() {
    for bytes in [0, 1, 511, 513] {
        assert_eq!(disk("/dev/zero", bytes, "").unwrap_err(), DiskError::Length { bytes });
    }
    assert!(disk("/dev/zero", 512, "").is_ok());
}

#[test]
fn a_number_has_20_printable_bytes_at_most() {
    assert_eq!(disk("/dev/zero", 512, "12345678901234567890").unwrap().serial(), *b"12345678901234567890");
    for (serial, bytes) in [("123456789012345678901", 21), ("a b", 3), ("a\nb", 3), ("\u{e9}", 2)] {
        assert_eq!(disk("/dev/zero", 512, serial).unwrap_err(), DiskError::Serial { bytes }, "{serial}");
    }
}
