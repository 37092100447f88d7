//! Claims about both widths of words; everything else is tested from outside.

use super::cow_n::{Order, Size, cow_n};
use super::pruned::Pruned;
use super::tables::Tables;
use super::{
    Counting, Options, Outcome, Reductions, Stop, Threads, Verdict, compile, explore, explore_tables,
};
use crate::model::{Check, Model, Property};

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

#[test]
fn what_broke_before_the_search_was_told_to_stop_is_a_violation() {
    static STOP: Stop = Stop::new();
    let mut model = cow_n(Size { pages: 1, devices: 1, reads: 1 }, Order::NotifyFirst);
    // Of no conjunctions none holds.
    model.properties.push(Property { text: "never".to_owned(), check: Check::Always(Vec::new()), line: 0 });
    let packed = compile(&model).unwrap();
    STOP.set(true);
    // A thread looks whether to stop when it has expanded a state.
    let threads = Threads::TwoFrom { states: 0 };
    let outcome = explore(&packed, &Options { threads, stop: Some(&STOP), ..Options::default() });
    assert!(matches!(outcome.verdict, Verdict::Violated { .. }), "{:?}", outcome.verdict);
}

#[test]
fn what_is_written_before_it_is_read_makes_no_difference() {
    let states = |program: &str| {
        let source = format!(
            "scenario s\nvar x = 0..3, y = 0..1\nagent p\n  {program}\n  y = 1\n  x = 0\n  if x: y = 0\nfinally y\n"
        );
        let (_, lowered) = crate::lowering::load(&source).unwrap().remove(0);
        let outcome = explore(&compile(&lowered.model).unwrap(), &Options::default());
        assert_eq!(outcome.verdict, Verdict::Proved);
        outcome.statistics.states
    };
    assert_eq!(states("x = 1 | x = 2 | x = 3"), states("x = 1"));
}
