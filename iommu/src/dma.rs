//! A DMA port: the only way from a device to memory.
//!
//! Invariant: a request is translated, then accesses; what it was translated to may be outdated by then, and an
//! invalidation waits for it. A page request is sent only when nothing is in flight.

use std::sync::Arc;

use mmu::address::{Access, VirtAddr};
use mmu::cache::Translation;
use mmu::port::{Accessed, Context, InFlight, Port};
use mmu::trace::{Action, Agent, Event, Observer};
use mmu::walker::{Fault, FaultReason};
use thiserror::Error;

use crate::pasid::Pasid;
use crate::unit::{Iommu, PageRequest, PageRequestError};

/// Why a request was not translated.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum DmaFault {
    /// The PASID entry is not present.
    #[error("{0} is bound to no address space")]
    PasidNotPresent(Pasid),
    /// The walk failed.
    #[error(transparent)]
    Walk(#[from] Fault),
}

/// One device's port, for one PASID.
pub struct DmaPort {
    unit: Arc<Iommu>,
    pasid: Pasid,
    port: Port,
    observer: Arc<dyn Observer>,
}

impl DmaPort {
    /// Port of device `number` for requests with `pasid`; `observer` is told of its walks and faults.
    #[must_use]
    pub fn new(unit: Arc<Iommu>, number: u16, pasid: Pasid, observer: Arc<dyn Observer>) -> Self {
        let frames = Arc::clone(unit.frames());
        let port = Port::new(unit.iotlb(), frames, Agent::Device(number), Arc::clone(&observer));
        Self { unit, pasid, port, observer }
    }

    /// Translates a request for one aligned word, and leaves it in flight.
    ///
    /// # Errors
    /// [`DmaFault`]; nothing is in flight then.
    #[inline]
    pub fn translate(&mut self, address: VirtAddr, access: Access) -> Result<InFlight<'_>, DmaFault> {
        let root = self.unit.root(self.pasid).ok_or(DmaFault::PasidNotPresent(self.pasid))?;
        let context = Context { tag: self.pasid.tag(), root };
        Ok(self.port.translate(context, address, access)?)
    }

    /// Reads the aligned word at `address`, requesting its page as often as it takes.
    ///
    /// # Errors
    /// [`PageRequestError`] when the page is refused.
    #[inline]
    pub fn read(&mut self, address: VirtAddr) -> Result<Accessed, PageRequestError> {
        loop {
            let fault = match self.translate(address, Access::Read) {
                Ok(in_flight) => return Ok(in_flight.load()),
                Err(fault) => fault,
            };
            self.request_page(fault, address, Access::Read)?;
        }
    }

    /// Writes the aligned word at `address`, requesting its page as often as it takes.
    ///
    /// # Errors
    /// [`PageRequestError`] when the page is refused.
    #[inline]
    pub fn write(&mut self, address: VirtAddr, value: u64) -> Result<Accessed, PageRequestError> {
        loop {
            let fault = match self.translate(address, Access::Write) {
                Ok(in_flight) => return Ok(in_flight.store(value)),
                Err(fault) => fault,
            };
            self.request_page(fault, address, Access::Write)?;
        }
    }

    /// What the IOTLB holds for `address` under the port's PASID, stale or not.
    #[must_use]
    pub fn cached(&self, address: VirtAddr) -> Option<Translation> {
        self.port.cached(self.pasid.tag(), address)
    }

    /// Tells invalidations that the device idles.
    pub fn pause(&mut self) {
        self.port.pause();
    }

    /// A page that is missing or protected is asked for; a table that is broken no page request can mend.
    #[cold]
    fn request_page(
        &mut self,
        fault: DmaFault,
        address: VirtAddr,
        access: Access,
    ) -> Result<(), PageRequestError> {
        if let DmaFault::Walk(fault @ Fault { reason: FaultReason::OutsideMemory { .. }, .. }) = fault {
            return Err(PageRequestError::Unrecoverable(fault));
        }
        let event = Event::now(self.port.agent(), Action::Fault, address.page(), None);
        self.observer.record(event);
        // Answering may invalidate what this very device uses, and may take long.
        self.port.pause();
        self.unit.request_page(PageRequest { pasid: self.pasid, address, access })
    }
}
