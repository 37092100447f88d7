//! The walk against tables in memory.

use std::sync::Arc;

use super::{FaultReason, descend, mark_leaf, walk};
use crate::address::{Access, PageSize, Pfn, PhysAddr, VirtAddr};
use crate::frame::{FrameState, Frames};
use crate::memory::MIN_MEMORY_BYTES;
use crate::pte::Pte;
use crate::table::{Levels, PageTable, Root};

const PAGE: VirtAddr = VirtAddr(0x4000_3000);

struct Fixture {
    frames: Arc<Frames>,
    table: PageTable,
}

fn mapped(levels: Levels, flags: u64) -> (Fixture, Pfn) {
    let frames = Frames::new(MIN_MEMORY_BYTES).unwrap();
    let table = PageTable::new(Arc::clone(&frames), levels).unwrap();
    let frame = frames.allocate(FrameState::Anonymous).unwrap().leak();
    let slot = table.ensure_slot(PAGE).unwrap();
    table.store(slot, Pte(frame.0 << 12 | flags));
    (Fixture { frames, table }, frame)
}

impl Fixture {
    fn walk(&self, address: VirtAddr, access: Access) -> Result<crate::cache::Translation, FaultReason> {
        walk(self.frames.memory(), self.table.root(), address, access).map_err(|fault| fault.reason)
    }

    fn entry(&self) -> Pte {
        self.table.load(self.table.slot(PAGE).unwrap())
    }
}

#[test]
fn four_and_five_levels_translate() {
    for levels in [Levels::Four, Levels::Five] {
        let (fixture, frame) = mapped(levels, Pte::PRESENT | Pte::USER);
        let found = fixture.walk(PAGE.offset(0x123), Access::Read).unwrap();
        assert_eq!((found.pfn, found.size), (frame, PageSize::Size4K));
        assert_eq!(found.physical(PAGE.offset(0x123)), frame.address().offset(0x123));
    }
}

#[test]
fn a_load_sets_a_and_a_store_sets_d() {
    let (fixture, _) = mapped(Levels::Four, Pte::PRESENT | Pte::USER | Pte::WRITE);
    assert!(!fixture.walk(PAGE, Access::Read).unwrap().dirty);
    assert!(fixture.entry().is_young() && !fixture.entry().is_dirty());
    assert!(fixture.walk(PAGE, Access::Write).unwrap().dirty);
    assert!(fixture.entry().is_dirty());
}

#[test]
fn permissions_of_all_levels_count() {
    let (read_only, _) = mapped(Levels::Four, Pte::PRESENT | Pte::USER);
    assert_eq!(read_only.walk(PAGE, Access::Write), Err(FaultReason::Protection));
    assert!(!read_only.entry().is_dirty(), "a refused store marks nothing");
    let (supervisor, _) = mapped(Levels::Four, Pte::PRESENT | Pte::WRITE);
    assert_eq!(supervisor.walk(PAGE, Access::Read), Err(FaultReason::Protection));
    let (fixture, _) = mapped(Levels::Four, Pte::PRESENT | Pte::USER | Pte::WRITE);
    let top = fixture.table.root().table.address();
    let upper = fixture.frames.memory().load(top);
    fixture.frames.memory().store(top, upper & !Pte::WRITE);
    assert_eq!(fixture.walk(PAGE, Access::Write), Err(FaultReason::Protection));
}

#[test]
fn permissions_of_all_levels_count_also_where_everything_is_marked() {
    for level in 1..=4 {
        for (missing, access) in [(Pte::WRITE, Access::Write), (Pte::USER, Access::Read)] {
            let (fixture, _) = mapped(Levels::Four, Pte::PRESENT | Pte::USER | Pte::WRITE);
            fixture.walk(PAGE, Access::Write).unwrap();
            let memory = fixture.frames.memory();
            let mut table = fixture.table.root().table.address();
            for upper in (level + 1..=4).rev() {
                table = Pte(memory.load(table.offset(PAGE.table_index(upper) * 8))).pfn().address();
            }
            let place = table.offset(PAGE.table_index(level) * 8);
            let word = memory.load(place);
            memory.store(place, word & !missing);
            assert_eq!(fixture.walk(PAGE, access), Err(FaultReason::Protection), "level {level}");
            memory.store(place, word);
        }
    }
}

