//! How stale uses are noticed: every fill is remembered with the entries it rests on, and a use compares them with
//! memory.
//!
//! Invariant: a fill whose entries all stand unchanged is not stale; a use of one whose entries changed counts only if
//! the tables really say something else for the request, and if the cache still holds it. What is remembered is bounded;
//! what was forgotten is not reported.
//!
//! Read in this order: `clock` (which time), `check` (what the unit tells), `fill` (what is remembered), this file (how a use is met),
//! `judging` and `docket` (what is kept until it can be judged), `log` (invalidations), `absent` and `interrupts` (the
//! same of failures and of interrupt entries), `no_route` (the same of requesters that have no tables), `images` (entries
//! that are changed while they are present).

mod absent;
mod check;
mod clock;
mod docket;
mod entries;
mod fill;
mod images;
mod interrupts;
mod judging;
mod log;
mod no_route;
mod remembered;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mmu::address::{PageSize, VirtAddr};
use mmu::cache::{Tag, Translation};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;
use pcie::{Pasid, Requester, SourceId};

pub use self::docket::Tally;
pub(crate) use self::entries::Since;
pub(crate) use self::fill::{Look, Suspect, parting};
pub(crate) use self::log::Received;
pub use crate::vtd::options::{Judging, PATIENCE, StaleOptions, Watching};

use self::absent::Absence;
use self::clock::Clock;
use self::docket::Docket;
use self::fill::{Fill, FillKey};
use self::images::Images;
use self::interrupts::Interrupts;
use self::judging::{CaseKey, Finding, Stale};
use self::log::Log;
use self::remembered::{Refused, Remembered};
use crate::spec::descriptor::{Descriptor, DevicePasid, DeviceScope, DeviceSpan};
use crate::spec::fault::FaultReason;
use crate::spec::id::DomainId;
use crate::stale::in_place::ChangedInPlace;
use crate::stale::told::{self, Listener, Told};
use crate::stale::{Change, Holder, Kind, Moment, StaleUse};
use crate::vtd::device_tlb::GivenUp;
use crate::vtd::witness::{HeldIn, Origin, Use, Walked};
use crate::vtd::{AbsentKey, Reading, SpaceKey, Trail, identity};

/// Reports that wait to be taken at most.
const MOST_REPORTS: usize = 1024;
/// Descriptors of the queue that a report lists at most.
const MOST_QUEUED: usize = 64;

/// All that is remembered of one unit's translations and invalidations.
#[derive(Debug)]
pub(crate) struct Watch {
    options: StaleOptions,
    clock: Clock,
    events: AtomicU64,
    memory: Arc<PhysicalMemory>,
    /// Who lists what happens; told with nothing of the watch locked.
    listener: Option<Arc<dyn Listener>>,
    /// Under it nothing else is locked and nobody is waited for: the register file's lock may be held by whoever takes it.
    state: Mutex<State>,
}

/// Whether time passes for whoever is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// None passes: nothing can be invalidated.
    Stop,
    /// It passes again.
    GoOn,
}

#[derive(Debug, Default)]
struct State {
    fills: Remembered<FillKey, Fill>,
    /// Whose translations were filled: domains, and processes of them; as many as there are tags, at most, twice.
    users: HashSet<(DomainId, Option<Pasid>)>,
    absences: Remembered<AbsentKey, Absence>,
    no_routes: Remembered<Requester, Refused>,
    log: Log,
    docket: Docket<CaseKey, Stale>,
    interrupts: Interrupts,
    images: Images,
    /// Event of the last wait that completed; 0 if none has.
    last_wait: u64,
    /// When the cases were looked at.
    looked: Duration,
    reports: Vec<StaleUse>,
    /// Reports so far, kept or not.
    count: u64,
}

impl Watch {
    /// None if nothing is watched.
    pub(crate) fn new(options: StaleOptions, memory: &Arc<PhysicalMemory>) -> Option<Self> {
        (options.watching != Watching::Off).then(|| Self {
            options,
            clock: Clock::start(),
            events: AtomicU64::new(0),
            memory: Arc::clone(memory),
            listener: None,
            state: Mutex::default(),
        })
    }

    /// The same, and whatever happens is told.
    pub(crate) fn with_listener(self, listener: Option<Arc<dyn Listener>>) -> Self {
        Self { listener, ..self }
    }

