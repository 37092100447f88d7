//! Page requests: taken out of the ring, answered by the address space, and responded to through the queue.
//!
//! Invariant: the last request of a group is responded to once, after every other request of the group that reached
//! the ring. The ring is emptied by whoever looks: a device's thread that waits for its own response, a thread of the
//! owner, or one that unbinds. So nobody depends on a thread of this driver, and no request holds a drain up: a device
//! that asks has nothing in flight. When the ring has overflowed and was emptied, groups that are not whole are
//! forgotten, because the unit has answered their last requests itself, and the overflow is cleared.
//! Source: drivers/iommu/intel/prq.c `prq_event_thread`, `intel_iommu_drain_pasid_prq`; drivers/iommu/io-pgfault.c.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mmu::address::{Access, PAGE_SIZE};
use mmu::address_space::{AddressSpace, FaultError};
use mmu::frame::{FrameRef, FrameState, Frames, OutOfFrames};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;
use pcie::{PageGroupResponse, PageRequest, Pasid, ResponseCode, SourceId};

use super::queue::Until;
use super::{SvaDriver, mmio};
use crate::spec::descriptor::Descriptor;
use crate::spec::page_request::{self, REQUEST_BYTES};
use crate::spec::register::Register;
use crate::spec::status;
use crate::vtd::Vtd;

/// Requests of a group that are kept until its last one comes; beyond, a device has to ask again.
const MOST_OF_GROUP: usize = 512;

/// What came of page requests so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RequestCounts {
    /// Requests that were taken out of the ring.
    pub requests: u64,
    /// Groups that were responded to.
    pub responses: u64,
    /// Overflows of the ring that were cleared.
    pub overflows: u64,
}

/// The ring, and what was taken out of it.
pub(super) struct Requests {
    unit: Arc<Vtd>,
    memory: Arc<PhysicalMemory>,
    frame: FrameRef,
    inbox: Mutex<Inbox>,
    requests: AtomicU64,
    responses: AtomicU64,
    overflows: AtomicU64,
}

/// Which requests are answered together.
type GroupKey = (SourceId, Pasid, u16);

/// A group whose last request has come.
struct Group {
    key: GroupKey,
    requests: Vec<PageRequest>,
}

#[derive(Default)]
struct Inbox {
    partial: HashMap<GroupKey, Vec<PageRequest>>,
    whole: VecDeque<Group>,
    /// Groups that somebody is answering, by PASID.
    in_service: HashMap<Pasid, usize>,
}

impl Requests {
    /// A ring of the smallest size. The unit is told where it lies.
    pub(super) fn new(unit: &Arc<Vtd>, frames: &Arc<Frames>) -> Result<Self, OutOfFrames> {
        let frame = frames.allocate(FrameState::Table)?;
        mmio::set_long(unit, Register::REQUEST_ADDRESS, frame.pfn().address().0);
        Ok(Self {
            unit: Arc::clone(unit),
            memory: Arc::clone(frames.memory()),
            frame,
            inbox: Mutex::default(),
            requests: AtomicU64::new(0),
            responses: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
        })
    }

