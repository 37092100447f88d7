//! Walks and accesses: from the tables in memory into a cache, and through the cache to a frame.
//!
//! Invariant: an access goes through what the front cache holds and looks at nothing else. A hop reads one table or one
//! cache, sets the marks that hardware sets there, and changes nothing if it finds no entry that serves the access.
//! Source: Intel SDM vol. 3, 4.8 and 4.10; VT-d 6.2; PCIe 10.2 (ATS); virt/kvm/kvm_main.c mmu_invalidate_retry.

use mmu::address::{Access, PageSize, PhysAddr};
use mmu::cache::{Permission, Translation};
use mmu::pte::Pte;
use mmu::walker;
use ordering::lowering::{Caches, Hop, PageId, PmdId, Target, UserId};

use crate::hardware::{Begun, InFlight, Tlb};
use crate::machine::Machine;
use crate::stuck::Stuck;
use crate::unit::entries::Named;

const REFUSES: Stuck = Stuck::Waits("the entry that the walk finds does not allow the access");
pub(crate) const NAMES_NOTHING: Stuck =
    Stuck::Waits("the entry in front of the tables names no address space");
pub(crate) const NAMES_ANOTHER: Stuck =
    Stuck::Waits("the entry in front of the tables names another address space");
const BLOCKED: Stuck = Stuck::Waits("a range is open over the page");
const OVERTAKEN: Stuck = Stuck::Waits("what the walk has read was invalidated since");

impl Machine {
    /// A hop of a walk of `user` to `page`, for an access that needs that much.
    pub(crate) fn hop(
        &self,
        (user, page): (UserId, PageId),
        target: Target,
        hop: Hop,
        access: Access,
    ) -> Result<(), Stuck> {
        if let Some(device) = self.device(user) {
            return device.hop(page, target, hop, access);
        }
        self.runs_in(user, page)?;
        match (target, hop) {
            (Target::First, Hop::Upper) => self.read_upper(user, page),
            (Target::First, Hop::Pasid) => self.read_pasid(user),
            (Target::First, Hop::Fault) => self.fault(user, page),
            (Target::First, Hop::Huge) => {
                let pmd = self.upper_of(user, page)?;
                let place = self.upper_place(user, pmd);
                self.is_huge(place)?;
                self.right_space(user, page)?;
                self.read(user, page, access, place, PageSize::Size2M)?;
                self.users[user.0].set_upper(pmd, 0);
                Ok(())
            }
            (Target::First, Hop::Read) => {
                let place = self.leaf(user, page)?;
                self.read(user, page, access, place, PageSize::Size4K)
            }
            (Target::First, Hop::Fill) => self.fill(user, page),
            (Target::Device, Hop::Read) => self.complete(user, page, access),
            (Target::Device, Hop::Fill) => self.install_completion(user, page),
            (_, Hop::PasidLow | Hop::PasidHigh | Hop::PasidRest | Hop::PasidTorn | Hop::PasidAbsent) => {
                Err(Stuck::Cannot("a half of an entry is no hop to a page".to_owned()))
            }
            (Target::Device, Hop::Upper | Hop::Pasid | Hop::Fault | Hop::Huge) => {
                Err(Stuck::Cannot("a device walks no table: the unit does".to_owned()))
            }
        }
    }

    /// Whoever takes an upper entry for the entry of a page has seen that it names no table.
    pub(crate) fn is_huge(&self, upper: PhysAddr) -> Result<(), Stuck> {
        let word = self.load(upper);
        match word.is_present() && word.0 & Pte::LARGE == 0 {
            true => Err(Stuck::Waits("the upper entry names a page-table page")),
            false => Ok(()),
        }
    }

    /// The upper entry on the way of a walk of `user` to `page`: that of the shadow page table for a vCPU's hardware.
    pub(crate) fn above_for(&self, user: UserId, page: PageId) -> Option<PmdId> {
        match self.caches(user) {
            Caches::VcpuTlb => self.scene.pages[page.0].shadow_above,
            Caches::Tlb | Caches::Shadow | Caches::Iotlb | Caches::DeviceTlb => self.above(page),
        }
    }

    fn upper_of(&self, user: UserId, page: PageId) -> Result<PmdId, Stuck> {
        let none = || Stuck::Cannot(format!("{page} has no upper entry"));
        self.above_for(user, page).ok_or_else(none)
    }

