//! Claims about the set.

use std::collections::HashSet;

use super::super::Reductions;
use super::super::cow_n::{Order, Size, cow_n};
use super::super::options::Options;
use super::super::pruned::Pruned;
use super::super::search::Searched;
use super::super::tables::Tables;
use super::super::word::Word;
use super::slot::Slot;
use super::{Set, bytes_of, room};

/// Keys that differ in few bits, as states do.
fn keys<W: Word>(count: u32) -> Vec<W> {
    (0..count).map(|index| W::occupied() | W::of(index / 3) << 7 | W::of(index % 5) << 1).collect()
}

fn a_set_holds_exactly_what_was_inserted<W: Word + std::hash::Hash>() {
    let keys = keys::<W>(50_000);
    let mut set = Set::new();
    let mut fresh = Vec::new();
    keys.chunks(97).for_each(|chunk| set.insert_all(chunk, &mut fresh));
    let expected: HashSet<W> = keys.iter().copied().collect();
    assert_eq!(fresh.len(), expected.len());
    assert_eq!(fresh.iter().copied().collect::<HashSet<W>>(), expected);
    assert!(keys.iter().all(|&key| set.slot(key).is_some()));
    assert_eq!(set.slot(W::occupied() | W::of(u32::MAX) << 7), None);
    assert!(set.len() <= room(set.capacity()));
}

#[test]
fn a_narrow_set_holds_exactly_what_was_inserted() {
    a_set_holds_exactly_what_was_inserted::<u64>();
}

#[test]
fn a_wide_set_holds_exactly_what_was_inserted() {
    a_set_holds_exactly_what_was_inserted::<u128>();
}

#[test]
fn keys_that_agree_in_their_low_half_stay_apart() {
    let keys: Vec<u64> = (0..50_000).map(|index| u64::occupied() | index << 35).collect();
    let (mut set, mut fresh) = (Set::new(), Vec::new());
    set.insert_all(&keys, &mut fresh);
    assert_eq!(fresh, keys);
}

#[test]
fn a_table_is_never_more_than_three_quarters_full() {
    assert_eq!(bytes_of::<u64>(3072 - 16), 4096 * 8);
    assert_eq!(bytes_of::<u64>(3072 - 15), 8192 * 8);
}

#[test]
fn states_of_a_protocol_are_found_within_two_probes() {
    let model = cow_n(Size { pages: 3, devices: 1, reads: 3 }, Order::NotifyFirst);
    let tables = Tables::<u64>::of(&model, &Pruned::of(&model, None).unwrap(), None).unwrap();
    let options = Options { reductions: Reductions::NONE, ..Options::default() };
    let searched = Searched::run(&tables, &options.plan::<u64>().0);
    let set = searched.set();
    let probes = |key: u64| {
        let (home, slot) = (set.home(key), set.slot(key).unwrap());
        (slot + set.capacity() - home) % set.capacity() + 1
    };
    let total: usize = set.slots.iter().map(Slot::key).filter(|&key| key != 0).map(probes).sum();
    let average = total as f64 / set.len() as f64;
    assert!(average < 2.5, "{average}");
}

/// Threads that insert overlapping keys into a table that must double often, each going home when there is no room.
fn threads_insert_what_one_would<W: Word + std::hash::Hash>() {
    let keys = keys::<W>(60_000);
    let expected: HashSet<W> = keys.iter().copied().collect();
    let mut set = Set::<W>::new();
    // Each key waits with three of four threads.
    let share =
        |thread: usize| keys.iter().enumerate().filter(move |(at, _)| at % 4 != thread).map(|(_, &key)| key);
    let mut waiting: Vec<(Vec<W>, Vec<W>)> =
        (0..4).map(|thread| (share(thread).collect(), Vec::new())).collect();
    let mut doubled = 0;
    while waiting.iter().any(|(left, _)| !left.is_empty()) {
        set.shared(|shared| {
            std::thread::scope(|scope| {
                for (left, fresh) in &mut waiting {
                    scope.spawn(move || shared.insert_all(left, fresh));
                }
            });
        });
        assert!(set.len() <= room(set.capacity()));
        set.double_by(3);
        doubled += 1;
    }
    assert!(doubled > 3, "{doubled}");
    let fresh: Vec<W> = waiting.into_iter().flat_map(|(_, fresh)| fresh).collect();
    assert_eq!((fresh.len(), set.len()), (expected.len(), expected.len()), "each key is fresh to one thread");
    assert_eq!(fresh.into_iter().collect::<HashSet<W>>(), expected);
    assert!(keys.iter().all(|&key| set.slot(key).is_some()));
    assert_eq!(set.slot(W::occupied() | W::of(u32::MAX) << 7), None);
}

#[test]
fn threads_insert_narrow_keys_as_one_would() {
    threads_insert_what_one_would::<u64>();
}

#[test]
fn threads_insert_wide_keys_as_one_would() {
    threads_insert_what_one_would::<u128>();
}
