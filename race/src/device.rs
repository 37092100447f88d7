//! A device behind the VT-d unit: what it is known by, its accesses, what its caches hold.
//!
//! Invariant: everything that is cached is in the unit or in the device, and comes there by their own walks and completions
//! ([`walks`]), and goes by their own invalidations ([`forget`]). Here it is only chosen when: an entry that is to be read
//! anew is lost before, as hardware may lose it at any time. Source: VT-d 6.2, 6.5.2; PCIe 10.2 (ATS).

mod forget;
mod walks;

use iommu::spec::fault::FaultReason;
use iommu::vtd::SpaceKey;
use iommu::vtd::port::{Blocked, Fetched, Port};
use mmu::address::{Access, Pfn, PhysAddr, VirtAddr};
use mmu::cache::Translation;
use mmu::pte::Pte;
use ordering::lowering::{Caches, PageId, PasidId, PmdId, UserId};
use pcie::Pasid;

use crate::machine::Machine;
use crate::seat::Seated;
use crate::stuck::Stuck;
use crate::unit::entries::Named;
use crate::unit::requests::{SOURCE, domain, of_domain, of_pasid, request, requester};
use crate::unit::{Unit, Walk};

const REFUSES: Stuck = Stuck::Waits("the entry that the walk finds does not allow the access");

/// A device with its unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device<'m> {
    machine: &'m Machine,
    user: UserId,
    unit: &'m Unit,
}

/// How far a walk has come that goes on later.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OnTheWay {
    /// It has read the upper entry, as a word.
    Upper(u64),
    /// It has read the entry.
    Leaf(Translation),
}

impl Machine {
    /// The user as a device with a unit in front of it, if it has one.
    pub(crate) fn device(&self, user: UserId) -> Option<Device<'_>> {
        self.users[user.0].unit.as_ref().map(|unit| Device { machine: self, user, unit })
    }
}

impl<'m> Device<'m> {
    fn address(self, page: PageId) -> VirtAddr {
        self.machine.layout.page(page).address
    }

