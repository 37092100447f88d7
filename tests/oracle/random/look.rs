//! Random entries and conditions.

use super::{Draw, Theme};
use crate::oracle::entry::{Bit, Entry, Target};
use crate::oracle::program::{Condition, Feature, Look};
use crate::oracle::step::{Mm, Page};

/// Who looks: a program, or a property, which remembers nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Looker {
    Agent(usize),
    Property,
}

impl Draw {
    pub(super) fn page(&mut self) -> Page {
        Page(self.rng.usize(0..self.scenario.pages.len()))
    }

    pub(super) fn pmd(&mut self) -> usize {
        self.rng.usize(0..self.scenario.pmds.len())
    }

    pub(super) fn frame(&mut self) -> usize {
        self.rng.usize(0..self.scenario.frames.len())
    }

    fn more_bits(&self) -> Vec<Bit> {
        let mut bits = Vec::new();
        if self.has(Theme::Bits) {
            bits.extend([Bit::Dirty, Bit::Young, Bit::Protnone, Bit::Exclusive]);
        }
        if self.has(Theme::Swap) {
            bits.extend([Bit::Exclusive, Bit::UffdWp, Bit::Young]);
        }
        if self.has(Theme::Gup) && self.has(Theme::Bits) {
            bits.push(Bit::Special);
        }
        bits
    }

    pub(super) fn with_bits(&mut self, mut entry: Entry) -> Entry {
        let bits = self.more_bits();
        for bit in bits {
            let known = entry.bits.iter().any(|(set, _)| *set == bit);
            if !known && self.once_in(3) {
                let set = self.rng.u32(0..3) > 0;
                entry = entry.with(bit, set);
            }
        }
        entry
    }

    /// What a program writes.
    pub(super) fn entry(&mut self, agent: usize) -> Entry {
        let orig = self.once_in(5);
        if orig {
            let mut entry = Entry::of(Target::Orig);
            if self.has(Theme::Swap) && self.once_in(2) {
                entry.migration = true;
            }
            let changed = self.rng.bool();
            let rw = self.rng.bool();
            return if changed { self.with_bits(entry.with(Bit::Rw, rw)) } else { entry };
        }
        let handle = self.handles.iter().find(|(owner, _)| *owner == agent).map(|(_, handle)| *handle);
        if let Some(handle) = handle.filter(|_| self.rng.bool()) {
            return Entry::of(Target::Handle(handle)).with(Bit::Rw, self.rng.bool());
        }
        if self.once_in(8) {
            let frame = self.frame();
            return Entry {
                like_orig: true,
                ..Entry::of(Target::Frame(frame)).with(Bit::Rw, self.rng.bool())
            };
        }
        self.entry_without_orig()
    }

    pub(super) fn entry_without_orig(&mut self) -> Entry {
        if self.has(Theme::Swap) && self.once_in(2) {
            let kind = self.rng.u32(0..3);
            return match kind {
                0 if !self.scenario.slots.is_empty() => self.swapped(),
                1 => {
                    let entry = Entry::of(Target::Marker);
                    if self.once_in(4) { entry } else { entry.with(Bit::UffdWp, true) }
                }
                _ => {
                    let frame = self.frame();
                    let entry = Entry::of(Target::Frame(frame)).with(Bit::Rw, self.rng.bool());
                    Entry { migration: true, ..self.with_bits(entry) }
                }
            };
        }
        let frame = self.frame();
        let rw = self.rng.u32(0..3) > 0;
        self.with_bits(Entry::of(Target::Frame(frame)).with(Bit::Rw, rw))
    }

    fn swapped(&mut self) -> Entry {
        let entry = Entry::of(Target::Slot(0));
        if self.rng.bool() { entry.with(Bit::Exclusive, true) } else { entry }
    }

