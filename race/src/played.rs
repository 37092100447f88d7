//! Accesses of vCPUs that somebody else plays, and the shadow entries that their MMUs walk.
//!
//! Invariant: an entry that allowed an access is zapped first, so that no vCPU has it cached any more, and only then written
//! anew; the lock is held from the look at the one to the store of the other. Source: virt/kvm/kvm_main.c,
//! kvm_unmap_gfn_range.

use mmu::address::Access;
use mmu::frame::POISON;
use mmu::pte::Pte;
use ordering::language::syntax::BuiltIn;
use ordering::lowering::{PageId, UserId};

use crate::machine::Machine;
use crate::stuck::Stuck;
use crate::vcpus::Played;

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
        let read = played.vcpus().access(user, page, access, value.into())?;
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
        let _locked = played.locked();
        let old = self.load(at);
        if old.is_present() && old != word {
            played.vcpus().zap(&[page])?;
        }
        self.memory.store(at, word.0);
        Ok(())
    }

    /// Empties the shadow entries that allow an access, and whatever is cached of one on a vCPU that somebody else plays:
    /// of the others nothing is.
    pub(crate) fn forget_shadow(&self) -> Result<(), Stuck> {
        let Some(played) = &self.vcpus else { return Ok(()) };
        let _locked = played.locked();
        let is_present = |page: &PageId| self.load(self.layout.page(*page).shadow).is_present();
        let pages: Vec<PageId> = (0..self.scene.pages.len()).map(PageId).filter(is_present).collect();
        if pages.is_empty() { Ok(()) } else { played.vcpus().zap(&pages) }
    }
}
