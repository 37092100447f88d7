//! The file behind a disk.
//!
//! Invariant: an access lies inside the sectors that the disk had when it was opened. An error of the host becomes a status
//! for the driver, and one line for the user, however often it comes. After a flush that failed none succeeds, and none is
//! under way beside it: the host may have dropped what it could not write, and says so once for each open file, to one of
//! those who flush. Source: fsync(2), fallocate(2), and Linux' Documentation/core-api (errseq).

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use thiserror::Error;

use super::request::Status;

/// Bytes of a sector, whatever the host's disks have.
pub const SECTOR_BYTES: u64 = 512;
/// The most bytes of a disk's serial number.
pub const SERIAL_BYTES: usize = 20;

/// Who may change a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Nobody: its driver is told.
    ReadOnly,
    /// Its driver.
    ReadWrite,
}

/// Why a file is no disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DiskError {
    /// It has no sectors, or part of one.
    #[error(
        "has {bytes} bytes, which is no disk; give it a multiple of 512 (`truncate -s 1G FILE` makes one)"
    )]
    Length {
        /// How many it has.
        bytes: u64,
    },
    /// The driver could not be told.
    #[error("has a serial number of {bytes} bytes; give 1 to 20, printable and without commas")]
    Serial {
        /// How many it has.
        bytes: usize,
    },
}

/// A file as a disk.
#[derive(Debug)]
pub struct Disk {
    file: File,
    name: String,
    access: Access,
    serial: [u8; SERIAL_BYTES],
    sectors: u64,
    /// A flush has failed. Held while one is under way.
    has_lost: Mutex<bool>,
    /// What was told: numbers of errors.
    told: Mutex<BTreeSet<i32>>,
}

impl Disk {
    /// The disk of `len_bytes` bytes that is `file`, called `name` in messages.
    ///
    /// # Errors
    /// [`DiskError`] if it cannot be one.
    pub fn new(
        file: File,
        len_bytes: u64,
        name: String,
        access: Access,
        serial: &str,
    ) -> Result<Self, DiskError> {
        if len_bytes == 0 || !len_bytes.is_multiple_of(SECTOR_BYTES) {
            return Err(DiskError::Length { bytes: len_bytes });
        }
        let mut own = [0; SERIAL_BYTES];
        let bytes = serial.len();
        let room = own.get_mut(..bytes).filter(|_| serial.bytes().all(|byte| byte.is_ascii_graphic()));
        room.ok_or(DiskError::Serial { bytes })?.copy_from_slice(serial.as_bytes());
        let sectors = len_bytes / SECTOR_BYTES;
        Ok(Self {
            file,
            name,
            access,
            serial: own,
            sectors,
            has_lost: Mutex::new(false),
            told: Mutex::default(),
        })
    }

    /// Who may change it.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// How many sectors it has.
    #[must_use]
    pub const fn sectors(&self) -> u64 {
        self.sectors
    }

    /// What it calls itself, with zeroes behind.
    #[must_use]
    pub const fn serial(&self) -> [u8; SERIAL_BYTES] {
        self.serial
    }

    /// Where the `len_bytes` bytes from `sector` on lie.
    pub(super) fn place(&self, sector: u64, len_bytes: u32) -> Result<u64, Status> {
        if !u64::from(len_bytes).is_multiple_of(SECTOR_BYTES) {
            return Err(Status::Failed);
        }
        Ok(self.bytes(sector, u64::from(len_bytes) / SECTOR_BYTES)?.start)
    }

    /// The bytes of `sectors` sectors, to be changed.
    pub(super) fn range(&self, sector: u64, sectors: u32) -> Result<Range<u64>, Status> {
        self.may_change()?;
        self.bytes(sector, sectors.into())
    }

    fn bytes(&self, sector: u64, sectors: u64) -> Result<Range<u64>, Status> {
        let end = sector.checked_add(sectors).filter(|end| *end <= self.sectors).ok_or(Status::Failed)?;
        Ok(sector * SECTOR_BYTES..end * SECTOR_BYTES)
    }

    fn may_change(&self) -> Result<(), Status> {
        if self.access == Access::ReadWrite { Ok(()) } else { Err(Status::Failed) }
    }

    pub(super) fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), Status> {
        let read = self.file.read_exact_at(bytes, at);
        read.map_err(|error| self.tell("read", &error))
    }

    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Status> {
        self.may_change()?;
        let written = self.file.write_all_at(bytes, at);
        written.map_err(|error| self.tell("write", &error))
    }

    /// What was written before lasts when this returns.
    pub(super) fn flush(&self) -> Result<(), Status> {
        let mut has_lost = self.has_lost.lock();
        if *has_lost {
            return Err(Status::Failed);
        }
        let flushed = self.file.sync_data();
        flushed.map_err(|error| {
            *has_lost = true;
            self.tell("flush", &error)
        })
    }

    /// Makes a hole, if the host's file system can. What is read there afterwards is nobody's business.
    pub(super) fn discard(&self, range: Range<u64>) -> Result<(), Status> {
        let _is_hole = self.change("discard", &range, FallocateFlags::PUNCH_HOLE)?;
        Ok(())
    }

    /// Makes zeroes; false if they have to be written.
    pub(super) fn zero(&self, range: &Range<u64>, may_be_hole: bool) -> Result<bool, Status> {
        let how = if may_be_hole { FallocateFlags::PUNCH_HOLE } else { FallocateFlags::ZERO_RANGE };
        self.change("write of zeroes", range, how)
    }

    fn change(&self, what: &str, range: &Range<u64>, how: FallocateFlags) -> Result<bool, Status> {
        if range.is_empty() {
            return Ok(true);
        }
        let (start, len) = (range.start, range.end - range.start);
        match fallocate(&self.file, how | FallocateFlags::KEEP_SIZE, start, len) {
            Ok(()) => Ok(true),
            // The last one where the blocks of a device are larger than sectors.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(error) => Err(self.tell(what, &error.into())),
        }
    }

    /// The user hears of each kind of error once, the driver always.
    fn tell(&self, what: &str, error: &io::Error) -> Status {
        // What has no number is the end of a file that became shorter.
        if self.told.lock().insert(error.raw_os_error().unwrap_or(-1)) {
            log::warn!(
                "disk {}: a {what} fails, and the guest is told: {error}; {}",
                self.name,
                remedy(error)
            );
        }
        Status::Failed
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "make room where the file lies",
        io::ErrorKind::QuotaExceeded => "raise the quota of the file's owner",
        io::ErrorKind::FileTooLarge => "raise `ulimit -f`",
        io::ErrorKind::UnexpectedEof => "somebody has made the file shorter",
        _ => "see the host's kernel log",
    }
}

#[cfg(test)]
mod tests;
