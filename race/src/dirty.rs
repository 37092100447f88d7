//! The dirty bit that a store sets through a translation which is cached clean.
//!
//! Invariant: the bit is set in one atomic access to an entry that still maps what is cached, or what is cached is dropped.
//! Source: Intel SDM vol. 3, 4.8; arch/x86/kvm/mmu/mmu.c fast_pf_fix_direct_spte.

use mmu::address::{PageSize, PhysAddr};
use mmu::cache::Translation;
use mmu::pte::Pte;
use ordering::lowering::{Caches, PageId, PmdId, UserId};

use crate::machine::Machine;
use crate::stuck::Stuck;
use crate::walk::{entry, translation};

/// An entry that is made dirty, and what the way to it leaves in the paging-structure cache.
struct Marked {
    /// None: the way leads nowhere.
    at: Option<PhysAddr>,
    upper: Option<(PmdId, u64)>,
}

impl Machine {
    /// Makes the entry dirty through which `user` is about to store, if it still maps the same frame: true. Else the
    /// cached translation is dropped: false. Where it could go two ways, it goes the one that comes to `wanted`.
    pub(crate) fn dirty(&self, user: UserId, page: PageId, wanted: bool) -> Result<bool, Stuck> {
        if let Some(device) = self.device(user) {
            return device.dirty(page);
        }
        self.runs_in(user, page)?;
        let place = self.layout.page(page);
        let cached = match self.front(user) {
            Some(tlb) => tlb.holds(self.users[user.0].tag(page), place.address),
            None => {
                let word = self.load(self.shadow_place(page));
                word.is_present().then(|| translation(word, PageSize::Size4K))
            }
        };
        let cached = cached.filter(|found| found.permission.write && !found.dirty);
        let cached = cached.ok_or(Stuck::Waits("no clean translation is cached that allows stores"))?;
        if self.right_space(user, page).is_err() {
            self.drop_cached(user, page)?;
            return Ok(false);
        }
        let (way, other) = self.ways_to_dirty(user, page);
        let comes_to = |way: &Result<Marked, Stuck>| matches!(way, Ok(Marked { at, .. }) if at.is_some_and(|at| self.still_maps(at, cached)) == wanted);
        let other = other.map(Ok).filter(|other| !comes_to(&way) && comes_to(other));
        let Marked { at, upper } = other.unwrap_or(way)?;
        if !at.is_some_and(|at| self.mark_dirty(at, cached)) {
            self.drop_cached(user, page)?;
            return Ok(false);
        }
        if let Some((pmd, word)) = upper {
            self.users[user.0].set_upper(pmd, word);
        }
        let found = Translation { dirty: true, ..cached };
        match self.front(user) {
            Some(tlb) => {
                let tag = self.users[user.0].tag(page);
                let ticket = tlb.begin(tag);
                // Who is told to forget it meanwhile keeps nothing: the bit is set in memory, and the store walks again.
                let _kept = tlb.fill(tag, place.address, found, ticket);
            }
            None => self.set_shadow_entry(page, entry(found))?,
        }
        Ok(true)
    }

    fn still_maps(&self, at: PhysAddr, cached: Translation) -> bool {
        let word = self.load(at);
        word.is_present() && word.is_writable() && word.pfn() == cached.pfn
    }

    fn mark_dirty(&self, at: PhysAddr, cached: Translation) -> bool {
        let word = self.load(at);
        let dirty = word.with(Pte::DIRTY | Pte::ACCESSED);
        self.still_maps(at, cached) && self.memory.compare_exchange(at, word.0, dirty.0).is_ok()
    }

    /// Where the entry stands that is made dirty: below what the paging-structure cache holds, or, if it holds nothing, below
    /// what the upper entry says. The second way is that of a cache that has just lost what it held.
    fn ways_to_dirty(&self, user: UserId, page: PageId) -> (Result<Marked, Stuck>, Option<Marked>) {
        let (place, caches) = (self.layout.page(page), self.caches(user));
        let Some(pmd) = self.above_for(user, page) else {
            let at = if caches == Caches::VcpuTlb { self.shadow_place(page) } else { place.slot };
            return (Ok(Marked { at: Some(at), upper: None }), None);
        };
        let upper_place = self.upper_place(user, pmd);
        let word = self.load(upper_place);
        let is_table = word.is_present() && word.0 & Pte::LARGE == 0;
        let keeps = caches != Caches::Shadow;
        let kept = if keeps { self.users[user.0].upper(pmd) } else { 0 };
        let below = |table: Pte, upper: Option<(PmdId, u64)>| {
            Ok(Marked { at: Some(self.entry_in(user, page, table)?), upper })
        };
        let itself = |upper| Marked { at: word.is_present().then_some(upper_place), upper };
        match (kept, is_table) {
            (0, true) => (below(word, keeps.then_some((pmd, word.0))), None),
            (0, false) => (Ok(itself(None)), None),
            (_, false) if self.scene.options.evict => (below(Pte(kept), None), Some(itself(Some((pmd, 0))))),
            (_, true | false) => (below(Pte(kept), None), None),
        }
    }

    fn drop_cached(&self, user: UserId, page: PageId) -> Result<(), Stuck> {
        let place = self.layout.page(page);
        match self.caches(user) {
            Caches::Shadow => self.set_shadow_entry(page, Pte::NONE)?,
            Caches::Tlb | Caches::VcpuTlb | Caches::Iotlb | Caches::DeviceTlb => {
                let hardware = &self.users[user.0];
                hardware.tlb.evict(hardware.tag(page), place.address);
                hardware.device_tlb.evict(hardware.tag(page), place.address);
            }
        }
        Ok(())
    }
}
