//! Memory maps at the sizes where they change.

use super::{ECAM, HOLE, HOLE_BEHIND, Use, first_piece_end, regions, second_piece};

const MIB: u64 = 1 << 20;

/// Where memory lies for guests with that many bytes.
fn memory(memory_bytes: u64) -> Vec<(u64, u64)> {
    let found = regions(memory_bytes);
    assert!(found.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "ascending: {found:x?}");
    let is_memory = |region: &&super::Region| region.used == Use::Memory;
    found.iter().filter(is_memory).map(|region| (region.range.start, region.range.end)).collect()
}

#[test]
fn what_does_not_fit_below_the_devices_goes_on_at_4_gib() {
    let low = (0, 0x9_fc00);
    for (bytes, expected) in [
        (2 * MIB, vec![low, (MIB, 2 * MIB)]),
        (HOLE - MIB, vec![low, (MIB, HOLE - MIB)]),
        (HOLE, vec![low, (MIB, HOLE)]),
        (HOLE + MIB, vec![low, (MIB, HOLE), (HOLE_BEHIND, HOLE_BEHIND + MIB)]),
        (6 << 30, vec![low, (MIB, HOLE), (HOLE_BEHIND, 7 << 30)]),
    ] {
        assert_eq!(memory(bytes), expected, "{bytes:#x}");
    }
}

#[test]
fn no_byte_is_lost_and_none_is_a_devices() {
    for bytes in [2 * MIB, HOLE - MIB, HOLE, HOLE + MIB, 4 << 30, 1 << 40] {
        let second = second_piece(bytes);
        assert_eq!(first_piece_end(bytes) + (second.end - second.start), bytes);
        assert!(first_piece_end(bytes) <= HOLE && second.start >= 1 << 32);
        let reserved = regions(bytes).into_iter().filter(|region| region.used == Use::Reserved);
        assert_eq!(reserved.map(|region| region.range.start).max(), Some(ECAM));
    }
}
