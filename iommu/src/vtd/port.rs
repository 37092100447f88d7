//! A device's port: its only way to memory, to interrupts and to page requests.
//!
//! Invariant: a request is translated, then accesses; what it was translated to may be outdated by then, and an
//! invalidation's completion waits for it. A port that is blocked has nothing in flight, so whoever answers may drain.
//! A fill rests on a route that was current when the fill's ticket was taken. Source: VT-d 3.2 to 3.9, 4.2 (ATS).

mod bytes;
mod hooks;
mod memo;
mod quick;
pub mod shared;
mod vigil;
mod walk;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use mmu::address::{Access, PhysAddr, VirtAddr};
use mmu::cache::{CachePort, Section, Translation};
use mmu::memory::PhysicalMemory;
use mmu::trace::{Agent, Observer};
pub use pcie::{Ats, Request};
use pcie::{PageGroupResponse, PageRequest, Pasid, RequestOutcome, Requester, SourceId, Wants};
use thiserror::Error;

pub use self::hooks::{Fetched, Overtaken, Reached};
use crate::spec::command::TableMode;
use crate::spec::fault::{AddressType, FaultReason, FaultRecord};
use crate::vtd::Vtd;
use crate::vtd::device_tlb::Device;
use crate::vtd::port::memo::{Memo, Memos};
use crate::vtd::port::vigil::Vigil;
use crate::vtd::port::walk::{Spectator, Walk};
pub use crate::vtd::route::words::PartlyRead;
use crate::vtd::route::{Reach, Refusal, Stages};
use crate::vtd::trail::Recorder;
use crate::vtd::walk::{Path, identity};
use crate::vtd::witness::{Filled, HeldIn, Use, Used, Walked};

/// Routes that may be overtaken by an invalidation before a translation goes uncached.
const ATTEMPTS: usize = 4;

/// A request that reached nothing.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("{:?} of {} by {requester}: {reason}", .request.access, .request.address)]
pub struct Blocked {
    /// Who asked.
    pub requester: SourceId,
    /// What it asked.
    pub request: Request,
    /// What is in the way.
    pub reason: FaultReason,
}

/// One thread's port of a device.
pub struct Port {
    iotlb: CachePort,
    device_tlb: CachePort,
    wiring: Wiring,
}

/// What a port does not lend out with an access.
struct Wiring {
    unit: Arc<Vtd>,
    /// The unit's.
    memory: Arc<PhysicalMemory>,
    device: Arc<Device>,
    /// If the unit watches for stale uses.
    vigil: Option<Vigil>,
    memos: Memos,
    spectator: Option<Spectator>,
}

/// A translated access that has not ended. Dropping it ends it.
#[derive(Debug)]
pub struct InFlight<'port> {
    _section: Section<'port>,
    memory: &'port PhysicalMemory,
    address: PhysAddr,
}

impl Vtd {
    /// A port of the function `source`. Who first names it decides how many entries the device's TLB has; 0 is none.
    ///
    /// # Panics
    /// If the host has no room for that TLB; not if it was [admitted](Self::admit).
    #[must_use]
    pub fn port(self: &Arc<Self>, source: SourceId, device_tlb_entries: usize) -> Port {
        let device = match self.known_or_new(source, device_tlb_entries) {
            Ok(device) => device,
            Err(error) => panic!("{source}: {error}"),
        };
        Port {
            iotlb: self.iotlb.port(),
            device_tlb: device.cache().port(),
            wiring: Wiring {
                unit: Arc::clone(self),
                memory: Arc::clone(&self.memory),
                memos: Memos::new(&device),
                device,
                vigil: self.witness().and_then(|_| Vigil::new(self.options.stale.watching)),
                spectator: None,
            },
        }
    }
}

impl Port {
    /// Who asks.
    #[must_use]
    pub fn source(&self) -> SourceId {
        self.wiring.device.source()
    }

    /// Switches the device's TLB, for all ports of the device. If that changes anything, the TLB is empty afterwards, and no
    /// access through what it held is in flight (PCIe 10.3.7).
    pub fn set_ats(&mut self, ats: Ats) {
        let Wiring { unit, device, .. } = &self.wiring;
        unit.switch_ats(device, ats);
    }

    /// The device was reset: it translates no more ahead, its TLB is empty, and answers to its page requests that are on
    /// their way reach nobody.
    pub fn reset(&mut self) {
        self.set_ats(Ats::Disabled);
        self.drop_responses();
    }

