//! How a requester is translated: from root entry, context entry and PASID entry to the stages.
//!
//! Invariant: the decision depends on who asks and on the tables alone, not on the address. What is cached of the way
//! is used until it is invalidated, whatever the tables say by then. Entries that are not present or faulty are
//! cached only with CAP.CM, and go with the reserved domain, not with the one that stands in them; a PASID directory's is
//! kept with each PASID that met it. Root entries are never cached. Source: VT-d 3.4
//! (mapping devices to domains), 6.2.2 (context cache), 6.2.3 (PASID cache), 6.1 (CM).

mod context;
mod legacy;
mod scalable;
pub(crate) mod words;

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;
use mmu::table::Root;
use pcie::{Requester, SourceId};

use crate::spec::command::{RootTable, TableMode};
use crate::spec::context::LegacyContext;
use crate::spec::descriptor::{ContextScope, PasidScope};
use crate::spec::fault::FaultReason;
use crate::spec::id::DomainId;
use crate::spec::paging::SecondStageLevels;
use crate::spec::pasid_entry::PasidEntry;
use crate::vtd::options::{CachingMode, VtdOptions};
use crate::vtd::table_cache::{Filled, TableCache, Ticket};
use crate::vtd::tags::SpaceKey;
use crate::vtd::trail::{Recorder, Table, Trail};

/// A first-stage table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct FirstStage {
    /// Its root.
    pub(crate) root: Root,
}

/// A second-stage table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SecondStage {
    /// Its root.
    pub(crate) table: PhysAddr,
    /// Its depth.
    pub(crate) levels: SecondStageLevels,
}

/// What an address passes through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stages {
    /// Nothing: it is a physical address.
    Identity,
    /// The first stage.
    First(FirstStage),
    /// The second.
    Second(SecondStage),
    /// The first, every address of which passes through the second.
    Nested(FirstStage, SecondStage),
}

/// Which reasons faults have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Dialect {
    Legacy,
    Scalable,
}

/// How a requester is translated.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) stages: Stages,
    /// What its translations are tagged with.
    pub(crate) key: Option<SpaceKey>,
    pub(crate) dialect: Dialect,
    /// Translation requests and translated requests are served.
    pub(crate) has_device_tlb: bool,
    pub(crate) has_page_requests: bool,
    pub(crate) hides_faults: bool,
    pub(crate) trail: Trail,
}

/// Why a requester is not translated, or an interrupt is blocked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: FaultReason,
    pub(crate) hides_faults: bool,
}

/// Whether what is cached is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// The caches first.
    Caches,
    /// The tables alone; nothing is filled, and nothing marked.
    Tables,
}

/// The tables from a device to its stages, and what is cached of them.
#[derive(Debug)]
pub(crate) struct Routes {
    options: VtdOptions,
    contexts: TableCache<SourceId, CachedContext>,
    pasids: TableCache<Requester, CachedPasid>,
}

/// A context entry's lower words, as they were read in `mode`.
#[derive(Clone, Debug)]
struct CachedContext {
    words: [u64; 2],
    mode: TableMode,
    /// What an invalidation of a domain has to name in legacy mode.
    tag: DomainId,
    trail: Trail,
}

#[derive(Clone, Debug)]
struct CachedPasid {
    /// The entry, or what is wrong with the directory's above it.
    entry: Result<PasidEntry, FaultReason>,
    /// FPD, of the entry or of the directory's.
    hides_faults: bool,
    /// What an invalidation has to name.
    tag: DomainId,
    trail: Trail,
}

/// One look-up of a route.
struct Lookup<'a> {
    memory: &'a PhysicalMemory,
    root: RootTable,
    requester: Requester,
    reach: Reach,
    recorder: Recorder,
    contexts: Ticket,
    pasids: Ticket,
    evicted: bool,
}

/// A route as it was found.
pub(crate) struct Found {
    pub(crate) route: Result<Route, Refusal>,
    /// Whether an entry made room for another, so that routes found before may rest on what is not cached any more.
    pub(crate) evicted: bool,
    /// What was read on the way, whether it led somewhere or not.
    pub(crate) read: Trail,
}

/// That a requester has no route, with what was read on the way to where it ends.
#[derive(Debug)]
pub(crate) struct RefusedRoute {
    pub(crate) refusal: Refusal,
    pub(crate) read: Trail,
}

impl Refusal {
    /// One that is recorded.
    pub(crate) const fn open(reason: FaultReason) -> Self {
        Self { reason, hides_faults: false }
    }
}

