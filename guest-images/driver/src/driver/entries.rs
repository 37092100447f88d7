//! The entries that lead to page tables: context entries and PASID entries.
//!
//! Invariant: the word with P is written last. What the unit keeps of an entry is for the caller to invalidate.
//! Source: VT-d 9.3 (context), 9.4 (scalable context), 9.6 (PASID entry).

use super::{Driver, PASIDS};
use crate::entry::{self, DeviceTlb, Translation};
use crate::id::{Domain, Pasid, Source};
use crate::space::Space;
use crate::unit::Mode;

/// The domain of requests without PASID, where they are let pass.
const OWN_DOMAIN: Domain = Domain(0x3f);

impl Driver {
    /// In scalable mode: gives an engine a directory whose PASID 0 lets addresses pass.
    pub(super) fn introduce(&mut self, number: usize) {
        if self.mode == Mode::Scalable {
            let port = &mut self.engines[number];
            (port.directory, port.pasids) = (self.memory.frame(), self.memory.frame());
            port.directory.store(0, entry::link(port.pasids.address()));
            self.write_pasid(number, Pasid(0), Translation::PassThrough, OWN_DOMAIN);
            self.point_to_directory(number, DeviceTlb::Off);
        }
    }

    /// Writes the entry that leads to `space`, and flushes nothing.
    pub fn write_entry(&self, space: &Space) {
        let number = self.number(space.source);
        match (self.mode, space.translation()) {
            (Mode::Legacy, Translation::Second(table, levels)) => {
                self.write_context(number, entry::context(table, levels, space.domain, space.device_tlb));
            }
            (Mode::Legacy, _) => panic!("legacy mode has no first stage"),
            (Mode::Scalable, translation) => {
                self.point_to_directory(number, space.device_tlb);
                self.write_pasid(number, space.pasid.unwrap_or(Pasid(0)), translation, space.domain);
            }
        }
    }

    /// In scalable mode: lets an engine's context entry lead to another directory, in which `space` alone is attached, and
    /// flushes nothing.
    pub fn write_directory(&mut self, space: &Space) {
        let number = self.number(space.source);
        self.introduce(number);
        self.write_entry(space);
    }

    fn point_to_directory(&self, number: usize, device_tlb: DeviceTlb) {
        let directory = self.engines[number].directory.address();
        self.write_context(number, entry::scalable_context(directory, device_tlb));
    }

    /// In legacy mode: lets an engine's addresses pass.
    pub fn let_pass(&mut self, source: Source, domain: Domain) {
        self.write_context(self.number(source), entry::pass_through_context(domain));
        self.flush_all();
    }

    fn write_context(&self, number: usize, words: [u64; 2]) {
        let stride = if self.mode == Mode::Scalable { 4 } else { 2 };
        let index = self.source(number).devfn() * stride;
        self.contexts.store(index + 1, words[1]);
        self.contexts.store(index, words[0]);
    }

    fn write_pasid(&self, number: usize, pasid: Pasid, translation: Translation, domain: Domain) {
        assert!(pasid.0 < PASIDS, "flush_all knows of {PASIDS} processes");
        let [first, second, third] = entry::pasid(translation, domain);
        let (table, index) = (self.engines[number].pasids, u64::from(pasid.0) * 8);
        table.store(index + 1, second);
        table.store(index + 2, third);
        table.store(index, first);
    }
}
