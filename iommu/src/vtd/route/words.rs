//! A PASID's entry that is read a few words at a time, as hardware may read what software writes meanwhile.
//!
//! Invariant: what is kept is what was read, each word once; it comes into the PASID cache whole, and only if nothing was
//! invalidated there since it was begun. Source: VT-d 6.2.3 (PASID cache), 9.6 (the entry's 64 bytes are not read at once).

use std::ops::Range;

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;
use pcie::{Pasid, Requester};

use crate::spec::command::{RootTable, TableMode};
use crate::spec::context::ScalableContext;
use crate::spec::fault::FaultReason;
use crate::spec::pasid_entry::PasidEntry;
use crate::vtd::route::scalable::{check, place_of, reason};
use crate::vtd::route::{CachedPasid, Lookup, Reach, Refusal, Routes};
use crate::vtd::table_cache::Ticket;
use crate::vtd::trail::{Recorder, Trail};

/// A PASID's entry of which some words were read.
#[derive(Clone, Debug)]
pub struct PartlyRead {
    requester: Requester,
    place: PhysAddr,
    hides_faults: bool,
    ticket: Ticket,
    words: [Option<u64>; 3],
}

impl PartlyRead {
    /// The words that say something, as far as they were read.
    #[must_use]
    pub const fn words(&self) -> [Option<u64>; 3] {
        self.words
    }

    /// Reads some of them, which were not read before; false outside memory.
    pub(crate) fn read(&mut self, memory: &PhysicalMemory, words: Range<usize>) -> bool {
        for index in words {
            let Some(word) = self.words.get_mut(index).filter(|word| word.is_none()) else { continue };
            *word = memory.try_load(self.place.offset(index as u64 * 8));
            if word.is_none() {
                return false;
            }
        }
        true
    }

    fn entry(&self) -> Option<PasidEntry> {
        let [Some(low), Some(middle), Some(high)] = self.words else { return None };
        Some(PasidEntry([low, middle, high]))
    }
}

impl Routes {
    /// Finds where the entry of the requester's PASID lies, and reads nothing of it.
    pub(crate) fn begin_pasid(
        &self,
        memory: &PhysicalMemory,
        root: RootTable,
        (requester, pasid): (Requester, Pasid),
    ) -> Result<PartlyRead, Refusal> {
        if root.mode != TableMode::Scalable {
            return Err(Refusal::open(FaultReason::RootTableMode));
        }
        let (contexts, ticket) = (self.contexts.ticket(), self.pasids.ticket());
        let (reach, recorder) = (Reach::Caches, Recorder::OFF);
        let mut lookup =
            Lookup { memory, root, requester, reach, recorder, contexts, pasids: ticket, evicted: false };
        let context = self.context(&mut lookup).map_err(|obstacle| Refusal::open(reason(obstacle)))?;
        let context = ScalableContext(context.entry.words);
        check(context)?;
        let (place, hides_faults) = place_of(&mut lookup, context, pasid)?;
        let hides_faults = hides_faults || context.hides_faults();
        Ok(PartlyRead { requester, place, hides_faults, ticket, words: [None; 3] })
    }

    /// Whether it may still come into the cache.
    pub(crate) fn pasid_is_current(&self, part: &PartlyRead) -> bool {
        self.pasids.ticket() == part.ticket
    }

    /// Puts it into the cache; false if it is not read whole, says nothing that may be cached, or was invalidated since.
    pub(crate) fn end_pasid(&self, part: &PartlyRead) -> bool {
        let Some(entry) = part.entry().filter(|entry| self.stages(*entry).is_ok()) else { return false };
        let hides_faults = part.hides_faults || entry.hides_faults();
        let read = CachedPasid { entry, hides_faults, trail: Trail::default() };
        if !self.pasid_is_current(part) {
            return false;
        }
        let _filled = self.pasids.fill(part.ticket, part.requester, read);
        self.pasids.get(&part.requester).is_some_and(|cached| cached.entry == entry)
    }
}
