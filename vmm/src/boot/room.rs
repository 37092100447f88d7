//! Room in guest memory: who has which part of it.
//!
//! Invariant: no two pieces share a byte, and every piece lies in memory. Pieces are few (segments of one image), so a
//! list is searched.

use std::ops::Range;

use mmu::address::{PAGE_SIZE, PhysAddr};
use mmu::memory::PhysicalMemory;

use super::{BootError, map};

/// Pieces that one image may have.
const MOST_PIECES: usize = 256;

/// Memory that is being laid out.
#[derive(Debug)]
pub struct Room<'memory> {
    memory: &'memory PhysicalMemory,
    pieces: Vec<(Range<u64>, String)>,
    /// Where the next piece of information goes.
    information: u64,
    /// Where the last module begins.
    modules: u64,
}

impl<'memory> Room<'memory> {
    /// All of `memory`, empty.
    #[must_use]
    pub fn new(memory: &'memory PhysicalMemory) -> Self {
        let modules = memory.len_bytes();
        Self { memory, pieces: Vec::new(), information: map::INFORMATION.start, modules }
    }

    /// Bytes of memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.len_bytes()
    }

    /// Keeps `len_bytes` bytes from `start` on for `what`.
    ///
    /// # Errors
    /// [`BootError::TooLarge`] and [`BootError::Overlap`].
    pub fn take(&mut self, what: &str, start: u64, len_bytes: u64) -> Result<(), BootError> {
        let range = start..start.saturating_add(len_bytes);
        if range.end > self.memory_bytes() {
            let memory_bytes = self.memory_bytes();
            return Err(BootError::TooLarge { what: what.to_owned(), range, memory_bytes });
        }
        let taken = |(other, _): &&(Range<u64>, String)| other.start < range.end && range.start < other.end;
        let other = self.pieces.iter().find(taken).map(|(_, name)| name.clone());
        let full = (self.pieces.len() >= MOST_PIECES).then(|| format!("{MOST_PIECES} other pieces"));
        match other.or(full) {
            Some(other) => Err(BootError::Overlap { what: what.to_owned(), range, other }),
            None => {
                self.pieces.push((range, what.to_owned()));
                Ok(())
            }
        }
    }

    /// Puts `bytes` at `start`.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn put(&mut self, what: &str, start: u64, bytes: &[u8]) -> Result<(), BootError> {
        self.take(what, start, bytes.len() as u64)?;
        self.memory.write_bytes(PhysAddr(start), bytes);
        Ok(())
    }

    /// Puts something that the guest is to read where its image does not lie: aligned to 16 bytes, below 1 MiB.
    ///
    /// # Errors
    /// As [`take`](Self::take), when that part of memory is full.
    pub fn information(&mut self, what: &str, bytes: &[u8]) -> Result<u32, BootError> {
        let len_bytes = (bytes.len() as u64).next_multiple_of(16);
        let range = self.information..self.information.saturating_add(len_bytes);
        let memory_bytes = map::INFORMATION.end;
        let Some(start) = u32::try_from(range.start).ok().filter(|_| range.end <= memory_bytes) else {
            return Err(BootError::TooLarge { what: what.to_owned(), range, memory_bytes });
        };
        self.put(what, range.start, bytes)?;
        self.information = range.end;
        Ok(start)
    }

    /// Puts a module as high as it goes below `limit`, at the beginning of a page.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn module(&mut self, what: &str, bytes: &[u8], limit: u64) -> Result<Range<u32>, BootError> {
        let len_bytes = bytes.len() as u64;
        let memory_bytes = self.modules.min(limit);
        let start = memory_bytes.checked_sub(len_bytes).map(|start| start & !(PAGE_SIZE - 1));
        let fits = start.and_then(|start| {
            Some((start, u32::try_from(start).ok()?..u32::try_from(start + len_bytes).ok()?))
        });
        let Some((start, range)) = fits else {
            return Err(BootError::TooLarge { what: what.to_owned(), range: 0..len_bytes, memory_bytes });
        };
        self.put(what, start, bytes)?;
        self.modules = start;
        Ok(range)
    }
}