    /// The port that its requests go through.
    pub(crate) fn port(self) -> Seated<'m, Port> {
        self.unit.port.lock()
    }

    /// The PASID or context entry that it goes by, if the scenario says one.
    fn own(self) -> Option<PasidId> {
        self.machine.scene.users[self.user.0].pasid
    }

    /// The PASID of its requests, if it has that one; none: it goes by a context entry.
    pub(crate) fn number(self, id: PasidId) -> Option<Pasid> {
        self.machine.layout.entries.number(id)
    }

    /// The PASID of its requests for a page: its own, or the one that names the page's address space for good; none: it goes
    /// by a context entry.
    fn pasid(self, page: PageId) -> Option<Pasid> {
        match self.own() {
            Some(id) => self.number(id),
            None => Some(self.machine.layout.entries.of_page(page)),
        }
    }

    /// What the unit tags its translations of a page with.
    fn space(self, page: PageId) -> SpaceKey {
        let of_entry = || of_domain(domain(self.machine.layout.page(page).mm));
        self.pasid(page).map_or_else(of_entry, of_pasid)
    }

    fn is_ahead(self) -> bool {
        self.machine.caches(self.user) == Caches::DeviceTlb
    }

    /// What the IOTLB holds of a page.
    pub(crate) fn iotlb(self, page: PageId) -> Option<Translation> {
        self.unit.unit.iotlb_entry(self.space(page), self.address(page))
    }

    /// What the device's own TLB holds of a page.
    pub(crate) fn device_tlb(self, page: PageId) -> Option<Translation> {
        self.unit.port.lock().device_tlb_entry(self.pasid(page), self.address(page))
    }

    /// What the cache holds that accesses go through.
    pub(crate) fn holds(self, page: PageId) -> Option<Translation> {
        if self.is_ahead() { self.device_tlb(page) } else { self.iotlb(page) }
    }

    /// What the paging-structure cache holds of an upper entry, as a word; 0 for nothing.
    pub(crate) fn upper(self, pmd: PmdId) -> u64 {
        let pages = &self.machine.scene.pages;
        let under = (0..pages.len()).find(|page| pages[*page].above == Some(pmd)).map(PageId);
        under.and_then(|page| self.table(page)).map_or(0, |table| Pte::table(table.pfn()).0)
    }

    /// The page-table page with the entry of a page, as the paging-structure cache has it.
    fn table(self, page: PageId) -> Option<PhysAddr> {
        self.unit.unit.paging_entry(self.space(page), self.address(page))
    }

    /// What the entry that it goes by names, as the PASID or context cache has it.
    pub(crate) fn cached_entry(self) -> Named {
        let Some(id) = self.own() else { return Named::Nothing };
        let (entries, unit) = (&self.machine.layout.entries, &self.unit.unit);
        let named = match self.number(id) {
            Some(pasid) => unit.pasid_entry(requester(pasid)).map(|entry| entries.whole(id, &entry.0)),
            None => unit.context_entry(SOURCE).map(|entry| entries.whole(id, &entry.0)),
        };
        named.unwrap_or(Named::Nothing)
    }

    /// Whether an invalidation ends the walks that it overtakes.
    fn drains(self) -> bool {
        self.machine.scene.options.inv_drains
    }

    /// How far a walk has come, unless an invalidation has ended it.
    pub(crate) fn walk_in_flight(self, page: PageId) -> Option<OnTheWay> {
        match self.unit.walks[page.0].lock().as_ref()? {
            Walk::Reached(reached) => Some(OnTheWay::Upper(Pte::table(reached.table().pfn()).0)),
            Walk::Fetched(walk) => {
                let lives = !self.drains() || self.unit.port.lock().walk_is_current(walk);
                lives.then_some(OnTheWay::Leaf(walk.found()))
            }
        }
    }

    /// What is on its way to the device.
    pub(crate) fn completion_in_flight(self, page: PageId) -> Option<Translation> {
        let answer = *self.unit.completions[page.0].lock();
        let drains = self.machine.scene.options.ats_drains;
        let lives = |answer: &Fetched| !drains || self.unit.port.lock().completion_is_current(answer);
        answer.filter(lives).map(|answer| answer.found())
    }

    /// As [`Machine::through`].
    pub(crate) fn through(self, page: PageId, access: Access, value: u32) -> Result<Option<u64>, Stuck> {
        let pasid = self.pasid(page);
        let mut port = self.unit.port.lock();
        let found = port.hit(request(pasid, self.address(page), access), self.space(page));
        let found = found.ok_or(Stuck::Waits("no cached translation serves the access"))?;
        self.machine.live(self.machine.frame_at(Pte::leaf(found.address().pfn()))?)?;
        Ok(match access {
            Access::Read => Some(found.load()),
            Access::Write => {
                found.store(value.into());
                None
            }
        })
    }

    /// Where an access is led by what is cached, for one that lands later.
    pub(crate) fn led_to(self, page: PageId, access: Access) -> Result<Pfn, Stuck> {
        let pasid = self.pasid(page);
        let mut port = self.unit.port.lock();
        let found = port.hit(request(pasid, self.address(page), access), self.space(page));
        found
            .map(|found| found.address().pfn())
            .ok_or(Stuck::Waits("no cached translation serves the access"))
    }
}

/// What a blocked request is to the step: an entry may have changed since it was looked at; all else is wrong.
pub(crate) fn refused(blocked: Blocked) -> Stuck {
    use FaultReason::{
        ContextNotPresent, FirstStageNotPresent, PasidNotPresent, ReadNotAllowed, ScalableReadNotAllowed,
        ScalableWriteNotAllowed, WriteNotAllowed,
    };
    let may_change = matches!(
        blocked.reason,
        FirstStageNotPresent
            | PasidNotPresent
            | ScalableReadNotAllowed
            | ScalableWriteNotAllowed
            | ContextNotPresent
            | ReadNotAllowed
            | WriteNotAllowed
    );
    if may_change { REFUSES } else { Stuck::Cannot(blocked.to_string()) }
}
