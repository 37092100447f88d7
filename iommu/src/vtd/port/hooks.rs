//! What the hardware behind a port may do ahead of any use, for whoever wants to choose when: read a PASID's or a context
//! entry, walk, answer the device out of the IOTLB; and a use that finds what it needs, or does nothing.
//!
//! Invariant: nothing is filled that was invalidated since it was read. A hit rests on the cache that is asked first and on
//! nothing else: hardware that keeps the domain beside what it has cached of a requester needs no PASID entry for it.
//! Whoever watches for stale uses is told nothing of what is done here. Source: VT-d 6.2; PCIe 10.2.2, 10.3 (ATS).

use std::ops::Range;

use mmu::address::{PhysAddr, VirtAddr};
use mmu::cache::{CachePort, FillTicket, Tag, Translation};
use pcie::{Ats, Pasid, Request, Requester};

use super::{Blocked, InFlight, Port, Stopped};
use crate::spec::fault::{AddressType, FaultReason};
use crate::vtd::hooks::LAST_TABLE;
use crate::vtd::route::words::PartlyRead;
use crate::vtd::route::{Reach, Refusal};
use crate::vtd::tags::SpaceKey;
use crate::vtd::trail::Recorder;
use crate::vtd::walk::{PagingCache, PagingEntry, PagingKey, Space, Walker};

const UNTRANSLATED: AddressType = AddressType::Untranslated;

/// A translation that was read, and is in no cache yet.
#[derive(Clone, Copy, Debug)]
pub struct Fetched {
    tag: Tag,
    ticket: FillTicket,
    address: VirtAddr,
    found: Translation,
}

/// A walk that has come as far as the last table.
#[derive(Clone, Debug)]
pub struct Reached {
    request: Request,
    space: Space,
    above: PagingEntry,
    hides_faults: bool,
}

/// What becomes of a walk or a completion that an invalidation has overtaken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overtaken {
    /// Nothing of it is filled, as the specification wants it.
    Dropped,
    /// It is filled all the same, as by hardware that errs.
    Filled,
}

impl Reached {
    /// The last table.
    #[must_use]
    pub fn table(&self) -> PhysAddr {
        self.above.table()
    }
}

impl Fetched {
    /// What was read.
    #[must_use]
    pub const fn found(&self) -> Translation {
        self.found
    }

    /// Puts it into the cache of `port`; false if it was invalidated since.
    fn fill(&self, port: &mut CachePort, overtaken: Overtaken) -> bool {
        let section = port.enter();
        let ticket = match overtaken {
            Overtaken::Dropped => self.ticket,
            Overtaken::Filled => section.begin_fill(self.tag),
        };
        section.fill(ticket, self.address, self.found)
    }

    fn is_current(&self, port: &mut CachePort) -> bool {
        port.enter().is_current(&self.ticket)
    }
}

// Not of the interface that is kept: whoever depends on the crate by a version has no use for half a walk.
#[doc(hidden)]
impl Port {
    /// What the device's own TLB holds, however old.
    #[must_use]
    pub fn device_tlb_entry(&self, pasid: Option<Pasid>, address: VirtAddr) -> Option<Translation> {
        self.wiring.device.cached(pasid, address)
    }

    /// The device's own TLB loses what it holds for `address`.
    pub fn evict_device_tlb(&self, pasid: Option<Pasid>, address: VirtAddr) {
        let device = &self.wiring.device;
        if let Some(tag) = device.tags().find(pasid) {
            device.cache().evict(tag, address);
        }
    }

    /// Reads what leads to the tables of the request's process into the context and PASID caches, as far as it is not there;
    /// in legacy mode the context entry is all of it.
    ///
    /// # Errors
    /// [`Blocked`] if the tables do not admit the request.
    pub fn read_entries(&mut self, request: Request) -> Result<(), Blocked> {
        let found = self.wiring.admit(&request, UNTRANSLATED).map(|_| ());
        found.map_err(|stopped| self.wiring.block(&request, stopped))
    }

    /// Finds the entry of the request's PASID, to read it a few words at a time.
    ///
    /// # Errors
    /// [`Blocked`] if the tables above do not admit the request, or it has no PASID.
    pub fn begin_pasid_entry(&mut self, request: Request) -> Result<PartlyRead, Blocked> {
        let unit = &self.wiring.unit;
        let requester = Requester { source: self.source(), pasid: request.pasid };
        let asked = request.pasid.ok_or(Refusal::open(FaultReason::RequesterPasid));
        let begun =
            asked.and_then(|pasid| unit.routes.begin_pasid(&unit.memory, unit.root(), (requester, pasid)));
        begun.map_err(|refusal| self.refuse(&request, refusal))
    }

