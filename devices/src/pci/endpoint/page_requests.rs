//! What a device model asks software for: pages.
//!
//! Invariant: a request leaves as any other does, by a bus master and with a PASID only if that is enabled.
//! Source: PCI Express 4.0, 10.4.

use iommu::pasid::Pasid;
use iommu::spec::descriptor::PageGroupResponse;
use iommu::spec::page_request::{PageRequest, Wants};
use iommu::vtd::RequestOutcome;
use mmu::address::{Access, VirtAddr};

use super::Endpoint;
use crate::pci::capability::address_translation;
use crate::upstream::DmaFault;

impl Endpoint {
    /// Whether the function may ask for pages: it translates ahead and has PRI enabled.
    #[must_use]
    pub fn may_request_pages(&self) -> bool {
        let config = self.config();
        address_translation::pri_is_enabled(&config)
            && address_translation::ats_is_enabled(&config)
            && address_translation::pri_allocation(&config) > 0
    }

    /// Asks software for the page at `address`, as a group of one.
    ///
    /// # Errors
    /// [`DmaFault`] if nobody takes page requests of this function.
    pub fn request_page(
        &self,
        pasid: Option<Pasid>,
        address: VirtAddr,
        access: Access,
        group: u16,
    ) -> Result<RequestOutcome, DmaFault> {
        self.admit(pasid)?;
        let write = access == Access::Write;
        self.port.lock().request_page(PageRequest {
            source: self.source,
            pasid,
            address: address.page(),
            wants: Wants { read: true, write, ..Wants::default() },
            group,
            last: true,
            private_data: None,
        })
    }

    /// Tells software that the function has stopped using `pasid` (a stop marker). No answer comes.
    ///
    /// # Errors
    /// [`DmaFault`] if nobody takes page requests of this function.
    pub fn mark_stop(&self, pasid: Pasid) -> Result<(), DmaFault> {
        self.admit(Some(pasid))?;
        let marker = PageRequest {
            source: self.source,
            pasid: Some(pasid),
            address: VirtAddr(0),
            wants: Wants::default(),
            group: 0,
            last: true,
            private_data: None,
        };
        // One that finds no place is lost, and software that has seen the overflow does not wait for it.
        self.port.lock().request_page(marker).map(|_| ())
    }

    /// The oldest answer to a page request that was not taken yet.
    pub fn next_response(&self) -> Option<PageGroupResponse> {
        self.port.lock().next_response()
    }

    /// Notes in the configuration space that a page request was answered by a failure.
    pub fn note_page_request_failure(&self) {
        address_translation::note_pri_failure(&mut self.config());
    }
}
