//! vCPUs that somebody else plays: a guest executes their loads and stores, and its MMU walks the shadow entries.
//!
//! Invariant: the words that the machine reads and writes as shadow entries are those that the guest's MMU walks. One that
//! allowed an access is zapped first, so that no vCPU has it cached any more, and only then written anew. What an access
//! reaches the guest says; nothing is looked up for it. Source: virt/kvm/kvm_main.c, kvm_unmap_gfn_range.

use std::fmt;
use std::sync::Arc;

use mmu::address::{Access, Pfn, PhysAddr};
use mmu::frame::POISON;
use mmu::memory::PhysicalMemory;
use mmu::pte::Pte;
use ordering::language::syntax::BuiltIn;
use ordering::lowering::{Caches, Lowered, PageId, Scene, UserId};
use parking_lot::Mutex;

use crate::layout::Layout;
use crate::machine::Machine;
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

impl Machine {
    /// An access of a vCPU that a guest executes.
    pub(crate) fn played(
        &self,
        played: &Played,
        (user, page): (UserId, PageId),
        access: Access,
        value: u32,
    ) -> Result<Option<u64>, Stuck> {
        let word = self.load(self.layout.page(page).shadow);
        let clean = word.is_present() && word.is_writable() && !word.is_dirty();
        if access == Access::Write && clean {
            // A real MMU would set D in passing; here that is a step of its own.
            return Err(Stuck::Waits("the entry is clean"));
        }
        let read = played.vcpus.access(user, page, access, value.into())?;
        match access {
            Access::Read if read == POISON && self.scene.asks(BuiltIn::FreedFrame) => {
                Err(Stuck::Breaks(BuiltIn::FreedFrame))
            }
            Access::Read => Ok(Some(read)),
            Access::Write => self.live(self.frame_at(word)?).map(|()| None),
        }
    }

    /// Writes the shadow entry of a page. If it allowed an access, no vCPU goes on with what it said.
    pub(crate) fn set_shadow_entry(&self, page: PageId, word: Pte) -> Result<(), Stuck> {
        let at = self.layout.page(page).shadow;
        let Some(played) = &self.vcpus else {
            self.memory.store(at, word.0);
            return Ok(());
        };
        let _locked = played.mmu_lock.lock();
        let old = self.load(at);
        if old.is_present() && old != word {
            played.vcpus.zap(&[page])?;
        }
        self.memory.store(at, word.0);
        Ok(())
    }

    /// Empties the shadow entries that allow an access, and whatever is cached of one on a vCPU that somebody else plays:
    /// of the others nothing is.
    pub(crate) fn forget_shadow(&self) -> Result<(), Stuck> {
        let Some(played) = &self.vcpus else { return Ok(()) };
        let _locked = played.mmu_lock.lock();
        let is_present = |page: &PageId| self.load(self.layout.page(*page).shadow).is_present();
        let pages: Vec<PageId> = (0..self.scene.pages.len()).map(PageId).filter(is_present).collect();
        if pages.is_empty() { Ok(()) } else { played.vcpus.zap(&pages) }
    }
}

#[cfg(test)]
mod tests;
