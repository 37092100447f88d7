//! What has been read of an entry, half by half, before it is cached.
//!
//! Invariant: each word was read once. Source: VT-d 6.2.2, 6.2.3.

use iommu::vtd::port::PartlyRead;

/// What has been read, by whom.
#[derive(Clone, Debug)]
pub(crate) enum Reading {
    /// The machine, for a device without a unit.
    Plain(Vec<Option<u64>>),
    /// The device's unit.
    Unit(PartlyRead),
}

impl Reading {
    /// The words that say something, as far as they were read.
    pub(crate) fn words(&self) -> &[Option<u64>] {
        match self {
            Self::Plain(words) => words,
            Self::Unit(part) => part.words(),
        }
    }
}