    pub(crate) fn upper_place(&self, user: UserId, pmd: PmdId) -> PhysAddr {
        match self.caches(user) {
            Caches::VcpuTlb => self.layout.spmd(pmd),
            Caches::Tlb | Caches::Shadow | Caches::Iotlb | Caches::DeviceTlb => self.layout.pmd(pmd),
        }
    }

    /// The entry of `page` in the table that a walk of `user` has come to, which must not be free.
    pub(crate) fn entry_in(&self, user: UserId, page: PageId, table: Pte) -> Result<PhysAddr, Stuck> {
        let place = self.layout.page(page);
        let address = match self.caches(user) {
            Caches::VcpuTlb => {
                self.shadow_table_is_live(page)?;
                place.guest_address
            }
            Caches::Tlb | Caches::Shadow | Caches::Iotlb | Caches::DeviceTlb => {
                self.table_is_live(page)?;
                place.address
            }
        };
        Ok(table.pfn().address().offset(address.table_index(1) * 8))
    }

    /// Whether the walk keeps the upper entry that it has read with itself: an invalidation does not discard it.
    pub(crate) fn keeps_upper_in_flight(&self, user: UserId) -> bool {
        let options = &self.scene.options;
        let device = matches!(self.caches(user), Caches::Iotlb | Caches::DeviceTlb);
        device && options.split_walk && !options.inv_drains
    }

    pub(crate) fn caches(&self, user: UserId) -> Caches {
        self.scene.users[user.0].caches
    }

    fn read_upper(&self, user: UserId, page: PageId) -> Result<(), Stuck> {
        let pmd = self.upper_of(user, page)?;
        self.right_space(user, page)?;
        let word = self.load(self.upper_place(user, pmd));
        if !word.is_present() || word.0 & Pte::LARGE != 0 {
            return Err(Stuck::Waits("the upper entry names no page-table page"));
        }
        let hardware = &self.users[user.0];
        hardware.set_upper(pmd, word.0);
        if self.keeps_upper_in_flight(user) {
            *hardware.walks[page.0].lock() = Some(InFlight::Upper(word.0));
        }
        Ok(())
    }

    fn read_pasid(&self, user: UserId) -> Result<(), Stuck> {
        match self.layout.entries.named(&self.memory, self.entry_of(user)?) {
            Named::Nothing => Err(NAMES_NOTHING),
            Named::Space(space) => {
                self.users[user.0].set_named(space);
                Ok(())
            }
            Named::Foreign(word) => Err(names_foreign(word)),
        }
    }

    /// What led to an entry that cannot be used is forgotten, so that the next walk begins above.
    fn fault(&self, user: UserId, page: PageId) -> Result<(), Stuck> {
        let pmd = self.upper_of(user, page)?;
        let hardware = &self.users[user.0];
        let mut walk = hardware.walks[page.0].lock();
        match *walk {
            Some(InFlight::Upper(_)) => *walk = None,
            Some(InFlight::Leaf(..)) | None => hardware.set_upper(pmd, 0),
        }
        Ok(())
    }

    /// Where the walk finds the entry of the page: below the upper entry that it has read, if it has one.
    fn leaf(&self, user: UserId, page: PageId) -> Result<PhysAddr, Stuck> {
        let place = self.layout.page(page);
        let caches = self.caches(user);
        self.right_space(user, page)?;
        let Some(pmd) = self.above_for(user, page) else {
            return Ok(if caches == Caches::VcpuTlb { self.shadow_place(page) } else { place.slot });
        };
        let hardware = &self.users[user.0];
        let word = match (caches, *hardware.walks[page.0].lock()) {
            // What walks in software reads all of it at once.
            (Caches::Shadow, _) => self.load(self.layout.pmd(pmd)),
            (_, Some(InFlight::Upper(word))) => Pte(word),
            (Caches::Tlb | Caches::Iotlb | Caches::DeviceTlb | Caches::VcpuTlb, _) => {
                Pte(hardware.upper(pmd))
            }
        };
        if !word.is_present() || word.0 & Pte::LARGE != 0 {
            return Err(Stuck::Cannot("no upper entry that was read leads to the page".to_owned()));
        }
        self.entry_in(user, page, word)
    }

