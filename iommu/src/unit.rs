//! The unit itself: PASID bindings, the IOTLB, and what happens when a translation is missing.
//!
//! Invariant: a binding hears of every change of its address space before it can cache anything of it (it
//! subscribes before the PASID entry is present), and when [`Iommu::unbind`] or the address space's release returns,
//! no request with the PASID is in flight and none will be translated.
//! The unit does not listen to range_start and range_end: a device may walk at any time, also between them.
//! Source: drivers/iommu/intel/svm.c `intel_arch_invalidate_secondary_tlbs`, `intel_mm_release`;
//! drivers/iommu/io-pgfault.c.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use mmu::address::{Access, VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, FaultError};
use mmu::cache::TranslationCache;
use mmu::frame::Frames;
use mmu::notifier::{MmuNotifier, SubscriptionId};
use mmu::table::Root;
use mmu::walker::Fault;
use parking_lot::Mutex;
use thiserror::Error;

use crate::pasid::{Pasid, PasidTable};

/// How the unit is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IommuOptions {
    /// Translations the IOTLB holds, rounded up; 0 switches it off.
    pub iotlb_entries: usize,
}

impl Default for IommuOptions {
    fn default() -> Self {
        Self { iotlb_entries: 1024 }
    }
}

/// A PASID that cannot be bound.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("{0} is bound already; unbind it first, or take another")]
pub struct AlreadyBound(pub Pasid);

/// A translation that a device asks the address space for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// Whose address.
    pub pasid: Pasid,
    /// Which page.
    pub address: VirtAddr,
    /// For what.
    pub access: Access,
}

/// The answer to a page request.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum PageRequestError {
    /// The PASID is bound to no address space (response code 1, invalid request).
    #[error("{0} is bound to no address space")]
    NotBound(Pasid),
    /// The address space refuses (response code 1).
    #[error(transparent)]
    Refused(#[from] FaultError),
    /// The walk failed in a way that no page can mend, so none was requested.
    #[error(transparent)]
    Unrecoverable(Fault),
}

/// One remapping unit.
pub struct Iommu {
    frames: Arc<Frames>,
    iotlb: Arc<TranslationCache>,
    pasids: PasidTable,
    bindings: Mutex<HashMap<Pasid, Binding>>,
    page_requests: AtomicU64,
}

struct Binding {
    space: Weak<AddressSpace>,
    subscription: SubscriptionId,
}

/// What an address space knows of the unit: one binding.
struct SharedVirtualAddressing {
    unit: Weak<Iommu>,
    pasid: Pasid,
}

impl Iommu {
    /// A unit in front of `frames`, with nothing bound.
    #[must_use]
    pub fn new(frames: Arc<Frames>, options: IommuOptions) -> Arc<Self> {
        Arc::new(Self {
            frames,
            iotlb: Arc::new(TranslationCache::new(options.iotlb_entries)),
            pasids: PasidTable::new(),
            bindings: Mutex::default(),
            page_requests: AtomicU64::new(0),
        })
    }

    /// Binds `pasid` to an address space (`iommu_sva_bind_device`).
    ///
    /// # Errors
    /// [`AlreadyBound`] if it is bound.
    pub fn bind(self: &Arc<Self>, pasid: Pasid, space: &Arc<AddressSpace>) -> Result<(), AlreadyBound> {
        let mut bindings = self.bindings.lock();
        if bindings.contains_key(&pasid) {
            return Err(AlreadyBound(pasid));
        }
        let listener = SharedVirtualAddressing { unit: Arc::downgrade(self), pasid };
        let subscription = space.notifiers().subscribe(Arc::new(listener));
        bindings.insert(pasid, Binding { space: Arc::downgrade(space), subscription });
        self.pasids.set(pasid, space.table().root());
        Ok(())
    }

    /// Unbinds `pasid`: afterwards its requests fault. Does nothing if it is not bound.
    pub fn unbind(&self, pasid: Pasid) {
        let Some(binding) = self.bindings.lock().remove(&pasid) else { return };
        self.tear_down(pasid);
        if let Some(space) = binding.space.upgrade() {
            space.notifiers().unsubscribe(binding.subscription);
        }
    }

    /// The entry goes, then what was cached of it, then the requests in flight.
    fn tear_down(&self, pasid: Pasid) {
        self.pasids.clear(pasid);
        self.iotlb.invalidate_tag(pasid.tag());
        self.iotlb.drain();
    }

    /// The cache of its translations.
    #[must_use]
    pub fn iotlb(&self) -> &Arc<TranslationCache> {
        &self.iotlb
    }

    /// What it stands in front of.
    #[must_use]
    pub fn frames(&self) -> &Arc<Frames> {
        &self.frames
    }

    /// The table that `pasid` is walked through, if it is bound.
    #[inline]
    #[must_use]
    pub fn root(&self, pasid: Pasid) -> Option<Root> {
        self.pasids.root(pasid)
    }

    /// Asks the address space to make an access possible, and returns its answer. The page's cached translation
    /// goes first: the device found it wanting.
    ///
    /// # Errors
    /// [`PageRequestError`] as the response to the device.
    pub fn request_page(&self, request: PageRequest) -> Result<(), PageRequestError> {
        self.page_requests.fetch_add(1, Ordering::Relaxed);
        self.iotlb.invalidate_page(request.pasid.tag(), request.address);
        let space = self.bindings.lock().get(&request.pasid).and_then(|binding| binding.space.upgrade());
        let space = space.ok_or(PageRequestError::NotBound(request.pasid))?;
        Ok(space.handle_fault(request.address, request.access)?)
    }

    /// Page requests so far.
    #[must_use]
    pub fn page_requests(&self) -> u64 {
        self.page_requests.load(Ordering::Relaxed)
    }

    /// The PASID-selective-within-PASID invalidation of `range`, issued and completed.
    fn invalidate(&self, pasid: Pasid, range: VirtRange) {
        self.iotlb.invalidate_range(pasid.tag(), range);
        self.iotlb.drain();
    }
}

impl MmuNotifier for SharedVirtualAddressing {
    fn invalidate_secondary(&self, range: VirtRange) {
        if let Some(unit) = self.unit.upgrade() {
            unit.invalidate(self.pasid, range);
        }
    }

    /// The address space ends while the binding stands: the entry is torn down, the binding stays until it is
    /// unbound.
    fn release(&self) {
        if let Some(unit) = self.unit.upgrade() {
            unit.tear_down(self.pasid);
        }
    }
}

#[cfg(test)]
mod tests;
