//! Steps on a page-table entry and what the agent remembers of it.
//!
//! Invariant: an agent remembers the entry that it last saw or wrote; after `pte_modify` the one that was there.

use steps::entry::{Bit, Change};
use steps::{EntryAt, EntryOf};

use crate::language::entry::{Base, Written};
use crate::language::span::Name;
use crate::language::syntax::Words;
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update, Var};

use super::super::emitter::Emitter;
use super::super::entry::{Entry, Need};
use super::super::names::{FrameId, PageId};
use super::super::program::Way;
use super::super::state::{Key, NONE};
use super::super::upper::{Height, fits};
use super::super::written::{fresh, like, of_frame, of_frame_like};
use super::At;
use super::frame::no_frame;

/// What is written, under a guard.
enum New {
    /// This value.
    Value(u32),
    /// What the agent remembers.
    Orig,
    /// Nothing: the handle is empty.
    Nothing,
}

impl Emitter<'_> {
    pub(super) fn table_step(
        &mut self,
        place: &EntryAt<Words>,
        what: &EntryOf<Words>,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        let (height, keys) = self.place(place)?;
        let [pte, orig] = keys.map(|key| self.state.var(&key));
        let seen = Update::Copy { to: orig, from: pte };
        let ways = match what {
            EntryOf::Read => vec![at.way(Vec::new(), vec![seen])],
            EntryOf::Clear => vec![at.way(Vec::new(), vec![seen, Update::Set(pte, NONE)])],
            EntryOf::Set(entry) => self.entry_ways(entry, height, orig, &[pte, orig], at)?,
            EntryOf::Modify(change) => self.modify_ways(*change, pte, orig, at)?,
        };
        let ways = match place {
            EntryAt::Pte(page) => {
                let page = self.scope.names.page(page)?;
                let linked = self.linked(page, ways, at);
                self.in_table(page, linked, at)
            }
            EntryAt::Pmd(_) => ways,
        };
        self.step(ways, at.line);
        Ok(())
    }

    fn modify_ways(&self, change: Change, pte: Var, orig: Var, at: &At<'_>) -> Result<Vec<Way>, Diagnostic> {
        if change.said().has(Bit::Huge) {
            let help = "write the new entry with `set_pmd`";
            return Err(Diagnostic::new(
                Code::NeverHuge,
                at.span,
                "no step makes an entry huge, or small",
                help,
            ));
        }
        let entries = &self.state.domains.entries;
        let way = |(old, entry): (u32, Entry)| {
            let new = entries.value(entry.changed(change));
            at.way(vec![Guard::Is(pte, old)], vec![Update::Set(orig, old), Update::Set(pte, new)])
        };
        Ok(entries.all().map(way).collect())
    }

    pub(super) fn change_pte(&mut self, name: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        let page = self.scope.names.page(name)?;
        self.scope.hardware.uppers.check(page, name)?;
        let orig = self.state.var(&Key::Orig(self.own.agent, page));
        let ways = self.change_ways(page, orig, at);
        let ways = self.in_shadow_table(page, ways, at);
        self.step(ways, at.line);
        Ok(())
    }

    /// A shadow entry takes over an entry that can be loaded through only, and is dropped for any other.
    fn change_ways(&mut self, page: PageId, orig: Var, at: &At<'_>) -> Vec<Way> {
        let spte = self.state.var(&Key::Spte(page));
        let absent = at.way(vec![Guard::Is(spte, NONE)], Vec::new());
        let changed = self.state.domains.entries.all().map(|(value, entry)| {
            let taken_over = entry.usable(Need::Load).is_some() && entry.usable(Need::Store).is_none();
            let new = if taken_over { value } else { NONE };
            at.way(vec![Guard::IsNot(spte, NONE), Guard::Is(orig, value)], vec![Update::Set(spte, new)])
        });
        std::iter::once(absent).chain(changed).collect()
    }

    /// Where the entry stands, and what this agent remembers of it.
    fn place(&self, place: &EntryAt<Words>) -> Result<(Height, [Key; 2]), Diagnostic> {
        match place {
            EntryAt::Pmd(pmd) => {
                let pmd = self.scope.names.pmd(pmd)?;
                Ok((Height::Upper, [Key::Pmd(pmd), Key::PmdOrig(self.own.agent, pmd)]))
            }
            EntryAt::Pte(name) => {
                let page = self.scope.names.page(name)?;
                self.scope.hardware.uppers.check(page, name)?;
                Ok((Height::Leaf, [Key::Pte(page), Key::Orig(self.own.agent, page)]))
            }
        }
    }

    /// The ways to write an entry to each of `places`.
    pub(super) fn entry_ways(
        &mut self,
        written: &Written,
        height: Height,
        orig: Var,
        places: &[Var],
        at: &At<'_>,
    ) -> Result<Vec<Way>, Diagnostic> {
        fits(written, height, self.scope.names)?;
        let new = self.written(written, height, orig)?;
        let way = |(guard, new): (Vec<Guard>, New)| {
            let update = |to: &Var| match new {
                New::Value(value) => Some(Update::Set(*to, value)),
                New::Orig => (*to != orig).then_some(Update::Copy { to: *to, from: orig }),
                New::Nothing => None,
            };
            let updates: Vec<Update> = places.iter().filter_map(update).collect();
            if updates.is_empty() {
                return no_frame(guard, at);
            }
            at.way(guard, updates)
        };
        Ok(new.into_iter().map(way).collect())
    }

    /// What `written` comes to, in each case: by the handle it names, and by what the agent remembers.
    fn written(
        &mut self,
        written: &Written,
        height: Height,
        orig: Var,
    ) -> Result<Vec<(Vec<Guard>, New)>, Diagnostic> {
        let Base::Name(name) = &written.base else {
            return if written.base == Base::Orig {
                Ok(self.written_like(written, orig))
            } else {
                let value = self.state.domains.entries.value(fresh(written, height, self.scope.names)?);
                Ok(vec![(Vec::new(), New::Value(value))])
            };
        };
        let mut found = Vec::new();
        for target in self.targets(name)? {
            let Some(frame) = target.frame else {
                found.push((target.guard, New::Nothing));
                continue;
            };
            for (guard, value) in self.written_frame(written, frame, orig)? {
                found.push(([target.guard.as_slice(), &guard].concat(), New::Value(value)));
            }
        }
        Ok(found)
    }

    fn written_like(&self, written: &Written, orig: Var) -> Vec<(Vec<Guard>, New)> {
        if !written.migration && written.change.is_empty() {
            return vec![(Vec::new(), New::Orig)];
        }
        let entries = &self.state.domains.entries;
        let way =
            |(old, entry)| (vec![Guard::Is(orig, old)], New::Value(entries.value(like(written, entry))));
        entries.all().map(way).collect()
    }

    fn written_frame(
        &self,
        written: &Written,
        frame: FrameId,
        orig: Var,
    ) -> Result<Vec<(Vec<Guard>, u32)>, Diagnostic> {
        let entries = &self.state.domains.entries;
        if !written.like_orig {
            return Ok(vec![(Vec::new(), entries.value(of_frame(written, frame, self.scope.names)?))]);
        }
        let mut found = Vec::new();
        for (old, entry) in entries.all() {
            let new = of_frame_like(written, frame, entry, self.scope.names)?;
            found.push((vec![Guard::Is(orig, old)], entries.value(new)));
        }
        Ok(found)
    }
}
