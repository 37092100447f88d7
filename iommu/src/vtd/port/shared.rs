//! A device's way to memory as rust-vmm's crates want it: a [`vm_memory::Iommu`], so that devices which reach memory through
//! `vm_memory::IommuMemory` run behind the unit unchanged, from any thread.
//!
//! Invariant: nothing is cached here. Each translation asks the unit for each page, and what it returns holds the range that
//! was asked for and is thrown away; so what is stale is so in the unit's caches, and nowhere else. While the result of a
//! translation lives, an invalidation that concerns it waits. A slice that a device keeps beyond that, as virtio-queue's
//! `Reader` and `Writer` do, is used without the unit knowing: that is vm-memory's contract, and a device that keeps one over
//! an invalidation is what nobody waits for.
//! Source: vm-memory, `Iommu`; VT-d 6.5.2.8 (drain).

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::sync::Arc;

use mmu::address::{Access, PAGE_SIZE, PhysAddr, VirtAddr};
use mmu::cache::{CachePort, Section};
use parking_lot::Mutex;
use pcie::{Ats, Pasid, Request, SourceId};
use vm_memory::iommu::{Error, IotlbIterator, IovaRange};
use vm_memory::{GuestAddress, Iommu, Iotlb, Permissions};

use super::{Blocked, Port, Stopped, Wiring, at};
use crate::vtd::Vtd;

/// Lanes that are kept for later; who translates more at once makes new ones.
const KEPT: usize = 16;

/// The port of a function, for any number of threads.
pub struct SharedPort {
    unit: Arc<Vtd>,
    source: SourceId,
    pasid: Option<Pasid>,
    device_tlb_entries: usize,
    /// Those that nobody translates by at the moment.
    idle: Mutex<Vec<Lane>>,
}

/// What one translation needs.
struct Lane {
    port: Port,
    /// In an access as long as the translation's result lives, of both caches that it may rest on.
    keepers: [CachePort; 2],
}

/// The translations of one range, which are in flight.
pub struct Held<'port> {
    found: Iotlb,
    /// None once it is dropped.
    lane: Option<Lane>,
    home: &'port SharedPort,
}

impl Vtd {
    /// The port of the function `source` for rust-vmm's devices, in whose name requests without PASID are made. Who first names
    /// the function decides how many entries its TLB has; 0 is none.
    ///
    /// # Panics
    /// As [`port`](Self::port).
    #[must_use]
    pub fn shared_port(self: &Arc<Self>, source: SourceId, device_tlb_entries: usize) -> SharedPort {
        let first = Lane::new(self.port(source, device_tlb_entries));
        let idle = Mutex::new(vec![first]);
        SharedPort { unit: Arc::clone(self), source, pasid: None, device_tlb_entries, idle }
    }
}

impl SharedPort {
    /// The same; each request has that PASID.
    #[must_use]
    pub fn with_pasid(self, pasid: Pasid) -> Self {
        Self { pasid: Some(pasid), ..self }
    }

    /// Who asks.
    #[must_use]
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// Switches the device's TLB, as [`Port::set_ats`] does.
    pub fn set_ats(&self, ats: Ats) {
        let mut lane = self.lane();
        lane.port.set_ats(ats);
        self.put(lane);
    }

    fn lane(&self) -> Lane {
        let idle = self.idle.lock().pop();
        idle.unwrap_or_else(|| Lane::new(self.unit.port(self.source, self.device_tlb_entries)))
    }

    /// Takes back what translates nothing any more.
    fn put(&self, lane: Lane) {
        let mut idle = self.idle.lock();
        if idle.len() < KEPT {
            idle.push(lane);
        }
    }

    /// Translates `range` page by page.
    fn find(&self, lane: &mut Lane, range: &IovaRange, access: Permissions) -> Result<Iotlb, Error> {
        let refused = |reason| Error::CannotResolve { iova_range: range.clone(), reason };
        let length = range.length as u64;
        let end = range.base.0.checked_add(length);
        let end = end.ok_or_else(|| refused("it goes around the end of all addresses".to_owned()))?;
        let mut found = Iotlb::new();
        let mut at = range.base.0;
        while at < end {
            let next = (at & !(PAGE_SIZE - 1)).checked_add(PAGE_SIZE).map_or(end, |next| next.min(end));
            let reached = lane.reach_for(self.pasid, VirtAddr(at), access);
            let reached = reached.map_err(|blocked| refused(blocked.to_string()))?;
            let len = usize::try_from(next - at).map_err(|error| refused(error.to_string()))?;
            found.set_mapping(GuestAddress(at), GuestAddress(reached.0), len, access)?;
            at = next;
        }
        Ok(found)
    }
}

