//! How stale uses are noticed: every fill is remembered with the entries it rests on, and a use compares them with
//! memory.
//!
//! Invariant: a fill whose entries all stand unchanged is not stale; one of whose entries changed is reported only if
//! the tables really say something else for the request, and if the cache still holds it. What is remembered is bounded;
//! what was forgotten is not reported.

mod absent;
mod interrupts;
mod ledger;
mod log;
mod remembered;

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use mmu::address::{PageSize, VirtAddr};
use mmu::cache::{Tag, Translation};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;

pub(crate) use self::absent::AbsentKey;
pub(crate) use self::interrupts::InterruptUse;
pub(crate) use self::log::Received;

use self::absent::Absence;
use self::interrupts::Interrupts;
use self::ledger::{Ledger, Meeting};
use self::log::Log;
use self::remembered::{Remembered, Rests};
use crate::pasid::Pasid;
use crate::spec::descriptor::Descriptor;
use crate::spec::fault::FaultReason;
use crate::spec::id::SourceId;
use crate::stale::judge::{self, Entry};
use crate::stale::{Change, Holder, Moment, StaleUse};
use crate::vtd::port::Request;
use crate::vtd::{Path, Reading, Requester, SpaceKey, Stages, Table, Trail, identity};

/// Which uses are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Watching {
    /// None.
    #[default]
    Off,
    /// All.
    EveryUse,
    /// One in so many.
    Sampled(NonZeroU32),
}

/// When a stale use is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Patience {
    /// At the first use after the change: right for drivers that stop a device before they unmap.
    #[default]
    FirstUse,
    /// When it is used again after software has waited for invalidations since: right for shared address spaces, where
    /// devices use pages while they are unmapped.
    AfterWait,
}

/// How stale uses are watched for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StaleOptions {
    /// See there.
    pub watching: Watching,
    /// See there.
    pub patience: Patience,
}

/// Reports that wait to be taken at most.
const MOST_REPORTS: usize = 1024;
/// Descriptors of the queue that a report lists at most.
const MOST_QUEUED: usize = 64;
/// Where a translation is held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Place {
    Iotlb(Tag),
    /// Nowhere until a walk found it a moment ago, which began at that event; what it read itself is no older.
    Walked(Tag, u64),
    DeviceTlb(SourceId, Option<Pasid>),
    /// Nowhere: a route that is cached until that epoch ends says that nothing translates the requester's addresses.
    Route(Requester, u64),
}

/// A cached translation, by where it is held and what it translates; a route, which is one for all pages, by its page 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct FillKey {
    place: Place,
    page: VirtAddr,
    size: PageSize,
}

/// What a cached translation rests on.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// For whom it was filled.
    pub(crate) requester: Requester,
    /// Whose it is.
    pub(crate) space: SpaceKey,
    /// The entries that led to its tables.
    pub(crate) route: Trail,
    /// The walk through them.
    pub(crate) path: Path,
}

#[derive(Clone, Debug)]
struct Fill {
    origin: Origin,
    translation: Translation,
    filled: Moment,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Watch {
    options: StaleOptions,
    start: Instant,
    events: AtomicU64,
    memory: Arc<PhysicalMemory>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fills: Remembered<FillKey, Fill>,
    absences: Remembered<AbsentKey, Absence>,
    log: Log,
    ledger: Ledger<(FillKey, Change)>,
    interrupts: Interrupts,
    /// Event of the last wait that completed; 0 if none has.
    last_wait: u64,
    reports: Vec<StaleUse>,
    /// Reports so far, kept or not.
    count: u64,
}

/// One use of a cached translation.
pub(crate) struct Use<'a> {
    pub(crate) requester: Requester,
    pub(crate) request: &'a Request,
    pub(crate) place: Place,
    pub(crate) hit: Translation,
    /// The entries by which the requester is translated.
    pub(crate) route: &'a Trail,
    /// What they lead to.
    pub(crate) stages: Stages,
}

/// What a look at the words under a cached translation shows.
#[derive(Debug)]
pub(crate) enum Look {
    /// Nothing: it is not remembered.
    Unknown,
    /// They all stand, and the translation is what they say.
    Unchanged(Path),
    /// One changed.
    Changed(Change),
}

/// What a use of something cached has shown.
struct Finding<'a> {
    requester: Requester,
    request: &'a Request,
    holder: Holder,
    key: FillKey,
    origin: &'a Origin,
    filled: Moment,
    cached: Result<Translation, FaultReason>,
    change: Change,
    now: Result<Translation, FaultReason>,
}

