//! A radix page table whose tables are frames.
//!
//! Invariant: the entries in memory are the only truth. Reading is lock-free: a descent loads one entry after the
//! other. A table, once linked, stays linked until the whole [`PageTable`] is dropped, so a descent never meets a
//! freed table. Who changes a leaf holds the page-table lock of the table that contains it
//! ([`PageTable::lock`]); hardware sets A and D bits without it.
//! Source: Intel SDM vol. 3, 4.5; mm/memory.c `__pte_alloc`; Documentation/mm/split_page_table_lock.rst.

use std::sync::Arc;

use parking_lot::MutexGuard;

use crate::address::{PAGE_SIZE, PageSize, Pfn, PhysAddr, TABLE_ENTRIES, VirtAddr, VirtRange};
use crate::entry::Entry;
use crate::frame::{FrameState, Frames, OutOfFrames};
use crate::pte::Pte;

/// How many levels a table has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Levels {
    /// 48-bit addresses.
    #[default]
    Four,
    /// 57-bit addresses (LA57).
    Five,
}

/// What a walker needs to know of a table: where it starts and how deep it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Root {
    /// The frame of the uppermost table.
    pub table: Pfn,
    /// Its depth.
    pub levels: Levels,
}

/// A page table of one address space.
#[derive(Debug)]
pub struct PageTable {
    frames: Arc<Frames>,
    root: Root,
}

/// The place of one leaf entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot {
    /// Physical address of the entry.
    pub address: PhysAddr,
}

impl Levels {
    /// As a number: 4 or 5.
    #[must_use]
    pub const fn count(self) -> u32 {
        match self {
            Self::Four => 4,
            Self::Five => 5,
        }
    }

    /// Whether hardware accepts `address`: all bits above the translated ones equal the highest of them.
    #[inline]
    #[must_use]
    pub const fn is_canonical(self, address: VirtAddr) -> bool {
        let unused = 64 - (12 + 9 * self.count());
        let extended = ((address.0 << unused).cast_signed() >> unused).cast_unsigned();
        extended == address.0
    }
}

impl PageTable {
    /// An empty table.
    ///
    /// # Errors
    /// [`OutOfFrames`] when there is no frame for the root.
    pub fn new(frames: Arc<Frames>, levels: Levels) -> Result<Self, OutOfFrames> {
        let table = frames.allocate(FrameState::Table)?.leak();
        Ok(Self { frames, root: Root { table, levels } })
    }

    /// Where walkers start.
    #[inline]
    #[must_use]
    pub fn root(&self) -> Root {
        self.root
    }

    /// Every slot of `range` whose table exists, ascending, with the page it is for. Whole tables that are missing
    /// cost one look.
    pub fn for_each_slot(&self, range: VirtRange, mut visit: impl FnMut(VirtAddr, Slot)) {
        let mut page = range.start.page();
        while page < range.end {
            match self.slot(page) {
                Some(slot) => {
                    visit(page, slot);
                    page = page.offset(PAGE_SIZE);
                }
                None => page = VirtAddr((page.0 | (PageSize::Size2M.bytes() - 1)).wrapping_add(1)),
            }
            if page.0 == 0 {
                return;
            }
        }
    }

    /// The slot of the 4 KiB leaf for `address`, if the tables above it exist.
    #[must_use]
    pub fn slot(&self, address: VirtAddr) -> Option<Slot> {
        let mut table = self.root.table;
        for level in (2..=self.root.levels.count()).rev() {
            let entry = Entry::decode(self.entry(entry_address(table, address, level)), level);
            let Entry::Table(next) = entry else { return None };
            table = next;
        }
        Some(Slot { address: entry_address(table, address, 1) })
    }

    /// The slot of the 4 KiB leaf for `address`; tables that are missing are linked.
    ///
    /// # Errors
    /// [`OutOfFrames`] when a table cannot be had.
    ///
    /// # Panics
    /// If a large leaf stands above it: split it first.
    pub fn ensure_slot(&self, address: VirtAddr) -> Result<Slot, OutOfFrames> {
        let mut table = self.root.table;
        for level in (2..=self.root.levels.count()).rev() {
            table = self.ensure_table(entry_address(table, address, level), level)?;
        }
        Ok(Slot { address: entry_address(table, address, 1) })
    }

    /// The table that the entry at `place` leads to; two threads that both find none link one of theirs.
    fn ensure_table(&self, place: PhysAddr, level: u32) -> Result<Pfn, OutOfFrames> {
        match Entry::decode(self.entry(place), level) {
            Entry::Table(next) => return Ok(next),
            Entry::Absent => {}
            other => panic!("no table can be linked over {other:?} at {place}"),
        }
        let fresh = self.frames.allocate(FrameState::Table)?;
        match self.frames.memory().compare_exchange(place, 0, Pte::table(fresh.pfn()).0) {
            Ok(_) => Ok(fresh.leak()),
            Err(theirs) => Ok(Pte(theirs).pfn()),
        }
    }

    /// The entry in `slot` as it stands now.
    #[must_use]
    pub fn load(&self, slot: Slot) -> Pte {
        self.entry(slot.address)
    }

    /// Writes the entry in `slot`; the caller holds its lock.
    pub fn store(&self, slot: Slot, pte: Pte) {
        self.frames.memory().store(slot.address, pte.0);
    }

    /// Empties `slot` and returns what stood there, with the A and D bits hardware set up to this moment
    /// (`ptep_get_and_clear`).
    #[must_use]
    pub fn clear(&self, slot: Slot) -> Pte {
        Pte(self.frames.memory().swap(slot.address, 0))
    }

    /// Replaces the entry in `slot` if it is still `current`, so that no A or D bit set meanwhile is lost.
    #[must_use]
    pub fn replace(&self, slot: Slot, current: Pte, new: Pte) -> bool {
        self.frames.memory().compare_exchange(slot.address, current.0, new.0).is_ok()
    }

    /// Takes the page-table lock of the table that holds `slot`.
    pub fn lock(&self, slot: Slot) -> MutexGuard<'_, ()> {
        self.frames.lock_table(slot.address.pfn())
    }

    /// Whether somebody holds it. Pages whose entries lie in one table, those of 2 MiB, share it.
    #[must_use]
    pub fn is_locked(&self, slot: Slot) -> bool {
        self.frames.is_table_locked(slot.address.pfn())
    }

    /// Gives a table and everything below it back; entries that are not tables must be gone already.
    fn free_below(&self, table: Pfn, level: u32) {
        if level > 1 {
            for index in 0..TABLE_ENTRIES {
                let entry = self.entry(table.address().offset(index * 8));
                if let Entry::Table(next) = Entry::decode(entry, level) {
                    self.free_below(next, level - 1);
                }
            }
        }
        drop(self.frames.reclaim(table));
    }

    fn entry(&self, address: PhysAddr) -> Pte {
        Pte(self.frames.memory().load(address))
    }
}

impl Drop for PageTable {
    fn drop(&mut self) {
        self.free_below(self.root.table, self.root.levels.count());
    }
}

/// The address of the entry for `address` in `table`, a table of `level`.
#[inline]
fn entry_address(table: Pfn, address: VirtAddr, level: u32) -> PhysAddr {
    table.address().offset(address.table_index(level) * 8)
}

#[cfg(test)]
mod tests;
