//! Young bits of the shadow page table.
//!
//! Invariant: a page that a vCPU used since its mark was cleared reads as young. An entry is installed by a fault,
//! that is by a use, so the entry is the mark; it is cleared by zapping, and the next use faults it back. KVM does the
//! same where hardware keeps no A bits.

use super::ShadowMmu;
use crate::address::{VirtAddr, VirtRange};
use crate::pte::Pte;

impl ShadowMmu {
    /// Whether `page` has an entry.
    pub(super) fn is_young(&self, page: VirtAddr) -> bool {
        self.installed(page) != Pte::NONE
    }

    /// Zaps the entries of `range` and says whether there was one.
    pub(super) fn clear_young_in(&self, range: VirtRange) -> bool {
        let mut state = self.mmu_lock.lock();
        self.sequence.begin();
        let zapped = self.zap(&mut state, range);
        self.sequence.end();
        !zapped.is_empty()
    }
}
