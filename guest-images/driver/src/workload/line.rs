//! An interrupt of each engine, and the vectors that it comes by in turn.
//!
//! Invariant: a vector serves one engine. What the table has of an engine changes only here, and whoever changes it invalidates
//! it. Source: VT-d 5.1 (remapping), 6.5.2.7 (cache of entries).

use crate::apic;
use crate::driver::{Driver, ENGINES};
use crate::engine::Slot;
use crate::id::{Index, Vector};
use crate::interrupt_entry::{Admits, Destination, Message, entry};
use crate::interrupt_table::InterruptTable;
use crate::interrupts;
use crate::unit::Ids;

const FIRST_INDEX: u16 = 1;
const FIRST_VECTOR: u8 = 0x40;
/// Looks at the counts at most. Each takes as long as an exit of the guest.
const MOST_LOOKS: u32 = 10_000;

/// See the module.
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

    fn write(&self, driver: &Driver) {
        let admits = Admits::Function(driver.source(self.engine));
        self.table.write(self.index, entry(self.vector, Destination::PROCESSOR, admits));
    }

    /// Lets the engine interrupt. Whether that came by the vector of the table.
    pub(super) fn arrives(&self, driver: &mut Driver) -> bool {
        let counts = || [self.vector, self.other].map(interrupts::count);
        let [right, wrong] = counts();
        driver.engine_number(self.engine).interrupt(Slot(0));
        for _ in 0..MOST_LOOKS {
            let _exits = driver.unit.fault_status();
            if counts() != [right, wrong] {
                break;
            }
        }
        counts() == [right + 1, wrong]
    }
}
