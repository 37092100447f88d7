//! Memory that somebody else maps: any [`GuestMemory`] of rust-vmm, of one region or many, with holes, or replaced while it
//! is in use.
//!
//! Invariant: nothing of it is kept. Each access asks for the memory as it is at that moment, and an address that is then in
//! no region is outside: what a smaller memory lost is answered as what never was there. A word is reached as one atomic
//! word of one region, and what is written is marked in the region's bitmap, as rust-vmm's own accesses are.
//! Source: vm-memory, `GuestAddressSpace`, `GuestMemory`.

use std::fmt;
use std::sync::atomic::AtomicU64;

use vm_memory::bitmap::Bitmap;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemory, Permissions, VolatileMemory};

use crate::address::PhysAddr;

const WORD_BYTES: usize = size_of::<u64>();

/// What is done with a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doing {
    /// It is loaded.
    Load,
    /// It may be another afterwards.
    Change,
}

/// Somebody else's memory, whatever its type.
pub(super) trait Lent: fmt::Debug + Send + Sync {
    /// Calls `act` with the aligned word at `address`; false, and it is not called, if no region has all of it.
    fn word(&self, address: PhysAddr, doing: Doing, act: &mut dyn FnMut(&AtomicU64)) -> bool;
    /// Copies from `address` on; false, and nothing is copied, if any of it is outside.
    fn read(&self, address: PhysAddr, bytes: &mut [u8]) -> bool;
    /// Copies to `address` on; false, and nothing is copied, if any of it is outside.
    fn write(&self, address: PhysAddr, bytes: &[u8]) -> bool;
}

/// Whoever has the memory.
pub(super) struct Lender<S>(pub(super) S);

impl<S: GuestAddressSpace + Send + Sync> Lent for Lender<S> {
    fn word(&self, address: PhysAddr, doing: Doing, act: &mut dyn FnMut(&AtomicU64)) -> bool {
        if !address.0.is_multiple_of(8) {
            return false;
        }
        let access = match doing {
            Doing::Load => Permissions::Read,
            Doing::Change => Permissions::ReadWrite,
        };
        let memory = self.0.memory();
        let Ok(mut slices) = memory.get_slices(GuestAddress(address.0), WORD_BYTES, access) else {
            return false;
        };
        // Two regions may meet within a word; then no access to it is atomic.
        let Some(Ok(slice)) = slices.next() else { return false };
        let Ok(word) = slice.get_atomic_ref::<AtomicU64>(0) else { return false };
        act(word);
        if doing == Doing::Change {
            slice.bitmap().mark_dirty(0, WORD_BYTES);
        }
        true
    }

    fn read(&self, address: PhysAddr, bytes: &mut [u8]) -> bool {
        let (memory, at) = (self.0.memory(), GuestAddress(address.0));
        memory.check_range(at, bytes.len(), Permissions::Read) && memory.read_slice(bytes, at).is_ok()
    }

    fn write(&self, address: PhysAddr, bytes: &[u8]) -> bool {
        let (memory, at) = (self.0.memory(), GuestAddress(address.0));
        memory.check_range(at, bytes.len(), Permissions::Write) && memory.write_slice(bytes, at).is_ok()
    }
}

impl<S> fmt::Debug for Lender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lender").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
