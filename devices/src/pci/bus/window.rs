//! The addresses that BARs are placed in.
//!
//! Invariant: what was taken is not given out again, and each piece is aligned to its length.

use pcie::SourceId;
use thiserror::Error;

/// Addresses not given out yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// The first.
    pub start: u64,
    /// The first behind it.
    pub end: u64,
}

/// A window that is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("no room for a BAR of {len_bytes:#x} bytes of {source_id}; give fewer devices")]
pub struct NoRoom {
    /// Whose BAR.
    pub source_id: SourceId,
    /// Its length.
    pub len_bytes: u64,
}

impl Window {
    /// Nothing is given out up to the next multiple of `grain`, which is that.
    pub(super) fn align(&mut self, grain: u64) -> u64 {
        self.start = self.start.next_multiple_of(grain);
        self.start
    }

    /// The next `len_bytes` bytes, a power of two.
    pub(super) fn take(&mut self, source_id: SourceId, len_bytes: u64) -> Result<u64, NoRoom> {
        // No BAR shares a page with another one: an operating system maps pages.
        let start = self.start.next_multiple_of(len_bytes.max(4096));
        let end = start.checked_add(len_bytes).filter(|end| *end <= self.end);
        self.start = end.ok_or(NoRoom { source_id, len_bytes })?;
        Ok(start)
    }
}