    /// The device has given up its page requests: answers that are on their way reach nobody.
    pub fn drop_responses(&mut self) {
        self.wiring.device.drop_responses();
    }

    /// From now on `observer` is told of the port's walks, as those of `agent`.
    #[doc(hidden)]
    pub fn observe(&mut self, agent: Agent, observer: Arc<dyn Observer>) {
        self.wiring.spectator = Some(Spectator { agent, observer });
    }

    /// What the device would use for a request with `pasid` at `address`, stale or not: for inspection. With ATS that is
    /// its TLB's translation, without it the IOTLB's.
    #[must_use]
    pub fn cached(&self, pasid: Option<Pasid>, address: VirtAddr) -> Option<Translation> {
        let Wiring { unit, device, .. } = &self.wiring;
        if device.ats() == Ats::Enabled {
            return device.cached(pasid, address);
        }
        let route = unit.route(Requester { source: device.source(), pasid }, Reach::Tables, Recorder::OFF);
        unit.iotlb.contains(unit.space(&route.ok()?).tag?, address)
    }

    /// Tells drains that the device idles.
    pub fn pause(&mut self) {
        self.iotlb.pause();
        self.device_tlb.pause();
    }

    /// Translates a request, and leaves it in flight. What it may touch ends with the 4 KiB page.
    ///
    /// # Errors
    /// [`Blocked`], recorded in the fault log unless the tables hide it, or the device asked ahead (ATS).
    #[inline(always)]
    pub fn translate(&mut self, request: Request) -> Result<InFlight<'_>, Blocked> {
        let Self { iotlb, device_tlb, wiring } = &mut *self;
        // Which of the two may be outdated; a shortcut that is of this epoch is for the right one.
        let found = match wiring.memos.ats_before() {
            Ats::Disabled => wiring.attempt(iotlb, request).map(|found| (found, Ats::Disabled)),
            Ats::Enabled => wiring.attempt(device_tlb, request).map(|found| (found, Ats::Enabled)),
        };
        let Some(((ongoing, address), ats)) = found else {
            // In parts, here and below: handed on as a whole, it would lie in memory for the common case, too.
            let Request { pasid, address, access } = request;
            return self.translate_slowly(pasid, address, access);
        };
        let section = match ats {
            Ats::Disabled => self.iotlb.go_on(ongoing),
            Ats::Enabled => self.device_tlb.go_on(ongoing),
        };
        Ok(InFlight { _section: section, memory: &self.wiring.memory, address })
    }

    /// What is behind [`attempt`](Wiring::attempt), in an access of its own.
    #[cold]
    #[inline(never)]
    fn translate_slowly(
        &mut self,
        pasid: Option<Pasid>,
        address: VirtAddr,
        access: Access,
    ) -> Result<InFlight<'_>, Blocked> {
        let request = Request { pasid, address, access };
        let Self { iotlb, device_tlb, wiring } = self;
        let (section, found) = match wiring.memos.ats_now(&wiring.unit) {
            Ats::Disabled => wiring.untranslated(iotlb.enter(), &request),
            Ats::Enabled => {
                let section = device_tlb.enter();
                // Switched off meanwhile, its TLB is empty, and stays so.
                if wiring.device.ats() == Ats::Enabled {
                    let found = wiring.ahead(&section, iotlb, &request).map(at(&request));
                    (section, found)
                } else {
                    drop(section);
                    wiring.untranslated(iotlb.enter(), &request)
                }
            }
        };
        match found {
            Ok(address) => Ok(InFlight { _section: section, memory: &wiring.memory, address }),
            Err(stopped) => {
                // Recording takes a lock, and may interrupt.
                drop(section);
                Err(wiring.block(&request, stopped))
            }
        }
    }

    /// Asks software for a page. The device may have the answer later, from [`next_response`](Self::next_response).
    ///
    /// # Errors
    /// [`Blocked`] if the tables do not admit page requests of this device.
    pub fn request_page(&mut self, request: PageRequest) -> Result<RequestOutcome, Blocked> {
        self.pause();
        let access = if request.wants.write { Access::Write } else { Access::Read };
        let asked = Request { pasid: request.pasid, address: request.address, access };
        let request = PageRequest { source: self.source(), ..request };
        // In flight until it is in the ring: whoever takes the PASID away drains, and then finds it there.
        let section = self.iotlb.enter();
        let admitted = self.wiring.admit_page_request(&asked);
        let received = admitted.map(|()| self.wiring.unit.receive_request(request));
        drop(section);
        self.pause();
        let (outcome, message) = received.map_err(|stopped| self.wiring.block(&asked, stopped))?;
        self.wiring.unit.send(message);
        Ok(outcome)
    }

    /// Tells software that the device has stopped using `pasid` (a stop marker). No answer comes.
    ///
    /// # Errors
    /// As [`request_page`](Self::request_page).
    pub fn mark_stop(&mut self, pasid: Pasid) -> Result<RequestOutcome, Blocked> {
        self.request_page(PageRequest {
            source: self.source(),
            pasid: Some(pasid),
            address: VirtAddr(0),
            wants: Wants::default(),
            group: 0,
            last: true,
            private_data: None,
        })
    }

    /// The oldest answer to a page request that the device has not seen.
    pub fn next_response(&mut self) -> Option<PageGroupResponse> {
        self.wiring.device.next_response()
    }
}