impl Rests for Fill {
    fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Fill {
    /// Whether it is what the use found; a route says the same of every page.
    fn says(&self, used: &Use<'_>) -> bool {
        matches!(used.place, Place::Route(..)) || self.translation == used.hit
    }
}

impl Origin {
    /// Whether a PASID entry led to it, as in scalable mode.
    fn has_pasid_table(&self) -> bool {
        self.route.readings().iter().any(|reading| reading.table == Table::Pasid)
    }
}

/// A cached translation under which something changed.
#[derive(Debug)]
pub(crate) struct Suspect {
    pub(crate) requester: Requester,
    pub(crate) place: Place,
    pub(crate) page: VirtAddr,
    pub(crate) cached: Translation,
    pub(crate) space: SpaceKey,
    pub(crate) filled: Moment,
    pub(crate) change: Change,
}

impl Place {
    pub(crate) const fn holder(self) -> Holder {
        match self {
            Self::Iotlb(_) => Holder::Iotlb,
            Self::Walked(..) | Self::Route(..) => Holder::TableCaches,
            Self::DeviceTlb(..) => Holder::DeviceTlb,
        }
    }

    /// The device whose TLB it is, and for which process.
    const fn device(self) -> Option<Requester> {
        match self {
            Self::Iotlb(_) | Self::Walked(..) | Self::Route(..) => None,
            Self::DeviceTlb(source, pasid) => Some(Requester { source, pasid }),
        }
    }

    /// Whether something there may rest on `reading` after the entry has changed.
    fn may_outlive(self, reading: &Reading) -> bool {
        match self {
            Self::Walked(_, began) => reading.read_at < began,
            Self::Iotlb(_) | Self::DeviceTlb(..) | Self::Route(..) => true,
        }
    }
}

impl FillKey {
    fn new(place: Place, address: VirtAddr, size: PageSize) -> Self {
        let page = first_address(address, size);
        let (place, page) = match place {
            Place::Walked(tag, _) => (Place::Iotlb(tag), page),
            Place::Route(requester, _) => (Place::Route(requester, 0), VirtAddr(0)),
            Place::Iotlb(_) | Place::DeviceTlb(..) => (place, page),
        };
        Self { place, page, size }
    }
}

impl Watch {
    /// None if nothing is watched.
    pub(crate) fn new(options: StaleOptions, memory: &Arc<PhysicalMemory>) -> Option<Self> {
        (options.watching != Watching::Off).then(|| Self {
            options,
            start: Instant::now(),
            events: AtomicU64::new(0),
            memory: Arc::clone(memory),
            state: Mutex::default(),
        })
    }

    /// Events so far.
    pub(crate) fn now(&self) -> u64 {
        self.events.load(Ordering::Acquire)
    }

    /// A translation was read from the tables and cached.
    pub(crate) fn filled(&self, tag: Tag, address: VirtAddr, translation: Translation, origin: Origin) {
        let fill = Fill { origin, translation, filled: self.happen() };
        self.state.lock().fills.insert(FillKey::new(Place::Iotlb(tag), address, translation.size), fill);
    }

    /// A request passes by a route that is held at `place` and translates nothing.
    pub(crate) fn passed(&self, place: Place, origin: Origin) {
        let translation = identity(VirtAddr(0));
        let key = FillKey::new(place, VirtAddr(0), translation.size);
        let mut state = self.state.lock();
        let is_known = |fill: &Fill| fill.origin.route.readings() == origin.route.readings();
        if !state.fills.get(&key).is_some_and(is_known) {
            state.fills.insert(key, Fill { origin, translation, filled: self.happen() });
        }
    }

    /// A device cached what the unit told it.
    pub(crate) fn filled_ahead(
        &self,
        from: Place,
        place: Place,
        address: VirtAddr,
        translation: Translation,
    ) {
        let mut state = self.state.lock();
        let origin = FillKey::new(from, address, translation.size);
        if let Some(origin) = state.fills.get(&origin).cloned() {
            let requester = place.device().unwrap_or(origin.origin.requester);
            let origin = Origin { requester, ..origin.origin };
            let fill = Fill { origin, translation, filled: self.happen() };
            state.fills.insert(FillKey::new(place, address, translation.size), fill);
        }
    }

    /// An invalidation was received. To be told before it is carried out.
    pub(crate) fn received(&self, invalidation: Descriptor, carried_out: bool) {
        let mut state = self.state.lock();
        let received = Received { at: self.happen(), invalidation, carried_out };
        let log = match invalidation {
            Descriptor::InterruptEntries(_) => &mut state.interrupts.log,
            _ => &mut state.log,
        };
        log.push(received);
    }

    /// Whether no invalidation came since that event: one that is under way waits for whoever walked before it.
    pub(crate) fn has_received_nothing_since(&self, event: u64) -> bool {
        self.state.lock().log.since(event).next().is_none()
    }

    /// A wait completed.
    pub(crate) fn waited(&self) {
        self.state.lock().last_wait = self.happen().event;
    }

    /// The reports since this was asked last.
    pub(crate) fn take(&self) -> Vec<StaleUse> {
        std::mem::take(&mut self.state.lock().reports)
    }

    /// Reports so far, also those that nobody took in time.
    pub(crate) fn count(&self) -> u64 {
        self.state.lock().count
    }

    /// Cached translations that had to be forgotten, so that uses of them were not looked at.
    pub(crate) fn forgotten(&self) -> u64 {
        let state = self.state.lock();
        state.fills.forgotten() + state.absences.forgotten()
    }

