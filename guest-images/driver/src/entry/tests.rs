//! Entries, held against words written by hand.

use super::{DeviceTlb, Levels, Stage, Translation, context, link, pasid, scalable_context};
use crate::id::Domain;

#[test]
fn entries_are_the_words_that_a_driver_would_write_by_hand() {
    assert_eq!(link(0x5000), 0x5001);
    assert_eq!(context(0x6000, Levels::Three, Domain(0x102), DeviceTlb::Off), [0x6001, 0x1_0201]);
    assert_eq!(context(0x6000, Levels::Four, Domain(1), DeviceTlb::On), [0x6005, 0x102]);
    assert_eq!(scalable_context(0x7000, DeviceTlb::Off), [0x7009, 0]);
    assert_eq!(scalable_context(0x7000, DeviceTlb::On), [0x701d, 0]);
}

#[test]
fn a_pasid_entry_names_stages_depths_and_domain() {
    let first = (0x8000, Levels::Five);
    let second = (0x9000, Levels::Four);
    assert_eq!(pasid(Translation::First(0x8000, Levels::Four), Domain(3)), [0x41, 3, 0x8000]);
    assert_eq!(pasid(Translation::Second(0x9000, Levels::Three), Domain(3)), [0x9085, 3, 0]);
    assert_eq!(pasid(Translation::Nested { first, second }, Domain(3)), [0x90c9, 3, 0x8004]);
    assert_eq!(pasid(Translation::PassThrough, Domain(9)), [0x109, 9, 0]);
}

#[test]
fn pages_allow_everything_in_their_stage() {
    assert_eq!((Stage::First.page(0xa000), Stage::Second.page(0xa000)), (0xa007, 0xa003));
    assert_eq!(Stage::Second.large_page(0x20_0000), 0x20_0083);
    assert_eq!(Stage::address(Stage::First.link(0xb000)), 0xb000);
}
