//! Files that are disks of guests.
//!
//! Invariant: each test has its own, in the target folder.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub(crate) const PAGE_BYTES: u64 = 4096;

/// A disk in the target folder, all zeroes.
pub(crate) fn disk(name: &str, pages: u64) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("virtio-{name}.img"));
    let _of_an_earlier_run = fs::remove_file(&path);
    let file = File::create(&path).expect("the target folder can be written");
    file.set_len(pages * PAGE_BYTES).expect("a file can be long");
    path
}

pub(crate) fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Words at the beginning and at the end of a page of the disk.
pub(crate) fn words(file: &File, page: u64) -> [u64; 2] {
    [0, PAGE_BYTES - 8].map(|at| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, page * PAGE_BYTES + at).expect("the file is as long as it was");
        u64::from_le_bytes(bytes)
    })
}
