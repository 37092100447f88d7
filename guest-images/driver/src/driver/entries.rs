//! The entries that lead to page tables: context entries and PASID entries.
//!
//! Invariant: an entry is absent while its words change: the word with P goes first and comes last. Where another entry
//! stands, [`make_way`](Driver::make_way) takes its P away, the caller invalidates what the unit keeps of it, and only then
//! [`write_entry`](Driver::write_entry) writes. Source: VT-d 6.5.3.1 to 6.5.3.3 (order), 9.3 (context), 9.4 (scalable
//! context), 9.6 (PASID entry).

use super::{Driver, PASIDS};
use crate::entry::{self, DeviceTlb, Translation};
use crate::id::{Domain, Pasid, Source};
use crate::memory::Frame;
use crate::space::Space;
use crate::unit::Mode;

/// The domain of requests without PASID, where they are let pass.
const OWN_DOMAIN: Domain = Domain(0x3f);

/// What an entry is to say, and where it stands. The words behind these are 0.
#[derive(Clone, Copy)]
struct Entry<const N: usize> {
    table: Frame,
    /// Its word with P.
    first: u64,
    words: [u64; N],
}

impl<const N: usize> Entry<N> {
    fn stands(&self) -> bool {
        (self.first..).zip(self.words).all(|(index, word)| self.table.load(index) == word)
    }

    /// Takes P from another entry that stands there. Whether there was one.
    fn make_way(&self) -> bool {
        let is_taken = entry::is_present(self.table.load(self.first)) && !self.stands();
        if is_taken {
            self.clear();
        }
        is_taken
    }

    fn clear(&self) {
        self.table.store(self.first, 0);
    }

    fn write(&self) {
        if !self.stands() {
            self.clear();
            self.write_from(1);
        }
    }

    fn write_second(&self) {
        self.table.store(self.first + 1, self.words[1]);
    }

    /// The words from number `from` on, and the first one behind them.
    fn write_from(&self, from: usize) {
        let words = (self.first..).zip(self.words);
        words.clone().skip(from).for_each(|(index, word)| self.table.store(index, word));
        words.take(1).for_each(|(index, word)| self.table.store(index, word));
    }
}

impl Driver {
    /// In scalable mode: gives an engine a directory whose PASID 0 lets addresses pass.
    pub(super) fn introduce(&mut self, number: usize) {
        if self.mode == Mode::Scalable {
            let port = &mut self.engines[number];
            (port.directory, port.pasids) = (self.memory.frame(), self.memory.frame());
            port.directory.store(0, entry::link(port.pasids.address()));
            self.pasid_entry(number, Pasid(0), Translation::PassThrough, OWN_DOMAIN).write();
            self.directory_entry(number, DeviceTlb::Off).write();
        }
    }

    /// Takes P from the entries that say something else than they must if `space` is to be reached, and flushes nothing.
    /// Whether there were any: then what is kept of them must be forgotten before [`write_entry`](Self::write_entry).
    pub fn make_way(&self, space: &Space) -> bool {
        match self.mode {
            Mode::Legacy => self.context_of(space).make_way(),
            Mode::Scalable => {
                let directory = self.directory_entry(self.number(space.source), space.device_tlb);
                directory.make_way() | self.pasid_of(space).make_way()
            }
        }
    }

    /// Takes P from the entry that leads to `space`, and flushes nothing.
    pub fn clear_entry(&self, space: &Space) {
        match self.mode {
            Mode::Legacy => self.context_of(space).clear(),
            Mode::Scalable => self.pasid_of(space).clear(),
        }
    }

    /// Writes the entry that leads to `space`, and flushes nothing.
    pub fn write_entry(&self, space: &Space) {
        match self.mode {
            Mode::Legacy => self.context_of(space).write(),
            Mode::Scalable => {
                self.directory_entry(self.number(space.source), space.device_tlb).write();
                self.pasid_of(space).write();
            }
        }
    }

    /// Writes the entry that leads to `space` over the one that stands there and is present, and flushes nothing: first its
    /// second word, with the domain, then the others. The device does `meanwhile` between them, and meets words of both.
    /// This is a mistake.
    pub fn write_entry_in_place(&mut self, space: &Space, meanwhile: impl FnOnce(&mut Self)) {
        match self.mode {
            Mode::Legacy => self.write_in_place(self.context_of(space), meanwhile),
            Mode::Scalable => self.write_in_place(self.pasid_of(space), meanwhile),
        }
    }

    fn write_in_place<const N: usize>(&mut self, entry: Entry<N>, meanwhile: impl FnOnce(&mut Self)) {
        entry.write_second();
        meanwhile(self);
        entry.write_from(2);
    }

    /// In scalable mode: lets an engine's context entry lead to another directory, in which `space` alone is attached, and
    /// flushes nothing.
    pub fn write_directory(&mut self, space: &Space) {
        let number = self.number(space.source);
        self.introduce(number);
        self.write_entry(space);
    }

    /// In legacy mode: lets an engine's addresses pass.
    pub fn let_pass(&mut self, source: Source, domain: Domain) {
        let entry = self.context_entry(self.number(source), entry::pass_through_context(domain));
        if entry.make_way() {
            self.flush_all();
        }
        entry.write();
        self.flush_all();
    }

    /// In legacy mode, the context entry that leads to `space`.
    fn context_of(&self, space: &Space) -> Entry<2> {
        let Translation::Second(table, levels) = space.translation() else {
            panic!("legacy mode has no first stage")
        };
        let words = entry::context(table, levels, space.domain, space.device_tlb);
        self.context_entry(self.number(space.source), words)
    }

    /// In scalable mode, the PASID entry that leads to `space`.
    fn pasid_of(&self, space: &Space) -> Entry<3> {
        let (number, pasid) = (self.number(space.source), space.pasid.unwrap_or(Pasid(0)));
        self.pasid_entry(number, pasid, space.translation(), space.domain)
    }

    fn directory_entry(&self, number: usize, device_tlb: DeviceTlb) -> Entry<2> {
        let directory = self.engines[number].directory.address();
        self.context_entry(number, entry::scalable_context(directory, device_tlb))
    }

    fn context_entry(&self, number: usize, words: [u64; 2]) -> Entry<2> {
        let stride = if self.mode == Mode::Scalable { 4 } else { 2 };
        let source = self.source(number);
        let table = entry::linked(self.root.load(entry::root(source)));
        Entry { table, first: source.devfn() * stride, words }
    }

    fn pasid_entry(&self, number: usize, pasid: Pasid, leads_to: Translation, domain: Domain) -> Entry<3> {
        assert!(pasid.0 < PASIDS, "flush_all knows of {PASIDS} processes");
        let table = self.engines[number].pasids;
        Entry { table, first: u64::from(pasid.0) * 8, words: entry::pasid(leads_to, domain) }
    }
}
