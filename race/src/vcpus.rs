//! vCPUs that somebody else plays: a guest executes their loads and stores, and its MMU walks the shadow entries.
//!
//! Invariant: the words that the machine reads and writes as shadow entries are those that the guest's MMU walks. One that
//! allowed an access is zapped first, so that no vCPU has it cached any more, and only then written anew. What an access
//! reaches the guest says; nothing is looked up for it. The table has room for the scenario's shadow entries many times:
//! a start that would have to zap takes the next of these sets, whose addresses no vCPU has used, and the last one zaps all.
//! Source: virt/kvm/kvm_main.c, kvm_unmap_gfn_range.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mmu::address::{Access, Pfn, PhysAddr};
use mmu::memory::PhysicalMemory;
use ordering::lowering::{Caches, Lowered, PageId, Scene, UserId};
use parking_lot::{Mutex, MutexGuard};

use crate::layout::Layout;
use crate::stuck::Stuck;

/// The number of an entry in the guest's leaf table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot(pub usize);

impl Slot {
    /// Where it stands in a leaf table at `table`.
    #[must_use]
    pub const fn in_table(self, table: PhysAddr) -> PhysAddr {
        table.offset(self.0 as u64 * 8)
    }
}

/// Those who execute the accesses of the vCPUs.
pub trait Vcpus: fmt::Debug + Send + Sync {
    /// Lets `vcpu` load the first word of what the entry maps, or store `value` to it; what a load has read.
    ///
    /// # Errors
    /// [`Stuck::Waits`] if the entry that its MMU finds does not allow the access, [`Stuck::Fails`] if it does not answer.
    fn access(&self, vcpu: UserId, slot: Slot, access: Access, value: u64) -> Result<u64, Stuck>;

    /// Empties these entries, and returns when no vCPU has one of them cached, nor will empty one later.
    ///
    /// # Errors
    /// [`Stuck::Fails`] if a vCPU does not come.
    fn zap(&self, slots: &[Slot]) -> Result<(), Stuck>;
}

/// A guest that a machine is made around.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its physical memory, in which the machine has everything.
    pub memory: Arc<PhysicalMemory>,
    /// The first frame that the guest does not need itself; all from there on are the machine's.
    pub free_from: Pfn,
    /// Its leaf table, which has the shadow entries.
    pub leaf_table: PhysAddr,
    /// The entries of that.
    pub leaf_entries: u64,
    /// Its vCPUs.
    pub vcpus: Arc<dyn Vcpus>,
}

/// The vCPUs of a machine's guest.
#[derive(Debug)]
pub(crate) struct Played {
    vcpus: Arc<dyn Vcpus>,
    /// KVM's mmu_lock: held from the look at an entry to the store of another. A vCPU takes no lock.
    mmu_lock: Mutex<()>,
    leaf_table: PhysAddr,
    /// Entries of one set, one for each page, and how many sets the table has.
    pages: usize,
    sets: usize,
    /// The set that is used; those behind it are empty, and nothing of them is cached.
    set: AtomicUsize,
}

impl Played {
    /// By `guest`, for a scenario of so many pages, which the table has room for.
    pub(crate) fn by(guest: &Guest, pages: usize) -> Self {
        let entries = usize::try_from(guest.leaf_entries).expect("a leaf table has 512 entries");
        let sets = entries / pages.max(1);
        assert!(sets > 0, "{} entries of the guest are too few for {pages} pages", guest.leaf_entries);
        Self {
            vcpus: Arc::clone(&guest.vcpus),
            mmu_lock: Mutex::default(),
            leaf_table: guest.leaf_table,
            pages,
            sets,
            set: AtomicUsize::new(0),
        }
    }

    /// Where an entry stands.
    pub(crate) const fn place(&self, slot: Slot) -> PhysAddr {
        slot.in_table(self.leaf_table)
    }

    /// Those of all sets.
    pub(crate) fn all_slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.sets * self.pages).map(Slot)
    }

    /// Goes on with the next set, unless this was the last one.
    pub(crate) fn takes_next_set(&self) -> bool {
        let next = self.set.load(Ordering::Acquire) + 1;
        let is_there = next < self.sets;
        if is_there {
            self.set.store(next, Ordering::Release);
        }
        is_there
    }

    /// Begins again; nothing of any set is cached.
    pub(crate) fn takes_first_set(&self) {
        self.set.store(0, Ordering::Release);
    }

    /// The entry of a page in the set that is used.
    pub(crate) fn slot(&self, page: PageId) -> Slot {
        Slot(self.set.load(Ordering::Acquire) * self.pages + page.0)
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
