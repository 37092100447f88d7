//! Accesses of vCPUs that somebody else plays, and the shadow entries that their MMUs walk.
//!
//! Invariant: an entry that allowed an access is zapped first, so that no vCPU has it cached any more, and only then written
//! anew; the lock is held from the look at the one to the store of the other. Source: virt/kvm/kvm_main.c,
//! kvm_unmap_gfn_range.

use mmu::address::{Access, PhysAddr};
use mmu::frame::POISON;
use mmu::pte::Pte;
use ordering::language::syntax::BuiltIn;
use ordering::lowering::{PageId, UserId};

use crate::machine::Machine;
use crate::stuck::Stuck;
use crate::vcpus::{Played, Slot};

impl Machine {
    /// An access of a vCPU that a guest executes.
    pub(crate) fn played(
        &self,
        played: &Played,
        (user, page): (UserId, PageId),
        access: Access,
        value: u32,
    ) -> Result<Option<u64>, Stuck> {
        let word = self.load(self.shadow_place(page));
        let clean = word.is_present() && word.is_writable() && !word.is_dirty();
        if access == Access::Write && clean {
            // A real MMU would set D in passing; here that is a step of its own.
            return Err(Stuck::Waits("the entry is clean"));
        }
        let read = played.vcpus().access(user, played.slot(page), access, value.into())?;
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
        let at = self.shadow_place(page);
        let Some(played) = &self.vcpus else {
            self.memory.store(at, word.0);
            return Ok(());
        };
        let _locked = played.locked();
        let old = self.load(at);
        if old.is_present() && old != word {
            played.vcpus().zap(&[played.slot(page)])?;
        }
        self.memory.store(at, word.0);
        Ok(())
    }

    /// Where the shadow entry of a page stands.
    pub(crate) fn shadow_place(&self, page: PageId) -> PhysAddr {
        match &self.vcpus {
            Some(played) => played.place(played.slot(page)),
            None => self.layout.page(page).shadow,
        }
    }

    /// Goes on with shadow entries of which no vCPU that somebody else plays has anything cached, with nobody at work. Of one
    /// that allows no access nothing is.
    pub(crate) fn forget_shadow(&self) -> Result<(), Stuck> {
        let Some(played) = &self.vcpus else { return Ok(()) };
        let _locked = played.locked();
        let is_present = |slot: &Slot| self.load(played.place(*slot)).is_present();
        let is_used = (0..self.scene.pages.len()).any(|page| is_present(&played.slot(PageId(page))));
        if !is_used || played.takes_next_set() {
            return Ok(());
        }
        let left: Vec<Slot> = played.all_slots().filter(is_present).collect();
        played.vcpus().zap(&left)?;
        played.takes_first_set();
        Ok(())
    }
}
