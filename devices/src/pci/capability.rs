//! Capabilities: pieces of configuration space that a function is put together from.
//!
//! Invariant: a capability is data (its bytes and which of their bits software may change), and its state is read from
//! the configuration space it was put into. Sources: PCI 3.0, 6.7; PCI Express 4.0, 7.6.

pub mod address_translation;
pub mod advanced;
pub mod express;
pub mod msi;
pub mod msix;

/// Which capability, in which of the two lists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CapabilityId {
    /// In the first 256 bytes.
    Standard(u8),
    /// In the extended space of PCI Express.
    Extended(u16),
}

/// A capability before it has a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capability {
    id: CapabilityId,
    len_bytes: u16,
    bytes: Vec<u8>,
    writable: Vec<u8>,
    clears: Vec<u8>,
}

impl Capability {
    /// A capability of `len_bytes` bytes, its header among them; an extended one of version 1.
    #[must_use]
    pub fn new(id: CapabilityId, len_bytes: u16) -> Self {
        let zeroes = || vec![0; usize::from(len_bytes)];
        let mut made = Self { id, len_bytes, bytes: zeroes(), writable: zeroes(), clears: zeroes() };
        if let CapabilityId::Extended(id) = id {
            made.bytes[..2].copy_from_slice(&id.to_le_bytes());
            made.bytes[2] = 1;
        }
        made
    }

    /// With `value` at `offset`, which software cannot change.
    #[must_use]
    pub fn constant<const N: usize>(mut self, offset: u16, value: [u8; N]) -> Self {
        self.bytes[usize::from(offset)..][..N].copy_from_slice(&value);
        self
    }

    /// Software may change the bits of `mask` at `offset`.
    #[must_use]
    pub fn writable_at<const N: usize>(mut self, offset: u16, mask: [u8; N]) -> Self {
        self.writable[usize::from(offset)..][..N].copy_from_slice(&mask);
        self
    }

    /// A 1 that software writes to a bit of `mask` at `offset` clears it.
    #[must_use]
    pub fn cleared_at<const N: usize>(mut self, offset: u16, mask: [u8; N]) -> Self {
        self.clears[usize::from(offset)..][..N].copy_from_slice(&mask);
        self
    }

    /// Which one it is.
    #[must_use]
    pub const fn id(&self) -> CapabilityId {
        self.id
    }

    /// Its length, header included.
    #[must_use]
    pub const fn len_bytes(&self) -> u16 {
        self.len_bytes
    }

    /// Bytes of its header: id and pointer to the next.
    #[must_use]
    pub(super) const fn header_bytes(&self) -> u16 {
        match self.id {
            CapabilityId::Standard(_) => 2,
            CapabilityId::Extended(_) => 4,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn writable(&self) -> &[u8] {
        &self.writable
    }

    pub(super) fn clears(&self) -> &[u8] {
        &self.clears
    }
}
