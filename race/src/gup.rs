//! A reference that is taken without a lock: read, take, look again, drop.
//!
//! Invariant: whoever fails leaves the handle empty and no reference behind. From the first part to the last, interrupts
//! are off where somebody waits for that. Source: mm/gup.c gup_fast_pte_range, gup_fast_pmd_leaf.

use std::sync::atomic::Ordering;

use mmu::address::PhysAddr;
use mmu::pte::Pte;
use ordering::lowering::{AgentId, Found, FrameId, Key, PageId, Part};
use steps::Section;

use crate::machine::Machine;
use crate::stuck::Stuck;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'s> {
    pub(crate) agent: AgentId,
    pub(crate) page: PageId,
    pub(crate) write: bool,
    pub(crate) pin: bool,
    /// Whether the upper entry is left out when it looks again.
    pub(crate) leaf: bool,
    pub(crate) handle: &'s str,
}

impl Machine {
    /// Takes that part, and says which it was.
    pub(crate) fn gup(&self, wanted: &Wanted<'_>, part: Part) -> Result<Part, Stuck> {
        match part {
            Part::ReadPmd(_) => self.gup_read_upper(wanted),
            Part::ReadPte(_) => self.gup_read(wanted),
            Part::Get(_) => self.gup_get(wanted),
            Part::Again | Part::Drop => self.gup_again(wanted),
            Part::Whole
            | Part::Returns(_)
            | Part::Nothing
            | Part::Walk(..)
            | Part::Dirty(..)
            | Part::NotDirty(..)
            | Part::Flush(_)
            | Part::Send(_)
            | Part::Answer(..)
            | Part::Translated
            | Part::Answered
            | Part::Sent
            | Part::Perform(..)
            | Part::TimesOut(..)
            | Part::ReachesMemory(_) => Err(Stuck::Cannot(format!("{part:?} is no part of `gup_fast`"))),
        }
    }

    /// The same, of the entry that is remembered: `try_get`.
    pub(crate) fn try_get(&self, wanted: &Wanted<'_>) -> Result<Part, Stuck> {
        *self.held[wanted.agent].huge.lock() = false;
        let word = Pte(self.remembered(wanted.agent, wanted.page).load(Ordering::Acquire));
        if !usable(word, wanted.write) {
            self.let_go(wanted);
            return Ok(Part::Nothing);
        }
        Ok(Part::Get(self.try_take(wanted, word)?))
    }

    /// What the agent reads there: its own newest store, or memory.
    fn own_view(&self, wanted: &Wanted<'_>, key: &Key, at: PhysAddr) -> Pte {
        self.newest(wanted.agent, key).map_or_else(|| self.load(at), Pte)
    }

    /// The frame that the entry of a page maps, or the upper entry, without a reference: whether there is one.
    pub(crate) fn peek(
        &self,
        agent: AgentId,
        page: PageId,
        write: bool,
        handle: &str,
    ) -> Result<Part, Stuck> {
        let held = &self.held[agent];
        let view = |key: &Key, at: PhysAddr| self.newest(agent, key).map_or_else(|| self.load(at), Pte);
        let upper = self.above(page).map(|pmd| (pmd, view(&Key::Pmd(pmd), self.layout.pmd(pmd))));
        let word = match upper {
            Some((pmd, word)) if !word.is_present() || word.0 & Pte::LARGE != 0 => {
                held.uppers[pmd.0].store(word.0, Ordering::Release);
                word
            }
            Some(_) | None => {
                self.table_is_live(page)?;
                let key = Key::Pte(self.scene.pages[page.0].leaf);
                let word = view(&key, self.layout.page(page).slot);
                held.entries[page.0].store(word.0, Ordering::Release);
                word
            }
        };
        // A frame that nobody counts is remembered all the same.
        if !word.is_present() || (write && !word.is_writable()) {
            held.handles.lock().remove(handle);
            return Ok(Part::Nothing);
        }
        let frame = self.frame_at(word)?;
        held.handles.lock().insert(handle.to_owned(), frame);
        Ok(Part::Whole)
    }

    fn own_entry(&self, wanted: &Wanted<'_>) -> Pte {
        let key = Key::Pte(self.scene.pages[wanted.page.0].leaf);
        self.own_view(wanted, &key, self.layout.page(wanted.page).slot)
    }

    fn enter(&self, wanted: &Wanted<'_>) -> Result<(), Stuck> {
        if self.scene.agents[wanted.agent].gup_masks {
            self.undisturbed(wanted.agent)?;
            self.held[wanted.agent].sections.lock().insert(Section::Interrupts);
        }
        Ok(())
    }

    fn leave(&self, wanted: &Wanted<'_>) {
        if self.scene.agents[wanted.agent].gup_masks {
            self.held[wanted.agent].sections.lock().remove(&Section::Interrupts);
        }
    }

    /// Ends with an empty handle.
    fn let_go(&self, wanted: &Wanted<'_>) {
        self.held[wanted.agent].handles.lock().remove(wanted.handle);
    }

