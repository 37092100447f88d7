//! What is upstream of the devices, when somebody writes down what they do.
//!
//! Invariant: every call goes to what is behind, as it came, and comes back as it was answered.

use std::sync::Arc;

use devices::upstream::{Atomic, DmaFault, Port, Upstream};
use mmu::address::{Access, PhysAddr, VirtAddr};
use pcie::{Ats, Msi, PageGroupResponse, PageRequest, Pasid, RequestOutcome, SourceId};
use tracks::trace::Track;

use super::tracer::{Request, Tracer};

/// The way of devices to memory, with someone who looks on.
pub(super) struct Traced {
    behind: Arc<dyn Upstream>,
    tracer: Arc<Tracer>,
}

/// One port of a device.
struct TracedPort {
    behind: Box<dyn Port>,
    tracer: Arc<Tracer>,
    track: Track,
    /// What is in flight, and since when.
    held: Option<(Request, u64)>,
}

impl Traced {
    pub(super) fn new(behind: Arc<dyn Upstream>, tracer: Arc<Tracer>) -> Self {
        Self { behind, tracer }
    }
}

impl Upstream for Traced {
    fn port(&self, source: SourceId) -> Box<dyn Port> {
        let (tracer, track) = (Arc::clone(&self.tracer), self.tracer.port(source));
        Box::new(TracedPort { behind: self.behind.port(source), tracer, track, held: None })
    }

    fn send(&self, source: SourceId, message: Msi) {
        self.behind.send(source, message);
    }
}

impl TracedPort {
    /// One request, from its beginning to its end.
    fn request<T>(
        &mut self,
        request: Request,
        work: impl FnOnce(&mut dyn Port) -> Result<T, DmaFault>,
    ) -> Result<T, DmaFault> {
        let begun = self.tracer.begin();
        let done = work(&mut *self.behind);
        self.tracer.end(self.track, begun, &request, done.as_ref().err());
        done
    }
}

impl Port for TracedPort {
    fn read(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &mut [u8]) -> Result<(), DmaFault> {
        let request = Request { verb: "read", pasid, address, len_bytes: bytes.len() };
        self.request(request, |port| port.read(pasid, address, bytes))
    }

    fn write(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &[u8]) -> Result<(), DmaFault> {
        let request = Request { verb: "write", pasid, address, len_bytes: bytes.len() };
        self.request(request, |port| port.write(pasid, address, bytes))
    }

    fn atomic(
        &mut self,
        pasid: Option<Pasid>,
        address: VirtAddr,
        operation: Atomic,
    ) -> Result<u64, DmaFault> {
        let request = Request { verb: "atomic", pasid, address, len_bytes: size_of::<u64>() };
        self.request(request, |port| port.atomic(pasid, address, operation))
    }

    fn hold(&mut self, address: VirtAddr, access: Access) -> Result<PhysAddr, DmaFault> {
        let verb = match access {
            Access::Read => "hold to read",
            Access::Write => "hold to write",
        };
        let request = Request { verb, pasid: None, address, len_bytes: 0 };
        let begun = self.tracer.begin();
        let held = self.behind.hold(address, access);
        match &held {
            Ok(_) => self.held = Some((request, begun)),
            Err(fault) => self.tracer.end(self.track, begun, &request, Some(fault)),
        }
        held
    }

    fn release(&mut self) {
        self.behind.release();
        if let Some((request, begun)) = self.held.take() {
            self.tracer.end(self.track, begun, &request, None);
        }
    }

    fn set_ats(&mut self, ats: Ats) {
        self.behind.set_ats(ats);
    }

    fn reset(&mut self) {
        self.behind.reset();
    }

    fn drop_responses(&mut self) {
        self.behind.drop_responses();
    }

    fn request_page(&mut self, request: PageRequest) -> Result<RequestOutcome, DmaFault> {
        let outcome = self.behind.request_page(request);
        self.tracer.asked(&request, &outcome);
        outcome
    }

    fn next_response(&mut self) -> Option<PageGroupResponse> {
        let response = self.behind.next_response();
        if let Some(response) = &response {
            self.tracer.answered(response);
        }
        response
    }
}
