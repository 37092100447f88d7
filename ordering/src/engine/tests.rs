//! Claims about both widths of words; everything else is tested from outside.

use super::cow_n::{Order, Size, cow_n};
use super::pruned::Pruned;
use super::tables::Tables;
use super::{Counting, Options, Outcome, Reductions, explore_tables};
use crate::model::Model;

/// The outcomes in both widths; a wide state takes more bytes.
fn both(model: &Model, reductions: Reductions) -> [Outcome; 2] {
    let options = Options { reductions, interleavings: Counting::On, ..Options::default() };
    let pruned = Pruned::of(model, None).unwrap();
    let narrow = explore_tables(model, &Tables::<u64>::of(model, &pruned, None).unwrap(), &options);
    let mut wide = explore_tables(model, &Tables::<u128>::of(model, &pruned, None).unwrap(), &options);
    assert!(wide.statistics.bytes > narrow.statistics.bytes);
    wide.statistics.bytes = narrow.statistics.bytes;
    [narrow, wide]
}

#[test]
fn a_wide_word_changes_nothing_but_the_memory() {
    for order in [Order::NotifyFirst, Order::NotifyLast] {
        let model = cow_n(Size { pages: 2, devices: 2, reads: 2 }, order);
        for reductions in [Reductions::ALL, Reductions::NONE] {
            let [narrow, wide] = both(&model, reductions);
            assert_eq!(narrow, wide, "{order:?} {reductions:?}");
        }
    }
}

#[test]
fn three_interchangeable_devices_are_sorted_as_two_are() {
    let model = cow_n(Size { pages: 1, devices: 3, reads: 2 }, Order::NotifyFirst);
    let [all, _] = both(&model, Reductions::ALL);
    let [none, _] = both(&model, Reductions::NONE);
    assert_eq!(all.verdict, none.verdict);
    assert_eq!(all.statistics.interleavings, none.statistics.interleavings);
    assert!(all.statistics.states * 3 < none.statistics.states);
}
