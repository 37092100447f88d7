//! The emulated VT-d unit: what a guest's driver programs, and what its devices' requests go through.
//!
//! Invariant: the tables in memory are the only truth, and every cache can be stale: nothing refreshes one but its own
//! misses, and nothing drops an entry but eviction and the invalidations that the specification names. An
//! invalidation is complete when no access through what it dropped is in flight. Whatever a guest writes is data.
//! Source: VT-d 3 to 7 and 11, the section named in each file.
//!
//! Read in this order: [`options`], `registers` and `command` (what software says), `route` and `walk` (how an address is
//! translated), [`port`] (who asks), `invalidate` and `queue` (what is forgotten, and when that is complete),
//! `device_tlb`, `time_out`, `faults`, `requests`, [`interrupts`]; [`knobs`] make the hardware late or faulty, `hooks` let
//! somebody choose what it may do by itself, `inspect` looks past the caches, and a `witness` is told what the unit does.

mod command;
pub(crate) mod device_tlb;
mod event;
mod faults;
mod hooks;
mod inspect;
pub mod interrupts;
mod invalidate;
pub mod knobs;
pub mod options;
pub mod port;
mod queue;
mod registers;
mod requests;
mod route;
mod table_cache;
mod tags;
mod time_out;
mod trail;
mod walk;
pub(crate) mod witness;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mmu::address::{Access, VirtAddr};
use mmu::cache::{CacheError, Tag, TranslationCache};
use mmu::memory::PhysicalMemory;
use parking_lot::{Mutex, RwLock};
use pcie::SourceId;

pub use self::inspect::Inspection;
pub use self::registers::{REGISTER_BYTES, Width};
pub use self::tags::{SpaceKey, StageKind};
pub use self::time_out::TimeOut;
pub use self::trail::{Reading, Table};
pub use self::witness::Moment;
pub use pcie::{RequestOutcome, Requester};

pub(crate) use self::inspect::{Lead, Past};
pub(crate) use self::invalidate::{Extent, extent};
pub(crate) use self::trail::{Recorder, Trail};
pub(crate) use self::walk::{Path, identity};

use self::device_tlb::Device;
use self::interrupts::{CachedInterrupt, InterruptMode, MsiSink};
use self::options::VtdOptions;
use self::queue::Queue;
use self::registers::Registers;
use self::requests::Requests;
use self::route::{Found, Reach, Refusal, RefusedRoute, Route, Routes};
use self::table_cache::TableCache;
use self::tags::Tags;
use self::walk::{PagingCache, Space};
use self::witness::{Happening, Loaded, Used, Witness};
use crate::spec::command::{RootTable, TableMode};
use crate::spec::fault::FaultReason;

/// In [`Vtd::mode`], beside RTADDR: translation is on.
const TRANSLATING: u64 = 1;

/// A page whose walk failed, and for what.
pub(crate) type AbsentKey = (Tag, VirtAddr, Access);

/// One remapping unit, for every function of a machine.
pub struct Vtd {
    memory: Arc<PhysicalMemory>,
    options: VtdOptions,
    sink: Arc<dyn MsiSink>,
    registers: Mutex<Registers>,
    /// RTADDR as SRTP took it over, and [`TRANSLATING`]: one word, so that a request reads one decision.
    mode: AtomicU64,
    /// Advances whenever a route that was found before may be another now.
    epoch: AtomicU64,
    routes: Routes,
    tags: Tags<SpaceKey>,
    iotlb: Arc<TranslationCache>,
    paging: PagingCache,
    /// Pages whose walk failed; used with CAP.CM only.
    absent: TableCache<AbsentKey, FaultReason>,
    interrupt_mode: RwLock<InterruptMode>,
    interrupt_entries: TableCache<u16, CachedInterrupt>,
    devices: RwLock<HashMap<SourceId, Arc<Device>>>,
    requests: Mutex<Requests>,
    queue: Mutex<Queue>,
    time_outs: Mutex<Vec<TimeOut>>,
    /// The machine ends: no descriptor is executed any more.
    is_off: AtomicBool,
    /// If somebody wants to know what it does.
    witness: Option<Arc<dyn Witness>>,
}

