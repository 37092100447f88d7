//! What the unit knows of a device: its TLB, whether it has answered, and what it has been answered.
//!
//! Invariant: the TLB belongs to the device; the unit only asks it to forget, and the device's answer means that the
//! entries are gone **and** that no access through them is in flight. Nothing that it holds outlives a change of its
//! Enable bit, and nothing that was asked for before comes in behind it. Source: PCIe 10.3 (ATS), 10.3.7 (what
//! invalidates all of the TLB without being asked), 10.4 (PRI); VT-d 4.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mmu::address::VirtAddr;
use mmu::cache::{CacheError, Translation, TranslationCache};
use parking_lot::Mutex;
use pcie::{Ats, PageGroupResponse, Pasid, SourceId};

use crate::spec::descriptor::{DeviceScope, DeviceSpan};
use crate::vtd::Vtd;
use crate::vtd::tags::Tags;
use crate::vtd::witness::Ended;

/// Answers that wait for a device at most; one that never looks loses the oldest.
const MOST_RESPONSES: usize = 512;
/// Invalidations that a late device keeps apart at most; then it forgets everything instead.
const MOST_LATE: usize = 1024;

/// A device as the unit knows it.
#[derive(Debug)]
pub(crate) struct Device {
    source: SourceId,
    cache: Arc<TranslationCache>,
    tags: Tags<Option<Pasid>>,
    /// Whether it asks its TLB first.
    is_ahead: AtomicBool,
    /// Held while that changes.
    turn: Mutex<()>,
    late: Mutex<Late>,
    responses: Mutex<VecDeque<PageGroupResponse>>,
}

/// An invalidation, and when the device was told.
type Told = (DeviceScope, Instant);

/// Invalidations that a device has received and not yet carried out.
#[derive(Debug, Default)]
struct Late {
    holds: bool,
    scopes: Vec<Told>,
    /// There were more of them: everything goes.
    everything: bool,
}

/// Invalidations that a device never carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GivenUp {
    /// So many, the last ones that it was told.
    Newest(usize),
    /// All that nobody has waited for: there were too many to count.
    AllUnwaited,
}

impl Device {
    /// A device with a TLB of `entries`; 0 for none.
    ///
    /// # Errors
    /// [`CacheError`] if the host has no room for it.
    pub(super) fn new(source: SourceId, entries: usize) -> Result<Self, CacheError> {
        Ok(Self {
            source,
            cache: Arc::new(TranslationCache::try_new(entries)?),
            tags: Tags::new(),
            is_ahead: AtomicBool::new(false),
            turn: Mutex::default(),
            late: Mutex::default(),
            responses: Mutex::default(),
        })
    }

    pub(super) fn source(&self) -> SourceId {
        self.source
    }

    pub(super) fn cache(&self) -> &Arc<TranslationCache> {
        &self.cache
    }

    pub(super) fn tags(&self) -> &Tags<Option<Pasid>> {
        &self.tags
    }

    /// Whether it translates ahead. Whoever asks inside a section of its TLB and is told that it does is waited for by
    /// whoever changes that.
    pub(super) fn ats(&self) -> Ats {
        if self.is_ahead.load(Ordering::Acquire) { Ats::Enabled } else { Ats::Disabled }
    }

    /// The device is told to forget.
    pub(super) fn invalidate(&self, scope: &DeviceScope) {
        let mut late = self.late.lock();
        if !late.holds {
            drop(late);
            return self.forget(scope);
        }
        if late.scopes.len() < MOST_LATE {
            late.scopes.push((*scope, Instant::now()));
        } else {
            late.everything = true;
        }
    }

    fn forget(&self, scope: &DeviceScope) {
        for (_, tag) in self.tags.matching(|pasid| scope.pasid.covers(*pasid)) {
            match scope.span {
                DeviceSpan::All => self.cache.invalidate_tag(tag),
                DeviceSpan::Range(range) => self.cache.invalidate_exactly(tag, range),
            }
        }
    }

    /// Forgets one page that the device itself found wanting.
    pub(super) fn forget_page(&self, pasid: Option<Pasid>, address: VirtAddr) {
        if let Some(tag) = self.tags.find(pasid) {
            self.cache.invalidate_page(tag, address);
        }
    }

