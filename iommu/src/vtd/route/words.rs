//! An entry that is read a few words at a time, as hardware may read what software writes meanwhile: that of a PASID, or a
//! context entry of legacy mode.
//!
//! Invariant: what is kept is what was read, each word once; it comes into its cache whole, and only if nothing was
//! invalidated there since it was begun. Source: VT-d 6.2.2 (context cache), 6.2.3 (PASID cache), 9.3 and 9.6 (the 16 bytes
//! of the one and the 64 of the other are not read at once).

use std::ops::Range;

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;
use pcie::{Pasid, Requester, SourceId};

use crate::spec::command::{RootTable, TableMode};
use crate::spec::context::{LegacyContext, ScalableContext};
use crate::spec::fault::FaultReason;
use crate::spec::pasid_entry::PasidEntry;
use crate::vtd::route::context::place_of as place_of_context;
use crate::vtd::route::scalable::{check, place_of};
use crate::vtd::route::{CachedContext, CachedPasid, Dialect, Lookup, Reach, Refusal, Routes};
use crate::vtd::table_cache::Ticket;
use crate::vtd::trail::{Recorder, Trail};

/// An entry of which some words were read.
#[derive(Clone, Debug)]
pub struct PartlyRead {
    of: Of,
    requester: Requester,
    place: PhysAddr,
    ticket: Ticket,
    words: Vec<Option<u64>>,
}

/// Which entry.
#[derive(Clone, Copy, Debug)]
enum Of {
    /// The context entry of the requester's function.
    Context,
    /// That of the requester's PASID, below entries that hide faults or do not.
    Pasid { hides_faults: bool },
}

impl PartlyRead {
    /// The words that say something, as far as they were read: two of a context entry, three of a PASID's.
    #[must_use]
    pub fn words(&self) -> &[Option<u64>] {
        &self.words
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

    /// All of them, if they were read.
    fn whole<const N: usize>(&self) -> Option<[u64; N]> {
        let words: Option<Vec<u64>> = self.words.iter().copied().collect();
        words?.try_into().ok()
    }
}

impl Routes {
    /// Finds where the context entry of `source` lies, and reads nothing of it.
    pub(crate) fn begin_context(
        &self,
        memory: &PhysicalMemory,
        root: RootTable,
        source: SourceId,
    ) -> Result<PartlyRead, Refusal> {
        if root.mode != TableMode::Legacy {
            return Err(Refusal::open(FaultReason::RootTableMode));
        }
        let requester = Requester { source, pasid: None };
        let mut lookup = self.ahead(memory, root, requester);
        let place = place_of_context(&mut lookup);
        let place = place.map_err(|obstacle| Refusal::open(obstacle.reason(Dialect::Legacy)))?;
        Ok(PartlyRead { of: Of::Context, requester, place, ticket: lookup.contexts, words: vec![None; 2] })
    }

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
        let mut lookup = self.ahead(memory, root, requester);
        let context = self.context(&mut lookup);
        let context = context.map_err(|obstacle| Refusal::open(obstacle.reason(Dialect::Scalable)))?;
        let context = ScalableContext(context.entry.words);
        check(context)?;
        let (place, hides_faults) = place_of(&mut lookup, context, pasid)?;
        let of = Of::Pasid { hides_faults: hides_faults || context.hides_faults() };
        Ok(PartlyRead { of, requester, place, ticket: lookup.pasids, words: vec![None; 3] })
    }

    /// A look-up that nobody is told of.
    fn ahead<'a>(&self, memory: &'a PhysicalMemory, root: RootTable, requester: Requester) -> Lookup<'a> {
        let (contexts, pasids) = (self.contexts.ticket(), self.pasids.ticket());
        let (reach, recorder) = (Reach::Caches, Recorder::OFF);
        Lookup { memory, root, requester, reach, recorder, contexts, pasids, evicted: false }
    }

    /// Whether it may still come into its cache.
    pub(crate) fn is_current(&self, part: &PartlyRead) -> bool {
        let now = match part.of {
            Of::Context => self.contexts.ticket(),
            Of::Pasid { .. } => self.pasids.ticket(),
        };
        now == part.ticket
    }

    /// Puts it into its cache; false if it is not read whole, says nothing that may be cached, or was invalidated since.
    pub(crate) fn end_read(&self, part: &PartlyRead) -> bool {
        match part.of {
            Of::Context => self.end_context(part),
            Of::Pasid { hides_faults } => self.end_pasid(part, hides_faults),
        }
    }

    fn end_context(&self, part: &PartlyRead) -> bool {
        let serves = |words: &[u64; 2]| self.of_entry(LegacyContext(*words), Trail::default()).is_ok();
        let Some(words) = part.whole().filter(serves) else { return false };
        if !self.is_current(part) {
            return false;
        }
        let read = CachedContext {
            words,
            mode: TableMode::Legacy,
            tag: LegacyContext(words).domain(),
            trail: Trail::default(),
        };
        let _filled = self.contexts.fill(part.ticket, part.requester.source, read);
        self.cached_legacy_context(part.requester.source) == Some(LegacyContext(words))
    }

    fn end_pasid(&self, part: &PartlyRead, hides_faults: bool) -> bool {
        let entry = part.whole().map(PasidEntry);
        let Some(entry) = entry.filter(|entry| self.stages(*entry).is_ok()) else { return false };
        if !self.is_current(part) {
            return false;
        }
        let hides_faults = hides_faults || entry.hides_faults();
        let read =
            CachedPasid { entry: Ok(entry), hides_faults, tag: entry.domain(), trail: Trail::default() };
        let _filled = self.pasids.fill(part.ticket, part.requester, read);
        self.cached_pasid(&part.requester) == Some(entry)
    }
}
