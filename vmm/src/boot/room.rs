//! Room in guest memory: who has which part of it.
//!
//! Invariant: no two pieces share a byte, and every piece lies in memory below the place of devices. Pieces are few (segments of one image), so a
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
        let modules = map::first_piece_end(memory.len_bytes());
        Self { memory, pieces: Vec::new(), information: map::INFORMATION.start, modules }
    }

    /// Bytes of memory, wherever they lie.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.len_bytes()
    }

    /// Where the memory ends that is laid out: what lies above the devices is the guest's alone.
    #[must_use]
    pub fn end(&self) -> u64 {
        map::first_piece_end(self.memory.len_bytes())
    }

    /// Keeps `len_bytes` bytes from `start` on for `what`.
    ///
    /// # Errors
    /// [`BootError::TooLarge`] and [`BootError::Overlap`].
    pub fn take(&mut self, what: &str, start: u64, len_bytes: u64) -> Result<(), BootError> {
        let range = start..start.saturating_add(len_bytes);
        if range.end > self.end() {
            let memory_bytes = self.end();
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

    /// Whether nobody has any of it, and it is memory.
    #[must_use]
    pub fn is_free(&self, start: u64, len_bytes: u64) -> bool {
        let range = start..start.saturating_add(len_bytes);
        range.end <= self.end() && self.end_of_overlap(&range).is_none()
    }

    /// Where a piece ends that has some of `range`.
    fn end_of_overlap(&self, range: &Range<u64>) -> Option<u64> {
        let overlaps = |piece: &&Range<u64>| piece.start < range.end && range.start < piece.end;
        self.pieces.iter().map(|(piece, _)| piece).find(overlaps).map(|piece| piece.end)
    }

    /// The first place from `start` on, aligned to `align` bytes, that nobody has.
    fn first_free(&self, start: u64, len_bytes: u64, align: u64) -> Range<u64> {
        let mut start = start.next_multiple_of(align);
        loop {
            let range = start..start.saturating_add(len_bytes);
            match self.end_of_overlap(&range) {
                // A piece ends behind the beginning of what it overlaps, so this ends.
                Some(end) => start = end.next_multiple_of(align),
                None => return range,
            }
        }
    }

    /// Puts something that the guest is to read where its image does not lie: aligned to 16 bytes, below 1 MiB.
    ///
    /// # Errors
    /// As [`take`](Self::take), when that part of memory is full.
    pub fn information(&mut self, what: &str, bytes: &[u8]) -> Result<u32, BootError> {
        let len_bytes = (bytes.len() as u64).next_multiple_of(16);
        let range = self.first_free(self.information, len_bytes, 16);
        let memory_bytes = map::INFORMATION.end;
        let Some(start) = u32::try_from(range.start).ok().filter(|_| range.end <= memory_bytes) else {
            return Err(BootError::TooLarge { what: what.to_owned(), range, memory_bytes });
        };
        self.put(what, range.start, bytes)?;
        self.information = range.end;
        Ok(start)
    }

    /// Puts a module right behind everything that lies above 1 MiB, at the beginning of a page; where that ends above
    /// memory, into the first gap.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn module_behind(&mut self, what: &str, bytes: &[u8]) -> Result<Range<u32>, BootError> {
        let len_bytes = bytes.len() as u64;
        let end = self.pieces.iter().map(|(piece, _)| piece.end).fold(map::HIGH_MEMORY, u64::max);
        let mut range = self.first_free(end, len_bytes, PAGE_SIZE);
        if range.end > self.end() {
            range = self.first_free(map::HIGH_MEMORY, len_bytes, PAGE_SIZE);
        }
        self.put(what, range.start, bytes)?;
        let below_4g = |address| u32::try_from(address).unwrap_or_else(|_| unreachable!("it ends below"));
        Ok(below_4g(range.start)..below_4g(range.end))
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
