//! Bindings: which address space a PASID stands for, and what is done when it changes.
//!
//! Invariant: one thread at a time binds, unbinds or releases. Whoever answers a page request does not need that lock,
//! so whoever holds it may wait until all are answered. A change is flushed under no lock but the queue's. The last
//! reference to an address space is never dropped under a lock of this driver: its release takes them.
//! Source: drivers/iommu/intel/svm.c `intel_arch_invalidate_secondary_tlbs`, `intel_mm_release`;
//! drivers/iommu/intel/pasid.c `intel_pasid_tear_down_entry`; VT-d 6.5.2.4, 7.11 (draining).

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::thread;

use mmu::address::VirtRange;
use mmu::address_space::AddressSpace;
use mmu::cache::RANGE_LIMIT_PAGES;
use mmu::frame::OutOfFrames;
use mmu::notifier::{MmuNotifier, SubscriptionId};
use parking_lot::{Mutex, RwLock};
use pcie::Pasid;
use thiserror::Error;

use super::queue::Until;
use super::{DOMAIN, FlushOrder, SvaDriver};
use crate::spec::descriptor::{
    Descriptor, DevicePasid, DeviceScope, DeviceSpan, Hint, IotlbScope, PageSpan, PasidScope,
};
use crate::spec::id::DomainId;
use crate::spec::pasid_entry::PasidEntry;
use crate::vtd::options::CachingMode;

/// A PASID that cannot be bound.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum BindError {
    /// It stands for another address space.
    #[error("{0} is bound already; unbind it first, or take another")]
    AlreadyBound(Pasid),
    /// It is that of requests that carry none.
    #[error("{0} belongs to requests without PASID; take another")]
    Reserved(Pasid),
    /// There is no memory for its table.
    #[error(transparent)]
    OutOfFrames(#[from] OutOfFrames),
}

/// The bindings of one unit.
#[derive(Default)]
pub(super) struct Bindings {
    subscriptions: Mutex<Subscriptions>,
    /// What answers are looked up in, apart from the lock above.
    spaces: RwLock<HashMap<Pasid, Weak<AddressSpace>>>,
}

#[derive(Default)]
struct Subscriptions {
    bound: HashMap<Pasid, (Generation, SubscriptionId)>,
    newest: Generation,
}

/// Tells the bindings of a PASID apart, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Generation(u64);

/// What an address space knows of the driver: one binding.
struct SharedVirtualAddressing {
    driver: Weak<SvaDriver>,
    pasid: Pasid,
    generation: Generation,
}

/// What is taken out of the caches.
#[derive(Clone, Copy)]
enum Extent {
    Everything,
    Pages(VirtRange),
}

impl Bindings {
    /// The address space that `pasid` stands for, if it lives.
    pub(super) fn space(&self, pasid: Pasid) -> Option<Arc<AddressSpace>> {
        self.spaces.read().get(&pasid).and_then(Weak::upgrade)
    }
}

impl SvaDriver {
    /// Binds `pasid` to an address space (`iommu_sva_bind_device`), for every device.
    ///
    /// # Errors
    /// [`BindError`], with nothing changed.
    pub fn bind(self: &Arc<Self>, pasid: Pasid, space: &Arc<AddressSpace>) -> Result<(), BindError> {
        if pasid.number() == 0 {
            return Err(BindError::Reserved(pasid));
        }
        let mut subscriptions = self.bindings.subscriptions.lock();
        if subscriptions.bound.contains_key(&pasid) {
            return Err(BindError::AlreadyBound(pasid));
        }
        self.tables.lock().prepare(pasid)?;
        subscriptions.newest.0 += 1;
        let generation = subscriptions.newest;
        let listener = SharedVirtualAddressing { driver: Arc::downgrade(self), pasid, generation };
        let subscription = space.notifiers().subscribe(Arc::new(listener));
        subscriptions.bound.insert(pasid, (generation, subscription));
        self.bindings.spaces.write().insert(pasid, Arc::downgrade(space));
        self.tables.lock().set(pasid, PasidEntry::of_first_stage(DOMAIN, space.table().root()));
        if self.unit.options().caching_mode == CachingMode::AlsoAbsent {
            // That there was no entry is cached under no domain of its own.
            self.forget_pasid(DomainId::RESERVED, pasid);
        }
        Ok(())
    }

