//! What checks of interrupts share: a table of entries, an engine that interrupts, and what became of it.
//!
//! Invariant: an entry and a vector serve one check. An interrupt that was sent before the unit's registers were read is
//! taken by then, because a processor takes what waits for it when it comes back from there.

use super::{Checks, Complaint, Note, expect};
use crate::apic;
use crate::descriptor::Invalidation;
use crate::engine::{Engine, Slot};
use crate::id::{Domain, Index, Iova, Source, Vector};
use crate::interrupt_entry::{Admits, Destination, Message, entry};
use crate::interrupt_table::InterruptTable;
use crate::interrupts;
use crate::unit::{Ids, Mode};

const DOMAIN: Domain = Domain(6);
/// Looks at a count at most. Each takes as long as an exit of the guest.
const MOST_LOOKS: u32 = 10_000;

/// The checks that use it, and the entries that were given out.
pub(super) struct Bench<'a> {
    pub(super) checks: &'a mut Checks,
    table: InterruptTable,
    next: u16,
}

impl<'a> Bench<'a> {
    /// An empty table, which the unit uses, and an engine whose addresses pass.
    pub(super) fn begin(checks: &'a mut Checks) -> Self {
        apic::enable();
        checks.driver.switch(Mode::Legacy);
        let source = checks.driver.source(0);
        checks.driver.let_pass(source, DOMAIN);
        let table = InterruptTable::new(&mut checks.driver.memory);
        let mut bench = Self { checks, table, next: 1 };
        bench.take_over(Ids::Xapic);
        bench.checks.driver.unit.remap_interrupts(true);
        bench
    }

    /// Lets the unit read the table, with ids of that width.
    pub(super) fn take_over(&mut self, ids: Ids) {
        self.table.hand_over(&mut self.checks.driver, ids);
    }

    /// Lets interrupts and addresses pass again.
    pub(super) fn end(self) {
        let unit = &self.checks.driver.unit;
        unit.let_direct_interrupts_pass(false);
        unit.remap_interrupts(false);
    }

    pub(super) fn engine(&mut self) -> &mut Engine {
        self.checks.driver.engine_number(0)
    }

    pub(super) fn source(&self) -> Source {
        self.checks.driver.source(0)
    }

    /// The next entry that nobody uses; it is absent.
    pub(super) fn index(&mut self) -> Index {
        self.next += 1;
        Index(self.next - 1)
    }

    /// An entry that leads to a vector of its own.
    pub(super) fn entry(&mut self, admits: Admits) -> (Index, Vector) {
        let (index, vector) = (self.index(), self.checks.vector());
        self.set(index, entry(vector, Destination::PROCESSOR, admits));
        (index, vector)
    }

    /// Writes an entry, and lets the unit forget what it was.
    pub(super) fn set(&mut self, index: Index, words: [u64; 2]) {
        self.write(index, words);
        self.checks.driver.invalidate(&[Invalidation::InterruptEntriesFrom { first: index, log2: 0 }]);
    }

    /// Writes an entry.
    pub(super) fn write(&self, index: Index, words: [u64; 2]) {
        self.table.write(index, words);
    }

    /// Lets the engine interrupt by MSI.
    pub(super) fn send(&mut self, message: Message) {
        self.engine().interrupt_by_msi(message);
        self.engine().interrupt(Slot(0));
    }

    /// How often `vector` has been taken by now must be that.
    pub(super) fn expect_taken(
        &self,
        when: &'static str,
        vector: Vector,
        times: u64,
    ) -> Result<Note, Complaint> {
        for _ in 0..MOST_LOOKS {
            let _exits = self.checks.driver.unit.fault_status();
            if interrupts::count(vector) >= times {
                break;
            }
        }
        expect(when, Iova(vector.0.into()), Ok(interrupts::count(vector)), Ok(times))
    }

    /// The fault that is recorded must be of that reason, source and index.
    pub(super) fn expect_fault(
        &self,
        when: &'static str,
        reason: u8,
        source: Source,
        index: Index,
    ) -> Result<Note, Complaint> {
        let at = Iova(index.0.into());
        let fault = self.checks.driver.unit.take_fault();
        expect(when, at, fault.map(|fault| fault.reason.into()).ok_or(0), Ok(reason.into()))?;
        let (by, entry) = fault.map_or((0, 0), |fault| (fault.source.0, fault.page.0 >> 48));
        expect("fault's source", at, Ok(by.into()), Ok(source.0.into()))?;
        expect("fault's index", at, Ok(entry), Ok(index.0.into()))
    }

    /// Nothing must be recorded.
    pub(super) fn expect_no_fault(&self, when: &'static str, index: Index) -> Result<Note, Complaint> {
        let fault = self.checks.driver.unit.take_fault();
        expect(when, Iova(index.0.into()), Ok(fault.map_or(0, |fault| fault.reason.into())), Ok(0))
    }
}