    fn counts(&self) -> RequestCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RequestCounts {
            requests: count(&self.requests),
            responses: count(&self.responses),
            overflows: count(&self.overflows),
        }
    }

    /// The next group that is whole and that `concerns` names; it is in service until [`served`](Self::served).
    fn next(&self, concerns: impl Fn(Pasid) -> bool) -> Option<Group> {
        let mut inbox = self.inbox.lock();
        self.empty_ring(&mut inbox);
        let place = inbox.whole.iter().position(|group| concerns(group.key.1))?;
        let group = inbox.whole.remove(place)?;
        *inbox.in_service.entry(group.key.1).or_default() += 1;
        Some(group)
    }

    fn served(&self, pasid: Pasid) {
        self.responses.fetch_add(1, Ordering::Relaxed);
        let mut inbox = self.inbox.lock();
        if let Entry::Occupied(mut entry) = inbox.in_service.entry(pasid) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// Whether a request of `pasid` waits for its answer. What waits for the rest of its group is forgotten: a device
    /// that is about to lose the PASID has stopped.
    pub(super) fn has(&self, pasid: Pasid) -> bool {
        let mut inbox = self.inbox.lock();
        self.empty_ring(&mut inbox);
        inbox.partial.retain(|(_, other, _), _| *other != pasid);
        inbox.whole.iter().any(|group| group.key.1 == pasid) || inbox.in_service.contains_key(&pasid)
    }

    /// Whether requests were dropped for want of room.
    pub(super) fn has_overflowed(&self) -> bool {
        mmio::word(&self.unit, Register::REQUEST_STATUS) & u64::from(status::REQUEST_OVERFLOW) != 0
    }

    /// Until nothing is left in it. While it has overflowed nothing comes, so then there is an end.
    fn empty_ring(&self, inbox: &mut Inbox) {
        // Before the tail is read, so that what comes later is announced again.
        mmio::set_word(&self.unit, Register::REQUEST_STATUS, status::REQUEST_PENDING);
        self.take_all(inbox);
        if self.has_overflowed() {
            self.take_all(inbox);
            inbox.partial.clear();
            mmio::set_word(&self.unit, Register::REQUEST_STATUS, status::REQUEST_OVERFLOW);
            self.overflows.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take_all(&self, inbox: &mut Inbox) {
        let tail = mmio::long(&self.unit, Register::REQUEST_TAIL);
        let mut head = mmio::long(&self.unit, Register::REQUEST_HEAD);
        while head != tail {
            self.requests.fetch_add(1, Ordering::Relaxed);
            inbox.sort_in(self.request_at(head));
            head = (head + REQUEST_BYTES) % PAGE_SIZE;
        }
        mmio::set_long(&self.unit, Register::REQUEST_HEAD, tail);
    }

    fn request_at(&self, offset: u64) -> PageRequest {
        let place = self.frame.pfn().address().offset(offset);
        page_request::decode([0, 8, 16, 24].map(|word| self.memory.load(place.offset(word))))
    }
}

impl Inbox {
    fn sort_in(&mut self, request: PageRequest) {
        // The unit admits none without PASID.
        let Some(pasid) = request.pasid.filter(|_| !request.is_stop_marker()) else { return };
        let key = (request.source, pasid, request.group);
        let group = self.partial.entry(key).or_default();
        if group.len() < MOST_OF_GROUP || request.last {
            group.push(request);
        }
        if request.last {
            let requests = self.partial.remove(&key).unwrap_or_default();
            self.whole.push_back(Group { key, requests });
        }
    }
}

impl SvaDriver {
    /// Answers the page requests that lie in the ring, or that another thread took out and has not begun to answer;
    /// returns how many groups it responded to.
    pub fn answer_requests(&self) -> usize {
        self.answer_those(|_| true)
    }

    /// The same for requests of one PASID.
    pub(super) fn answer_requests_of(&self, pasid: Pasid) -> usize {
        self.answer_those(|other| other == pasid)
    }

    fn answer_those(&self, concerns: impl Fn(Pasid) -> bool) -> usize {
        iter::from_fn(|| self.requests.next(&concerns)).map(|group| self.answer(&group)).count()
    }

    /// What came of page requests so far.
    #[must_use]
    pub fn request_counts(&self) -> RequestCounts {
        self.requests.counts()
    }

    fn answer(&self, group: &Group) {
        let (source, pasid, index) = group.key;
        let space = self.bindings.space(pasid);
        let code = match &space {
            Some(space) if resolve(space, &group.requests).is_ok() => ResponseCode::Success,
            _ => ResponseCode::Invalid,
        };
        let response = PageGroupResponse { source, pasid: Some(pasid), group: index, code };
        self.queue.submit(&[Descriptor::PageGroupResponse(response)], Until::Done);
        self.requests.served(pasid);
        // Only now: if this was the last who held it, its release waits until nobody serves the PASID.
        drop(space);
    }
}

fn resolve(space: &AddressSpace, requests: &[PageRequest]) -> Result<(), FaultError> {
    requests.iter().try_for_each(|request| {
        let access = if request.wants.write { Access::Write } else { Access::Read };
        space.handle_fault(request.address, access)
    })
}
