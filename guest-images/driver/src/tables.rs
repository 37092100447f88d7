//! A page table of either stage, as a driver keeps it.
//!
//! Invariant: writing an entry is all that happens here; who caches what of it is somebody else's business.
//! Source: VT-d 3.6, 3.7.

use crate::entry::{Levels, Stage};
use crate::id::Iova;
use crate::memory::{Frame, Memory};

/// One page table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tables {
    root: Frame,
    stage: Stage,
    levels: Levels,
}

/// Where an entry stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    table: Frame,
    index: u64,
}

impl Slot {
    /// What stands there.
    #[must_use]
    pub fn load(self) -> u64 {
        self.table.load(self.index)
    }

    /// Writes it.
    pub fn store(self, entry: u64) {
        self.table.store(self.index, entry);
    }
}

impl Tables {
    /// One in which nothing is mapped.
    pub fn new(memory: &mut Memory, stage: Stage, levels: Levels) -> Self {
        Self { root: memory.frame(), stage, levels }
    }

    /// Where it begins.
    #[must_use]
    pub const fn root(&self) -> Frame {
        self.root
    }

    /// How deep it is.
    #[must_use]
    pub const fn levels(&self) -> Levels {
        self.levels
    }

    /// The entry of `level` for `at`. Tables above it are linked where they are missing.
    pub fn slot(&self, memory: &mut Memory, at: Iova, level: u32) -> Slot {
        let mut slot = Slot { table: self.root, index: at.index(self.levels.count()) };
        for next in (level..self.levels.count()).rev() {
            if slot.load() == 0 {
                slot.store(self.stage.link(memory.frame().address()));
            }
            let table = Frame::at(Stage::address(slot.load()));
            slot = Slot { table, index: at.index(next) };
        }
        slot
    }

    /// Maps the page of `at` to what lies at `address`.
    pub fn map(&self, memory: &mut Memory, at: Iova, address: u64) {
        self.slot(memory, at, 1).store(self.stage.page(address));
    }

    /// Maps 2 MiB at `at` to what lies at `address`.
    pub fn map_large(&self, memory: &mut Memory, at: Iova, address: u64) {
        self.slot(memory, at, 2).store(self.stage.large_page(address));
    }

    /// Maps nothing at the page of `at`.
    pub fn unmap(&self, memory: &mut Memory, at: Iova) {
        self.slot(memory, at, 1).store(0);
    }

    /// Maps nothing at the 2 MiB of `at`.
    pub fn unmap_large(&self, memory: &mut Memory, at: Iova) {
        self.slot(memory, at, 2).store(0);
    }

    /// Puts a table in the place of the large page of `at`, which says the same but for `pages` from `at` on: they are absent.
    pub fn split_large(&self, memory: &mut Memory, at: Iova, pages: u64) {
        let large = self.slot(memory, at, 2);
        let (first, table) = (Frame::at(Stage::address(large.load())), memory.frame());
        let absent = at.index(1)..at.index(1) + pages;
        for index in (0..crate::memory::FRAME_WORDS).filter(|index| !absent.contains(index)) {
            table.store(index, self.stage.page(first.within(index).address()));
        }
        large.store(self.stage.link(table.address()));
    }

    /// Puts a copy of the lowest table for `at` in its place, in which `at` is mapped to `address`: the leaf that was there
    /// stays as it was, and the entry above it changes.
    pub fn replace_table(&self, memory: &mut Memory, at: Iova, address: u64) {
        let old = self.slot(memory, at, 1).table;
        let new = memory.frame();
        (0..crate::memory::FRAME_WORDS).for_each(|index| new.store(index, old.load(index)));
        new.store(at.index(1), self.stage.page(address));
        self.slot(memory, at, 2).store(self.stage.link(new.address()));
    }
}