impl From<FaultReason> for Refusal {
    fn from(reason: FaultReason) -> Self {
        Self::open(reason)
    }
}

impl Route {
    /// No remapping: the address is physical.
    pub(crate) fn untranslated() -> Self {
        Self {
            stages: Stages::Identity,
            key: None,
            dialect: Dialect::Legacy,
            has_device_tlb: false,
            has_page_requests: false,
            hides_faults: false,
            trail: Trail::default(),
        }
    }
}

impl Routes {
    pub(crate) fn new(options: &VtdOptions) -> Self {
        Self {
            options: *options,
            contexts: TableCache::new(options.caches.context),
            pasids: TableCache::new(options.caches.pasid),
        }
    }

    /// The route of `requester` under `root`.
    pub(crate) fn find(
        &self,
        memory: &PhysicalMemory,
        root: RootTable,
        requester: Requester,
        reach: Reach,
        recorder: Recorder,
    ) -> Found {
        let (contexts, pasids) = (self.contexts.ticket(), self.pasids.ticket());
        let mut lookup =
            Lookup { memory, root, requester, reach, recorder, contexts, pasids, evicted: false };
        let route = match root.mode {
            TableMode::Legacy => self.legacy(&mut lookup),
            TableMode::Scalable => self.scalable(&mut lookup),
            TableMode::Invalid => Err(Refusal::open(FaultReason::RootTableMode)),
        };
        Found { route, evicted: lookup.evicted, read: lookup.recorder.trail() }
    }

    /// Drops cached context entries.
    pub(crate) fn invalidate_contexts(&self, scope: ContextScope) {
        self.contexts.invalidate(|source, context| match scope {
            ContextScope::Global => true,
            ContextScope::Domain(domain) => context.mode == TableMode::Scalable || context.tag == domain,
            ContextScope::Device { source: named, ignored_bits } => {
                ContextScope::concerns(named, ignored_bits, *source)
            }
        });
    }

    /// Drops cached PASID entries.
    pub(crate) fn invalidate_pasids(&self, scope: PasidScope) {
        self.pasids.invalidate(|requester, cached| match scope {
            PasidScope::Global => true,
            PasidScope::Domain(domain) => cached.tag == domain,
            PasidScope::Pasid(domain, pasid) => cached.tag == domain && requester.pasid == Some(pasid),
        });
    }

    /// What is cached of a PASID's entry.
    pub(crate) fn cached_pasid(&self, requester: &Requester) -> Option<PasidEntry> {
        self.pasids.get(requester).and_then(|cached| cached.entry.ok())
    }

    /// What is cached of a function's context entry, as it was read in legacy mode.
    pub(crate) fn cached_legacy_context(&self, source: SourceId) -> Option<LegacyContext> {
        let cached = self.contexts.get(&source).filter(|cached| cached.mode == TableMode::Legacy);
        cached.map(|cached| LegacyContext(cached.words))
    }

    /// Loses it.
    pub(crate) fn evict_context(&self, source: SourceId) {
        self.contexts.evict(&source);
    }

    /// How many context entries and PASID entries are cached.
    pub(crate) fn cached(&self) -> [usize; 2] {
        [self.contexts.len(), self.pasids.len()]
    }

    /// Loses it.
    pub(crate) fn evict_pasid(&self, requester: &Requester) {
        self.pasids.evict(requester);
    }

    #[cfg(test)]
    pub(crate) fn while_contexts_are_held(&self, meanwhile: impl FnOnce()) {
        self.contexts.while_held(meanwhile);
    }

    #[cfg(test)]
    pub(crate) fn while_pasids_are_held(&self, meanwhile: impl FnOnce()) {
        self.pasids.while_held(meanwhile);
    }

    /// Whether something that was read may be cached.
    fn keeps(&self, lookup: &Lookup<'_>, valid: bool) -> bool {
        lookup.reach == Reach::Caches && (valid || self.options.caching_mode == CachingMode::AlsoAbsent)
    }
}

impl Lookup<'_> {
    /// Reads one word of a table; none outside memory.
    fn read(&mut self, table: Table, place: PhysAddr) -> Option<u64> {
        let value = self.memory.try_load(place)?;
        self.recorder.note(table, place, value, false);
        Some(value)
    }

    fn note(&mut self, filled: Filled) {
        self.evicted |= filled == Filled::Evicting;
    }
}
