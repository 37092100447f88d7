//! The page request queue: what devices ask software for, and the answers.
//!
//! Invariant: a request is either written to the ring, or answered by the unit if an answer is owed (last of its group,
//! or with private data), or dropped. When the ring is full nothing more is written until software clears the overflow.
//! Source: VT-d 7.4 (queue, overflow), 7.5 (events), 7.7 (responses), 7.11 (draining).

use std::collections::VecDeque;

use pcie::{Msi, PageGroupResponse, PageRequest, RequestOutcome, ResponseCode};

use crate::spec::command::RequestQueue;
use crate::spec::page_request::{self, REQUEST_BYTES};
use crate::spec::register::Register;
use crate::spec::status;
use crate::vtd::Vtd;
use crate::vtd::event::Event;
use crate::vtd::registers::Registers;

/// Requests that the unit keeps back at most before it counts as full.
const MOST_HELD: usize = 512;

/// Requests that were received and not yet written.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) held: bool,
    received: VecDeque<PageRequest>,
}

impl Vtd {
    /// Takes a request that the tables admit. The message, if there is one, must be sent when nothing is in flight.
    pub(super) fn receive_request(&self, request: PageRequest) -> (RequestOutcome, Option<Msi>) {
        if !is_sound(&request) {
            self.answer(&request, ResponseCode::Invalid);
            return (RequestOutcome::Refused(ResponseCode::Invalid), None);
        }
        {
            let mut requests = self.requests.lock();
            if requests.held && requests.received.len() < MOST_HELD {
                requests.received.push_back(request);
                return (RequestOutcome::Accepted, None);
            }
        }
        self.deliver(request)
    }

    /// Writes every request that was received.
    pub(super) fn deliver_requests(&self) {
        let received = std::mem::take(&mut self.requests.lock().received);
        for request in received {
            let (_outcome, message) = self.deliver(request);
            self.send(message);
        }
    }

    fn deliver(&self, request: PageRequest) -> (RequestOutcome, Option<Msi>) {
        let mut registers = self.registers.lock();
        let written = self.write_request(&mut registers, &request);
        let message = if written.happened { Event::REQUEST.happen(&mut registers) } else { None };
        drop(registers);
        if written.fits {
            return (RequestOutcome::Accepted, message);
        }
        // The device asks again if it still needs the page.
        self.answer(&request, ResponseCode::Success);
        (RequestOutcome::Refused(ResponseCode::Success), message)
    }

    fn write_request(&self, registers: &mut Registers, request: &PageRequest) -> Written {
        let before = registers.word(Register::REQUEST_STATUS);
        // Whoever was told and has not looked yet is not told again.
        let happened = before & (status::REQUEST_PENDING | status::REQUEST_OVERFLOW) == 0;
        let queue = RequestQueue::decode(registers.long(Register::REQUEST_ADDRESS));
        let tail = registers.long(Register::REQUEST_TAIL) % queue.len_bytes;
        let next = (tail + REQUEST_BYTES) % queue.len_bytes;
        if before & status::REQUEST_OVERFLOW != 0 {
            return Written { fits: false, happened: false };
        }
        if next == registers.long(Register::REQUEST_HEAD) % queue.len_bytes {
            registers.raise(Register::REQUEST_STATUS, status::REQUEST_OVERFLOW);
            return Written { fits: false, happened };
        }
        let place = queue.base.offset(tail);
        let bytes = page_request::encode(request).map(u64::to_le_bytes).concat();
        if !self.memory.try_write_bytes(place, &bytes) {
            return Written { fits: false, happened: false };
        }
        registers.set_long(Register::REQUEST_TAIL, next);
        registers.raise(Register::REQUEST_STATUS, status::REQUEST_PENDING);
        Written { fits: true, happened }
    }

    /// The unit answers itself, if an answer is owed.
    fn answer(&self, request: &PageRequest, code: ResponseCode) {
        let owed = (request.last || request.private_data.is_some()) && !request.is_stop_marker();
        if owed {
            let PageRequest { source, pasid, group, .. } = *request;
            self.respond(PageGroupResponse { source, pasid, group, code });
        }
    }

    /// Hands an answer to the device.
    pub(super) fn respond(&self, response: PageGroupResponse) {
        if let Some(device) = self.device(response.source) {
            device.take_response(response);
        }
    }
}

/// Whether a request was written, and whether software must be told.
struct Written {
    fits: bool,
    happened: bool,
}

/// What no software could grant: without PASID, beyond any table, an instruction fetch, as supervisor.
fn is_sound(request: &PageRequest) -> bool {
    let canonical = mmu::table::Levels::Five.is_canonical(request.address);
    request.pasid.is_some() && canonical && !request.wants.execute && !request.wants.privileged
}
