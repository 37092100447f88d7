//! Memory with a hole: what lies around it is memory, what lies in it is nobody's.

use super::{PAGE_SIZE, PhysAddr, PhysicalMemory};

const HOLE: std::ops::Range<u64> = 2 << 20..5 << 20;

/// 3 MiB, the last of them behind the hole.
fn memory() -> PhysicalMemory {
    PhysicalMemory::around(3 << 20, HOLE).expect("some MiB can be mapped")
}

/// Proofs keep words by an index of 32 bits, of which the last one stands for what has none.
#[test]
fn words_end_before_the_last_index_of_32_bits_and_memory_goes_on() {
    const BEHIND: PhysAddr = PhysAddr(33 << 30);
    let memory = PhysicalMemory::new(34 << 30).expect("nothing of it is touched");
    assert!(memory.words().get(u32::MAX as usize - 1).is_some());
    assert!(memory.words().get(u32::MAX as usize).is_none());
    assert!(memory.try_store(BEHIND, 7));
    assert_eq!(memory.try_load(BEHIND), Some(7));
}

#[test]
fn what_does_not_fit_below_the_hole_goes_on_behind_it() {
    let memory = memory();
    assert_eq!(memory.pieces().collect::<Vec<_>>(), [0..2 << 20, 5 << 20..6 << 20]);
    assert_eq!(memory.len_bytes(), 3 << 20);
    for at in [0, HOLE.start - 8, HOLE.end, HOLE.end + (1 << 20) - 8] {
        assert_eq!(memory.try_load(PhysAddr(at)), Some(0));
        assert!(memory.try_write_bytes(PhysAddr(at), &at.to_le_bytes()));
        assert_eq!(memory.try_load(PhysAddr(at)), Some(at));
    }
}

#[test]
fn memory_that_fits_below_the_hole_has_none() {
    for bytes in [1 << 20, HOLE.start] {
        let memory = PhysicalMemory::around(bytes, HOLE).expect("a MiB can be mapped");
        assert_eq!((memory.pieces().next(), memory.pieces().count()), (Some(0..bytes), 1));
        assert_eq!(memory.len_bytes(), bytes);
        assert_eq!(memory.try_load(PhysAddr(bytes)), None);
    }
    let one_more = PhysicalMemory::around(HOLE.start + PAGE_SIZE, HOLE).expect("some MiB can be mapped");
    assert_eq!(one_more.pieces().last(), Some(HOLE.end..HOLE.end + PAGE_SIZE));
}

#[test]
fn no_access_reaches_into_the_hole_or_across_it() {
    let memory = memory();
    for (at, len) in [
        (HOLE.start, 8),
        (HOLE.end - 8, 8),
        (HOLE.start - 4, 8),
        (HOLE.end - 4, 8),
        (HOLE.start - 8, 4 << 20),
    ] {
        let mut bytes = vec![1; len];
        assert!(!memory.try_write_bytes(PhysAddr(at), &bytes), "{at:#x}, {len}");
        assert!(!memory.try_read_bytes(PhysAddr(at), &mut bytes), "{at:#x}, {len}");
        assert!(memory.slice(PhysAddr(at), len).is_none(), "{at:#x}, {len}");
    }
    assert_eq!([HOLE.start, HOLE.end - 8].map(|at| memory.try_load(PhysAddr(at))), [None; 2]);
    assert!(memory.slice(PhysAddr(HOLE.end), 8).is_some());
    assert!(memory.slice(PhysAddr(HOLE.end + (1 << 20) - 4), 8).is_none());
    assert!(!memory.try_write_bytes(PhysAddr(u64::MAX - 3), &[0; 8]));
}