#[test]
fn an_entry_that_is_not_present_leads_nowhere_whatever_else_stands_in_it() {
    for level in 1..=4 {
        let (fixture, _) = mapped(Levels::Four, Pte::PRESENT | Pte::USER);
        fixture.walk(PAGE, Access::Read).unwrap();
        let memory = fixture.frames.memory();
        let mut table = fixture.table.root().table.address();
        for upper in (level + 1..=4).rev() {
            table = Pte(memory.load(table.offset(PAGE.table_index(upper) * 8))).pfn().address();
        }
        let place = table.offset(PAGE.table_index(level) * 8);
        memory.store(place, memory.load(place) & !Pte::PRESENT);
        assert_eq!(fixture.walk(PAGE, Access::Read), Err(FaultReason::NotPresent { level }));
    }
}

#[test]
fn a_leaf_that_changed_since_it_was_read_is_not_marked_and_not_used() {
    let (fixture, frame) = mapped(Levels::Four, Pte::PRESENT | Pte::USER | Pte::WRITE);
    let memory = fixture.frames.memory();
    let found = descend(memory, fixture.table.root(), PAGE).unwrap();
    let slot = fixture.table.slot(PAGE).unwrap();
    let read = fixture.entry();
    for now in [Pte::NONE, Pte::leaf(Pfn(frame.0 + 1)), read.with(Pte::ACCESSED)] {
        fixture.table.store(slot, now);
        assert_eq!(mark_leaf(memory, &found, Access::Write), None, "the walk starts over");
        assert_eq!(fixture.entry(), now);
    }
    fixture.table.store(slot, read);
    assert_eq!(mark_leaf(memory, &found, Access::Write), Some(read.with(Pte::ACCESSED | Pte::DIRTY)));
}

#[test]
fn what_is_not_there_faults_with_its_level() {
    let (fixture, _) = mapped(Levels::Four, Pte::PRESENT | Pte::USER);
    let next = PAGE.offset(0x1000);
    assert_eq!(fixture.walk(next, Access::Read), Err(FaultReason::NotPresent { level: 1 }));
    let far = VirtAddr(0x7000_0000_0000);
    assert_eq!(fixture.walk(far, Access::Read), Err(FaultReason::NotPresent { level: 4 }));
    let wild = VirtAddr(0x8000_0000_0000);
    assert_eq!(fixture.walk(wild, Access::Read), Err(FaultReason::NotCanonical));
}

#[test]
fn a_table_outside_memory_is_a_fault_and_not_a_crash() {
    let (fixture, _) = mapped(Levels::Four, Pte::PRESENT | Pte::USER);
    let top = fixture.table.root().table.address();
    let linked = fixture.frames.memory().swap(top, 0x000f_ffff_ffff_f000 | Pte::PRESENT | Pte::USER);
    assert_eq!(fixture.walk(PAGE, Access::Read), Err(FaultReason::OutsideMemory { level: 3 }));
    // The table is dropped by its owner, who trusts it.
    fixture.frames.memory().store(top, linked);
    let wild = Root { table: Pfn(u64::MAX >> 12), levels: Levels::Four };
    let fault = walk(fixture.frames.memory(), wild, PAGE, Access::Read).unwrap_err();
    assert_eq!(fault.reason, FaultReason::OutsideMemory { level: 4 });
}

#[test]
fn a_large_leaf_ends_the_walk() {
    let (fixture, _) = mapped(Levels::Four, Pte::PRESENT | Pte::USER);
    let memory = fixture.frames.memory();
    let upper = Pte(memory.load(fixture.table.root().table.address())).pfn();
    let middle = Pte(memory.load(upper.address().offset(PAGE.table_index(3) * 8))).pfn();
    let place = middle.address().offset(PAGE.table_index(2) * 8);
    // What lies in the page looks like a table of leaves.
    let bytes = Pte::leaf(Pfn(5)).with(Pte::ACCESSED);
    memory.store(PhysAddr(PAGE.table_index(1) * 8), bytes.0);
    memory.store(place, Pte::PRESENT | Pte::USER | Pte::LARGE);
    for seen in ["that nobody has used", "that is marked"] {
        let found = fixture.walk(PAGE, Access::Read).unwrap();
        assert_eq!((found.pfn, found.size), (Pfn(0), PageSize::Size2M), "a leaf {seen}");
        assert_eq!(found.physical(PAGE).0, 0x3000);
    }
    assert!(Pte(memory.load(place)).is_young());
}
