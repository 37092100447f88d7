//! The hops of a device's walks and completions, and the bit that a store sets.
//!
//! Invariant: a hop lets the unit read one table or answer out of one cache; what it would find there already it loses before.
//! A walk's or completion's place is locked before the port. Source: VT-d 6.2; PCIe 10.2 (ATS).

use std::ops::RangeInclusive;

use iommu::vtd::port::Overtaken;
use mmu::address::{Access, PAGE_SIZE, PageSize, PhysAddr, VirtAddr};
use mmu::pte::Pte;
use mmu::table::Levels;
use ordering::lowering::{Hop, PageId, Target};

use super::{Device, REFUSES, refused};
use crate::stuck::Stuck;
use crate::unit::Walk;
use crate::unit::entries::Named;
use crate::unit::requests::{SOURCE, request, requester};
use crate::walk::{NAMES_ANOTHER, NAMES_NOTHING, names_foreign};

/// Levels of a table.
const LEVELS: u32 = Levels::Four.count();
const OVERTAKEN: Stuck = Stuck::Waits("what was read was invalidated since");

impl Device<'_> {
    /// As [`Machine::hop`].
    pub(crate) fn hop(self, page: PageId, target: Target, hop: Hop, access: Access) -> Result<(), Stuck> {
        match (target, hop) {
            (Target::First, Hop::Upper) => self.read_upper(page),
            (Target::First, Hop::Pasid) => self.read_pasid(),
            (Target::First, Hop::Fault) => {
                self.fault(page);
                Ok(())
            }
            (Target::First, Hop::Huge) => {
                self.right_space(page)?;
                if let Some(pmd) = self.machine.above(page) {
                    self.machine.is_huge(self.machine.layout.pmd(pmd))?;
                }
                self.allows(self.upper_place(page)?, access)?;
                self.lose_upper(page);
                self.walk(page)
            }
            (Target::First, Hop::Read) => {
                self.allows(self.leaf(page)?, access)?;
                self.walk(page)
            }
            (Target::First, Hop::Fill) => self.end_walk(page),
            (Target::Device, Hop::Read) => self.complete(page, access),
            (Target::Device, Hop::Fill) => self.end_completion(page),
            (_, Hop::PasidLow | Hop::PasidHigh | Hop::PasidRest | Hop::PasidTorn | Hop::PasidAbsent) => {
                Err(Stuck::Cannot("a half of an entry is no hop to a page".to_owned()))
            }
            (Target::Device, Hop::Upper | Hop::Pasid | Hop::Fault | Hop::Huge) => {
                Err(Stuck::Cannot("a device walks no table: the unit does".to_owned()))
            }
        }
    }

    fn upper_place(self, page: PageId) -> Result<PhysAddr, Stuck> {
        let above = self.machine.above(page);
        let above = above.ok_or_else(|| Stuck::Cannot(format!("{page} has no upper entry")))?;
        Ok(self.machine.layout.pmd(above))
    }

    /// A device reaches what the entry that it goes by names, as that is cached.
    fn right_space(self, page: PageId) -> Result<(), Stuck> {
        let space = Named::Space(self.machine.layout.page(page).mm);
        let right = self.own().is_none() || self.cached_entry() == space;
        if right { Ok(()) } else { Err(NAMES_ANOTHER) }
    }

    /// The unit reads the upper entry on the way to the last page of its region, which no scenario maps: so it reads the
    /// entry of none of the scenario's pages.
    fn read_upper(self, page: PageId) -> Result<(), Stuck> {
        let word = self.machine.load(self.upper_place(page)?);
        if !word.is_present() || word.0 & Pte::LARGE != 0 {
            return Err(Stuck::Waits("the upper entry names no page-table page"));
        }
        self.right_space(page)?;
        let (pasid, address) = (self.pasid(page), self.address(page));
        self.lose_unnamed(page);
        let last = VirtAddr(address.0 | (PageSize::Size2M.bytes() - PAGE_SIZE));
        let mut walk = self.unit.walks[page.0].lock();
        let mut port = self.unit.port.lock();
        // Past the IOTLB, which may hold the region as one page from before.
        match (port.begin_walk(request(pasid, last, Access::Read)), self.table(page)) {
            (Err(_), Some(_)) => {}
            (Ok(_), _) => return Err(Stuck::Cannot("the last page of the region is mapped".to_owned())),
            (Err(blocked), None) => return Err(refused(blocked)),
        }
        if self.machine.keeps_upper_in_flight(self.user) {
            let reached = port.reach(request(pasid, address, Access::Read)).map_err(refused)?;
            *walk = reached.map(Walk::Reached);
        }
        Ok(())
    }

    /// What led to an entry that cannot be used is forgotten, so that the next walk begins above.
    fn fault(self, page: PageId) {
        let mut walk = self.unit.walks[page.0].lock();
        match *walk {
            Some(Walk::Reached(_)) => *walk = None,
            Some(Walk::Fetched(_)) | None => self.lose_upper(page),
        }
    }

    fn lose_upper(self, page: PageId) {
        self.lose_tables(page, 1..=1);
    }

    /// Tables that the scenario does not name are read anew by each walk: in the model nothing of them is cached.
    fn lose_unnamed(self, page: PageId) {
        let named = u32::from(self.machine.above(page).is_some());
        self.lose_tables(page, 1 + named..=LEVELS);
    }

    fn lose_tables(self, page: PageId, levels: RangeInclusive<u32>) {
        let (space, address) = (self.space(page), self.address(page));
        levels.for_each(|level| self.unit.unit.evict_paging(space, address, level));
    }

    fn read_pasid(self) -> Result<(), Stuck> {
        let id = self.machine.entry_of(self.user)?;
        match self.machine.layout.entries.named(&self.machine.memory, id) {
            Named::Nothing => return Err(NAMES_NOTHING),
            Named::Foreign(word) => return Err(names_foreign(word)),
            Named::Space(_) => {}
        }
        let pasid = self.number(id);
        match pasid {
            Some(pasid) => self.unit.unit.evict_pasid(requester(pasid)),
            None => self.unit.unit.evict_context(SOURCE),
        }
        let read = self.unit.port.lock().read_entries(request(pasid, VirtAddr(0), Access::Read));
        read.map_err(refused)
    }

    /// Where the unit will find the entry of the page: below the upper entry that it has read, if it has one.
    fn leaf(self, page: PageId) -> Result<PhysAddr, Stuck> {
        self.right_space(page)?;
        if self.machine.above(page).is_none() {
            return Ok(self.machine.layout.page(page).slot);
        }
        let none = || Stuck::Cannot("no upper entry that was read leads to the page".to_owned());
        let own = match &*self.unit.walks[page.0].lock() {
            Some(Walk::Reached(reached)) => Some(reached.table()),
            Some(Walk::Fetched(_)) | None => None,
        };
        let table = own.or_else(|| self.table(page)).ok_or_else(none)?;
        self.machine.table_is_live(page)?;
        Ok(table.offset(self.address(page).table_index(1) * 8))
    }

    fn allows(self, place: PhysAddr, access: Access) -> Result<(), Stuck> {
        let word = self.machine.load(place);
        let allows = word.is_present() && (access == Access::Read || word.is_writable());
        if allows { Ok(()) } else { Err(REFUSES) }
    }

    /// The unit walks, and installs what it finds or leaves it in flight.
    fn walk(self, page: PageId) -> Result<(), Stuck> {
        let (pasid, address) = (self.pasid(page), self.address(page));
        let request = request(pasid, address, Access::Read);
        self.lose_unnamed(page);
        let mut slot = self.unit.walks[page.0].lock();
        let mut port = self.unit.port.lock();
        if self.machine.scene.options.split_walk {
            let walk = match &*slot {
                Some(Walk::Reached(reached)) => port.go_on(reached),
                Some(Walk::Fetched(_)) | None => port.begin_walk(request),
            };
            *slot = Some(Walk::Fetched(walk.map_err(refused)?.ok_or(OVERTAKEN)?));
            return Ok(());
        }
        self.unit.evict(self.space(page), address);
        port.prefetch(request).map_err(refused)
    }

    fn end_walk(self, page: PageId) -> Result<(), Stuck> {
        let mut slot = self.unit.walks[page.0].lock();
        let Some(Walk::Fetched(walk)) = &*slot else {
            return Err(Stuck::Cannot("no walk has read an entry".to_owned()));
        };
        let mut port = self.unit.port.lock();
        let overtaken = if self.drains() { Overtaken::Dropped } else { Overtaken::Filled };
        if overtaken == Overtaken::Dropped && !port.walk_is_current(walk) {
            return Err(OVERTAKEN);
        }
        self.unit.evict(self.space(page), self.address(page));
        if !port.end_walk(walk, overtaken) {
            return Err(OVERTAKEN);
        }
        *slot = None;
        Ok(())
    }

    /// The unit answers the device out of its IOTLB.
    fn complete(self, page: PageId, access: Access) -> Result<(), Stuck> {
        let (pasid, address) = (self.pasid(page), self.address(page));
        let found = self.iotlb(page).filter(|found| found.permission.allows(access));
        found.ok_or(Stuck::Waits("the IOTLB holds nothing that allows the access"))?;
        let mut slot = self.unit.completions[page.0].lock();
        let mut port = self.unit.port.lock();
        let answer = port.begin_completion(pasid, self.space(page), address).ok_or(OVERTAKEN)?;
        if self.machine.scene.options.split_walk {
            *slot = Some(answer);
            return Ok(());
        }
        port.evict_device_tlb(pasid, address);
        if port.end_completion(&answer, Overtaken::Dropped) { Ok(()) } else { Err(OVERTAKEN) }
    }

    fn end_completion(self, page: PageId) -> Result<(), Stuck> {
        let mut slot = self.unit.completions[page.0].lock();
        let answer = slot.ok_or_else(|| Stuck::Cannot("no translation is on its way".to_owned()))?;
        let mut port = self.unit.port.lock();
        let drains = self.machine.scene.options.ats_drains;
        let overtaken = if drains { Overtaken::Dropped } else { Overtaken::Filled };
        if drains && !port.completion_is_current(&answer) {
            return Err(OVERTAKEN);
        }
        port.evict_device_tlb(self.pasid(page), self.address(page));
        if !port.end_completion(&answer, overtaken) {
            return Err(OVERTAKEN);
        }
        *slot = None;
        Ok(())
    }

    /// As [`Machine::dirty`]; the unit walks again for a store, and sets the bit.
    pub(crate) fn dirty(self, page: PageId) -> Result<bool, Stuck> {
        let cached = self.holds(page).filter(|found| found.permission.write && !found.dirty);
        let cached = cached.ok_or(Stuck::Waits("no clean translation is cached that allows stores"))?;
        let word = self.machine.load(self.machine.layout.page(page).slot);
        let same = word.is_present() && word.is_writable() && word.pfn() == cached.pfn;
        if same && self.right_space(page).is_ok() {
            return self.set_dirty(page).map(|()| true);
        }
        self.unit.evict(self.space(page), self.address(page));
        self.unit.port.lock().evict_device_tlb(self.pasid(page), self.address(page));
        Ok(false)
    }

    /// The device asks for the page to store, and its own TLB has the answer; without one, the IOTLB has it.
    fn set_dirty(self, page: PageId) -> Result<(), Stuck> {
        let request = request(self.pasid(page), self.address(page), Access::Write);
        self.lose_unnamed(page);
        let mut port = self.unit.port.lock();
        if !self.is_ahead() {
            return port.prefetch(request).map_err(refused);
        }
        let answer = port.begin_walked_completion(request).map_err(refused)?.ok_or(OVERTAKEN)?;
        if port.end_completion(&answer, Overtaken::Dropped) { Ok(()) } else { Err(OVERTAKEN) }
    }
}
