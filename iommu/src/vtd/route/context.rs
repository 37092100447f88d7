//! Context entries, from the cache or through the root table.
//!
//! Invariant: a cached entry is used only in the mode in which it was read. Source: VT-d 3.4.2, 3.4.3, 6.2.2.

use mmu::address::PhysAddr;

use crate::spec::command::TableMode;
use crate::spec::context::{
    LEGACY_CONTEXT_BYTES, LegacyContext, ROOT_ENTRY_BYTES, RootEntry, SCALABLE_CONTEXT_BYTES, SCALABLE_HALF,
};
use crate::spec::fault::FaultReason;
use crate::spec::id::DomainId;
use crate::vtd::route::{CachedContext, Dialect, Lookup, Reach, Routes};
use crate::vtd::trail::Table;

/// What is in the way of a context entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Obstacle {
    RootAccess,
    RootNotPresent,
    RootReserved,
    ContextAccess,
}

impl Obstacle {
    /// The reason of the fault that it causes.
    pub(super) const fn reason(self, dialect: Dialect) -> FaultReason {
        match (dialect, self) {
            (Dialect::Legacy, Self::RootAccess) => FaultReason::RootAccess,
            (Dialect::Legacy, Self::RootNotPresent) => FaultReason::RootNotPresent,
            (Dialect::Legacy, Self::RootReserved) => FaultReason::RootReserved,
            (Dialect::Legacy, Self::ContextAccess) => FaultReason::ContextAccess,
            (Dialect::Scalable, Self::RootAccess) => FaultReason::ScalableRootAccess,
            (Dialect::Scalable, Self::RootNotPresent) => FaultReason::ScalableRootNotPresent,
            (Dialect::Scalable, Self::RootReserved) => FaultReason::ScalableRootReserved,
            (Dialect::Scalable, Self::ContextAccess) => FaultReason::ScalableContextAccess,
        }
    }
}

/// A context entry, and whether it was in the cache.
pub(super) struct Context {
    pub(super) entry: CachedContext,
    pub(super) was_cached: bool,
}

impl Routes {
    /// The context entry of the look-up's source.
    pub(super) fn context(&self, lookup: &mut Lookup<'_>) -> Result<Context, Obstacle> {
        if let Some(entry) = self.cached_context(lookup) {
            lookup.recorder.follow(&entry.trail);
            return Ok(Context { entry, was_cached: true });
        }
        let words = read_context(lookup)?;
        let entry = CachedContext {
            words,
            mode: lookup.root.mode,
            tag: LegacyContext(words).domain(),
            trail: lookup.recorder.trail(),
        };
        Ok(Context { entry, was_cached: false })
    }

    /// Caches a context entry that was read, if it may be.
    pub(super) fn keep_context(&self, lookup: &mut Lookup<'_>, context: Context, valid: bool) {
        if !context.was_cached && self.keeps(lookup, valid) {
            let tag = if valid { context.entry.tag } else { DomainId::RESERVED };
            let entry = CachedContext { tag, ..context.entry };
            let filled = self.contexts.fill(lookup.contexts, lookup.requester.source, entry);
            lookup.note(filled);
        }
    }

    fn cached_context(&self, lookup: &Lookup<'_>) -> Option<CachedContext> {
        if lookup.reach == Reach::Tables {
            return None;
        }
        self.contexts.get(&lookup.requester.source).filter(|entry| entry.mode == lookup.root.mode)
    }
}

fn read_context(lookup: &mut Lookup<'_>) -> Result<[u64; 2], Obstacle> {
    let place = place_of(lookup)?;
    let low = lookup.read(Table::Context, place).ok_or(Obstacle::ContextAccess)?;
    let high = lookup.read(Table::Context, place.offset(8)).ok_or(Obstacle::ContextAccess)?;
    Ok([low, high])
}

/// Where the entry lies, by the root entry above it.
pub(super) fn place_of(lookup: &mut Lookup<'_>) -> Result<PhysAddr, Obstacle> {
    let source = lookup.requester.source;
    let scalable = lookup.root.mode == TableMode::Scalable;
    let upper_half = scalable && source.devfn() >= SCALABLE_HALF;
    let place = lookup.root.address.offset(u64::from(source.bus()) * ROOT_ENTRY_BYTES);
    let place = if upper_half { place.offset(ROOT_ENTRY_BYTES / 2) } else { place };
    let root = RootEntry(lookup.read(Table::Root, place).ok_or(Obstacle::RootAccess)?);
    let table = root.table().ok_or(Obstacle::RootNotPresent)?;
    if root.has_reserved() {
        return Err(Obstacle::RootReserved);
    }
    Ok(if scalable {
        table.offset(u64::from(source.devfn() % SCALABLE_HALF) * SCALABLE_CONTEXT_BYTES)
    } else {
        table.offset(u64::from(source.devfn()) * LEGACY_CONTEXT_BYTES)
    })
}