impl Vtd {
    /// A unit after reset, in front of `memory`, that tells `witness` what it does. Its interrupts, and those that it remaps,
    /// go to `sink`.
    ///
    /// # Errors
    /// [`CacheError`] if the host has no room for its IOTLB.
    pub(crate) fn witnessed(
        memory: Arc<PhysicalMemory>,
        options: VtdOptions,
        sink: Arc<dyn MsiSink>,
        witness: Option<Arc<dyn Witness>>,
    ) -> Result<Arc<Self>, CacheError> {
        let caches = options.caches;
        Ok(Arc::new(Self {
            witness,
            memory,
            options,
            sink,
            registers: Mutex::new(Registers::new(&options)),
            mode: AtomicU64::new(0),
            epoch: AtomicU64::new(1),
            routes: Routes::new(&options),
            tags: Tags::new(),
            iotlb: Arc::new(TranslationCache::try_new(caches.iotlb)?),
            paging: TableCache::new(caches.paging),
            absent: TableCache::new(caches.iotlb),
            interrupt_mode: RwLock::new(InterruptMode::OFF),
            interrupt_entries: TableCache::new(caches.interrupt),
            devices: RwLock::default(),
            requests: Mutex::default(),
            queue: Mutex::default(),
            time_outs: Mutex::default(),
            is_off: AtomicBool::new(false),
        }))
    }

    /// What it stands in front of.
    #[must_use]
    pub fn memory(&self) -> &Arc<PhysicalMemory> {
        &self.memory
    }

    /// How it is built.
    #[must_use]
    pub fn options(&self) -> &VtdOptions {
        &self.options
    }

    /// The cache of its translations.
    #[must_use]
    pub fn iotlb(&self) -> &Arc<TranslationCache> {
        &self.iotlb
    }

    /// Who is told what it does.
    pub(crate) fn witness(&self) -> Option<&dyn Witness> {
        self.witness.as_deref()
    }

    /// Tells of a use of something cached. If the tables say the very same of the page, the way by which they do.
    #[cold]
    fn tell_used(&self, used: Used<'_>) -> Option<Path> {
        self.witness()?.used(self, used)
    }

    /// Readings are recorded only if somebody wants to know of stale uses.
    fn recorder(&self) -> Recorder {
        self.witness().map_or(Recorder::OFF, |witness| Recorder::on(witness.now()))
    }

    /// The same for a walk, which tells what it reads itself from what was read before it.
    fn walk_recorder(&self) -> Recorder {
        self.witness()
            .map_or(Recorder::OFF, |witness| Recorder::on(witness.happen(Happening::Walk).event + 1))
    }

    #[inline]
    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Routes that were found before are looked up again. To be called after what they rest on has changed.
    fn forget_routes(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// The root table, as SRTP took it over.
    fn root(&self) -> RootTable {
        self.offered(RootTable::decode(self.mode.load(Ordering::Acquire)))
    }

    /// `root`, in a mode that the unit has.
    fn offered(&self, root: RootTable) -> RootTable {
        match root.mode {
            TableMode::Scalable if !self.options.scalable_mode => {
                RootTable { mode: TableMode::Invalid, ..root }
            }
            TableMode::Scalable | TableMode::Legacy | TableMode::Invalid => root,
        }
    }

    /// How `requester` is translated.
    fn route(&self, requester: Requester, reach: Reach, recorder: Recorder) -> Result<Route, Refusal> {
        self.find_route(requester, reach, recorder).map_err(|refused| refused.refusal)
    }

    /// The same; if it is not, with what was read.
    fn find_route(
        &self,
        requester: Requester,
        reach: Reach,
        recorder: Recorder,
    ) -> Result<Route, RefusedRoute> {
        let mode = self.mode.load(Ordering::Acquire);
        if mode & TRANSLATING == 0 {
            return Ok(Route::untranslated());
        }
        let root = self.offered(RootTable::decode(mode));
        let now = recorder.began();
        let Found { route, evicted, read } = self.routes.find(&self.memory, root, requester, reach, recorder);
        if evicted {
            self.forget_routes();
        }
        if let (Some(witness), Reach::Caches) = (self.witness(), reach) {
            witness.loaded(Loaded::Route { requester, trail: &read, now });
        }
        route.map_err(|refusal| RefusedRoute { refusal, read })
    }

    /// The route's stages with the tags of their translations.
    fn space(&self, route: &Route) -> Space {
        let domain_wide = |key: SpaceKey| SpaceKey { pasid: None, stage: StageKind::Second, ..key };
        let nested = route.key.filter(|key| key.stage == StageKind::Nested);
        Space {
            stages: route.stages,
            dialect: route.dialect,
            tag: route.key.and_then(|key| self.tags.of(key)),
            second_tag: nested.and_then(|key| self.tags.of(domain_wide(key))),
        }
    }

    fn device(&self, source: SourceId) -> Option<Arc<Device>> {
        self.devices.read().get(&source).cloned()
    }
}

impl fmt::Debug for Vtd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vtd").field("options", &self.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
