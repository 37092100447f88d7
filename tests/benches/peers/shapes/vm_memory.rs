//! vm-memory 0.18's IOTLB as an IOMMU device shares it between its threads: behind a reader-writer lock.
//!
//! Invariant: everything is the library's; only the lock is ours, as its users add one.

use std::sync::{RwLock, RwLockReadGuard};

use mmu::address::PAGE_SIZE;
use vm_memory::iommu::{Error, Iotlb, IotlbIterator};
use vm_memory::{GuestAddress, Iommu, Permissions};

use crate::pages::{BASE, frame};

const PAGE: usize = 1 << 12;

#[derive(Debug)]
pub(crate) struct Locked(RwLock<Iotlb>);

impl Iommu for Locked {
    type IotlbGuard<'a> = RwLockReadGuard<'a, Iotlb>;

    fn translate(
        &self,
        iova: GuestAddress,
        length: usize,
        access: Permissions,
    ) -> Result<IotlbIterator<Self::IotlbGuard<'_>>, Error> {
        let table = self.0.read().expect("no writer panics");
        Iotlb::lookup(table, iova, length, access).map_err(|failed| Error::CannotResolve {
            iova_range: failed.misses[0].clone(),
            reason: String::new(),
        })
    }
}

impl Locked {
    pub(crate) fn filled(pages: u64) -> Self {
        let locked = Self(RwLock::new(Iotlb::new()));
        (0..pages).for_each(|page| locked.fill(page));
        locked
    }

    pub(crate) fn fill(&self, page: u64) {
        let (iova, to) = (GuestAddress(BASE + page * PAGE_SIZE), GuestAddress(frame(page) * PAGE_SIZE));
        let mut table = self.0.write().expect("no writer panics");
        table.set_mapping(iova, to, PAGE, Permissions::ReadWrite).expect("no two mappings overlap");
    }

    #[inline]
    pub(crate) fn address(&self, address: u64) -> Option<u64> {
        let found = self.translate(GuestAddress(address), 8, Permissions::Read).ok();
        found.and_then(|mut ranges| ranges.next()).map(|range| range.base.0)
    }

    pub(crate) fn invalidate(&self, page: u64) {
        let iova = GuestAddress(BASE + page * PAGE_SIZE);
        self.0.write().expect("no writer panics").invalidate_mapping(iova, PAGE);
    }

    pub(crate) fn invalidate_all(&self) {
        self.0.write().expect("no writer panics").invalidate_all();
    }
}
