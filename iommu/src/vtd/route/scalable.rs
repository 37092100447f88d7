//! The route in scalable mode: the context entry leads to a PASID directory, and a PASID entry says the rest.
//!
//! Invariant: a request without PASID has that of `RID_PASID`. Source: VT-d 3.4.3, 9.4, 9.5, 9.6.

use mmu::address::PhysAddr;
use mmu::table::Levels;
use pcie::{Pasid, Requester};

use crate::spec::context::ScalableContext;
use crate::spec::fault::FaultReason;
use crate::spec::id::DomainId;
use crate::spec::pasid_entry::{
    DIRECTORY_ENTRY_BYTES, DirectoryEntry, PASID_ENTRY_BYTES, PasidEntry, PasidTranslation, directory_index,
    table_index,
};
use crate::vtd::route::{
    CachedPasid, Dialect, FirstStage, Lookup, Reach, Refusal, Route, Routes, SecondStage, Stages,
};
use crate::vtd::tags::{SpaceKey, StageKind};
use crate::vtd::trail::Table;

impl Routes {
    pub(super) fn scalable(&self, lookup: &mut Lookup<'_>) -> Result<Route, Refusal> {
        let context =
            self.context(lookup).map_err(|obstacle| Refusal::open(obstacle.reason(Dialect::Scalable)))?;
        let entry = ScalableContext(context.entry.words);
        let refuse = |reason| Refusal { reason, hides_faults: entry.hides_faults() };
        let valid = check(entry);
        self.keep_context(lookup, context, valid.is_ok());
        valid.map_err(refuse)?;
        let pasid = pasid_of(entry, lookup.requester).map_err(refuse)?;
        let found = self.pasid_entry(lookup, entry, pasid).map_err(|refusal| Refusal {
            hides_faults: entry.hides_faults() || refusal.hides_faults,
            ..refusal
        })?;
        self.of_pasid_entry(entry, &found, pasid, lookup)
    }

    fn pasid_entry(
        &self,
        lookup: &mut Lookup<'_>,
        context: ScalableContext,
        pasid: Pasid,
    ) -> Result<CachedPasid, Refusal> {
        let key = Requester { source: lookup.requester.source, pasid: Some(pasid) };
        let cached = if lookup.reach == Reach::Caches { self.pasids.get(&key) } else { None };
        if let Some(cached) = cached {
            lookup.recorder.follow(&cached.trail);
            return Ok(cached);
        }
        let before = lookup.recorder.len();
        let (entry, hides_faults) = match read_pasid(lookup, context, pasid) {
            Ok((entry, hides_faults)) => (Ok(entry), hides_faults),
            Err(refusal) if is_of_directory_entry(refusal.reason) => {
                (Err(refusal.reason), refusal.hides_faults)
            }
            Err(refusal) => return Err(refusal),
        };
        let domain = entry.ok().filter(|entry| self.stages(*entry).is_ok()).map(PasidEntry::domain);
        // What leads nowhere is cached in the reserved domain (VT-d 6.2.3).
        let (leads_somewhere, tag) = match domain {
            Some(domain) => (true, domain),
            None => (false, DomainId::RESERVED),
        };
        let read = CachedPasid { entry, hides_faults, tag, trail: lookup.recorder.trail_from(before) };
        if self.keeps(lookup, leads_somewhere) {
            let filled = self.pasids.fill(lookup.pasids, key, read.clone());
            lookup.note(filled);
        }
        Ok(read)
    }

    pub(super) fn stages(&self, entry: PasidEntry) -> Result<(Stages, StageKind), FaultReason> {
        if !entry.is_present() {
            return Err(FaultReason::PasidNotPresent);
        }
        if entry.has_reserved() {
            return Err(FaultReason::PasidReserved);
        }
        Ok(match entry.translation().map_err(|_| FaultReason::PasidInvalid)? {
            PasidTranslation::First => (Stages::First(self.first_stage(entry)?), StageKind::First),
            PasidTranslation::Second => (Stages::Second(second_stage(entry)?), StageKind::Second),
            PasidTranslation::Nested => {
                (Stages::Nested(self.first_stage(entry)?, second_stage(entry)?), StageKind::Nested)
            }
            PasidTranslation::PassThrough => (Stages::Identity, StageKind::First),
        })
    }

