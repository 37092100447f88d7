//! What a device model asks software for: pages.
//!
//! Invariant: a request leaves as any other does, by a bus master and with a PASID only if that is enabled.
//! Source: PCI Express 4.0, 10.4.

use mmu::address::{Access, VirtAddr};
use pcie::{PageGroupResponse, PageRequest, Pasid, RequestOutcome, Wants};

use super::Endpoint;
use crate::pci::capability::address_translation;
use crate::upstream::DmaFault;

/// By what a device knows the answer to a page request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PageGroup {
    /// In whose name it asked.
    pub(crate) pasid: Option<Pasid>,
    /// A number of its own.
    pub(crate) group: u16,
}

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
        let write = access == Access::Write;
        let mut way = self.way(pasid)?;
        let outcome = way.request_page(PageRequest {
            source: self.source(),
            pasid,
            address: address.page(),
            wants: Wants { read: true, write, ..Wants::default() },
            group,
            last: true,
            private_data: None,
        })?;
        // With the way still held, so that whoever gives up requests finds this one.
        *self.outstanding.lock() =
            (outcome == RequestOutcome::Accepted).then_some(PageGroup { pasid, group });
        Ok(outcome)
    }

    /// Tells software that the function has stopped using `pasid` (a stop marker). No answer comes.
    ///
    /// # Errors
    /// [`DmaFault`] if nobody takes page requests of this function.
    pub fn mark_stop(&self, pasid: Pasid) -> Result<(), DmaFault> {
        let marker = PageRequest {
            source: self.source(),
            pasid: Some(pasid),
            address: VirtAddr(0),
            wants: Wants::default(),
            group: 0,
            last: true,
            private_data: None,
        };
        // One that finds no place is lost, and software that has seen the overflow does not wait for it.
        self.way(Some(pasid))?.request_page(marker).map(|_| ())
    }

    /// The oldest answer to a page request that was not taken yet.
    pub fn next_response(&self) -> Option<PageGroupResponse> {
        let response = self.port.lock().next_response()?;
        let PageGroupResponse { pasid, group, .. } = response;
        if self.awaits(PageGroup { pasid, group }) {
            *self.outstanding.lock() = None;
            self.show_page_requests();
        }
        Some(response)
    }

    /// Whether this page request waits for its answer, and has not been given up.
    pub(crate) fn awaits(&self, asked: PageGroup) -> bool {
        *self.outstanding.lock() == Some(asked)
    }

    /// No answer to what was asked for is waited for any more; one that is on its way reaches nobody.
    pub fn give_up_page_requests(&self) {
        let mut port = self.port.lock();
        port.drop_responses();
        *self.outstanding.lock() = None;
        drop(port);
        self.show_page_requests();
    }

    pub(super) fn show_page_requests(&self) {
        let mut config = self.config();
        let is_outstanding = self.outstanding.lock().is_some();
        address_translation::show_pri_stopped(&mut config, is_outstanding);
    }

    /// Notes in the configuration space that a page request was answered by a failure.
    pub fn note_page_request_failure(&self) {
        address_translation::note_pri_failure(&mut self.config());
    }
}
