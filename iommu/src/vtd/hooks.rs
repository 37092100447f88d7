//! What hardware may do at any time, for whoever wants to choose when: look at one cached entry, and lose it.
//!
//! Invariant: an eviction is no invalidation. It takes one entry of one cache, a walk under way may bring it back, and
//! nothing waits for it. Looking changes nothing. The other half is in [`port`](crate::vtd::port): walks ahead of any use.
//! Source: VT-d 6.2 (caches hold what they have read until it is invalidated or evicted).

use mmu::address::{PhysAddr, VirtAddr};
use mmu::cache::Translation;
use pcie::{Requester, SourceId};

use crate::spec::context::LegacyContext;
use crate::spec::descriptor::{ContextScope, IotlbScope, PasidScope};
use crate::spec::pasid_entry::PasidEntry;
use crate::vtd::Vtd;
use crate::vtd::tags::SpaceKey;
use crate::vtd::walk::PagingKey;

/// The table with the leaves of 4 KiB.
pub(super) const LAST_TABLE: u32 = 1;

impl Vtd {
    /// What the IOTLB holds for `address` in an address space, however old.
    #[must_use]
    pub fn iotlb_entry(&self, space: SpaceKey, address: VirtAddr) -> Option<Translation> {
        self.iotlb.contains(self.tags.find(space)?, address)
    }

    /// The table with the leaf of `address`, as the paging-structure cache has it.
    #[must_use]
    pub fn paging_entry(&self, space: SpaceKey, address: VirtAddr) -> Option<PhysAddr> {
        let key = PagingKey::new(self.tags.find(space)?, LAST_TABLE, address);
        self.paging.get(&key).map(|entry| entry.table())
    }

    /// A PASID's entry, as the PASID cache has it; none for a requester without PASID.
    #[must_use]
    pub fn pasid_entry(&self, requester: Requester) -> Option<PasidEntry> {
        self.routes.cached_pasid(&requester)
    }

    /// A function's context entry, as the context cache has it; none in scalable mode.
    #[must_use]
    pub fn context_entry(&self, source: SourceId) -> Option<LegacyContext> {
        self.routes.cached_legacy_context(source)
    }

    /// The IOTLB loses what it holds for `address`.
    pub fn evict_iotlb(&self, space: SpaceKey, address: VirtAddr) {
        if let Some(tag) = self.tags.find(space) {
            self.iotlb.evict(tag, address);
        }
    }

    /// The paging-structure cache loses what leads to the table of `level` on the way to `address`; the one with the leaf is
    /// that of level 1.
    pub fn evict_paging(&self, space: SpaceKey, address: VirtAddr, level: u32) {
        if let Some(tag) = self.tags.find(space) {
            self.paging.evict(&PagingKey::new(tag, level, address));
        }
    }

    /// The unit and its devices lose all that they have cached, and nothing that was begun before may still fill. It waits for
    /// nobody: for whoever knows that no access is in flight.
    pub fn empty(&self) {
        self.invalidate_iotlb(IotlbScope::Global);
        self.devices.read().values().for_each(|device| device.cache().invalidate_all());
        self.interrupt_entries.invalidate(|_, _| true);
        self.routes.invalidate_pasids(PasidScope::Global);
        self.routes.invalidate_contexts(ContextScope::Global);
        self.forget_routes();
    }

    /// How much is cached of tables: context entries, PASID entries, entries that lead to tables, pages whose walk failed.
    #[must_use]
    pub fn cached_tables(&self) -> [usize; 4] {
        let [contexts, pasids] = self.routes.cached();
        [contexts, pasids, self.paging.len(), self.absent.len()]
    }

    /// The context cache loses the entry of the function.
    pub fn evict_context(&self, source: SourceId) {
        self.routes.evict_context(source);
        self.forget_routes();
    }

    /// The PASID cache loses the entry of the requester's PASID.
    pub fn evict_pasid(&self, requester: Requester) {
        self.routes.evict_pasid(&requester);
        self.forget_routes();
    }
}