/// Why a request stops, and on which leg.
#[derive(Clone, Copy)]
struct Stopped {
    refusal: Refusal,
    address_type: AddressType,
}

impl Wiring {
    /// Through the device's TLB; what it does not have it asks the unit for.
    #[cold]
    fn ahead(
        &mut self,
        section: &Section<'_>,
        iotlb: &mut CachePort,
        request: &Request,
    ) -> Result<Translation, Stopped> {
        let Some(tag) = self.device.tags().of(request.pasid) else {
            return self.through_iotlb(&iotlb.enter(), request, AddressType::Untranslated);
        };
        if let Some(hit) = section.lookup(tag, request.address).filter(|hit| hit.serves(request.access)) {
            if self.quick_in_lent(section, request) == Some(hit.physical(request.address)) {
                return Ok(hit);
            }
            self.admit(request, AddressType::Translated)?;
            self.watch_use(request, self.in_device_tlb(request), hit);
            return Ok(hit);
        }
        let ticket = section.begin_fill(tag);
        let found = self.through_iotlb(&iotlb.enter(), request, AddressType::TranslationRequest);
        // A device that lives from its own TLB does not make the IOTLB's drains ask about it.
        iotlb.pause();
        let found = found?;
        if section.fill(ticket, request.address, found) && self.vigil.is_some() {
            let from = self.admit(request, AddressType::TranslationRequest)?.held_in();
            self.watch_refill(from, request, found);
        }
        Ok(found)
    }

