//! CPUs with tags: the switch to another address space, and what their TLBs hold and forget under each tag.
//!
//! Invariant: the TLB knows an address and a tag, and no address space. Under another tag nothing is found, emptied or lost.
//! Source: Intel SDM vol. 3, 4.10.1 and 4.10.4; AMD APM vol. 2, 15.16.

use mmu::cache::Translation;
use ordering::lowering::{MmId, PageId, TagId, UserId};
use steps::Switched;

use crate::machine::Machine;
use crate::stuck::Stuck;

impl Machine {
    /// That `user`, if it has tags, runs in the address space of `page`.
    pub(crate) fn runs_in(&self, user: UserId, page: PageId) -> Result<(), Stuck> {
        let loaded = self.users[user.0].loaded.as_ref();
        match loaded.is_none_or(|loaded| self.scene.pages[page.0].home == Some(loaded.mm())) {
            true => Ok(()),
            false => Err(Stuck::Waits("the CPU runs in another address space")),
        }
    }

    /// `user` goes on in `mm`, and uses what its TLB holds under `tag`.
    pub(crate) fn switch(&self, user: UserId, mm: MmId, tag: TagId, switched: Switched) -> Result<(), Stuck> {
        let hardware = &self.users[user.0];
        let loaded = hardware.loaded.as_ref().ok_or_else(|| Stuck::Cannot(format!("{user} has no tags")))?;
        // A walk ends before the instruction does.
        hardware.walks.iter().for_each(|walk| *walk.lock() = None);
        loaded.set(mm, tag);
        if switched == Switched::Empties {
            for page in (0..self.scene.pages.len()).map(PageId) {
                hardware.tlb.invalidate(loaded.known(page, tag), self.layout.page(page).address);
            }
        }
        Ok(())
    }

    /// Empties what `user` holds of the address of `page`: under `tag`, or under the one that it uses.
    pub(crate) fn forget_tagged(&self, user: UserId, page: PageId, tag: Option<TagId>) {
        let hardware = &self.users[user.0];
        let Some(loaded) = &hardware.loaded else { return };
        let under = tag.unwrap_or_else(|| loaded.tag());
        hardware.tlb.invalidate(loaded.known(page, under), self.layout.page(page).address);
        if under == loaded.tag() {
            let address = self.scene.pages[page.0].address;
            let there =
                (0..self.scene.pages.len()).filter(|other| self.scene.pages[*other].address == address);
            there.for_each(|other| *hardware.walks[other].lock() = None);
        }
    }

    /// What the TLB of `user` holds under `tag` at the address of `page`, if it was filled for that page.
    pub(crate) fn under_tag(&self, user: UserId, page: PageId, tag: TagId) -> Option<Translation> {
        let loaded = self.users[user.0].loaded.as_ref()?;
        let known = loaded.known(page, tag);
        let own = loaded.was_filled_for(known, page);
        self.users[user.0].tlb.holds(known, self.layout.page(page).address).filter(|_| own)
    }
}
