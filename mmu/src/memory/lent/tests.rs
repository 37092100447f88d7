//! Lent memory: what lies in a region is memory, what lies in none is nobody's, at every moment anew.

use std::sync::Arc;

use vm_memory::bitmap::{AtomicBitmap, Bitmap};
use vm_memory::{
    Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryBackend, GuestMemoryMmap,
    GuestMemoryRegion, GuestRegionMmap, MmapRegion,
};

use crate::address::PhysAddr;
use crate::memory::PhysicalMemory;

const FIRST: u64 = 0x1_0000;
const SECOND: u64 = 0x4_0000;
const LEN: u64 = 0x2000;
const LEN_BYTES: usize = 0x2000;

fn regions(starts: &[u64]) -> GuestMemoryMmap {
    let ranges: Vec<_> = starts.iter().map(|start| (GuestAddress(*start), LEN_BYTES)).collect();
    GuestMemoryMmap::from_ranges(&ranges).expect("some pages can be mapped")
}

#[test]
fn words_and_bytes_of_each_region_are_those_of_whoever_lends_them() {
    let theirs = Arc::new(regions(&[FIRST, SECOND]));
    let ours = PhysicalMemory::lent(Arc::clone(&theirs)).expect("a page of addresses is left");
    for at in [FIRST, FIRST + LEN - 8, SECOND, SECOND + LEN - 8] {
        assert!(ours.try_store(PhysAddr(at), at ^ 7));
        assert_eq!(theirs.read_obj::<u64>(GuestAddress(at)).expect("it is there"), at ^ 7);
        assert_eq!(ours.try_compare_exchange(PhysAddr(at), at ^ 7, 5), Some(Ok(at ^ 7)));
        assert_eq!(ours.try_compare_exchange(PhysAddr(at), at ^ 7, 6), Some(Err(5)));
        theirs.write_obj(0x1122_3344_5566_7788_u64, GuestAddress(at)).expect("it is there");
        assert_eq!(ours.try_load(PhysAddr(at)), Some(0x1122_3344_5566_7788));
        let mut bytes = [0; 3];
        assert!(ours.try_read_bytes(PhysAddr(at + 1), &mut bytes));
        assert_eq!(bytes, [0x77, 0x66, 0x55]);
    }
}

#[test]
fn what_is_in_no_region_is_outside_and_nothing_of_it_is_copied() {
    let theirs = Arc::new(regions(&[FIRST, SECOND]));
    let ours = PhysicalMemory::lent(Arc::clone(&theirs)).expect("a page of addresses is left");
    for at in [0, FIRST - 8, FIRST + LEN, SECOND - 8, SECOND + LEN, u64::MAX - 7, FIRST + 4] {
        assert_eq!(ours.try_load(PhysAddr(at)), None, "{at:#x}");
        assert!(!ours.try_store(PhysAddr(at), 1), "{at:#x}");
        assert_eq!(ours.try_compare_exchange(PhysAddr(at), 0, 1), None, "{at:#x}");
    }
    // Half in, half out.
    for at in [FIRST + LEN - 4, SECOND - 4, u64::MAX - 3] {
        let mut bytes = [9; 8];
        assert!(!ours.try_read_bytes(PhysAddr(at), &mut bytes), "{at:#x}");
        assert!(!ours.try_write_bytes(PhysAddr(at), &[1; 8]), "{at:#x}");
        assert_eq!(bytes, [9; 8]);
    }
    let end: u32 = theirs.read_obj(GuestAddress(FIRST + LEN - 4)).expect("it is there");
    assert_eq!(end, 0, "the half that was in took nothing");
    assert_eq!((ours.words().len(), ours.len_bytes()), (0, 0));
    assert!(ours.slice(PhysAddr(FIRST), 8).is_none());
}

#[test]
fn memory_that_shrinks_is_outside_from_then_on_and_what_is_left_stays() {
    let theirs = GuestMemoryAtomic::new(regions(&[FIRST, SECOND]));
    let ours = PhysicalMemory::lent(theirs.clone()).expect("a page of addresses is left");
    assert!(ours.try_store(PhysAddr(FIRST), 1) && ours.try_store(PhysAddr(SECOND), 2));
    let (less, _gone) =
        theirs.memory().remove_region(GuestAddress(SECOND), LEN).expect("the region is there");
    theirs.lock().expect("nobody panicked").replace(less);
    assert_eq!(ours.try_load(PhysAddr(FIRST)), Some(1));
    assert_eq!(ours.try_load(PhysAddr(SECOND)), None);
    assert!(!ours.try_store(PhysAddr(SECOND), 3));
}

#[test]
fn what_is_written_is_marked_for_whoever_moves_the_guest() {
    let mapping: MmapRegion<AtomicBitmap> = MmapRegion::new(LEN_BYTES).expect("two pages can be mapped");
    let region = GuestRegionMmap::new(mapping, GuestAddress(FIRST)).expect("it fits");
    let theirs = Arc::new(GuestMemoryMmap::from_regions(vec![region]).expect("one region"));
    let ours = PhysicalMemory::lent(Arc::clone(&theirs)).expect("a page of addresses is left");
    let dirty = |at: usize| theirs.iter().next().expect("one region").bitmap().dirty_at(at);
    assert_eq!(ours.try_load(PhysAddr(FIRST)), Some(0));
    assert!(!dirty(0), "a load changes nothing");
    assert!(ours.try_store(PhysAddr(FIRST), 1));
    assert!(dirty(0) && !dirty(0x1000));
    assert!(ours.try_compare_exchange(PhysAddr(FIRST + 0x1000), 0, 1).is_some());
    assert!(dirty(0x1000));
}