    /// A device reaches what the entry that it goes by names, as it has read that.
    pub(crate) fn right_space(&self, user: UserId, page: PageId) -> Result<(), Stuck> {
        if self.scene.users[user.0].pasid.is_none() {
            return Ok(());
        }
        match self.users[user.0].named() == Named::Space(self.layout.page(page).mm) {
            true => Ok(()),
            false => Err(NAMES_ANOTHER),
        }
    }

    /// Reads the entry at `place`, and installs it or leaves it in flight.
    fn read(
        &self,
        user: UserId,
        page: PageId,
        access: Access,
        place: PhysAddr,
        size: PageSize,
    ) -> Result<(), Stuck> {
        let hardware = &self.users[user.0];
        let shadow = self.caches(user) == Caches::Shadow;
        let split = self.scene.options.split_walk;
        let ranges = *self.shared.ranges[page.0].lock();
        if shadow && !split && ranges.open > 0 {
            return Err(BLOCKED);
        }
        let begun = if shadow {
            Begun::Sequence(ranges.sequence)
        } else {
            Begun::Ticket(hardware.tlb.begin(hardware.tag(page)))
        };
        let found = self.walked(user, page, access, place, size)?;
        if split {
            *hardware.walks[page.0].lock() = Some(InFlight::Leaf(found, begun));
            return Ok(());
        }
        self.install(user, page, found, begun)
    }

    /// The entry at `place`, young by now. A table that nobody names a cache for is walked from the root.
    fn walked(
        &self,
        user: UserId,
        page: PageId,
        access: Access,
        place: PhysAddr,
        size: PageSize,
    ) -> Result<Translation, Stuck> {
        let allows = |word: Pte| word.is_present() && (access == Access::Read || word.is_writable());
        if !allows(self.load(place)) {
            return Err(REFUSES);
        }
        let at = self.layout.page(page);
        if self.above_for(user, page).is_none() {
            let (root, address) = match self.caches(user) {
                Caches::VcpuTlb => (self.layout.shadow, at.guest_address),
                Caches::Tlb | Caches::Shadow | Caches::Iotlb | Caches::DeviceTlb => {
                    (self.layout.roots[at.mm], at.address)
                }
            };
            return walker::walk(&self.memory, root, address, Access::Read).map_err(|_| REFUSES);
        }
        loop {
            let word = self.load(place);
            if !allows(word) {
                return Err(REFUSES);
            }
            let young = word.with(Pte::ACCESSED);
            if self.memory.compare_exchange(place, word.0, young.0).is_ok() {
                return Ok(translation(young, size));
            }
        }
    }

    fn install(&self, user: UserId, page: PageId, found: Translation, begun: Begun) -> Result<(), Stuck> {
        let place = self.layout.page(page);
        match begun {
            Begun::Ticket(ticket) => {
                let (tlb, tag) = (&self.users[user.0].tlb, self.users[user.0].tag(page));
                let drains = self.scene.options.inv_drains || self.caches(user) == Caches::Tlb;
                let ticket = if drains { ticket } else { tlb.begin(tag) };
                self.users[user.0].loaded.iter().for_each(|loaded| loaded.fills(page));
                if tlb.fill(tag, place.address, found, ticket) { Ok(()) } else { Err(OVERTAKEN) }
            }
            Begun::Sequence(since) => {
                let ranges = self.shared.ranges[page.0].lock();
                if ranges.open > 0 {
                    return Err(BLOCKED);
                }
                if ranges.sequence != since {
                    return Err(OVERTAKEN);
                }
                self.set_shadow_entry(page, entry(found))
            }
        }
    }

    fn fill(&self, user: UserId, page: PageId) -> Result<(), Stuck> {
        let mut walk = self.users[user.0].walks[page.0].lock();
        let Some(InFlight::Leaf(found, begun)) = *walk else {
            return Err(Stuck::Cannot("no walk has read an entry".to_owned()));
        };
        self.install(user, page, found, begun)?;
        *walk = None;
        Ok(())
    }

