//! Memory as a device sees it, for rust-vmm's rings: each page is translated when it is reached, and in flight while it is.
//!
//! Invariant: a slice is used between two steps of the iterator that gave it, as every method of `Bytes` does, and the
//! request that it stands for is in flight for so long: an invalidation waits for it. At most one request is in flight. Why
//! it is not vm-memory's `IommuMemory` over a shared port (`iommu/src/vtd/port/shared.rs`): that one looks up a whole range before
//! any of it is used, and knows no function whose bus mastering is off.
//! Source: vm-memory, `GuestMemory`.

use std::cell::RefCell;
use std::io;
use std::iter::FusedIterator;
use std::sync::Arc;

use mmu::address::{Access, PAGE_SIZE, VirtAddr};
use mmu::memory::PhysicalMemory;
use parking_lot::MutexGuard;
use vm_memory::guest_memory::GuestMemorySliceIterator;
use vm_memory::{
    Bytes, GuestAddress, GuestMemory, GuestMemoryError, GuestMemoryMmap, Permissions, VolatileSlice,
};

use super::broken::Broken;
use crate::pci::Endpoint;
use crate::upstream::{DmaFault, Port};

/// What a function reaches of memory.
pub struct View {
    endpoint: Arc<Endpoint>,
    memory: Arc<PhysicalMemory>,
    /// The last request that reached nothing.
    fault: RefCell<Option<DmaFault>>,
}

impl View {
    /// That of the function at `endpoint`, in front of `memory`.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, memory: Arc<PhysicalMemory>) -> Self {
        Self { endpoint, memory, fault: RefCell::default() }
    }

    /// Reads a buffer, or a part of it.
    ///
    /// # Errors
    /// [`Broken::Unreachable`] if any of it is not there for the device.
    pub fn read_buffer(&self, address: u64, bytes: &mut [u8]) -> Result<(), Broken> {
        let read = self.read_slice(bytes, GuestAddress(address));
        read.map_err(|error| self.unreachable(&error))
    }

    /// Writes a buffer, or a part of it.
    ///
    /// # Errors
    /// As [`read_buffer`](Self::read_buffer).
    pub fn write_buffer(&self, address: u64, bytes: &[u8]) -> Result<(), Broken> {
        let written = self.write_slice(bytes, GuestAddress(address));
        written.map_err(|error| self.unreachable(&error))
    }

    /// What an access that failed means.
    pub(super) fn unreachable(&self, error: &GuestMemoryError) -> Broken {
        self.take_fault().map_or_else(|| Broken::Unreachable(error.to_string()), |fault| Broken::of(&fault))
    }

    /// The last request that reached nothing, if it was not asked for yet.
    pub(super) fn take_fault(&self) -> Option<DmaFault> {
        self.fault.borrow_mut().take()
    }

    fn blocked(&self, fault: DmaFault) -> GuestMemoryError {
        let error = GuestMemoryError::IOError(io::Error::other(fault.to_string()));
        *self.fault.borrow_mut() = Some(fault);
        error
    }
}

impl GuestMemory for View {
    type PhysicalMemory = GuestMemoryMmap<()>;
    type Bitmap = ();

    fn check_range(&self, address: GuestAddress, count: usize, access: Permissions) -> bool {
        self.get_slices(address, count, access).is_ok_and(|mut slices| slices.all(|slice| slice.is_ok()))
    }

    fn get_slices<'a>(
        &'a self,
        address: GuestAddress,
        count: usize,
        access: Permissions,
    ) -> Result<impl GuestMemorySliceIterator<'a, ()>, GuestMemoryError> {
        let access = if access.has_write() { Access::Write } else { Access::Read };
        let port = self.endpoint.way(None).map_err(|fault| self.blocked(fault))?;
        Ok(Slices { view: self, port, at: address.0, left: count, access })
    }
}

/// Pages of a range, one after the other.
struct Slices<'a> {
    view: &'a View,
    port: MutexGuard<'a, Box<dyn Port>>,
    at: u64,
    left: usize,
    access: Access,
}

impl<'a> Slices<'a> {
    fn step(&mut self) -> Result<VolatileSlice<'a, ()>, DmaFault> {
        let (address, len_bytes) = (VirtAddr(self.at), until_page_end(self.at, self.left));
        let outside = || DmaFault::Unsupported { address, len_bytes };
        let physical = self.port.hold(address, self.access)?;
        let slice = self.view.memory.slice(physical, len_bytes).ok_or_else(outside)?;
        self.left -= len_bytes;
        self.at = self.at.wrapping_add(len_bytes as u64);
        // Nothing goes around the end of all addresses.
        if self.left > 0 && self.at == 0 { Err(outside()) } else { Ok(slice) }
    }
}

impl<'a> Iterator for Slices<'a> {
    type Item = Result<VolatileSlice<'a, ()>, GuestMemoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.port.release();
        if self.left == 0 {
            return None;
        }
        let stepped = self.step();
        Some(stepped.map_err(|fault| {
            self.port.release();
            self.left = 0;
            self.view.blocked(fault)
        }))
    }
}

impl FusedIterator for Slices<'_> {}

impl<'a> GuestMemorySliceIterator<'a, ()> for Slices<'a> {}

impl Drop for Slices<'_> {
    fn drop(&mut self) {
        self.port.release();
    }
}

fn until_page_end(address: u64, len: usize) -> usize {
    let left = PAGE_SIZE - address % PAGE_SIZE;
    usize::try_from(left).map_or(len, |left| left.min(len))
}

#[cfg(test)]
mod tests;
