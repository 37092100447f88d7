//! The tables that the unit reads: root, context, PASID directory, PASID tables.
//!
//! Invariant: an entry is present only when everything it leads to is; its word with P is written last. One that goes
//! loses P alone, so that a unit that is reading its words meets none that nobody meant; they are written again when the unit
//! has forgotten it. All devices share one PASID directory: a process that is bound may be used by each of them.
//! Source: VT-d 6.5.3.3; drivers/iommu/intel/pasid.c `intel_pasid_setup_first_level`, `intel_pasid_tear_down_entry`.

use std::collections::BTreeMap;
use std::sync::Arc;

use mmu::address::PhysAddr;
use mmu::frame::{FrameRef, FrameState, Frames, OutOfFrames};
use pcie::{Pasid, SourceId};

use crate::spec::context::{
    Admissions, ROOT_ENTRY_BYTES, RootEntry, SCALABLE_CONTEXT_BYTES, SCALABLE_HALF, ScalableContext,
};
use crate::spec::pasid_entry::{
    DIRECTORY_ENTRY_BYTES, DirectoryEntry, PASID_ENTRY_BYTES, PasidEntry, directory_index, table_index,
};

/// The tables of one unit, in frames of physical memory.
pub(super) struct Tables {
    frames: Arc<Frames>,
    root: FrameRef,
    directory: FrameRef,
    /// By their places in the root table.
    contexts: BTreeMap<u64, FrameRef>,
    /// By their indexes in the directory.
    pasids: BTreeMap<u64, FrameRef>,
}

impl Tables {
    /// Tables that say nothing.
    pub(super) fn new(frames: &Arc<Frames>) -> Result<Self, OutOfFrames> {
        Ok(Self {
            root: frames.allocate(FrameState::Table)?,
            directory: frames.allocate(FrameState::Table)?,
            contexts: BTreeMap::new(),
            pasids: BTreeMap::new(),
            frames: Arc::clone(frames),
        })
    }

    /// The root table.
    pub(super) fn root(&self) -> PhysAddr {
        self.root.pfn().address()
    }

    /// Gives `source` its context entry.
    pub(super) fn attach(&mut self, source: SourceId, admits: Admissions) -> Result<(), OutOfFrames> {
        let half = u64::from(source.devfn() / SCALABLE_HALF) * (ROOT_ENTRY_BYTES / 2);
        let offset = u64::from(source.bus()) * ROOT_ENTRY_BYTES + half;
        let link = self.root().offset(offset);
        let table = below(&self.frames, &mut self.contexts, offset, link, |table| RootEntry::to(table).0)?;
        let place = table.offset(u64::from(source.devfn() % SCALABLE_HALF) * SCALABLE_CONTEXT_BYTES);
        let ScalableContext([low, high]) = ScalableContext::of(self.directory.pfn().address(), admits);
        self.write(place, &[low, high]);
        Ok(())
    }

    /// Makes room for the entry of `pasid`.
    pub(super) fn prepare(&mut self, pasid: Pasid) -> Result<(), OutOfFrames> {
        let index = directory_index(pasid);
        let link = self.directory.pfn().address().offset(index * DIRECTORY_ENTRY_BYTES);
        below(&self.frames, &mut self.pasids, index, link, |table| DirectoryEntry::to(table).0)?;
        Ok(())
    }

    /// Writes the entry of a PASID that was prepared; another has none and needs none. Before a present entry is written
    /// over an absent one, the unit has to have forgotten what stood there.
    pub(super) fn set(&self, pasid: Pasid, entry: PasidEntry) {
        let Some(place) = self.place(pasid) else { return };
        if entry.is_present() {
            self.write(place, &entry.0);
        } else {
            self.frames.memory().store(place, entry.0[0]);
        }
    }

    fn place(&self, pasid: Pasid) -> Option<PhysAddr> {
        let table = self.pasids.get(&directory_index(pasid))?;
        Some(table.pfn().address().offset(table_index(pasid) * PASID_ENTRY_BYTES))
    }

    /// A present entry, the first word last; nothing if it stands there.
    fn write(&self, place: PhysAddr, words: &[u64]) {
        let memory = self.frames.memory();
        let places = || words.iter().enumerate().map(|(index, word)| (place.offset(index as u64 * 8), *word));
        if places().all(|(place, word)| memory.load(place) == word) {
            return;
        }
        // Not present while its fields change.
        memory.store(place, 0);
        places().rev().for_each(|(place, word)| memory.store(place, word));
    }
}

/// The table that `link` leads to, a new one if there is none yet.
fn below(
    frames: &Arc<Frames>,
    known: &mut BTreeMap<u64, FrameRef>,
    key: u64,
    link: PhysAddr,
    entry: impl Fn(PhysAddr) -> u64,
) -> Result<PhysAddr, OutOfFrames> {
    if let Some(table) = known.get(&key) {
        return Ok(table.pfn().address());
    }
    let table = frames.allocate(FrameState::Table)?;
    let address = table.pfn().address();
    frames.memory().store(link, entry(address));
    known.insert(key, table);
    Ok(address)
}

#[cfg(test)]
mod tests;
