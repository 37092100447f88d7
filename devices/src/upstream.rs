//! What lies upstream of a device: memory and interrupts, through a remapping unit or straight.
//!
//! Invariant: this is a device's only way out. A request names who asks (source id and, if any, PASID); each page of it
//! is translated for itself, used, and forgotten. Source: PCI Express 4.0, 2.2.4, 2.3, 6.15, 6.20.

mod direct;
mod remapped;

use std::sync::Arc;

use mmu::address::{Access, PhysAddr, VirtAddr};
use pcie::{Ats, Msi, PageGroupResponse, PageRequest, Pasid, RequestOutcome, SourceId};
use thiserror::Error;

pub use direct::Direct;
pub use remapped::Remapped;

/// Takes an interrupt to the local APICs.
pub type Sink = Arc<dyn Fn(Msi) + Send + Sync>;

/// What all functions of a machine have upstream.
pub trait Upstream: Send + Sync {
    /// The way of the function `source` to memory.
    fn port(&self, source: SourceId) -> Box<dyn Port>;

    /// Sends an interrupt. Whether it arrives is between the remapping unit and the local APICs.
    fn send(&self, source: SourceId, message: Msi);
}

/// A function's way to memory.
pub trait Port: Send {
    /// Reads any number of bytes from any address on.
    ///
    /// # Errors
    /// The first page's [`DmaFault`]; the bytes before it are there.
    fn read(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &mut [u8]) -> Result<(), DmaFault>;

    /// Writes any number of bytes from any address on. Four bytes to 0xfeexxxxx without a PASID are an interrupt.
    ///
    /// # Errors
    /// The first page's [`DmaFault`]; the bytes before it are written.
    fn write(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &[u8]) -> Result<(), DmaFault>;

    /// One atomic operation on the aligned 64-bit word at `address`; what stood there before.
    ///
    /// # Errors
    /// [`DmaFault`], also for an address that is no multiple of 8.
    fn atomic(&mut self, pasid: Option<Pasid>, address: VirtAddr, operation: Atomic)
    -> Result<u64, DmaFault>;

    /// Translates a request without PASID to memory and leaves it in flight until [`release`](Self::release), for whoever
    /// reaches the bytes of the page himself. No other request may come in between.
    ///
    /// # Errors
    /// [`DmaFault`]; then nothing is in flight.
    fn hold(&mut self, address: VirtAddr, access: Access) -> Result<PhysAddr, DmaFault>;

    /// Ends what [`hold`](Self::hold) has left in flight, if anything.
    fn release(&mut self);

    /// Switches translating ahead.
    fn set_ats(&mut self, ats: Ats);

    /// The function was reset: what it kept of translations is gone and used by no request in flight, and it translates
    /// no more ahead.
    fn reset(&mut self);

    /// The function has given up its page requests: answers that are on their way reach nobody.
    fn drop_responses(&mut self);

    /// Asks software for a page.
    ///
    /// # Errors
    /// [`DmaFault`] if nobody takes page requests of this function.
    fn request_page(&mut self, request: PageRequest) -> Result<RequestOutcome, DmaFault>;

    /// The oldest answer to a page request that was not taken yet.
    fn next_response(&mut self) -> Option<PageGroupResponse>;
}

/// An operation on a 64-bit word that nothing can come between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Atomic {
    /// Adds, and wraps around.
    FetchAdd(u64),
    /// Replaces.
    Swap(u64),
    /// Replaces if `compare` stands there.
    CompareAndSwap {
        /// What is expected.
        compare: u64,
        /// What replaces it.
        swap: u64,
    },
}

/// Why a request moved nothing.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DmaFault {
    /// The function may not be bus master.
    #[error("bus mastering is off in the command register")]
    NotBusMaster,
    /// The function may not name a process.
    #[error("{0} was given, but the PASID capability is not enabled")]
    PasidDisabled(Pasid),
    /// Nothing is there, or nothing that takes such a request.
    #[error("{address} takes no such request of {len_bytes} bytes")]
    Unsupported {
        /// Where.
        address: VirtAddr,
        /// How much.
        len_bytes: usize,
    },
    /// A remapping unit translates it for nobody, or not for this.
    #[error("{reason}")]
    Blocked {
        /// Where.
        address: VirtAddr,
        /// What may help.
        remedy: Remedy,
        /// Why, in the unit's words.
        reason: String,
    },
}

/// What a device can do about a request that a remapping unit has blocked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// Ask software for the page: it is missing, or not for this access.
    PageRequest,
    /// Nothing.
    None,
}

impl DmaFault {
    /// Where it happened, if it was somewhere.
    #[must_use]
    pub const fn address(&self) -> Option<VirtAddr> {
        match self {
            Self::Unsupported { address, .. } | Self::Blocked { address, .. } => Some(*address),
            Self::NotBusMaster | Self::PasidDisabled(_) => None,
        }
    }
}

impl Atomic {
    /// What stands there afterwards, if `before` stood there.
    #[must_use]
    pub const fn apply(self, before: u64) -> u64 {
        match self {
            Self::FetchAdd(value) => before.wrapping_add(value),
            Self::Swap(value) => value,
            Self::CompareAndSwap { compare, swap } if before == compare => swap,
            Self::CompareAndSwap { .. } => before,
        }
    }
}

#[cfg(test)]
mod tests;
