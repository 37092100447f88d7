//! What devices ask for, as it stands in the page request queue, and the answers.
//!
//! Invariant: as for entries and descriptors, the layouts are this driver's own. Source: VT-d 7.4.1 (request), 7.7.1
//! (response).

use crate::descriptor::Words;
use crate::id::{Iova, Pasid, Source};

/// Bytes of a request.
pub const REQUEST_BYTES: u64 = 32;

/// A page that a device asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Who.
    pub source: Source,
    /// In whose name.
    pub pasid: Option<Pasid>,
    /// Which one.
    pub page: Iova,
    /// Which group of requests it belongs to.
    pub group: u16,
    /// It is the last of its group.
    pub is_last: bool,
    /// To be read.
    pub reads: bool,
    /// To be written.
    pub writes: bool,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The page is there.
    Success = 0,
    /// It cannot be had.
    Invalid = 1,
    /// The device is to stop asking.
    Failure = 0xf,
}

impl Asked {
    /// Of a request's first two words.
    #[must_use]
    pub fn decode(low: u64, high: u64) -> Self {
        let [_, _, source_low, source_high, pasid @ ..] = low.to_le_bytes();
        let pasid = Pasid(u32::from_le_bytes(pasid) & 0xf_ffff);
        let [group_low, group_high, ..] = (high >> 3).to_le_bytes();
        Self {
            source: Source(u16::from_le_bytes([source_low, source_high])),
            pasid: (low >> 8 & 1 != 0).then_some(pasid),
            page: Iova(high & !0xfff),
            group: u16::from_le_bytes([group_low, group_high]) & 0x1ff,
            is_last: high >> 2 & 1 != 0,
            reads: high & 1 != 0,
            writes: high >> 1 & 1 != 0,
        }
    }

    /// It says that the device has stopped using the process, and asks for nothing.
    #[must_use]
    pub const fn is_stop_marker(&self) -> bool {
        self.is_last && !self.reads && !self.writes
    }

    /// The descriptor that answers its group.
    #[must_use]
    pub fn answer(&self, answer: Answer) -> Words {
        let pasid = self.pasid.map_or(0, |pasid| 1 << 4 | u64::from(pasid.0) << 32);
        let low = 9 | pasid | (answer as u64) << 12 | u64::from(self.source.0) << 16;
        [low, u64::from(self.is_last) << 2 | u64::from(self.group) << 3, 0, 0]
    }
}

#[cfg(test)]
mod tests;
