//! What the hardware behind a port may do ahead of any use, for whoever wants to choose when: read a PASID's entry, walk,
//! answer the device out of the IOTLB; and a use that finds what it needs, or does nothing.
//!
//! Invariant: nothing is filled that was invalidated since it was read. A hit rests on the cache that is asked first and on
//! nothing else: hardware that keeps the domain beside what it has cached of a requester needs no PASID entry for it.
//! Whoever watches for stale uses is told nothing of what is done here. Source: VT-d 6.2; PCIe 10.2.2, 10.3 (ATS).

use mmu::address::VirtAddr;
use mmu::cache::{CachePort, FillTicket, Translation};

use super::{Ats, Blocked, InFlight, Port, Request, Stopped};
use crate::pasid::Pasid;
use crate::spec::fault::AddressType;
use crate::vtd::route::{Reach, Refusal};
use crate::vtd::tags::SpaceKey;
use crate::vtd::trail::Recorder;
use crate::vtd::walk::Walker;

/// A translation that was read, and is in no cache yet.
#[derive(Clone, Copy, Debug)]
pub struct Fetched {
    ticket: FillTicket,
    address: VirtAddr,
    found: Translation,
}

impl Fetched {
    /// What was read.
    #[must_use]
    pub const fn found(&self) -> Translation {
        self.found
    }

    /// Puts it into the cache of `port`; false if it was invalidated since.
    fn fill(&self, port: &mut CachePort) -> bool {
        port.enter().fill(self.ticket, self.address, self.found)
    }

    fn is_current(&self, port: &mut CachePort) -> bool {
        port.enter().is_current(&self.ticket)
    }
}

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

    /// Reads what leads to the tables of the request's process into the context and PASID caches, as far as it is not there.
    ///
    /// # Errors
    /// [`Blocked`] if the tables do not admit the request.
    pub fn read_pasid_entry(&mut self, request: Request) -> Result<(), Blocked> {
        let found = self.wiring.admit(&request, AddressType::Untranslated).map(|_| ());
        found.map_err(|stopped| self.wiring.block(&request, stopped))
    }

    /// Translates an untranslated request, and uses nothing: the IOTLB has what is found, the device's TLB has not.
    ///
    /// # Errors
    /// As [`translate`](Self::translate).
    pub fn prefetch(&mut self, request: Request) -> Result<(), Blocked> {
        let section = self.iotlb.enter();
        let found = self.wiring.through_iotlb(&section, &request, AddressType::Untranslated);
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

    fn fetch(&mut self, request: &Request) -> Result<Option<Fetched>, Stopped> {
        let Self { iotlb, wiring, .. } = self;
        let section = iotlb.enter();
        let address_type = AddressType::Untranslated;
        let (space, found_in, hides_faults) = {
            let memo = wiring.admit(request, address_type)?;
            (memo.space, memo.found_in, memo.hides_faults)
        };
        let Some(tag) = space.tag else { return Ok(None) };
        let ticket = section.begin_fill(tag);
        let unit = &wiring.unit;
        let mut walker = Walker::begin(&unit.memory, &unit.paging, Reach::Caches, Recorder::OFF);
        if unit.epoch() != found_in {
            return Ok(None);
        }
        let walked = walker.walk(&space, request.address, request.access);
        let found =
            walked.map_err(|reason| Stopped { refusal: Refusal { reason, hides_faults }, address_type })?;
        Ok(Some(Fetched { ticket, address: request.address, found }))
    }

    /// The second half: it is in the IOTLB now; false if it was invalidated since it was begun.
    pub fn end_walk(&mut self, fetched: &Fetched) -> bool {
        fetched.fill(&mut self.iotlb)
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
        Some(Fetched { ticket, address, found })
    }

    /// The device receives it; false if it was told to forget the page since it asked.
    pub fn end_completion(&mut self, fetched: &Fetched) -> bool {
        fetched.fill(&mut self.device_tlb)
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
        let address = wiring.quick(&section, &request).or_else(by_tag)?;
        Some(InFlight { _section: section, memory: &wiring.unit.memory, address })
    }
}