impl Iommu for SharedPort {
    type IotlbGuard<'a> = Held<'a>;

    /// Translates each page of the range. A request for no access at all is a read, and one for both is a read and a write.
    /// What it takes is proportional to `length`: a device bounds the lengths that a guest gives it.
    ///
    /// # Errors
    /// [`Error::CannotResolve`] with the unit's reason, which is in its fault log, for the first page that is not translated.
    fn translate(
        &self,
        iova: GuestAddress,
        length: usize,
        access: Permissions,
    ) -> Result<IotlbIterator<Held<'_>>, Error> {
        let range = IovaRange { base: iova, length };
        let mut lane = self.lane();
        lane.enter();
        match self.find(&mut lane, &range, access) {
            Ok(found) => {
                let held = Held { found, lane: Some(lane), home: self };
                Iotlb::lookup(held, iova, length, access).map_err(|fails| Error::CannotResolve {
                    iova_range: range,
                    reason: format!("a translation is missing, which is a mistake of the port: {fails:?}"),
                })
            }
            Err(error) => {
                lane.pause();
                self.put(lane);
                Err(error)
            }
        }
    }
}

impl Lane {
    fn new(port: Port) -> Self {
        let keepers = [&port.iotlb, &port.device_tlb].map(|cache| cache.cache().port());
        Self { port, keepers }
    }

    /// From now until [`pause`](Self::pause) invalidations wait for what is found.
    fn enter(&mut self) {
        for keeper in &mut self.keepers {
            // Its end is what tells drains that it is over, and that comes later.
            mem::forget(keeper.enter());
        }
    }

    fn pause(&mut self) {
        self.port.pause();
        self.keepers.iter_mut().for_each(CachePort::pause);
    }

    fn reach_for(
        &mut self,
        pasid: Option<Pasid>,
        address: VirtAddr,
        access: Permissions,
    ) -> Result<PhysAddr, Blocked> {
        let mut reach = |access| self.reach(Request { pasid, address, access });
        match access {
            Permissions::No | Permissions::Read => reach(Access::Read),
            Permissions::Write => reach(Access::Write),
            Permissions::ReadWrite => reach(Access::Read).and_then(|_| reach(Access::Write)),
        }
    }

    fn reach(&mut self, request: Request) -> Result<PhysAddr, Blocked> {
        let Port { iotlb, device_tlb, wiring } = &mut self.port;
        let (section, found) = wiring.reach(iotlb, device_tlb, &request);
        drop(section);
        found.map_err(|stopped| {
            // Recording takes a lock, and may interrupt.
            self.pause();
            self.port.wiring.block(&request, stopped)
        })
    }
}

impl Wiring {
    /// What [`Port::translate`] does up to the access: it has its own, because it is faster with everything in one place.
    fn reach<'port>(
        &mut self,
        iotlb: &'port mut CachePort,
        device_tlb: &'port mut CachePort,
        request: &Request,
    ) -> (Section<'port>, Result<PhysAddr, Stopped>) {
        let (section, behind) = match self.memos.ats_now(&self.unit) {
            Ats::Disabled => (iotlb.enter(), None),
            Ats::Enabled => (device_tlb.enter(), Some(iotlb)),
        };
        match (self.quick(&section, *request), behind) {
            (Some(address), _) => (section, Ok(address)),
            (None, Some(iotlb)) if self.device.ats() == Ats::Enabled => {
                let found = self.ahead(&section, iotlb, request).map(at(request));
                (section, found)
            }
            (None, Some(iotlb)) => {
                drop(section);
                self.untranslated(iotlb.enter(), request)
            }
            (None, None) => self.untranslated(section, request),
        }
    }
}

impl Deref for Held<'_> {
    type Target = Iotlb;

    fn deref(&self) -> &Iotlb {
        &self.found
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(mut lane) = self.lane.take() {
            lane.pause();
            self.home.put(lane);
        }
    }
}

impl fmt::Debug for SharedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, pasid, .. } = self;
        f.debug_struct("SharedPort").field("source", source).field("pasid", pasid).finish_non_exhaustive()
    }
}

impl fmt::Debug for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("found", &self.found).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
