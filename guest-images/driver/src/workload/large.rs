//! A large page whose middle goes and whose other pages stay.
//!
//! Invariant: what is unmapped belongs to somebody else as soon as its invalidation is over. Source: VT-d 3.7 (large pages),
//! 6.5.2.3, 6.5.2.4 (address mask).

use super::Workload;
use super::tenant::Tenant;
use crate::bug;
use crate::id::Iova;
use crate::memory::FRAME_BYTES;

/// The pages that go: 64 KiB.
const MIDDLE: u64 = 0x100;
const MIDDLE_PAGES: u64 = 0x10;
/// Pages that the device uses before: of those that stay, and of those that go.
const STAYING: [u64; 3] = [0, MIDDLE - 1, MIDDLE + MIDDLE_PAGES];
const GOING: [u64; 3] = [MIDDLE, MIDDLE + 1, MIDDLE + MIDDLE_PAGES - 1];

impl Workload {
    pub(super) fn unmap_middle_and_use(&mut self, tenant: &mut Tenant) {
        let (space, at) = (tenant.space, tenant.large_at);
        let _mapped = space.remap_large(&mut self.driver.memory, at, tenant.large);
        if self.driver.unit.caches_absent() {
            self.carry_out(tenant, &bug::mapped(None));
        }
        STAYING.into_iter().chain(GOING).for_each(|page| self.read_within(tenant, page));
        let change = space.unmap_middle(&mut self.driver.memory, place(at, MIDDLE), MIDDLE_PAGES);
        self.carry_out(tenant, &bug::middle_unmapped(self.bug, &change));
        STAYING.into_iter().for_each(|page| self.read_within(tenant, page));
        GOING.into_iter().for_each(|page| self.read_what_went(tenant, page));
        let change = space.unmap_large(&mut self.driver.memory, at);
        self.carry_out(tenant, &bug::middle_unmapped(None, &change));
    }

    /// Lets the device read a page that is mapped.
    fn read_within(&mut self, tenant: &Tenant, page: u64) {
        self.tally.all += 1;
        let word = self.tally.all;
        tenant.large.within(page).store(0, word);
        match self.driver.read(&tenant.space, place(tenant.large_at, page)) {
            Ok(read) if read == word => {}
            Ok(_) => self.tally.astray += 1,
            Err(_) => self.tally.blocked += 1,
        }
    }

    /// Lets it read one that is not.
    fn read_what_went(&mut self, tenant: &Tenant, page: u64) {
        if self.driver.read(&tenant.space, place(tenant.large_at, page)).is_ok() {
            self.tally.all += 1;
            self.tally.astray += 1;
        }
    }
}

const fn place(at: Iova, page: u64) -> Iova {
    Iova(at.0 + page * FRAME_BYTES)
}
