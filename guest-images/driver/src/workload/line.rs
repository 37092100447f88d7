//! An interrupt of each engine, and the vectors that it comes by in turn.
//!
//! Invariant: a vector serves one engine; an entry of the table serves one at a time. What the table has of an engine changes
//! only here, and whoever changes it invalidates it. Source: VT-d 5.1 (remapping), 6.5.2.7 (cache of entries).

use core::mem;

use crate::apic;
use crate::descriptor::Invalidation;
use crate::driver::{Driver, ENGINES};
use crate::engine::Slot;
use crate::id::{Index, Vector};
use crate::interrupt_entry::{Admits, Destination, Message, entry};
use crate::interrupt_table::InterruptTable;
use crate::interrupts;
use crate::unit::Ids;

const FIRST_INDEX: u16 = 1;
const FIRST_VECTOR: u8 = 0x40;
/// All that lines come by: two for each engine.
const VECTORS: [Vector; 2 * ENGINES] =
    [Vector(FIRST_VECTOR), Vector(FIRST_VECTOR + 1), Vector(FIRST_VECTOR + 2), Vector(FIRST_VECTOR + 3)];
/// Looks at the counts at most. Each takes as long as an exit of the guest.
const MOST_LOOKS: u32 = 10_000;

/// The interrupts of one engine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    table: InterruptTable,
    engine: usize,
    pub(super) index: Index,
    vector: Vector,
    /// The vector that it does not come by.
    other: Vector,
}

/// One for each engine, if the unit remaps interrupts.
pub(super) fn lines(driver: &mut Driver) -> [Option<Line>; ENGINES] {
    if !driver.unit.has_interrupt_remapping() {
        return [None; ENGINES];
    }
    apic::enable();
    let table = InterruptTable::new(&mut driver.memory);
    let (mut index, mut vector) = (FIRST_INDEX, FIRST_VECTOR);
    let lines = core::array::from_fn(|engine| {
        let line =
            Line { table, engine, index: Index(index), vector: Vector(vector), other: Vector(vector + 1) };
        (index, vector) = (index + 1, vector + 2);
        line.write(driver);
        driver.engine_number(engine).interrupt_by_msi(Message::naming(line.index));
        Some(line)
    });
    table.hand_over(driver, Ids::Xapic);
    driver.unit.remap_interrupts(true);
    lines
}

impl Line {
    /// Lets it come by its other vector. What the unit keeps is not invalidated yet.
    pub(super) fn move_over(&mut self, driver: &Driver) {
        (self.vector, self.other) = (self.other, self.vector);
        self.write(driver);
    }

    /// Exchanges the entries of two lines in the order that is right: both are absent, and forgotten, before they are
    /// written.
    pub(super) fn exchange(first: &mut Self, second: &mut Self, driver: &mut Driver) {
        let both = [first.forgotten(), second.forgotten()];
        first.table.clear(first.index);
        second.table.clear(second.index);
        driver.invalidate(&both);
        first.take_entry_of(second, driver);
        first.write(driver);
        second.write(driver);
        if driver.unit.caches_absent() {
            driver.invalidate(&both);
        }
    }

    /// Writes what `next` wants over this line's entry, half by half. The device interrupts between them, whether that came
    /// by the vector that is still its own.
    pub(super) fn give_entry_to(&self, next: &Self, driver: &mut Driver) -> bool {
        let (words, mut arrived) = (next.words(driver), true);
        self.table.write_in_place(self.index, words, || arrived = self.arrives(driver));
        arrived
    }

    /// The lines' entries are each other's by now: the devices are told.
    pub(super) fn take_entry_of(&mut self, other: &mut Self, driver: &mut Driver) {
        mem::swap(&mut self.index, &mut other.index);
        for line in [self, other] {
            driver.engine_number(line.engine).interrupt_by_msi(Message::naming(line.index));
        }
    }

    /// What takes its entry out of the unit's cache.
    pub(super) const fn forgotten(&self) -> Invalidation {
        Invalidation::InterruptEntriesFrom { first: self.index, log2: 0 }
    }

    fn write(&self, driver: &Driver) {
        self.table.write(self.index, self.words(driver));
    }

    fn words(&self, driver: &Driver) -> [u64; 2] {
        let admits = Admits::Function(driver.source(self.engine));
        entry(self.vector, Destination::PROCESSOR, admits)
    }

    /// Lets the engine interrupt. Whether that came by its vector, and by no other.
    pub(super) fn arrives(&self, driver: &mut Driver) -> bool {
        let before = counts();
        driver.engine_number(self.engine).interrupt(Slot(0));
        for _ in 0..MOST_LOOKS {
            let _exits = driver.unit.fault_status();
            if counts() != before {
                break;
            }
        }
        let came = VECTORS.map(|vector| u64::from(vector == self.vector));
        counts() == core::array::from_fn(|at| before[at] + came[at])
    }
}

/// How often each vector was taken.
fn counts() -> [u64; VECTORS.len()] {
    VECTORS.map(interrupts::count)
}