    /// Unbinds `pasid`: afterwards its requests fault. Does nothing if it is not bound.
    pub fn unbind(&self, pasid: Pasid) {
        // Dropped after the lock, also if it is the last.
        let space;
        let mut subscriptions = self.bindings.subscriptions.lock();
        let Some((_, subscription)) = subscriptions.bound.remove(&pasid) else { return };
        space = self.bindings.space(pasid);
        self.tear_down(pasid, PasidEntry::ABSENT);
        self.bindings.spaces.write().remove(&pasid);
        if let Some(space) = &space {
            space.notifiers().unsubscribe(subscription);
        }
    }

    /// The entry goes, then what was cached of it, then the accesses and page requests under way.
    fn tear_down(&self, pasid: Pasid, entry: PasidEntry) {
        self.tables.lock().set(pasid, entry);
        self.forget_pasid(DOMAIN, pasid);
        self.drain_requests(pasid);
    }

    fn forget_pasid(&self, domain: DomainId, pasid: Pasid) {
        let mut batch = vec![Descriptor::PasidCache(PasidScope::Pasid(domain, pasid))];
        batch.extend(self.flushes(pasid, Extent::Everything));
        self.queue.submit(&batch, Until::Done);
    }

    /// Answers what is in the ring, then fetches what is still on its way to it, until nothing is left. Requests of
    /// other PASIDs are not touched: whoever answers one may be the last who holds its address space.
    fn drain_requests(&self, pasid: Pasid) {
        loop {
            while self.requests.has(pasid) {
                self.answer_requests_of(pasid);
                thread::yield_now();
            }
            self.queue.submit(&self.flushes(pasid, Extent::Everything), Until::RequestsDelivered);
            if !self.requests.has_overflowed() && !self.requests.has(pasid) {
                return;
            }
        }
    }

    /// Takes a range out of every cache. Called under page-table locks: what it waits for needs none.
    fn flush(&self, pasid: Pasid, range: VirtRange) {
        let extent =
            if range.page_count() > RANGE_LIMIT_PAGES { Extent::Everything } else { Extent::Pages(range) };
        self.queue.submit(&self.flushes(pasid, extent), Until::Done);
    }

    fn flushes(&self, pasid: Pasid, extent: Extent) -> Vec<Descriptor> {
        let iotlb = |scope| Descriptor::Iotlb { scope, drains: true };
        let mut unit = Vec::new();
        let mut devices = Vec::new();
        let mut on_devices = |span: DeviceSpan| {
            let sources = self.caching_devices.read();
            devices.extend(sources.iter().map(|&source| {
                Descriptor::DeviceTlb(DeviceScope { source, pasid: DevicePasid::One(pasid), span })
            }));
        };
        match extent {
            Extent::Everything => {
                unit.push(iotlb(IotlbScope::Pasid(DOMAIN, pasid)));
                on_devices(DeviceSpan::All);
            }
            Extent::Pages(range) => {
                for span in PageSpan::cover(range, Hint::EveryLevel) {
                    unit.push(iotlb(IotlbScope::PasidPages(DOMAIN, pasid, span)));
                    on_devices(span.into());
                }
            }
        }
        match self.flush_order {
            FlushOrder::IotlbThenDevices => [unit, devices].concat(),
            FlushOrder::DevicesThenIotlb => [devices, unit].concat(),
            FlushOrder::IotlbOnly => unit,
        }
    }

    /// The address space ends while the binding stands: it stays, with nothing behind it, until it is unbound.
    fn release(&self, pasid: Pasid, generation: Generation) {
        let subscriptions = self.bindings.subscriptions.lock();
        if subscriptions.bound.get(&pasid).is_some_and(|(bound, _)| *bound == generation) {
            self.tear_down(pasid, PasidEntry::ABSENT_AND_SILENT);
        }
    }
}

impl MmuNotifier for SharedVirtualAddressing {
    fn invalidate_secondary(&self, range: VirtRange) {
        if let Some(driver) = self.driver.upgrade() {
            driver.flush(self.pasid, range);
        }
    }

    fn release(&self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.release(self.pasid, self.generation);
        }
    }
}

#[cfg(test)]
mod tests;