    fn gup_read_upper(&self, wanted: &Wanted<'_>) -> Result<Part, Stuck> {
        let pmd = self.above(wanted.page).ok_or_else(|| Stuck::Cannot("nothing stands above".to_owned()))?;
        self.enter(wanted)?;
        let word = self.own_view(wanted, &Key::Pmd(pmd), self.layout.pmd(pmd));
        let held = &self.held[wanted.agent];
        held.uppers[pmd.0].store(word.0, Ordering::Release);
        let table = word.is_present() && word.0 & Pte::LARGE == 0;
        *held.huge.lock() = !table;
        if table {
            return Ok(Part::ReadPmd(Found::Next));
        }
        if usable(word, wanted.write) {
            return Ok(Part::ReadPmd(Found::Huge));
        }
        self.let_go(wanted);
        self.leave(wanted);
        Ok(Part::ReadPmd(Found::Nothing))
    }

    fn gup_read(&self, wanted: &Wanted<'_>) -> Result<Part, Stuck> {
        self.table_is_live(wanted.page)?;
        if self.above(wanted.page).is_none() {
            self.enter(wanted)?;
        }
        *self.held[wanted.agent].huge.lock() = false;
        let word = self.own_entry(wanted);
        self.remembered(wanted.agent, wanted.page).store(word.0, Ordering::Release);
        if usable(word, wanted.write) {
            return Ok(Part::ReadPte(Found::Next));
        }
        self.let_go(wanted);
        self.leave(wanted);
        Ok(Part::ReadPte(Found::Nothing))
    }

    /// The entry as it was read.
    fn seen(&self, wanted: &Wanted<'_>) -> Pte {
        let held = &self.held[wanted.agent];
        let word = match self.above(wanted.page).filter(|_| *held.huge.lock()) {
            Some(pmd) => &held.uppers[pmd.0],
            None => &held.entries[wanted.page.0],
        };
        Pte(word.load(Ordering::Acquire))
    }

    fn gup_get(&self, wanted: &Wanted<'_>) -> Result<Part, Stuck> {
        let found = self.try_take(wanted, self.seen(wanted))?;
        if found == Found::Nothing {
            self.leave(wanted);
        }
        Ok(Part::Get(found))
    }

    /// Takes a reference; nothing if the frame is free: the handle is empty then.
    fn try_take(&self, wanted: &Wanted<'_>, word: Pte) -> Result<Found, Stuck> {
        let frame = self.frame_at(word)?;
        if self.frames[frame.0].is_free() {
            self.let_go(wanted);
            return Ok(Found::Nothing);
        }
        self.has_room(frame, wanted.pin.then_some(&self.frames[frame.0].pins))?;
        // Counting is a locked instruction.
        self.drained(wanted.agent)?;
        if self.frames[frame.0].get().is_err() {
            self.let_go(wanted);
            return Ok(Found::Nothing);
        }
        if wanted.pin {
            self.frames[frame.0].pins.fetch_add(1, Ordering::AcqRel);
        }
        self.held[wanted.agent].handles.lock().insert(wanted.handle.to_owned(), frame);
        Ok(Found::Next)
    }

    fn gup_again(&self, wanted: &Wanted<'_>) -> Result<Part, Stuck> {
        let held = &self.held[wanted.agent];
        let huge = *held.huge.lock();
        // Whole entries are compared: what hardware marks meanwhile counts as a change.
        let same = |word: Pte, seen: u64| word.0 == seen;
        let above = self.above(wanted.page).filter(|_| huge || !wanted.leaf);
        let mut unchanged = above.is_none_or(|pmd| {
            same(
                self.own_view(wanted, &Key::Pmd(pmd), self.layout.pmd(pmd)),
                held.uppers[pmd.0].load(Ordering::Acquire),
            )
        });
        if unchanged && !huge {
            self.table_is_live(wanted.page)?;
            let word = self.own_entry(wanted);
            unchanged = same(word, held.entries[wanted.page.0].load(Ordering::Acquire));
        }
        self.leave_after(wanted, unchanged)
    }

    fn leave_after(&self, wanted: &Wanted<'_>, unchanged: bool) -> Result<Part, Stuck> {
        if unchanged {
            self.leave(wanted);
            return Ok(Part::Again);
        }
        self.drained(wanted.agent)?;
        let held = &self.held[wanted.agent];
        let frame = held.handles.lock().get(wanted.handle).copied();
        if let Some(frame) = frame {
            self.drop_reference(frame, wanted.pin)?;
        }
        self.leave(wanted);
        self.let_go(wanted);
        Ok(Part::Drop)
    }

    /// A frame that somebody has freed, whoever held it, has nothing that could be dropped.
    fn drop_reference(&self, frame: FrameId, pin: bool) -> Result<(), Stuck> {
        self.live(frame)?;
        match self.frames[frame.0].is_free() {
            true => Ok(()),
            false => self.put(frame, pin.then_some(&self.frames[frame.0].pins)),
        }
    }
}

/// Whether a reference can be taken to what an entry maps.
fn usable(word: Pte, write: bool) -> bool {
    word.is_present() && word.0 & Pte::SPECIAL == 0 && (!write || word.is_writable())
}