    /// The unit answers a translation request out of its IOTLB.
    fn complete(&self, user: UserId, page: PageId, access: Access) -> Result<(), Stuck> {
        let (hardware, address) = (&self.users[user.0], self.layout.page(page).address);
        let ticket = hardware.device_tlb.begin(hardware.tag(page));
        let found =
            hardware.tlb.holds(hardware.tag(page), address).filter(|found| found.permission.allows(access));
        let found = found.ok_or(Stuck::Waits("the IOTLB holds nothing that allows the access"))?;
        if self.scene.options.split_walk {
            let begun = Begun::Ticket(ticket);
            *hardware.completions[page.0].lock() = Some(InFlight::Leaf(found, begun));
            return Ok(());
        }
        if hardware.device_tlb.fill(hardware.tag(page), address, found, ticket) {
            Ok(())
        } else {
            Err(OVERTAKEN)
        }
    }

    fn install_completion(&self, user: UserId, page: PageId) -> Result<(), Stuck> {
        let (hardware, address) = (&self.users[user.0], self.layout.page(page).address);
        let mut answer = hardware.completions[page.0].lock();
        let Some(InFlight::Leaf(found, Begun::Ticket(ticket))) = *answer else {
            return Err(Stuck::Cannot("no translation is on its way".to_owned()));
        };
        let ticket = if self.scene.options.ats_drains {
            ticket
        } else {
            hardware.device_tlb.begin(hardware.tag(page))
        };
        if !hardware.device_tlb.fill(hardware.tag(page), address, found, ticket) {
            return Err(OVERTAKEN);
        }
        *answer = None;
        Ok(())
    }

    /// The cache that accesses of `user` go through; none: the shadow page table.
    pub(crate) fn front(&self, user: UserId) -> Option<&Tlb> {
        let hardware = &self.users[user.0];
        match self.caches(user) {
            Caches::DeviceTlb => Some(&hardware.device_tlb),
            Caches::Tlb | Caches::Iotlb | Caches::VcpuTlb => Some(&hardware.tlb),
            Caches::Shadow => None,
        }
    }

    /// An access of `user` through what it has cached: what is read, if it is a read.
    pub(crate) fn through(
        &self,
        user: UserId,
        page: PageId,
        access: Access,
        value: u32,
    ) -> Result<Option<u64>, Stuck> {
        if let (Caches::Shadow, Some(played)) = (self.caches(user), &self.vcpus) {
            return self.played(played, (user, page), access, value);
        }
        let place = self.layout.page(page);
        if let Some(device) = self.device(user) {
            return device.through(page, access, value);
        }
        self.runs_in(user, page)?;
        let reach = |found: Translation| {
            let frame = self.frame_at(entry(found))?;
            self.access(frame, access, value)
        };
        let reached = match self.front(user) {
            Some(tlb) => tlb.using(self.users[user.0].tag(page), place.address, access, reach),
            None => {
                let word = self.load(self.shadow_place(page));
                let found = word.is_present().then(|| translation(word, PageSize::Size4K));
                found.filter(|found| found.serves(access)).map(reach)
            }
        };
        reached.unwrap_or(Err(Stuck::Waits("no cached translation serves the access")))
    }

    /// Whether a walk of `user` to `page` would find what it needs in its cache already.
    pub(crate) fn is_cached(&self, user: UserId, page: PageId) -> bool {
        let place = self.layout.page(page);
        if let Some(device) = self.device(user) {
            return device.holds(page).is_some();
        }
        match self.front(user) {
            Some(tlb) => tlb.holds(self.users[user.0].tag(page), place.address).is_some(),
            None => self.load(self.shadow_place(page)) != Pte::NONE,
        }
    }
}

/// Nobody writes an entry that names none of the scenario's address spaces.
pub(crate) fn names_foreign(word: u64) -> Stuck {
    Stuck::Cannot(format!("{word:#x} begins no entry that names an address space of the scenario"))
}

/// What a word of a table allows.
pub(crate) fn translation(word: Pte, size: PageSize) -> Translation {
    let permission = Permission { read: true, write: word.is_writable(), execute: false };
    Translation { pfn: word.pfn(), size, permission, dirty: word.is_dirty() }
}

/// A shadow entry that allows what a translation does.
pub(crate) fn entry(found: Translation) -> Pte {
    let write = if found.permission.write { Pte::WRITE } else { 0 };
    let dirty = if found.dirty { Pte::DIRTY } else { 0 };
    Pte::leaf(found.pfn).with(Pte::ACCESSED | write | dirty)
}
