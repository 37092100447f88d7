//! The files that go into a guest, read.
//!
//! Invariant: a file is read whole only if it may be what it is given as, and up to a limit, whatever its length says: it
//! may grow meanwhile. Nothing but a regular file is opened: a FIFO has no end, a device has effects.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::super::{HOST, UNUSABLE};
use crate::boot::{self, BootError, File, map};

/// Larger images are none.
const MOST_IMAGE_BYTES: u64 = map::HOLE;
/// What is read of an image before it is known to be one.
const HEAD_BYTES: u64 = 64 << 10;

/// A status and what is said of it.
pub(super) type Refusal = (u8, String);

/// An image to be started.
pub(super) fn kernel(path: &Path) -> Result<File, Refusal> {
    let mut open = Open::of(path)?;
    open.read(HEAD_BYTES)?;
    if !boot::is_image(&open.bytes) {
        return Err((UNUSABLE, BootError::Unknown { file: open.name }.to_string()));
    }
    open.rest(MOST_IMAGE_BYTES)
}

/// A module, for a guest with `memory_bytes` bytes.
pub(super) fn module(path: &Path, memory_bytes: u64) -> Result<File, Refusal> {
    Open::of(path)?.rest(map::first_piece_end(memory_bytes))
}

struct Open<'path> {
    path: &'path Path,
    name: String,
    file: fs::File,
    len_bytes: u64,
    /// What has been read.
    bytes: Vec<u8>,
}

impl<'path> Open<'path> {
    fn of(path: &'path Path) -> Result<Self, Refusal> {
        let about = fs::metadata(path).map_err(|error| cannot(path, &error))?;
        if !about.is_file() {
            return Err((UNUSABLE, format!("{} is no file; give an image", path.display())));
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let file = fs::File::open(path).map_err(|error| cannot(path, &error))?;
        Ok(Self { path, name, file, len_bytes: about.len(), bytes: Vec::new() })
    }

    /// Reads on, `most` bytes at most.
    fn read(&mut self, most: u64) -> Result<(), Refusal> {
        let expected = most.min(self.len_bytes.saturating_sub(self.bytes.len() as u64));
        // A byte more: who reads it knows that it was the end.
        let expected = usize::try_from(expected).unwrap_or(usize::MAX).saturating_add(1);
        let reserved = self.bytes.try_reserve_exact(expected);
        reserved.map_err(|_| cannot(self.path, &ErrorKind::OutOfMemory.into()))?;
        let read = (&self.file).take(most).read_to_end(&mut self.bytes);
        read.map_err(|error| cannot(self.path, &error))?;
        Ok(())
    }

    /// All of it, unless that is more than `most` bytes.
    fn rest(mut self, most: u64) -> Result<File, Refusal> {
        if self.len_bytes <= most {
            self.read(most + 1 - self.bytes.len() as u64)?;
        }
        if self.len_bytes.max(self.bytes.len() as u64) > most {
            let path = self.path.display();
            let told = format!("{path} has more than the {most} bytes that there is memory for");
            return Err((UNUSABLE, told));
        }
        Ok(File { name: self.name, bytes: self.bytes })
    }
}

fn cannot(path: &Path, error: &io::Error) -> Refusal {
    let (status, remedy) = match error.kind() {
        ErrorKind::OutOfMemory => (HOST, "; give this program more memory (`ulimit -v`), or end others"),
        _ => (UNUSABLE, ""),
    };
    (status, format!("cannot read {}: {error}{remedy}", path.display()))
}

#[cfg(test)]
mod tests;