    /// Finds the context entry of the function, likewise.
    ///
    /// # Errors
    /// [`Blocked`] if the root table does not lead there, or the unit is not in legacy mode.
    pub fn begin_context_entry(&mut self, request: Request) -> Result<PartlyRead, Blocked> {
        let unit = &self.wiring.unit;
        let begun = unit.routes.begin_context(&unit.memory, unit.root(), self.source());
        begun.map_err(|refusal| self.refuse(&request, refusal))
    }

    fn refuse(&mut self, request: &Request, refusal: Refusal) -> Blocked {
        self.wiring.block(request, Stopped { refusal, address_type: UNTRANSLATED })
    }

    /// Reads those of its words; false outside memory.
    pub fn read_words(&self, part: &mut PartlyRead, words: Range<usize>) -> bool {
        part.read(&self.wiring.unit.memory, words)
    }

    /// Whether it may still come into the context or PASID cache.
    #[must_use]
    pub fn entry_is_current(&self, part: &PartlyRead) -> bool {
        self.wiring.unit.routes.is_current(part)
    }

    /// It is in its cache now, as it was read, word by word; false if it says nothing that may be cached, or was invalidated
    /// since it was begun.
    pub fn end_entry(&mut self, part: &PartlyRead) -> bool {
        let unit = &self.wiring.unit;
        let ended = unit.routes.end_read(part);
        unit.forget_routes();
        ended
    }

    /// Translates an untranslated request, and uses nothing: the IOTLB has what is found, the device's TLB has not.
    ///
    /// # Errors
    /// As [`translate`](Self::translate).
    pub fn prefetch(&mut self, request: Request) -> Result<(), Blocked> {
        let section = self.iotlb.enter();
        let found = self.wiring.through_iotlb(&section, &request, UNTRANSLATED);
        drop(section);
        found.map(|_| ()).map_err(|stopped| self.wiring.block(&request, stopped))
    }

    /// The first half of a walk: everything is read, and the IOTLB has nothing of it yet. None if the requester's route was
    /// invalidated meanwhile, or has no place in the IOTLB.
    ///
    /// # Errors
    /// As [`translate`](Self::translate).
    pub fn begin_walk(&mut self, request: Request) -> Result<Option<Fetched>, Blocked> {
        let fetched = self.fetch(&request);
        fetched.map_err(|stopped| self.wiring.block(&request, stopped))
    }

    /// A walk for the request that has come to the last table by what the paging-structure cache holds, and stays there; none
    /// if that holds nothing.
    ///
    /// # Errors
    /// As [`translate`](Self::translate).
    pub fn reach(&mut self, request: Request) -> Result<Option<Reached>, Blocked> {
        let wiring = &mut self.wiring;
        let memo = wiring.admit(&request, UNTRANSLATED);
        let found = memo.map(|memo| (memo.space, memo.hides_faults));
        let (space, hides_faults) = found.map_err(|stopped| wiring.block(&request, stopped))?;
        let key = space.tag.map(|tag| PagingKey::new(tag, LAST_TABLE, request.address));
        let above = key.and_then(|key| wiring.unit.paging.get(&key));
        Ok(above.map(|above| Reached { request, space, above, hides_faults }))
    }

    /// The rest of the first half: it reads the leaf in the table that it has come to, whatever leads there by now. As
    /// [`begin_walk`](Self::begin_walk).
    ///
    /// # Errors
    /// As [`translate`](Self::translate).
    pub fn go_on(&mut self, reached: &Reached) -> Result<Option<Fetched>, Blocked> {
        let Reached { request, space, above, hides_faults } = reached;
        let Some(tag) = space.tag else { return Ok(None) };
        // What it has read it has for itself.
        let own = PagingCache::new(1);
        own.fill(own.ticket(), PagingKey::new(tag, LAST_TABLE, request.address), above.clone());
        let section = self.iotlb.enter();
        let ticket = section.begin_fill(tag);
        let mut walker = Walker::begin(&self.wiring.unit.memory, &own, Reach::Caches, Recorder::OFF);
        let walked = walker.walk(space, request.address, request.access);
        drop(section);
        match walked {
            Ok(found) => Ok(Some(Fetched { tag, ticket, address: request.address, found })),
            Err(reason) => Err(self.wiring.block(request, stopped(reason, *hides_faults))),
        }
    }

