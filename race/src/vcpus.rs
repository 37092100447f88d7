//! vCPUs that somebody else plays: a guest executes their loads and stores, and its MMU walks the shadow entries.
//!
//! Invariant: the words that the machine reads and writes as shadow entries are those that the guest's MMU walks. One that
//! allowed an access is zapped first, so that no vCPU has it cached any more, and only then written anew. What an access
//! reaches the guest says; nothing is looked up for it. Source: virt/kvm/kvm_main.c, kvm_unmap_gfn_range.

use std::fmt;
use std::sync::Arc;

use mmu::address::{Access, Pfn, PhysAddr};
use mmu::memory::PhysicalMemory;
use ordering::lowering::{Caches, Lowered, PageId, Scene, UserId};
use parking_lot::{Mutex, MutexGuard};

use crate::layout::Layout;
use crate::stuck::Stuck;

/// Those who execute the accesses of the vCPUs.
pub trait Vcpus: fmt::Debug + Send + Sync {
    /// Lets `vcpu` load the first word of `page`, or store `value` to it; what a load has read.
    ///
    /// # Errors
    /// [`Stuck::Waits`] if the entry that its MMU finds does not allow the access, [`Stuck::Fails`] if it does not answer.
    fn access(&self, vcpu: UserId, page: PageId, access: Access, value: u64) -> Result<u64, Stuck>;

    /// Empties the entries of `pages`, and returns when no vCPU has one of them cached, nor will empty one later.
    ///
    /// # Errors
    /// [`Stuck::Fails`] if a vCPU does not come.
    fn zap(&self, pages: &[PageId]) -> Result<(), Stuck>;
}

/// A guest that a machine is made around.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its physical memory, in which the machine has everything.
    pub memory: Arc<PhysicalMemory>,
    /// The first frame that the guest does not need itself; all from there on are the machine's.
    pub free_from: Pfn,
    /// Its leaf table: the entry at a page's number is the page's shadow entry.
    pub leaf_table: PhysAddr,
    /// Its vCPUs.
    pub vcpus: Arc<dyn Vcpus>,
}

/// The vCPUs of a machine's guest.
#[derive(Debug)]
pub(crate) struct Played {
    vcpus: Arc<dyn Vcpus>,
    /// KVM's mmu_lock: held from the look at an entry to the store of another. A vCPU takes no lock.
    mmu_lock: Mutex<()>,
}

impl Played {
    pub(crate) fn by(vcpus: Arc<dyn Vcpus>) -> Self {
        Self { vcpus, mmu_lock: Mutex::default() }
    }

    /// The vCPUs.
    pub(crate) fn vcpus(&self) -> &dyn Vcpus {
        &*self.vcpus
    }

    /// Nobody else writes shadow entries meanwhile.
    pub(crate) fn locked(&self) -> MutexGuard<'_, ()> {
        self.mmu_lock.lock()
    }
}

/// The memory, in bytes, that a machine of this scenario takes which may use frames from `free_from` on.
#[must_use]
pub fn bytes_needed(lowered: &Lowered, free_from: Pfn) -> u64 {
    Layout::new(&lowered.scene, free_from, None).bytes()
}

/// The vCPUs whose accesses a [`Guest`] can execute: those that go through the shadow page table alone.
pub fn playable(scene: &Scene) -> impl Iterator<Item = UserId> {
    let shadow = scene.users.iter().zip(0..).filter(|(user, _)| user.caches == Caches::Shadow);
    shadow.map(|(_, number)| UserId(number))
}

#[cfg(test)]
mod tests;
