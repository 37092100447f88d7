//! Where two routes part.

use mmu::address::PhysAddr;

use super::parting;
use crate::vtd::{Recorder, Table, Trail};

/// A root entry, a context entry, and where they lie.
fn route(entries: [(u64, u64); 2]) -> Trail {
    let mut recorder = Recorder::on(0);
    for (table, (place, value)) in [Table::Root, Table::Context].into_iter().zip(entries) {
        recorder.note(table, PhysAddr(place), value, false);
    }
    recorder.trail()
}

#[test]
fn routes_part_at_the_first_entry_of_another_place_or_of_other_words() {
    let before = route([(0x1000, 1), (0x2000, 2)]);
    for (now, parted) in [
        (route([(0x1000, 1), (0x2000, 2)]), None),
        (route([(0x3000, 1), (0x2000, 2)]), Some((Table::Root, 1, Some(1)))),
        (route([(0x1000, 3), (0x4000, 5)]), Some((Table::Root, 1, Some(3)))),
        (route([(0x1000, 1), (0x2000, 5)]), Some((Table::Context, 2, Some(5)))),
    ] {
        assert_eq!(parting(&before, &now).map(|change| (change.table, change.was, change.is)), parted);
    }
}