    fn fetch(&mut self, request: &Request) -> Result<Option<Fetched>, Stopped> {
        let Self { iotlb, wiring, .. } = self;
        let section = iotlb.enter();
        let memo = wiring.admit(request, UNTRANSLATED)?;
        let (space, found_in, hides_faults) = (memo.space, memo.found_in, memo.hides_faults);
        let Some(tag) = space.tag else { return Ok(None) };
        let ticket = section.begin_fill(tag);
        let unit = &wiring.unit;
        let mut walker = Walker::begin(&unit.memory, &unit.paging, Reach::Caches, Recorder::OFF);
        if unit.epoch() != found_in {
            return Ok(None);
        }
        let walked = walker.walk(&space, request.address, request.access);
        let found = walked.map_err(|reason| stopped(reason, hides_faults))?;
        Ok(Some(Fetched { tag, ticket, address: request.address, found }))
    }

    /// The second half: it is in the IOTLB now; false if it was invalidated since it was begun.
    pub fn end_walk(&mut self, fetched: &Fetched, overtaken: Overtaken) -> bool {
        fetched.fill(&mut self.iotlb, overtaken)
    }

    /// Whether it may still end.
    pub fn walk_is_current(&mut self, fetched: &Fetched) -> bool {
        fetched.is_current(&mut self.iotlb)
    }

    /// The unit answers the device out of its IOTLB, and the device has not received it yet; none if nothing is there.
    pub fn begin_completion(
        &mut self,
        pasid: Option<Pasid>,
        space: SpaceKey,
        address: VirtAddr,
    ) -> Option<Fetched> {
        let tag = self.wiring.device.tags().of(pasid)?;
        let ticket = self.device_tlb.enter().begin_fill(tag);
        let found = self.wiring.unit.iotlb_entry(space, address)?;
        Some(Fetched { tag, ticket, address, found })
    }

    /// The unit walks to answer the device, and keeps nothing of it in the IOTLB; the device has not received it yet. None as
    /// in [`begin_walk`](Self::begin_walk).
    ///
    /// # Errors
    /// As [`translate`](Self::translate).
    pub fn begin_walked_completion(&mut self, request: Request) -> Result<Option<Fetched>, Blocked> {
        let Some(tag) = self.wiring.device.tags().of(request.pasid) else { return Ok(None) };
        let ticket = self.device_tlb.enter().begin_fill(tag);
        let fetched = self.begin_walk(request)?;
        Ok(fetched.map(|fetched| Fetched { tag, ticket, ..fetched }))
    }

    /// The device receives it; false if it was told to forget the page since it asked.
    pub fn end_completion(&mut self, fetched: &Fetched, overtaken: Overtaken) -> bool {
        fetched.fill(&mut self.device_tlb, overtaken)
    }

    /// Whether the device would still keep it.
    pub fn completion_is_current(&mut self, fetched: &Fetched) -> bool {
        fetched.is_current(&mut self.device_tlb)
    }

    /// A request that the cache that is asked first can serve, left in flight; none if it cannot. Nobody walks.
    pub fn hit(&mut self, request: Request, space: SpaceKey) -> Option<InFlight<'_>> {
        let Self { iotlb, device_tlb, wiring } = self;
        let (section, tag) = match wiring.memos.ats_now(&wiring.unit) {
            Ats::Disabled => (iotlb.enter(), wiring.unit.tags.find(space)?),
            Ats::Enabled => (device_tlb.enter(), wiring.device.tags().find(request.pasid)?),
        };
        let by_tag = || {
            let hit = section.lookup(tag, request.address).filter(|hit| hit.serves(request.access))?;
            Some(hit.physical(request.address))
        };
        let address = wiring.quick(&section, request).or_else(by_tag)?;
        Some(InFlight { _section: section, memory: &wiring.unit.memory, address })
    }
}

/// On the way of a request that the unit translates.
fn stopped(reason: FaultReason, hides_faults: bool) -> Stopped {
    Stopped { refusal: Refusal { reason, hides_faults }, address_type: UNTRANSLATED }
}
