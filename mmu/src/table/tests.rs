//! The shape of the radix tree.

use std::sync::Arc;

use super::{Levels, PageTable};
use crate::address::{VirtAddr, VirtRange};
use crate::frame::Frames;
use crate::memory::MIN_MEMORY_BYTES;
use crate::pte::Pte;

fn frames() -> Arc<Frames> {
    Frames::new(MIN_MEMORY_BYTES).unwrap()
}

#[test]
fn neighbours_share_a_leaf_table_and_strangers_do_not() {
    let frames = frames();
    let table = PageTable::new(Arc::clone(&frames), Levels::Four).unwrap();
    let a = table.ensure_slot(VirtAddr(0x4000_0000)).unwrap();
    let b = table.ensure_slot(VirtAddr(0x4000_1000)).unwrap();
    let far = table.ensure_slot(VirtAddr(0x4020_0000)).unwrap();
    assert_eq!(a.address.offset(8), b.address);
    assert_ne!(a.address.pfn(), far.address.pfn());
    assert_eq!(table.slot(VirtAddr(0x4000_0000)), Some(a));
    assert_eq!(table.slot(VirtAddr(0x8000_0000)), None);
}

#[test]
fn all_tables_are_given_back() {
    for levels in [Levels::Four, Levels::Five] {
        let frames = frames();
        let before = frames.free_count();
        let table = PageTable::new(Arc::clone(&frames), levels).unwrap();
        table.ensure_slot(VirtAddr(0x7000_1234_5000)).unwrap();
        assert_eq!(before - frames.free_count(), u64::from(levels.count()));
        drop(table);
        assert_eq!(frames.free_count(), before);
    }
}

#[test]
fn two_threads_agree_on_the_tables() {
    let table = PageTable::new(frames(), Levels::Four).unwrap();
    let slots: Vec<_> = std::thread::scope(|scope| {
        let spawned: Vec<_> =
            (0..4).map(|_| scope.spawn(|| table.ensure_slot(VirtAddr(0x1_0000_0000)).unwrap())).collect();
        spawned.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(slots.iter().all(|slot| *slot == slots[0]));
}

#[test]
fn a_clear_returns_what_stood_there() {
    let frames = frames();
    let table = PageTable::new(frames, Levels::Four).unwrap();
    let slot = table.ensure_slot(VirtAddr(0x4000_0000)).unwrap();
    table.store(slot, Pte(0x123));
    assert_eq!(table.clear(slot), Pte(0x123));
    assert_eq!(table.load(slot), Pte::NONE);
    assert!(!table.replace(slot, Pte(1), Pte(2)));
}

#[test]
fn canonical_means_sign_extended() {
    assert!(Levels::Four.is_canonical(VirtAddr(0x0000_7fff_ffff_ffff)));
    assert!(!Levels::Four.is_canonical(VirtAddr(0x0000_8000_0000_0000)));
    assert!(Levels::Four.is_canonical(VirtAddr(0xffff_8000_0000_0000)));
    assert!(Levels::Five.is_canonical(VirtAddr(0x0000_8000_0000_0000)));
    assert!(!Levels::Five.is_canonical(VirtAddr(0x0100_0000_0000_0000)));
}

#[test]
fn a_visit_skips_tables_that_are_missing() {
    let table = PageTable::new(frames(), Levels::Four).unwrap();
    let range = VirtRange { start: VirtAddr(0x3fff_f000), end: VirtAddr(0x7fff_0000_0000) };
    let pages = [VirtAddr(0x4020_0000), VirtAddr(0x7000_0000_0000)];
    let slots = pages.map(|page| table.ensure_slot(page).unwrap());
    let mut found = Vec::new();
    let near = VirtRange { end: VirtAddr(0x5000_0000), ..range };
    table.for_each_slot(near, |page, slot| found.push((page, slot)));
    assert_eq!(found.len(), 512);
    assert_eq!(found[0], (pages[0], slots[0]));
    assert!(found.is_sorted_by_key(|(page, _)| *page));
    let last = VirtRange { start: VirtAddr(0xffff_ffff_ffff_f000), end: VirtAddr(u64::MAX) };
    table.for_each_slot(last, |page, _| panic!("{page:?} has no table"));
}
