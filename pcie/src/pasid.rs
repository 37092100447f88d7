//! PASIDs: the numbers under which devices know processes.
//!
//! Invariant: a [`Pasid`] is one that the units of this program offer. Source: PCI Express 4.0, 6.20.

use std::fmt;

use thiserror::Error;

/// PASIDs that the units of this program offer; PCI Express allows 2^20.
pub const PASID_COUNT: u32 = 1 << 12;

/// A process address space identifier, below [`PASID_COUNT`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pasid(u32);

/// A number that is no PASID of this program's units.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("{0} is no PASID; give one below {PASID_COUNT}")]
pub struct BadPasid(pub u32);

impl Pasid {
    /// The PASID of that number.
    ///
    /// # Errors
    /// [`BadPasid`] if the units have no such PASID.
    pub const fn new(number: u32) -> Result<Self, BadPasid> {
        if number < PASID_COUNT { Ok(Self(number)) } else { Err(BadPasid(number)) }
    }

    /// Its number.
    #[inline]
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Pasid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PASID {}", self.0)
    }
}