    /// The first stage, in a depth that the unit has.
    fn first_stage(&self, entry: PasidEntry) -> Result<FirstStage, FaultReason> {
        let root = entry.first_stage().map_err(|_| FaultReason::PasidInvalid)?;
        if root.levels == Levels::Five && !self.options.five_levels {
            return Err(FaultReason::PasidInvalid);
        }
        Ok(FirstStage { root })
    }

    fn of_pasid_entry(
        &self,
        context: ScalableContext,
        found: &CachedPasid,
        pasid: Pasid,
        lookup: &Lookup<'_>,
    ) -> Result<Route, Refusal> {
        let hides_faults = context.hides_faults() || found.hides_faults;
        let refuse = |reason| Refusal { reason, hides_faults };
        let entry = found.entry.map_err(refuse)?;
        let (stages, stage) = self.stages(entry).map_err(refuse)?;
        let pasid = if stage == StageKind::Second { None } else { Some(pasid) };
        Ok(Route {
            stages,
            key: Some(SpaceKey { domain: entry.domain(), pasid, stage }),
            dialect: Dialect::Scalable,
            has_device_tlb: context.has_device_tlb(),
            has_page_requests: context.has_page_requests(),
            hides_faults,
            trail: lookup.recorder.trail(),
        })
    }
}

pub(super) fn check(entry: ScalableContext) -> Result<(), FaultReason> {
    if !entry.is_present() {
        return Err(FaultReason::ScalableContextNotPresent);
    }
    if entry.has_reserved() {
        return Err(FaultReason::ScalableContextReserved);
    }
    Ok(())
}

fn pasid_of(entry: ScalableContext, requester: Requester) -> Result<Pasid, FaultReason> {
    match requester.pasid {
        Some(_) if !entry.has_pasid() => Err(FaultReason::PasidDisabled),
        Some(pasid) => Ok(pasid),
        None => entry.requester_pasid().map_err(|_| FaultReason::RequesterPasid),
    }
}

/// Where the entry lies, and whether faults are hidden by the directory entry above.
pub(super) fn place_of(
    lookup: &mut Lookup<'_>,
    context: ScalableContext,
    pasid: Pasid,
) -> Result<(PhysAddr, bool), Refusal> {
    let index = directory_index(pasid);
    if index >= context.directory_entries() {
        return Err(Refusal::open(FaultReason::PasidTooLarge));
    }
    let place = context.directory().offset(index * DIRECTORY_ENTRY_BYTES);
    let directory = lookup.read(Table::PasidDirectory, place);
    let directory = DirectoryEntry(directory.ok_or(Refusal::open(FaultReason::DirectoryAccess))?);
    let refuse = |reason| Refusal { reason, hides_faults: directory.hides_faults() };
    let table = directory.table().ok_or(refuse(FaultReason::DirectoryNotPresent))?;
    if directory.has_reserved() {
        return Err(refuse(FaultReason::DirectoryReserved));
    }
    Ok((table.offset(table_index(pasid) * PASID_ENTRY_BYTES), directory.hides_faults()))
}

/// Whether a fault says something of what stands in a directory entry, and not only of where that lies.
const fn is_of_directory_entry(reason: FaultReason) -> bool {
    matches!(reason, FaultReason::DirectoryNotPresent | FaultReason::DirectoryReserved)
}

/// The entry, and whether faults are hidden by it or by the directory entry above.
fn read_pasid(
    lookup: &mut Lookup<'_>,
    context: ScalableContext,
    pasid: Pasid,
) -> Result<(PasidEntry, bool), Refusal> {
    let (place, hides_faults) = place_of(lookup, context, pasid)?;
    let mut words = [0; 3];
    for (word, offset) in words.iter_mut().zip([0, 8, 16]) {
        let read = lookup.read(Table::Pasid, place.offset(offset));
        *word = read.ok_or(Refusal { reason: FaultReason::PasidAccess, hides_faults })?;
    }
    let entry = PasidEntry(words);
    Ok((entry, hides_faults || entry.hides_faults()))
}

fn second_stage(entry: PasidEntry) -> Result<SecondStage, FaultReason> {
    let levels = entry.second_stage_levels().map_err(|_| FaultReason::PasidInvalid)?;
    Ok(SecondStage { table: entry.second_stage(), levels })
}
