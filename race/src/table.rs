//! Entries of page tables: read, emptied, written, changed, and what an agent remembers of them.
//!
//! Invariant: each is one atomic access to the word in memory, so that a mark that hardware sets meanwhile is not lost. An
//! agent remembers what it last saw or wrote; after a change, what was there. Source: include/linux/pgtable.h.

use std::sync::atomic::{AtomicU64, Ordering};

use mmu::address::PhysAddr;
use mmu::pte::Pte;
use ordering::language::syntax::{BuiltIn, FrameKind};
use ordering::lowering::{AgentId, Entry, Key, NewEntry, Numbers, Origin, PageId, Part, PmdId};
use steps::EntryOf;
use steps::entry::{Bit, Bits, Change, Kind};

use crate::coding::Height;
use crate::machine::Machine;
use crate::stuck::Stuck;

const NONE: Entry = Entry { kind: Kind::None, frame: None, bits: Bits::NONE };

/// One entry, and what its writer remembers of it.
struct Place<'m> {
    key: Key,
    at: PhysAddr,
    height: Height,
    remembered: &'m AtomicU64,
}

impl Machine {
    pub(crate) fn page_entry(
        &self,
        agent: AgentId,
        page: PageId,
        what: &EntryOf<Numbers>,
    ) -> Result<Part, Stuck> {
        self.table_is_live(page)?;
        self.table_is_linked(page)?;
        let at = self.layout.page(page).slot;
        let remembered = self.remembered(agent, page);
        let key = Key::Pte(self.scene.pages[page.0].leaf);
        self.on_entry(agent, &Place { key, at, height: Height::Leaf, remembered }, what)
    }

    pub(crate) fn upper_entry(
        &self,
        agent: AgentId,
        pmd: PmdId,
        what: &EntryOf<Numbers>,
    ) -> Result<Part, Stuck> {
        let (at, remembered) = (self.layout.pmd(pmd), &self.held[agent].uppers[pmd.0]);
        let key = Key::Pmd(pmd);
        self.on_entry(agent, &Place { key, at, height: Height::Upper, remembered }, what)
    }

    /// A kernel's step comes to a page's entry through the upper one.
    fn table_is_linked(&self, page: PageId) -> Result<(), Stuck> {
        let named = &self.scene.pages[page.0];
        let (Some(pmd), Some(table)) = (named.above, named.table) else { return Ok(()) };
        let word = self.load(self.layout.pmd(pmd));
        let linked = word.is_present() && word.0 & Pte::LARGE == 0 && word.pfn() == self.coding.pfn(table);
        match linked || !self.scene.asks(BuiltIn::UnlinkedTable) {
            true => Ok(()),
            false => Err(Stuck::Breaks(BuiltIn::UnlinkedTable)),
        }
    }

    fn on_entry(&self, agent: AgentId, place: &Place<'_>, what: &EntryOf<Numbers>) -> Result<Part, Stuck> {
        let remember = |word: u64| place.remembered.store(word, Ordering::Release);
        match what {
            EntryOf::Read => {
                let memory = || self.memory.load(place.at);
                remember(self.newest(agent, &place.key).unwrap_or_else(memory));
            }
            EntryOf::Clear => remember(self.memory.swap(place.at, 0)),
            EntryOf::Set(new) => {
                let orig = Pte(place.remembered.load(Ordering::Acquire));
                let Some(word) = self.made(agent, new, orig, place.height)? else { return Ok(Part::Nothing) };
                self.store(agent, &place.key, word.0)?;
                remember(word.0);
            }
            EntryOf::Modify(change) => loop {
                let word = self.load(place.at);
                let new = self.coding.encode(changed(self.entry(word, place.height)?, *change));
                if self.memory.compare_exchange(place.at, word.0, new.0).is_ok() {
                    remember(word.0);
                    break;
                }
            },
        }
        Ok(Part::Whole)
    }

    /// Writes the shadow entry above the pages under `pmd`.
    pub(crate) fn set_upper_shadow(&self, agent: AgentId, pmd: PmdId, new: &NewEntry) -> Result<Part, Stuck> {
        let orig = Pte(self.held[agent].uppers[pmd.0].load(Ordering::Acquire));
        let Some(word) = self.made(agent, new, orig, Height::Upper)? else { return Ok(Part::Nothing) };
        self.memory.store(self.layout.spmd(pmd), word.0);
        Ok(Part::Whole)
    }

    pub(crate) fn set_shadow(&self, agent: AgentId, page: PageId, new: &NewEntry) -> Result<Part, Stuck> {
        self.shadow_table_is_live(page)?;
        let orig = Pte(self.remembered(agent, page).load(Ordering::Acquire));
        let Some(word) = self.made(agent, new, orig, Height::Leaf)? else { return Ok(Part::Nothing) };
        self.set_shadow_entry(page, word)?;
        Ok(Part::Whole)
    }

    /// The word of the entry that is to be written; none if the handle that it names is empty.
    fn made(&self, agent: AgentId, new: &NewEntry, orig: Pte, height: Height) -> Result<Option<Pte>, Stuck> {
        if new.origin == Origin::Remembered && !new.migration && new.change.is_empty() {
            return Ok(Some(orig));
        }
        let entry = match &new.origin {
            Origin::None => NONE,
            Origin::Marker => Entry { kind: Kind::Marker, frame: None, bits: Bits::of(&[Bit::UffdWp]) },
            Origin::Remembered => {
                let orig = self.entry(orig, height)?;
                let migrates = new.migration && orig.kind == Kind::Present;
                let kind = if migrates { Kind::Migration } else { orig.kind };
                changed(Entry { kind, ..orig }, new.change)
            }
            Origin::Frame(place) => {
                let Some(frame) = self.named(agent, place) else { return Ok(None) };
                let kind = match (self.scene.frames[frame.0].kind, new.migration) {
                    (FrameKind::Frame, true) => Kind::Migration,
                    (FrameKind::Frame, false) => Kind::Present,
                    (FrameKind::Slot, _) => Kind::Swap,
                    (FrameKind::Table, _) => Kind::Table,
                };
                let old = if new.like_remembered { self.entry(orig, height)?.bits } else { Bits::NONE };
                Entry { kind, frame: Some(frame), bits: new.change.of(old) }
            }
        };
        let bits = entry.bits.and(entry.kind.bits());
        Ok(Some(self.coding.encode(Entry { bits, ..entry })))
    }
}

/// An entry with other bits, as far as it has room for them. A marker that loses its mark is nothing.
fn changed(entry: Entry, change: Change) -> Entry {
    if entry.kind == Kind::Marker && change.clear.has(Bit::UffdWp) {
        return NONE;
    }
    Entry { bits: change.of(entry.bits).and(entry.kind.bits()), ..entry }
}
