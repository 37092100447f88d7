//! What lies upstream of a device: memory and interrupts, through a remapping unit or straight.
//!
//! Invariant: this is a device's only way out. A request names who asks (source id and, if any, PASID), and whoever
//! implements [`Upstream`] is asked once for each page that a transfer touches, so that each page is translated for
//! itself, used, and forgotten. Source: PCI Express 4.0, 2.2.4, 2.3; VT-d 3.2.

mod direct;
mod request;

pub use direct::{Direct, Sink};
pub use request::{Address, Atomic, DmaFault, Pasid, Requester, SourceId, Transfer};

use mmu::address::PAGE_SIZE;

use crate::interrupt::Message;

/// Memory and interrupts, as a device reaches them.
pub trait Upstream: Send + Sync {
    /// Moves bytes that lie in one page.
    ///
    /// # Errors
    /// [`DmaFault`], and nothing was moved.
    fn transfer(
        &self,
        requester: Requester,
        address: Address,
        transfer: Transfer<'_>,
    ) -> Result<(), DmaFault>;

    /// Sends an interrupt. Whether it arrives is between the remapping unit and the local APICs.
    fn send(&self, source: SourceId, message: Message);
}

/// Reads any number of bytes from any address on, page by page.
///
/// # Errors
/// The first page's [`DmaFault`]; the bytes before it are there.
pub fn read(
    upstream: &dyn Upstream,
    requester: Requester,
    address: Address,
    bytes: &mut [u8],
) -> Result<(), DmaFault> {
    let mut at = address;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at_mut(rest.len().min(at.left_in_page()));
        let len = piece.len();
        upstream.transfer(requester, at, Transfer::Read(piece))?;
        (at, rest) = (at.after(len)?, behind);
    }
    Ok(())
}

/// Writes any number of bytes from any address on, page by page.
///
/// # Errors
/// The first page's [`DmaFault`]; the bytes before it are written.
pub fn write(
    upstream: &dyn Upstream,
    requester: Requester,
    address: Address,
    bytes: &[u8],
) -> Result<(), DmaFault> {
    let mut at = address;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.len().min(at.left_in_page()));
        upstream.transfer(requester, at, Transfer::Write(piece))?;
        (at, rest) = (at.after(piece.len())?, behind);
    }
    Ok(())
}

const _: () = assert!(PAGE_SIZE == 4096, "PCI Express cuts requests at 4 KiB");

#[cfg(test)]
mod tests;