    /// As a request that the unit translates.
    #[cold]
    fn untranslated<'a>(
        &mut self,
        section: Section<'a>,
        request: &Request,
    ) -> (Section<'a>, Result<PhysAddr, Stopped>) {
        if let Some(found) = self.quick_in_lent(&section, request) {
            return (section, Ok(found));
        }
        let found = self.through_iotlb(&section, request, AddressType::Untranslated);
        (section, found.map(at(request)))
    }

    fn through_iotlb(
        &mut self,
        section: &Section<'_>,
        request: &Request,
        address_type: AddressType,
    ) -> Result<Translation, Stopped> {
        let space = &self.admit(request, address_type)?.space;
        if space.stages == Stages::Identity {
            self.watch_passing(request);
            return Ok(identity(request.address));
        }
        let hit = space.tag.and_then(|tag| Some((tag, section.lookup(tag, request.address)?)));
        match hit.filter(|(_, hit)| hit.serves(request.access)) {
            Some((tag, hit)) => {
                self.watch_use(request, HeldIn::Iotlb(tag), hit);
                Ok(hit)
            }
            None => self.walk_and_fill(section, request, address_type),
        }
    }

    fn watch_use(&mut self, request: &Request, held_in: HeldIn, hit: Translation) {
        let Some(vigil) = self.vigil.as_mut().filter(|vigil| vigil.is_looking()) else { return };
        let Ok(memo) = self.memos.find(&self.unit, request.pasid) else { return };
        let requester = Requester { source: self.device.source(), pasid: request.pasid };
        let (route, stages) = (&memo.trail, memo.space.stages);
        let used = Use { requester, request, held_in, hit, route, stages };
        if let Some(path) = self.unit.tell_used(Used::Translation(&used)) {
            vigil.learn(memo, request, hit, &path);
        }
    }

    fn watch_walk(&mut self, walked: &Walked<'_>) {
        let Some(vigil) = self.vigil.as_mut().filter(|vigil| vigil.is_looking()) else { return };
        let path = self.unit.tell_used(Used::Walk(walked));
        let Ok(memo) = self.memos.find(&self.unit, walked.request.pasid) else { return };
        if let (Some(path), Ok(found)) = (path, walked.outcome) {
            vigil.learn(memo, walked.request, found, &path);
        }
    }

    /// The request passes because its route says that nothing translates it.
    fn watch_passing(&mut self, request: &Request) {
        let Some(witness) = self.unit.witness() else { return };
        let Ok(memo) = self.memos.find(&self.unit, request.pasid) else { return };
        if let (Some(held_in), Some(origin)) = (memo.held_in(), memo.origin(Path::identity())) {
            witness.filled(Filled::Passing { held_in, origin });
            self.watch_use(request, held_in, identity(request.address));
        }
    }

    fn watch_refill(&self, from: Option<HeldIn>, request: &Request, found: Translation) {
        if let (Some(witness), Some(from)) = (self.unit.witness(), from) {
            let (to, address) = (self.in_device_tlb(request), request.address);
            witness.filled(Filled::Ahead { from, to, address, translation: found });
        }
    }

    fn in_device_tlb(&self, request: &Request) -> HeldIn {
        HeldIn::DeviceTlb(self.device.source(), request.pasid)
    }

    /// The route of the request, if it admits requests of that type to that address.
    fn admit(&mut self, request: &Request, address_type: AddressType) -> Result<&Memo, Stopped> {
        let stop = |refusal| Stopped { refusal, address_type };
        let memo = self.memos.find_for(&self.unit, request).map_err(stop)?;
        memo.check(request.address, address_type).map_err(stop)?;
        Ok(memo)
    }

    fn walk_and_fill(
        &mut self,
        section: &Section<'_>,
        request: &Request,
        address_type: AddressType,
    ) -> Result<Translation, Stopped> {
        let mut attempts = 0;
        loop {
            let memo = self.admit(request, address_type)?.clone();
            let mut walk = Walk::begin(&self.unit, section, &memo);
            attempts += 1;
            if walk.is_overtaken() && attempts < ATTEMPTS {
                continue;
            }
            let spectator = self.spectator.as_ref().map(|spectator| (spectator, Instant::now()));
            let walked = walk.finish(request);
            let looked_for = self.vigil.as_ref().and_then(|_| walk.walked(request, walked));
            if let (Ok(found), Some((spectator, began))) = (&walked, spectator) {
                spectator.saw(began, request.address, found);
            }
            if let Some(looked_for) = looked_for {
                self.watch_walk(&looked_for);
            }
            return walked.map_err(|reason| Stopped {
                refusal: Refusal { reason, hides_faults: memo.hides_faults },
                address_type,
            });
        }
    }

    fn admit_page_request(&mut self, asked: &Request) -> Result<(), Stopped> {
        let stop = |reason, hides_faults| Stopped {
            refusal: Refusal { reason, hides_faults },
            address_type: AddressType::PageRequest,
        };
        if self.unit.root().mode == TableMode::Legacy {
            return Err(stop(FaultReason::PageRequestInLegacyMode, false));
        }
        let memo = self.admit(asked, AddressType::PageRequest)?;
        if !memo.has_page_requests {
            return Err(stop(FaultReason::PageRequestDisabled, memo.hides_faults));
        }
        let tag = memo.space.tag;
        self.unit.forget_page(tag, asked.address);
        self.device.forget_page(asked.pasid, asked.address);
        Ok(())
    }

    #[cold]
    fn block(&self, request: &Request, stopped: Stopped) -> Blocked {
        let Stopped { refusal: Refusal { reason, hides_faults }, address_type } = stopped;
        let source = self.device.source();
        // A device that asks ahead for what may yet come is told that it may not have it, and that is all.
        let is_answer = address_type == AddressType::TranslationRequest && reason.is_recoverable();
        if !hides_faults && !is_answer {
            self.unit.record_fault(&FaultRecord {
                reason,
                source,
                pasid: request.pasid,
                address: request.address,
                access: request.access,
                address_type,
            });
        }
        Blocked { requester: source, request: *request, reason }
    }
}

/// Where a translation of the request's page leads it.
fn at(request: &Request) -> impl Fn(Translation) -> PhysAddr {
    let address = request.address;
    move |found| found.physical(address)
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("source", &self.source()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
