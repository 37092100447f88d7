//! A device behind the VT-d unit: its hops, its accesses, what its caches hold and forget.
//!
//! Invariant: everything that is cached is in the unit or in the device, and comes there by their own walks and completions.
//! Here it is only chosen when: an entry that is to be read anew is lost before, as hardware may lose it at any time.
//! A walk's or completion's place is locked before the port. Source: VT-d 6.2, 6.5.2; PCIe 10.2 (ATS).

use std::ops::RangeInclusive;

use crate::seat::Seated;
use iommu::spec::descriptor::{
    ContextScope, Descriptor, DevicePasid, DeviceScope, DeviceSpan, Hint, IotlbScope, PageSpan, PasidScope,
};
use iommu::spec::fault::FaultReason;
use iommu::vtd::SpaceKey;
use iommu::vtd::port::{Blocked, Fetched, Overtaken, Port};
use mmu::address::{Access, PAGE_SIZE, PageSize, Pfn, PhysAddr, VirtAddr};
use mmu::cache::Translation;
use mmu::pte::Pte;
use mmu::table::Levels;
use ordering::lowering::{Caches, Hop, Numbers, PageId, PasidId, PmdId, Target, UserId};
use pcie::Pasid;
use steps::{CacheKind, Depth, Invalidation, Reach};

use crate::machine::Machine;
use crate::stuck::Stuck;
use crate::unit::entries::{Named, domain};
use crate::unit::{DOMAIN, SOURCE, Unit, Walk, of_domain, of_pasid, request, requester};
use crate::walk::{NAMES_ANOTHER, NAMES_NOTHING, names_foreign};

/// Levels of a table.
const LEVELS: u32 = Levels::Four.count();
const REFUSES: Stuck = Stuck::Waits("the entry that the walk finds does not allow the access");
const OVERTAKEN: Stuck = Stuck::Waits("what was read was invalidated since");

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

    /// Whether an invalidation ends the walks that it overtakes.
    fn drains(self) -> bool {
        self.machine.scene.options.inv_drains
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

    /// It answers nothing from now on.
    pub(crate) fn falls_silent(self) {
        self.unit.unit.hold_device_tlb(SOURCE);
    }

    /// It does not answer in time that it has forgotten `pages`, and keeps them.
    pub(crate) fn times_out(
        self,
        invalidation: &Invalidation<Numbers>,
        pages: &[PageId],
    ) -> Result<(), Stuck> {
        let whole = self.whole(invalidation);
        let descriptors: Vec<_> = match whole {
            Some(pasid) => vec![of_device(Some(pasid), DeviceSpan::All)],
            None => pages.iter().map(|page| self.of_device(*page)).collect(),
        };
        let is_gone = self.machine.is_plugged_in(self.user).is_err();
        self.unit.gives_up(&descriptors, is_gone)
    }

    /// The PASID of which all is to be forgotten, if that is said.
    fn whole(self, invalidation: &Invalidation<Numbers>) -> Option<Pasid> {
        let whole = matches!(invalidation.reach(), Reach::Pasid(_)) && invalidation.depth() == Depth::All;
        self.own().filter(|_| whole).and_then(|id| self.number(id))
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

    /// The unit and the device are told to forget `pages`, and the driver waits until they have.
    pub(crate) fn forget(self, invalidation: &Invalidation<Numbers>, pages: &[PageId]) -> Result<(), Stuck> {
        let whole = self.whole(invalidation);
        let unit = || match whole {
            Some(pasid) => vec![Descriptor::Iotlb { scope: IotlbScope::Pasid(DOMAIN, pasid), drains: true }],
            None => pages.iter().map(|page| self.of_unit(*page, invalidation.depth())).collect(),
        };
        let device = || match whole {
            _ if !self.is_ahead() => Vec::new(),
            Some(pasid) => vec![of_device(Some(pasid), DeviceSpan::All)],
            None => pages.iter().map(|page| self.of_device(*page)).collect(),
        };
        let descriptors: Vec<Descriptor> = match invalidation.caches() {
            CacheKind::Cpus | CacheKind::Vcpus => return Ok(()),
            CacheKind::PasidCaches => self.own().into_iter().map(|id| self.of_entry(id)).collect(),
            CacheKind::Iotlbs => unit(),
            CacheKind::DeviceTlbs => device(),
            CacheKind::Devices => [unit(), device()].concat(),
        };
        self.unit.forget(&descriptors)
    }

    fn span(self, page: PageId, hint: Hint) -> PageSpan {
        PageSpan { address: self.address(page), log2_pages: 0, hint }
    }

    fn of_unit(self, page: PageId, depth: Depth) -> Descriptor {
        let hint = match depth {
            Depth::All => Hint::EveryLevel,
            Depth::Leaf => Hint::LeavesOnly,
        };
        let (space, span) = (self.space(page), self.span(page, hint));
        let scope = match space.pasid {
            Some(pasid) => IotlbScope::PasidPages(space.domain, pasid, span),
            None => IotlbScope::Pages(space.domain, span),
        };
        Descriptor::Iotlb { scope, drains: true }
    }

    fn of_entry(self, id: PasidId) -> Descriptor {
        match self.number(id) {
            Some(pasid) => Descriptor::PasidCache(PasidScope::Pasid(DOMAIN, pasid)),
            None => Descriptor::ContextCache(ContextScope::Device { source: SOURCE, ignored_bits: 0 }),
        }
    }

    fn of_device(self, page: PageId) -> Descriptor {
        of_device(self.pasid(page), self.span(page, Hint::LeavesOnly).into())
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

fn of_device(pasid: Option<Pasid>, span: DeviceSpan) -> Descriptor {
    let pasid = pasid.map_or(DevicePasid::Without, DevicePasid::One);
    Descriptor::DeviceTlb(DeviceScope { source: SOURCE, pasid, span })
}
