//! Young bits of the shadow page table.
//!
//! Invariant: a page that a vCPU used since its mark was cleared reads as young. An entry is installed by a fault,
//! that is by a use, so it is young from the start; the mark is cleared by zapping the entry, and the next use
//! faults it back. KVM does the same where hardware keeps no A bits.

use super::ShadowMmu;
use crate::address::{VirtAddr, VirtRange};
use crate::pte::Pte;

impl ShadowMmu {
    /// Whether `page` has an entry that was used.
    pub(super) fn is_young(&self, page: VirtAddr) -> bool {
        let installed = self.installed(page);
        installed != Pte::NONE && self.hardware.entry(self.page(self.index(page))).is_young()
    }

    /// Zaps the entries of `range` and says whether one was used.
    pub(super) fn clear_young_in(&self, range: VirtRange) -> bool {
        let mut state = self.mmu_lock.lock();
        let young = self.installed_in(&state, range).any(|page| self.hardware.entry(page).is_young());
        self.sequence.begin();
        self.zap(&mut state, range);
        self.sequence.end();
        young
    }
}
