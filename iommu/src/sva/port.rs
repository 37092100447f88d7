//! A DMA port: the only way from a device to the memory of a process.
//!
//! Invariant: a request is translated, then accesses; what it was translated to may be outdated by then, and an
//! invalidation waits for it. A page request is sent only when nothing is in flight. A device has one port at a time:
//! responses go to the device. Its own thread looks after the ring while it waits: an emulated device has no CPU
//! beside it that would be interrupted, and waking a thread takes longer than most answers.

use std::sync::Arc;
use std::thread;

use mmu::address::{Access, VirtAddr};
use mmu::cache::Translation;
use mmu::frame::Frames;
use mmu::port::{Accessed, InFlight};
use mmu::trace::{Action, Agent, Event, Observer};
use pcie::{PageRequest, Pasid, Request, ResponseCode, Wants};
use thiserror::Error;

use super::{SvaDevice, SvaDriver};
use crate::spec::fault::FaultReason;
use crate::vtd::port::{Blocked, InFlight as Held, Port};

/// Groups that a device tells apart.
const GROUPS: u16 = 512;

/// Why a device does not get what it asked for.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum DmaError {
    /// The unit blocks the request in a way that no page can mend, or lets the device ask for none.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// The address space refuses the page.
    #[error("the page request for {:?} at {} was answered {code:?}", .request.access, .request.address)]
    Refused {
        /// What was asked.
        request: Request,
        /// The answer.
        code: ResponseCode,
    },
}

/// One device's port, for one PASID.
pub struct DmaPort {
    driver: Arc<SvaDriver>,
    frames: Arc<Frames>,
    port: Port,
    pasid: Pasid,
    agent: Agent,
    observer: Arc<dyn Observer>,
    /// Page requests so far.
    requests: u64,
}

impl DmaPort {
    /// The port of `device` for requests with `pasid`; `observer` is told of its walks and faults.
    #[must_use]
    pub fn new(
        driver: &Arc<SvaDriver>,
        device: SvaDevice,
        pasid: Pasid,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let agent = Agent::Device(device.number());
        let mut port = driver.unit().port(device.source(), device.device_tlb_entries);
        port.set_ats(device.ats());
        port.observe(agent, Arc::clone(&observer));
        let frames = Arc::clone(driver.frames());
        Self { driver: Arc::clone(driver), frames, port, pasid, agent, observer, requests: 0 }
    }

    /// Translates a request for one aligned word, and leaves it in flight.
    ///
    /// # Errors
    /// [`Blocked`]; nothing is in flight then.
    #[inline(always)]
    pub fn translate(
        &mut self,
        address: VirtAddr,
        access: Access,
    ) -> Result<InFlight<'_, Held<'_>>, Blocked> {
        let held = self.port.translate(Request { pasid: Some(self.pasid), address, access })?;
        let reached = held.address();
        Ok(InFlight::new(held, &self.frames, reached))
    }

    /// Reads the aligned word at `address`, requesting its page as often as it takes.
    ///
    /// # Errors
    /// [`DmaError`] when the page is refused.
    #[inline]
    pub fn read(&mut self, address: VirtAddr) -> Result<Accessed, DmaError> {
        let blocked = match self.translate(address, Access::Read) {
            Ok(in_flight) => return Ok(in_flight.load()),
            Err(blocked) => blocked,
        };
        self.ask(blocked, |in_flight| in_flight.load())
    }

    /// Writes the aligned word at `address`, requesting its page as often as it takes.
    ///
    /// # Errors
    /// [`DmaError`] when the page is refused.
    #[inline]
    pub fn write(&mut self, address: VirtAddr, value: u64) -> Result<Accessed, DmaError> {
        let blocked = match self.translate(address, Access::Write) {
            Ok(in_flight) => return Ok(in_flight.store(value)),
            Err(blocked) => blocked,
        };
        self.ask(blocked, |in_flight| in_flight.store(value))
    }

    /// What the device would use for `address` without asking anybody for a walk, stale or not: its TLB's entry, or
    /// the IOTLB's if it has no TLB.
    #[must_use]
    pub fn cached(&self, address: VirtAddr) -> Option<Translation> {
        self.port.cached(Some(self.pasid), address)
    }

    /// Page requests so far, each of which was answered.
    #[must_use]
    pub fn page_requests(&self) -> u64 {
        self.requests
    }

    /// Tells invalidations that the device idles.
    pub fn pause(&mut self) {
        self.port.pause();
    }

    /// Requests the page and tries again, until the access succeeds or the page is refused.
    #[cold]
    fn ask(
        &mut self,
        blocked: Blocked,
        finish: impl FnOnce(InFlight<'_, Held<'_>>) -> Accessed,
    ) -> Result<Accessed, DmaError> {
        let Request { address, access, .. } = blocked.request;
        let mut blocked = blocked;
        loop {
            self.request_page(blocked)?;
            match self.translate(address, access) {
                Ok(in_flight) => return Ok(finish(in_flight)),
                Err(again) => blocked = again,
            }
        }
    }

    /// A page that is missing or protected is asked for.
    fn request_page(&mut self, blocked: Blocked) -> Result<(), DmaError> {
        if !can_be_mended(blocked.reason) {
            return Err(blocked.into());
        }
        let request = blocked.request;
        self.observer.record(Event::now(self.agent, Action::Fault, request.address.page(), None));
        self.requests += 1;
        #[expect(clippy::cast_possible_truncation, reason = "below GROUPS")]
        let group = (self.requests % u64::from(GROUPS)) as u16;
        let write = request.access == Access::Write;
        // One that the unit refuses it answers itself.
        let _outcome = self.port.request_page(PageRequest {
            source: blocked.requester,
            pasid: request.pasid,
            address: request.address,
            wants: Wants { read: !write, write, ..Wants::default() },
            group,
            last: true,
            private_data: None,
        })?;
        match self.response_to(group) {
            ResponseCode::Success => Ok(()),
            code => Err(DmaError::Refused { request, code }),
        }
    }

    fn response_to(&mut self, group: u16) -> ResponseCode {
        loop {
            while let Some(response) = self.port.next_response() {
                if response.group == group {
                    return response.code;
                }
            }
            if self.driver.answer_requests() == 0 {
                thread::yield_now();
            }
        }
    }
}

/// Whether the memory manager can do something about it.
fn can_be_mended(reason: FaultReason) -> bool {
    use FaultReason::{FirstStageNotPresent, ScalableReadNotAllowed, ScalableWriteNotAllowed};
    matches!(reason, FirstStageNotPresent | ScalableReadNotAllowed | ScalableWriteNotAllowed)
}
