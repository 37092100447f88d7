//! An address space: areas, a page table, the TLBs of the CPUs that run it, and the notifier chain of its
//! secondary MMUs (`struct mm_struct`).
//!
//! Invariant: locks are taken in this order: the areas (mmap_lock), a page lock, an open notifier range, a page-table
//! lock, the mmu_lock of a secondary. A fault holds the areas for reading, a fork for writing. A notification under a
//! page-table lock reads the chain recursively, so that nobody who waits to change the chain can stand in its way.

use std::sync::Arc;

use parking_lot::RwLock;
use steps::operation::cow;
use steps::program::Program;

use crate::address::{VirtAddr, VirtRange};
use crate::area::{Area, Areas, Backing, BadRange, Merging};
use crate::cache::{Tag, TranslationCache};
use crate::frame::{Frames, OutOfFrames};
use crate::notifier::NotifierChain;
use crate::pte::Pte;
use crate::table::{Levels, PageTable};
use crate::trace::{Observer, Unobserved};

mod fault;
mod fork;
mod pages;

pub use fault::FaultError;
pub use pages::MappedPage;

/// The number of an address space; the tag of its translations in every cache. Address spaces that share a cache or a
/// KSM scanner have different ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SpaceId(pub u16);

/// How an address space behaves.
#[derive(Clone)]
pub struct SpaceOptions {
    /// Depth of the page table.
    pub levels: Levels,
    /// The order in which COW is broken here.
    pub break_cow: Program,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// One address space.
pub struct AddressSpace {
    id: SpaceId,
    frames: Arc<Frames>,
    table: PageTable,
    areas: RwLock<Areas>,
    tlbs: RwLock<Vec<Arc<TranslationCache>>>,
    notifiers: NotifierChain,
    options: SpaceOptions,
}

impl Default for SpaceOptions {
    /// Four levels, COW broken in the right order, nobody watching.
    fn default() -> Self {
        Self { levels: Levels::Four, break_cow: cow::wp_page_copy(), observer: Arc::new(Unobserved) }
    }
}

impl SpaceId {
    /// The tag of this space's translations.
    #[must_use]
    pub const fn tag(self) -> Tag {
        Tag(self.0)
    }
}

impl AddressSpace {
    /// An empty address space.
    ///
    /// # Errors
    /// [`OutOfFrames`] if there is no frame for its root table.
    pub fn new(frames: Arc<Frames>, id: SpaceId, options: SpaceOptions) -> Result<Arc<Self>, OutOfFrames> {
        let table = PageTable::new(Arc::clone(&frames), options.levels)?;
        Ok(Arc::new(Self::assemble(frames, id, options, table, Areas::default())))
    }

    fn assemble(
        frames: Arc<Frames>,
        id: SpaceId,
        options: SpaceOptions,
        table: PageTable,
        areas: Areas,
    ) -> Self {
        Self {
            id,
            frames,
            table,
            areas: RwLock::new(areas),
            tlbs: RwLock::default(),
            notifiers: NotifierChain::default(),
            options,
        }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> SpaceId {
        self.id
    }

    /// The frames its pages and tables are.
    #[must_use]
    pub fn frames(&self) -> &Arc<Frames> {
        &self.frames
    }

    /// Its page table.
    #[must_use]
    pub fn table(&self) -> &PageTable {
        &self.table
    }

    /// Its secondary MMUs.
    #[must_use]
    pub fn notifiers(&self) -> &NotifierChain {
        &self.notifiers
    }

    /// Who watches it.
    #[must_use]
    pub fn observer(&self) -> &dyn Observer {
        &*self.options.observer
    }

    /// The same, to be kept.
    #[must_use]
    pub fn shared_observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.options.observer)
    }

    /// Makes `range` usable.
    ///
    /// # Errors
    /// [`BadRange`] if it is empty, misaligned, not canonical or overlaps another area.
    pub fn map(&self, range: VirtRange, backing: Backing, merging: Merging) -> Result<(), BadRange> {
        let last = VirtAddr(range.end.0.wrapping_sub(1));
        if !self.options.levels.is_canonical(range.start) || !self.options.levels.is_canonical(last) {
            return Err(BadRange(range));
        }
        self.areas.write().insert(Area { range, backing, merging })
    }

    /// Adds the TLB of a CPU that runs this address space: it will be flushed from now on (`mm_cpumask`).
    pub fn add_tlb(&self, tlb: Arc<TranslationCache>) {
        self.tlbs.write().push(tlb);
    }

    /// Removes the TLB of a CPU that runs it no longer.
    pub fn remove_tlb(&self, tlb: &Arc<TranslationCache>) {
        self.tlbs.write().retain(|other| !Arc::ptr_eq(other, tlb));
    }

    /// Drops the range from every CPU's TLB, then waits until no CPU is in an access through what was dropped
    /// (`flush_tlb_range`: the IPIs, then their acknowledgements).
    pub fn flush_tlb(&self, range: VirtRange) {
        let tlbs = self.tlbs.read();
        for tlb in tlbs.iter() {
            tlb.invalidate_range(self.id.tag(), range);
        }
        for tlb in tlbs.iter() {
            tlb.drain();
        }
    }

    /// Gives back every page; nobody uses the address space any more.
    fn unmap_all(&self) {
        for area in self.areas.read().iter() {
            self.table.for_each_slot(area.range, |_, slot| {
                let entry = self.table.clear(slot);
                if entry.is_present() {
                    drop(self.frames.unmap(entry.pfn()));
                }
            });
        }
    }

    /// The entry for `page` as it stands now; empty where there is no table.
    #[must_use]
    pub fn entry(&self, page: VirtAddr) -> Pte {
        self.table.slot(page).map_or(Pte::NONE, |slot| self.table.load(slot))
    }
}

impl Drop for AddressSpace {
    /// `exit_mmap`: the secondary MMUs stop first, then the pages go.
    fn drop(&mut self) {
        self.notifiers.release();
        self.unmap_all();
    }
}

#[cfg(test)]
mod tests;