    /// What it would use for `address`.
    pub(super) fn cached(&self, pasid: Option<Pasid>, address: VirtAddr) -> Option<Translation> {
        self.cache.contains(self.tags.find(pasid)?, address)
    }

    /// Returns when no access through what was forgotten is in flight.
    pub(super) fn drain(&self) {
        self.cache.drain();
    }

    /// Whether it has been told something that it has not carried out.
    pub(super) fn owes_answer(&self) -> bool {
        self.oldest_unanswered().is_some()
    }

    /// What it was told first of all that it has not carried out, and when.
    pub(super) fn oldest_unanswered(&self) -> Option<Told> {
        self.late.lock().scopes.first().copied()
    }

    /// From now on it takes its time.
    pub(super) fn hold(&self) {
        self.late.lock().holds = true;
    }

    /// It carries out what it was told, and takes its time no longer.
    pub(super) fn catch_up(&self) {
        let mut late = self.late.lock();
        let Late { scopes, everything, .. } = mem::take(&mut *late);
        // Under the lock: whoever sees no debt sees none of what was to be forgotten.
        scopes.iter().for_each(|(scope, _)| self.forget(scope));
        if everything {
            self.cache.invalidate_all();
        }
        drop(late);
        self.drain();
    }

    /// Everything goes, what it was told to forget and has not forgotten yet among it.
    fn forget_everything(&self) {
        let mut late = self.late.lock();
        late.scopes.clear();
        late.everything = false;
        // Under the lock: what it is told from now on it is told afterwards.
        self.cache.invalidate_all();
        drop(late);
        self.drain();
    }

    /// What it was told is not waited for any more, and never carried out; how much that was.
    pub(super) fn give_up(&self) -> GivenUp {
        let mut late = self.late.lock();
        let newest = late.scopes.len();
        late.scopes.clear();
        if mem::take(&mut late.everything) { GivenUp::AllUnwaited } else { GivenUp::Newest(newest) }
    }

    pub(super) fn take_response(&self, response: PageGroupResponse) {
        let mut responses = self.responses.lock();
        if responses.len() == MOST_RESPONSES {
            responses.pop_front();
        }
        responses.push_back(response);
    }

    pub(super) fn next_response(&self) -> Option<PageGroupResponse> {
        self.responses.lock().pop_front()
    }

    /// Answers that are on their way reach nobody.
    pub(super) fn drop_responses(&self) {
        self.responses.lock().clear();
    }
}

impl Vtd {
    /// Gives the function `source` a TLB of `device_tlb_entries`, unless it has one; 0 is none. Its ports need no more
    /// room of the host for it.
    ///
    /// # Errors
    /// [`CacheError`] if the host has no room.
    pub fn admit(&self, source: SourceId, device_tlb_entries: usize) -> Result<(), CacheError> {
        self.known_or_new(source, device_tlb_entries).map(|_| ())
    }

    pub(super) fn known_or_new(
        &self,
        source: SourceId,
        tlb_entries: usize,
    ) -> Result<Arc<Device>, CacheError> {
        Ok(match self.devices.write().entry(source) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(place) => Arc::clone(place.insert(Arc::new(Device::new(source, tlb_entries)?))),
        })
    }

    /// The Enable bit of the device's ATS capability, for all of its ports. When it changes everything in its TLB goes,
    /// and when this returns no access through what went is in flight. Software relies on it when the bit goes from 0
    /// to 1; what is held while it is 0 nobody can use, so it goes at once.
    pub(super) fn switch_ats(&self, device: &Device, ats: Ats) {
        let turn = device.turn.lock();
        if device.ats() == ats {
            return;
        }
        if ats == Ats::Disabled {
            device.is_ahead.store(false, Ordering::Release);
            // No port uses what it remembers of the TLB, but asks again what it is to ask.
            self.forget_routes();
        }
        device.forget_everything();
        self.tell_ended(Ended::Emptied(device.source()));
        if ats == Ats::Enabled {
            device.is_ahead.store(true, Ordering::Release);
            self.forget_routes();
        }
        drop(turn);
        // A wait may have stood for what is gone now.
        self.run_queue();
    }
}
