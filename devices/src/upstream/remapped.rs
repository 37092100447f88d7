//! Through the VT-d unit.
//!
//! Invariant: between two requests a port counts as idle, so that no invalidation waits for a device that does nothing.

use std::sync::Arc;

use iommu::vtd::interrupts::InterruptSource;
use iommu::vtd::{self, Vtd};
use mmu::address::{Access, PhysAddr, VirtAddr};
use pcie::{Ats, Msi, PageGroupResponse, PageRequest, Pasid, Request, RequestOutcome, SourceId};

use super::{Atomic, DmaFault, Port, Remedy, Upstream};

/// Memory behind a remapping unit.
pub struct Remapped {
    unit: Arc<Vtd>,
    device_tlb_entries: usize,
}

impl Remapped {
    /// Behind `unit`; a function that translates ahead keeps `device_tlb_entries` translations, 0 for none.
    #[must_use]
    pub fn new(unit: Arc<Vtd>, device_tlb_entries: usize) -> Self {
        Self { unit, device_tlb_entries }
    }
}

impl Upstream for Remapped {
    fn port(&self, source: SourceId) -> Box<dyn Port> {
        Box::new(self.unit.port(source, self.device_tlb_entries))
    }

    fn send(&self, source: SourceId, message: Msi) {
        if let Err(reason) = self.unit.interrupt(InterruptSource::Function(source), message) {
            log::info!("{source}: {message:x?} is blocked: {reason}");
        }
    }
}

impl Port for vtd::port::Port {
    fn read(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &mut [u8]) -> Result<(), DmaFault> {
        check(address, bytes.len())?;
        let read = Self::read(self, pasid, address, bytes);
        self.pause();
        Ok(read?)
    }

    fn write(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &[u8]) -> Result<(), DmaFault> {
        check(address, bytes.len())?;
        let written = Self::write(self, pasid, address, bytes);
        self.pause();
        Ok(written?)
    }

    fn atomic(
        &mut self,
        pasid: Option<Pasid>,
        address: VirtAddr,
        operation: Atomic,
    ) -> Result<u64, DmaFault> {
        if !address.0.is_multiple_of(8) {
            return Err(DmaFault::Unsupported { address, len_bytes: size_of::<u64>() });
        }
        let translated = self.translate(Request { pasid, address, access: Access::Write });
        let updated = translated.map(|in_flight| in_flight.update(|before| operation.apply(before)));
        self.pause();
        Ok(updated?)
    }

    fn hold(&mut self, address: VirtAddr, access: Access) -> Result<PhysAddr, DmaFault> {
        let held = Self::hold(self, Request { pasid: None, address, access });
        if held.is_err() {
            self.pause();
        }
        Ok(held?)
    }

    fn release(&mut self) {
        self.pause();
    }

    fn set_ats(&mut self, ats: Ats) {
        Self::set_ats(self, ats);
    }

    fn reset(&mut self) {
        Self::reset(self);
    }

    fn drop_responses(&mut self) {
        Self::drop_responses(self);
    }

    fn request_page(&mut self, request: PageRequest) -> Result<RequestOutcome, DmaFault> {
        Ok(Self::request_page(self, request)?)
    }

    fn next_response(&mut self) -> Option<PageGroupResponse> {
        Self::next_response(self)
    }
}

impl From<vtd::port::Blocked> for DmaFault {
    fn from(blocked: vtd::port::Blocked) -> Self {
        let may_come = blocked.reason.is_recoverable();
        Self::Blocked {
            address: blocked.request.address,
            remedy: if may_come { Remedy::PageRequest } else { Remedy::None },
            reason: blocked.to_string(),
        }
    }
}

/// No request goes around the end of all addresses.
fn check(address: VirtAddr, len_bytes: usize) -> Result<(), DmaFault> {
    let end = u64::try_from(len_bytes).ok().and_then(|len| address.0.checked_add(len));
    end.map(|_| ()).ok_or(DmaFault::Unsupported { address, len_bytes })
}