    /// Tells whoever listens.
    fn tell<'a>(&self, at: Moment, told: impl FnOnce() -> Told<'a>) {
        if let Some(listener) = &self.listener {
            listener.hear(at, &told());
        }
    }

    /// Events so far.
    fn events(&self) -> u64 {
        self.events.load(Ordering::Acquire)
    }

    /// A translation was read from the tables and cached.
    fn filled_iotlb(&self, tag: Tag, address: VirtAddr, translation: Translation, origin: Origin) {
        let filled = self.next_event();
        let (requester, space) = (origin.requester, origin.space);
        let mut state = self.state.lock();
        if !state.docket.is_empty() {
            self.charge_reuse(&mut state, translation, &origin);
        }
        let key = FillKey::new(HeldIn::Iotlb(tag), address, translation.size);
        let SpaceKey { domain, pasid, .. } = origin.space;
        state.users.extend([(domain, None), (domain, pasid)]);
        state.fills.insert(key, Fill { origin, translation, filled });
        drop(state);
        let fill = told::Fill { requester, space, address, translation: Some(translation) };
        self.tell(filled, || Told::Iotlb(fill));
    }

    /// A request passes by a route that is held in `held_in` and translates nothing.
    pub(crate) fn passed(&self, held_in: HeldIn, origin: Origin) {
        let translation = identity(VirtAddr(0));
        let key = FillKey::new(held_in, VirtAddr(0), translation.size);
        let mut state = self.state.lock();
        let is_known = |fill: &Fill| fill.origin.route.readings() == origin.route.readings();
        if !state.fills.get(&key).is_some_and(is_known) {
            let (requester, filled) = (origin.requester, self.next_event());
            state.fills.insert(key, Fill { origin, translation, filled });
            drop(state);
            self.tell(filled, || Told::Passing(requester));
        }
    }

    /// A device cached what the unit told it.
    pub(crate) fn filled_ahead(&self, from: HeldIn, to: HeldIn, address: VirtAddr, translation: Translation) {
        let mut state = self.state.lock();
        let origin = FillKey::new(from, address, translation.size);
        if let Some(origin) = state.fills.get(&origin).cloned() {
            let requester = to.device().unwrap_or(origin.origin.requester);
            let origin = Origin { requester, ..origin.origin };
            let (space, filled) = (origin.space, self.next_event());
            let fill = Fill { origin, translation, filled };
            state.fills.insert(FillKey::new(to, address, translation.size), fill);
            drop(state);
            let fill = told::Fill { requester, space, address, translation: Some(translation) };
            self.tell(filled, || Told::DeviceTlb(fill));
        }
    }

    /// The entries on the way to a requester's tables were read, as far as `trail` says that it was now.
    pub(crate) fn read_route(&self, requester: Requester, trail: &Trail, now: u64) {
        let now = Moment { event: now, ..self.moment() };
        self.state.lock().images.read(requester, trail, now);
        let read_now = trail.readings().iter().filter(|reading| reading.read_at == now.event);
        read_now.for_each(|reading| self.tell(now, || Told::Entry(requester, reading)));
    }

    /// Software moved the root table, or switched translation.
    pub(crate) fn moved_root(&self) {
        self.state.lock().images.forget();
    }

    /// An invalidation of anything but interrupt entries was received. To be told before it is carried out.
    pub(crate) fn received(&self, invalidation: Descriptor, carried_out: bool) {
        let mut locked = self.state.lock();
        let state = &mut *locked;
        let since = Since::PerhapsChanged;
        let received = Received { at: self.next_event(), invalidation, carried_out, since };
        state.images.look(&invalidation, &self.memory, received.at);
        state.log.push(received);
        if carried_out {
            state.docket.hear(&invalidation, received.at);
        }
        drop(locked);
        self.tell(received.at, || Told::Invalidated { invalidation: &invalidation, carried_out });
    }

    /// The device's TLB was emptied and drained by the device itself.
    pub(crate) fn emptied(&self, source: SourceId) {
        let scope = DeviceScope { source, pasid: DevicePasid::Every, span: DeviceSpan::All };
        let mut state = self.state.lock();
        let last_wait = state.last_wait;
        state.docket.empty(&Descriptor::DeviceTlb(scope), last_wait);
        drop(state);
        self.tell(self.moment(), || Told::Emptied(source));
    }

    /// The device never carries out what it was told last.
    pub(crate) fn given_up(&self, source: SourceId, given_up: GivenUp) {
        let mut locked = self.state.lock();
        let state = &mut *locked;
        let events = state.log.take_back(source, given_up, state.last_wait);
        state.docket.take_back(&events);
        drop(locked);
        self.tell(self.moment(), || Told::GivenUp(source));
    }

    /// A wait completed, or what was asked for in a register: what was received until now is complete.
    pub(crate) fn waited(&self) {
        let mut state = self.state.lock();
        let at = self.next_event();
        state.last_wait = at.event;
        state.docket.complete(at.event);
        state.interrupts.docket.complete(at.event);
        drop(state);
        self.tell(at, || Told::Waited);
    }

    /// The reports since this was asked last.
    pub(crate) fn take(&self) -> Vec<StaleUse> {
        std::mem::take(&mut self.state.lock().reports)
    }

    /// The changes in place since this was asked last.
    pub(crate) fn take_changed(&self) -> Vec<ChangedInPlace> {
        self.state.lock().images.take()
    }

    /// Stale uses so far, also those that nobody took in time.
    pub(crate) fn count(&self) -> u64 {
        self.state.lock().count
    }

    /// Changes in place so far.
    pub(crate) fn changed_count(&self) -> u64 {
        self.state.lock().images.count()
    }

    /// What became of the uses that were kept until they could be judged.
    pub(crate) fn tally(&self) -> Tally {
        let state = self.state.lock();
        state.docket.tally() + state.interrupts.docket.tally()
    }

    /// Cached translations that had to be forgotten, so that uses of them were not looked at.
    pub(crate) fn forgotten(&self) -> u64 {
        let state = self.state.lock();
        state.fills.forgotten() + state.absences.forgotten() + state.no_routes.forgotten()
    }

    /// No time passes, or it passes again.
    pub(crate) fn let_time(&self, passage: Passage) {
        match passage {
            Passage::Stop => self.clock.stop(),
            Passage::GoOn => self.clock.go_on(),
        }
    }

    /// Whether a walk that began at that event can still be looked at. What came since may have ended its mistake, which
    /// is seen at once only by whoever judges late.
    pub(crate) fn may_look_at_walk(&self, began: u64) -> bool {
        match self.options.judging {
            Judging::AtOnce => self.state.lock().log.all_since(began).next().is_none(),
            Judging::Late(_) => true,
        }
    }

    /// Whether something changed under the translation that is being used.
    pub(crate) fn look(&self, used: &Use<'_>) -> Look {
        let key = FillKey::new(used.held_in, used.request.address, used.hit.size);
        let state = self.state.lock();
        let Some(fill) = state.fills.get(&key) else { return Look::Unknown };
        let Origin { route, path, .. } = &fill.origin;
        // What the requester's own route rests on comes last: whoever filled it may have been another.
        let mut readings = fill.origin.readings().chain(used.route.readings());
        let change = readings.find_map(|reading| self.change(reading));
        let led_elsewhere = || if path.stages == used.stages { None } else { parting(route, used.route) };
        match change.or_else(led_elsewhere) {
            Some(change) => Look::Changed(change),
            None if fill.says(used) => Look::Unchanged(path.clone()),
            None => Look::Unknown,
        }
    }

    /// What changed of the entries that a walk took out of caches, if anything did.
    pub(crate) fn look_above(&self, walked: &Walked<'_>) -> Option<Change> {
        walked.cached_readings().find_map(|reading| self.change(reading))
    }

    /// A use was met, of which the tables say `now`, and for which invalidations may still be `queued`.
    pub(crate) fn meet_use(
        &self,
        used: &Use<'_>,
        change: Change,
        now: Result<Translation, FaultReason>,
        queued: &[Descriptor],
    ) {
        let key = FillKey::new(used.held_in, used.request.address, used.hit.size);
        let mut state = self.state.lock();
        let Some(fill) = state.fills.get(&key).cloned().filter(|fill| fill.says(used)) else { return };
        let finding = Finding {
            kind: Kind::Translation,
            requester: used.requester,
            request: *used.request,
            holder: used.held_in.holder(),
            key,
            origin: fill.origin,
            filled: fill.filled,
            cached: Ok(used.hit),
            change,
            now,
        };
        self.meet(&mut state, finding, queued);
    }

    /// The same of a walk through entries that are out of date.
    pub(crate) fn meet_walk(
        &self,
        walked: &Walked<'_>,
        kind: Kind,
        change: Change,
        now: Result<Translation, FaultReason>,
        queued: &[Descriptor],
    ) {
        let size = walked.outcome.map_or(PageSize::Size4K, |found| found.size);
        let finding = Finding {
            kind,
            requester: walked.requester,
            request: *walked.request,
            holder: Holder::TableCaches,
            key: match kind {
                // Which page it was on the way to does not matter.
                Kind::Table(_) => FillKey::new(walked.held_in(), VirtAddr(0), size),
                Kind::Translation | Kind::Refusal | Kind::NoRoute => {
                    FillKey::new(walked.held_in(), walked.request.address, size)
                }
            },
            origin: walked.origin.clone(),
            filled: self.moment(),
            cached: walked.outcome,
            change,
            now,
        };
        self.meet(&mut self.state.lock(), finding, queued);
    }

    /// What is remembered to be cached although something changed under it, if no use of it was met since.
    pub(crate) fn suspects(&self) -> Vec<Suspect> {
        let state = self.state.lock();
        let met: HashSet<_> = state.docket.keys().map(|(key, ..)| *key).collect();
        let unmet = state.fills.iter().filter(|(key, _)| !met.contains(key));
        unmet.filter_map(|(key, fill)| self.suspect(key, fill)).collect()
    }

    fn suspect(&self, key: &FillKey, fill: &Fill) -> Option<Suspect> {
        Some(Suspect {
            requester: fill.origin.requester,
            held_in: key.held_in,
            page: key.page,
            cached: fill.translation,
            space: fill.origin.space,
            filled: fill.filled,
            change: fill.origin.readings().find_map(|reading| self.change(reading))?,
        })
    }

    fn change(&self, reading: &Reading) -> Option<Change> {
        let is = self.memory.try_load(reading.place);
        let changed = is.is_none_or(|now| reading.differs_from(now));
        changed.then_some(Change {
            table: reading.table,
            place: reading.place,
            leaf: reading.leaf,
            was: reading.value,
            is,
            read_at: reading.read_at,
        })
    }

    fn next_event(&self) -> Moment {
        Moment { event: self.events.fetch_add(1, Ordering::AcqRel), elapsed: self.clock.elapsed() }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { event: self.events(), elapsed: self.clock.elapsed() }
    }
}
