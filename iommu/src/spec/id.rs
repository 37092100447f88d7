//! Whose translations: domain ids. Who asks is [`SourceId`].
//!
//! Invariant: none; each is any 16-bit number. Source: VT-d 3.4.1 (source id), 6.2.1 (domain id as a cache tag).

use std::fmt;

pub use pcie::SourceId;

/// What software calls an address space of devices: the tag of cached translations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DomainId(pub u16);

impl DomainId {
    /// What cached entries that lead to a fault are tagged with, whatever domain stands in them; no software may use
    /// it where CAP.CM is 1. Source: VT-d 6.2.2, 6.2.3.
    pub const RESERVED: Self = Self(0);
}

impl fmt::Display for DomainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "domain {}", self.0)
    }
}
