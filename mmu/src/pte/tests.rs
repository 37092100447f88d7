//! What hardware makes of an entry at each level.

use super::{Pte, Shape};
use crate::address::{PageSize, Pfn};

const PRESENT: Pte = Pte(Pte::PRESENT);
const LARGE: Pte = PRESENT.with(Pte::LARGE);

#[test]
fn an_entry_that_is_not_present_is_absent_at_each_level() {
    for level in 1..=5 {
        assert_eq!(Pte(!Pte::PRESENT).shape(level), Shape::Absent);
    }
}

#[test]
fn ps_ends_a_walk_where_a_page_is_that_large_and_is_reserved_above() {
    let frame = Pfn(0x40000);
    let entry = LARGE.with(frame.address().0);
    // At the last level the bit is PAT.
    assert_eq!(entry.shape(1), Shape::Page(frame, PageSize::Size4K));
    assert_eq!(entry.shape(2), Shape::Page(frame, PageSize::Size2M));
    assert_eq!(entry.shape(3), Shape::Page(frame, PageSize::Size1G));
    assert_eq!([4, 5].map(|level| entry.shape(level)), [Shape::Reserved; 2]);
    for level in 2..=5 {
        assert_eq!(PRESENT.with(0x3000).shape(level), Shape::Table(Pfn(3)));
    }
}

#[test]
fn bit_12_of_a_large_page_is_pat_and_other_bits_inside_are_reserved() {
    for (level, size) in [(2, PageSize::Size2M), (3, PageSize::Size1G)] {
        assert_eq!(LARGE.with(1 << 12).shape(level), Shape::Page(Pfn(0), size));
        for bit in 13..size.bytes().trailing_zeros() {
            assert_eq!(LARGE.with(1 << bit).shape(level), Shape::Reserved, "bit {bit} at level {level}");
        }
        let first = size.frames();
        assert_eq!(LARGE.with(Pfn(first).address().0).shape(level), Shape::Page(Pfn(first), size));
    }
}
