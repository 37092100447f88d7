//! One miss of the IOTLB: a walk, and what is cached of it.
//!
//! Invariant: the tickets are taken before anything is read, and nothing is filled on the strength of a route that
//! ended meanwhile: such a walk has no tags. Failures are cached with CAP.CM only, and
//! those of a first stage never. Of a large page only the piece that is
//! used may be kept. Source: VT-d 6.1, 6.2.4.

use std::sync::Arc;
use std::time::Instant;

use mmu::address::{PageSize, VirtAddr};
use mmu::cache::{FillTicket, Section, Translation};
use mmu::trace::{Agent, Event, Observer};
use pcie::Request;

use crate::spec::fault::FaultReason;
use crate::vtd::options::{CachingMode, LargePages};
use crate::vtd::port::memo::Memo;
use crate::vtd::route::{Reach, Stages};
use crate::vtd::table_cache::Ticket;
use crate::vtd::walk::{Space, Walker};
use crate::vtd::witness::{Filled, Origin, Refused, Used, Walked};
use crate::vtd::{AbsentKey, Vtd};

/// Who is told of walks.
pub(super) struct Spectator {
    pub(super) agent: Agent,
    pub(super) observer: Arc<dyn Observer>,
}

impl Spectator {
    /// A walk that began then has found something.
    pub(super) fn saw(&self, began: Instant, address: VirtAddr, found: &Translation) {
        self.observer.record(Event::walk(began, self.agent, address, found));
    }
}

/// A walk for one request.
pub(super) struct Walk<'a> {
    unit: &'a Vtd,
    section: &'a Section<'a>,
    memo: &'a Memo,
    space: Space,
    ticket: Option<FillTicket>,
    absent: Ticket,
    walker: Walker<'a>,
    /// That it fails was cached.
    was_known: bool,
}

impl<'a> Walk<'a> {
    /// Takes the tickets.
    pub(super) fn begin(unit: &'a Vtd, section: &'a Section<'a>, memo: &'a Memo) -> Self {
        let ticket = memo.space.tag.map(|tag| section.begin_fill(tag));
        let absent = unit.absent.ticket();
        let walker = Walker::begin(&unit.memory, &unit.paging, Reach::Caches, unit.walk_recorder());
        Self { unit, section, memo, space: memo.space, ticket, absent, walker, was_known: false }
    }

    /// Whether the route may be another one by now. Asked behind the tickets: what is invalidated for a route that
    /// changes from here on is not filled either.
    pub(super) fn is_overtaken(&self) -> bool {
        self.unit.epoch() != self.memo.found_in
    }

    /// Walks, and fills what may be filled.
    pub(super) fn finish(&mut self, request: &Request) -> Result<Translation, FaultReason> {
        if self.is_overtaken() {
            self.space = self.memo.space.untagged();
        }
        if let Some(reason) = self.known_absent(request) {
            self.watch_absent(request, reason);
            self.was_known = true;
            return Err(reason);
        }
        let walked = self.walker.walk(&self.space, request.address, request.access);
        let walked = walked.map(|found| match self.unit.options.large_pages {
            LargePages::Whole => found,
            LargePages::InPieces => piece(found, request.address),
        });
        match walked {
            Ok(found) => self.fill(request.address, found),
            Err(reason) => self.fill_absent(request, reason),
        }
        walked
    }

    /// The walk as whoever watches is told of it; none if nothing of it may be cached, or if a cache knew the outcome.
    pub(super) fn walked<'b>(
        &self,
        request: &'b Request,
        outcome: Result<Translation, FaultReason>,
    ) -> Option<Walked<'b>> {
        Some(Walked {
            requester: self.memo.requester,
            request,
            tag: self.space.tag.filter(|_| !self.was_known)?,
            began: self.walker.recorder.began(),
            origin: self.origin()?,
            outcome,
        })
    }

    fn fill(&self, address: VirtAddr, found: Translation) {
        let (Some(tag), Some(ticket)) = (self.space.tag, self.ticket) else { return };
        // What the IOTLB does not keep is used once, and perhaps kept by the device.
        let is_newest =
            self.section.fill(ticket, address, found) || self.section.lookup(tag, address).is_none();
        if let (true, Some(witness), Some(origin)) = (is_newest, self.unit.witness(), self.origin()) {
            witness.filled(Filled::Translation { tag, address, translation: found, origin });
        }
    }

    fn known_absent(&self, request: &Request) -> Option<FaultReason> {
        self.absent_key(request).and_then(|key| self.unit.absent.get(&key))
    }

    fn fill_absent(&self, request: &Request, reason: FaultReason) {
        if !may_keep(self.space.stages, reason) {
            return;
        }
        let Some(key) = self.absent_key(request) else { return };
        let _evicting = self.unit.absent.fill(self.absent, key, reason);
        if let (Some(witness), Some(origin)) = (self.unit.witness(), self.origin()) {
            witness.filled(Filled::Absence { key, origin });
        }
    }

    /// What was found rests on this, if it may be cached.
    fn origin(&self) -> Option<Origin> {
        self.memo.origin(self.walker.path(&self.space))
    }

    fn watch_absent(&self, request: &Request, reason: FaultReason) {
        if let Some(key) = self.absent_key(request) {
            let refused = Refused { requester: self.memo.requester, request, key, reason };
            let _no_page = self.unit.tell_used(Used::Absence(&refused));
        }
    }

    fn absent_key(&self, request: &Request) -> Option<AbsentKey> {
        let caches = self.unit.options.caching_mode == CachingMode::AlsoAbsent;
        let tag = self.space.tag.filter(|_| caches)?;
        Some((tag, request.address.page(), request.access))
    }
}

/// Whether it may be cached with CAP.CM that a walk through `stages` ended so: of a first stage's fault nothing is.
/// Source: VT-d 6.1, 6.2.4.1.
const fn may_keep(stages: Stages, reason: FaultReason) -> bool {
    match stages {
        Stages::Identity | Stages::Second(_) => true,
        Stages::First(_) => false,
        Stages::Nested(..) => reason.is_of_second_stage(),
    }
}

/// The 4 KiB at `address` of what was found.
const fn piece(found: Translation, address: VirtAddr) -> Translation {
    Translation { pfn: found.physical(address).pfn(), size: PageSize::Size4K, ..found }
}