    /// A look at an entry.
    fn entry_look(&mut self, looker: Looker) -> Look {
        let page = self.page();
        let tlb = match self.scenario.context(0) {
            Some((_, tag)) => Look::Tagged(0, page, tag),
            None => Look::Tlb(0, page),
        };
        let mut looks = vec![Look::Pte(page), Look::Pte(page), tlb];
        if looker != Looker::Property {
            looks.push(Look::Orig(page));
        }
        if self.scenario.vcpus > 0 {
            looks.push(Look::Spte(page));
        }
        if self.has(Theme::ExplicitVcpu) {
            looks.push(Look::Vtlb(0, page));
        }
        if let Some(device) = self.scenario.devices.first() {
            looks.push(Look::Iotlb(0, page));
            if self.has(Theme::Apart) && device.ats {
                looks.push(Look::Devtlb(0, page));
            }
        }
        if self.has(Theme::Upper) && self.once_in(4) {
            return Look::Pmd(self.pmd());
        }
        looks.swap_remove(self.rng.usize(0..looks.len()))
    }

    fn entry_condition(&mut self, looker: Looker) -> Condition {
        if self.has(Theme::Tags) && self.once_in(4) {
            return Condition::Runs(0, self.rng.bool(), Mm(self.rng.usize(0..2)));
        }
        let look = self.entry_look(looker);
        match self.rng.u32(0..5) {
            0 => Condition::Holds(look),
            1 => Condition::Entry(look, self.rng.bool(), Entry::of(Target::Nothing)),
            2 => {
                let mut features = vec![Feature::Bit(Bit::Rw), Feature::Present];
                features.extend(self.more_bits().into_iter().map(Feature::Bit));
                if self.has(Theme::Upper) {
                    features.push(Feature::Table);
                }
                if self.has(Theme::Swap) {
                    features.extend([Feature::Swap, Feature::Migration, Feature::Marker]);
                }
                let feature = self.one(&features);
                Condition::Has(look, vec![feature])
            }
            _ => {
                let frame = self.frame();
                let entry = Entry::of(Target::Frame(frame));
                let rw = self.rng.bool();
                let entry = if self.rng.bool() { entry.with(Bit::Rw, rw) } else { entry };
                let migration = self.has(Theme::Swap) && self.once_in(3) && !entry.bits.is_empty();
                Condition::Entry(look, self.rng.u32(0..3) > 0, Entry { migration, ..entry })
            }
        }
    }

    fn number_condition(&mut self, looker: Looker) -> Condition {
        let (frame, page) = (self.frame(), self.page());
        let mut looks =
            vec![Look::Content(frame), Look::Refs(frame), Look::Mapcount(frame), Look::InProgress(page)];
        for var in 0..self.scenario.vars.len() {
            looks.extend([Look::Var(var), Look::Var(var)]);
        }
        if self.has(Theme::Gup) {
            looks.push(Look::Pins(frame));
        }
        if self.has(Theme::Counts) {
            looks.push(Look::Stable(frame));
        }
        if self.has(Theme::Upper) {
            looks.push(Look::TableRefs(0));
        }
        if self.has(Theme::Requests) {
            looks.push(Look::Requested(page));
        }
        if let Looker::Agent(agent) = looker {
            looks.push(Look::PteSame(page));
            if self.has(Theme::Upper) {
                looks.push(Look::PmdSame(self.pmd()));
            }
            let handle = self.handles.iter().find(|(owner, _)| *owner == agent);
            looks.extend(handle.map(|(_, handle)| Look::Handle(*handle)));
        }
        let look = looks.swap_remove(self.rng.usize(0..looks.len()));
        match look {
            Look::PteSame(_) | Look::PmdSame(_) | Look::Handle(_) | Look::Requested(_) | Look::Stable(_) => {
                Condition::Holds(look)
            }
            Look::Refs(frame) if self.once_in(3) => Condition::Numbers(look, "==", Look::Mapcount(frame)),
            _ => {
                let sign = self.one(&["==", "!=", "<", ">", "<=", ">="]);
                Condition::Number(look, sign, self.rng.u8(0..3))
            }
        }
    }

    pub(super) fn condition(&mut self, looker: Looker) -> Condition {
        let one = if self.rng.bool() { self.entry_condition(looker) } else { self.number_condition(looker) };
        if !self.once_in(5) {
            return one;
        }
        let other = self.number_condition(looker);
        match self.rng.u32(0..3) {
            0 => Condition::Not(Box::new(one)),
            1 => Condition::And(Box::new(one), Box::new(other)),
            _ => Condition::Or(Box::new(one), Box::new(other)),
        }
    }
}
