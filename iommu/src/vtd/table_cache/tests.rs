//! What is kept, what makes room, and what a fill may install.

use super::{Filled, TableCache};

#[test]
fn a_fill_that_an_invalidation_overtook_installs_nothing() {
    let cache = TableCache::new(4);
    let ticket = cache.ticket();
    cache.invalidate(|_: &u32, _: &u32| false);
    cache.fill(ticket, 1, 10);
    assert_eq!(cache.get(&1), None, "whatever the invalidation was about");
    cache.fill(cache.ticket(), 1, 10);
    assert_eq!(cache.get(&1), Some(10));
}

#[test]
fn the_oldest_makes_room() {
    let cache = TableCache::new(2);
    let filled = [1, 2, 1, 3].map(|key| cache.fill(cache.ticket(), key, key));
    assert_eq!(filled, [Filled::Beside, Filled::Beside, Filled::Beside, Filled::Evicting]);
    assert_eq!([1, 2, 3].map(|key| cache.get(&key)), [None, Some(2), Some(3)]);
    cache.invalidate(|key, _| *key == 2);
    cache.fill(cache.ticket(), 4, 4);
    assert_eq!([2, 3, 4].map(|key| cache.get(&key)), [None, Some(3), Some(4)], "its place was free");
}

#[test]
fn a_cache_without_entries_is_off() {
    let cache = TableCache::new(0);
    assert_eq!(cache.fill(cache.ticket(), 1, 1), Filled::Beside);
    assert_eq!(cache.get(&1), None);
}

#[test]
fn an_invalidation_of_keys_takes_those_and_makes_their_room_free() {
    let cache = TableCache::new(4);
    (0..4).for_each(|key| assert_eq!(cache.fill(cache.ticket(), key, key), Filled::Beside));
    let ticket = cache.ticket();
    cache.invalidate_within([1..=1, 3..=9]);
    assert_eq!([0, 1, 2, 3].map(|key| cache.get(&key)), [Some(0), None, Some(2), None]);
    cache.fill(ticket, 1, 1);
    assert_eq!(cache.get(&1), None, "the invalidation overtook it");
    let filled = [4, 5, 6].map(|key| cache.fill(cache.ticket(), key, key));
    assert_eq!(filled, [Filled::Beside, Filled::Beside, Filled::Evicting]);
    assert_eq!([0, 2].map(|key| cache.get(&key)), [None, Some(2)], "the oldest that was left");
}