    /// Whether something changed under the translation that is being used.
    pub(crate) fn look(&self, used: &Use<'_>) -> Look {
        let key = FillKey::new(used.place, used.request.address, used.hit.size);
        let state = self.state.lock();
        let Some(fill) = state.fills.get(&key) else { return Look::Unknown };
        let Origin { route, path, .. } = &fill.origin;
        // What the requester's own route rests on comes last: whoever filled it may have been another.
        let readings = [route, &path.walk, used.route].into_iter().flat_map(Trail::readings);
        let mut readings = readings.filter(|reading| used.place.may_outlive(reading));
        let change = readings.find_map(|reading| self.change(reading));
        let led_elsewhere = || if path.stages == used.stages { None } else { parting(route, used.route) };
        match change.or_else(led_elsewhere) {
            Some(change) => Look::Changed(change),
            None if fill.says(used) => Look::Unchanged(path.clone()),
            None => Look::Unknown,
        }
    }

    /// Reports a use, of which the tables say `now`, and for which invalidations may still be `queued`.
    pub(crate) fn report(
        &self,
        used: &Use<'_>,
        change: Change,
        now: Result<Translation, FaultReason>,
        queued: Vec<Descriptor>,
    ) {
        let key = FillKey::new(used.place, used.request.address, used.hit.size);
        let mut state = self.state.lock();
        let Some(fill) = state.fills.get(&key).cloned().filter(|fill| fill.says(used)) else { return };
        let finding = Finding {
            requester: used.requester,
            request: used.request,
            holder: used.place.holder(),
            key,
            origin: &fill.origin,
            filled: fill.filled,
            cached: Ok(used.hit),
            change,
            now,
        };
        self.tell(&mut state, &finding, queued);
    }

    /// Makes a report of a finding, unless there was one or it is too early.
    fn tell(&self, state: &mut State, finding: &Finding<'_>, queued: Vec<Descriptor>) {
        let Finding { requester, request, holder, key, origin, filled, cached, change, now } = *finding;
        let used = self.moment();
        let meeting =
            Meeting { event: used.event, last_wait: state.last_wait, patience: self.options.patience };
        if !state.ledger.is_due((key, change), meeting) {
            return;
        }
        let entry = Entry {
            requester,
            space: origin.space,
            page: first_address(request.address, key.size),
            size: key.size,
            holder,
            filled: filled.event,
            change,
            has_pasid_table: origin.has_pasid_table(),
        };
        let since = state.log.since(change.read_at);
        let report = StaleUse {
            requester,
            request: *request,
            holder,
            space: origin.space,
            cached,
            now,
            filled,
            used,
            change,
            received: since.map(|received| judge::missed(&entry, received)).collect(),
            forgotten: state.log.forgotten_since(change.read_at),
            remedy: judge::remedy(&entry, &queued),
            queued: queued.into_iter().take(MOST_QUEUED).collect(),
        };
        state.count += 1;
        if state.reports.len() < MOST_REPORTS {
            state.reports.push(report);
        }
    }

    /// What is remembered to be cached although something changed under it, if no use of it was met since.
    pub(crate) fn suspects(&self) -> Vec<Suspect> {
        let state = self.state.lock();
        let met: HashSet<_> = state.ledger.changes().map(|(key, _)| *key).collect();
        let unmet = state.fills.iter().filter(|(key, _)| !met.contains(key));
        unmet.filter_map(|(key, fill)| self.suspect(key, fill)).collect()
    }

    fn suspect(&self, key: &FillKey, fill: &Fill) -> Option<Suspect> {
        let Origin { requester, space, route, path, .. } = &fill.origin;
        let mut readings = [route, &path.walk].into_iter().flat_map(Trail::readings);
        Some(Suspect {
            requester: *requester,
            place: key.place,
            page: key.page,
            cached: fill.translation,
            space: *space,
            filled: fill.filled,
            change: readings.find_map(|reading| self.change(reading))?,
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

    fn happen(&self) -> Moment {
        Moment { event: self.events.fetch_add(1, Ordering::AcqRel), elapsed: self.start.elapsed() }
    }

    fn moment(&self) -> Moment {
        Moment { event: self.now(), elapsed: self.start.elapsed() }
    }
}

/// Where the page of that size begins that `address` lies in.
const fn first_address(address: VirtAddr, size: PageSize) -> VirtAddr {
    VirtAddr(address.0 & !(size.bytes() - 1))
}

/// Where two routes part: no entry changed, but software moved the tables that begin the route.
pub(crate) fn parting(before: &Trail, now: &Trail) -> Option<Change> {
    let mut pairs = before.readings().iter().zip(now.readings());
    let (before, now) = pairs.find(|(before, now)| (before.place, before.value) != (now.place, now.value))?;
    Some(Change {
        table: now.table,
        place: now.place,
        leaf: false,
        was: before.value,
        is: Some(now.value),
        read_at: before.read_at,
    })
}
