//! The cache in one thread: what hits, what an invalidation takes, what a fill may install.

mod spread;
mod staleness;

use std::sync::Arc;

use super::entry::GENERATIONS;
use super::generations::Generations;
use super::{CachePort, Permission, RANGE_LIMIT_PAGES, Tag, Translation, TranslationCache};
use crate::address::{Access, PAGE_SIZE, PageSize, Pfn, PhysAddr, VirtAddr, VirtRange};

const TAG: Tag = Tag(5);
const OTHER: Tag = Tag(6);
const PAGE: VirtAddr = VirtAddr(0x7f12_3456_7000);

fn translation(pfn: u64, size: PageSize) -> Translation {
    Translation { pfn: Pfn(pfn), size, permission: Permission::READ_WRITE, dirty: true }
}

fn small(pfn: u64) -> Translation {
    translation(pfn, PageSize::Size4K)
}

fn cache(entries: usize) -> (Arc<TranslationCache>, CachePort) {
    let cache = Arc::new(TranslationCache::new(entries));
    let port = cache.port();
    (cache, port)
}

/// A walk without a table: fills what it is told.
fn fill(port: &mut CachePort, tag: Tag, address: VirtAddr, translation: Translation) -> bool {
    let section = port.enter();
    let ticket = section.begin_fill(tag);
    section.fill(ticket, address, translation)
}

fn lookup(port: &mut CachePort, tag: Tag, address: VirtAddr) -> Option<Translation> {
    port.enter().lookup(tag, address)
}

fn page(number: u64) -> VirtAddr {
    PAGE.offset(number * PAGE_SIZE)
}

#[test]
fn a_filled_page_hits_and_no_other_does() {
    let (cache, mut port) = cache(64);
    assert_eq!(lookup(&mut port, TAG, PAGE), None);
    assert!(fill(&mut port, TAG, PAGE, small(7)));
    assert_eq!(lookup(&mut port, TAG, PAGE.offset(0xfff)), Some(small(7)));
    assert_eq!(lookup(&mut port, TAG, page(1)), None);
    assert_eq!(lookup(&mut port, OTHER, PAGE), None);
    assert_eq!(cache.contains(TAG, PAGE), Some(small(7)));
    assert_eq!(cache.statistics().fills, 1);
}

#[test]
fn what_hits_is_listed_with_its_page_and_what_was_invalidated_is_not() {
    let (cache, mut port) = cache(64);
    let high = VirtAddr(0xffff_8000_0020_0000);
    let filled = [
        (TAG, PAGE, small(7)),
        (OTHER, page(1), small(8)),
        (TAG, high, translation(0x600, PageSize::Size2M)),
        (TAG, VirtAddr(0x40_0000_0000), translation(0x80_0000, PageSize::Size1G)),
    ];
    for (tag, address, cached) in filled {
        assert!(fill(&mut port, tag, address, cached));
    }
    let listed = |cache: &TranslationCache| {
        let mut listed: Vec<_> = cache.entries().collect();
        listed.sort_by_key(|(_, page, _)| *page);
        listed
    };
    let mut all = filled.to_vec();
    all.sort_by_key(|(_, page, _)| *page);
    assert_eq!(listed(&cache), all);
    cache.invalidate_tag(TAG);
    assert_eq!(listed(&cache), [filled[1]]);
    cache.invalidate_page(OTHER, page(1));
    assert_eq!(listed(&cache), []);
}

#[test]
fn permission_and_dirtiness_come_back_as_filled() {
    let (_, mut port) = cache(64);
    for bits in 0..16u64 {
        let bit = |number: u64| bits >> number & 1 == 1;
        let permission = Permission { read: bit(0), write: bit(1), execute: bit(2) };
        let filled = Translation { permission, dirty: bit(3), ..small(9) };
        fill(&mut port, TAG, PAGE, filled);
        assert_eq!(lookup(&mut port, TAG, PAGE), Some(filled));
    }
    assert!(Permission::READ_ONLY.allows(Access::Read) && !Permission::READ_ONLY.allows(Access::Write));
}

#[test]
fn addresses_and_frames_at_the_limits_are_exact() {
    let (_, mut port) = cache(64);
    let top_frame = (1 << 40) - 1;
    for address in [0, (1 << 56) - 4096, 0u64.wrapping_sub(1 << 56), 0u64.wrapping_sub(4096)] {
        assert!(fill(&mut port, Tag(u16::MAX), VirtAddr(address), small(top_frame)));
        assert_eq!(lookup(&mut port, Tag(u16::MAX), VirtAddr(address)), Some(small(top_frame)));
        assert_eq!(lookup(&mut port, Tag(0), VirtAddr(address)), None);
    }
    assert!(!fill(&mut port, TAG, PAGE, small(top_frame + 1)), "a frame of 53 bits");
}

#[test]
fn an_address_that_is_not_canonical_never_hits() {
    let (cache, mut port) = cache(64);
    fill(&mut port, Tag(0), VirtAddr(0), small(1));
    for address in [1 << 56, 1 << 57, 1 << 63, u64::MAX >> 1] {
        assert!(!fill(&mut port, Tag(0), VirtAddr(address), small(2)));
        assert_eq!(lookup(&mut port, Tag(0), VirtAddr(address)), None);
        cache.invalidate_page(Tag(0), VirtAddr(address));
    }
    assert_eq!(lookup(&mut port, Tag(0), VirtAddr(0)), Some(small(1)));
}

#[test]
fn a_second_fill_replaces_the_first() {
    let (cache, mut port) = cache(3);
    fill(&mut port, TAG, PAGE, small(1));
    fill(&mut port, TAG, PAGE, small(2));
    assert_eq!(lookup(&mut port, TAG, PAGE), Some(small(2)));
    assert_eq!(cache.statistics().evictions, 0);
}

#[test]
fn a_full_set_evicts_in_turn() {
    let (cache, mut port) = cache(3);
    assert_eq!(cache.capacity(), 3);
    for number in 0..4 {
        fill(&mut port, TAG, page(number), small(number));
    }
    let hits = (0..4).filter(|&number| lookup(&mut port, TAG, page(number)).is_some()).collect::<Vec<_>>();
    assert_eq!(hits, [1, 2, 3]);
    assert_eq!(cache.statistics().evictions, 1);
}

#[test]
fn a_dead_entry_is_overwritten_before_a_live_one() {
    let (cache, mut port) = cache(3);
    fill(&mut port, TAG, page(0), small(0));
    fill(&mut port, OTHER, page(1), small(1));
    fill(&mut port, TAG, page(2), small(2));
    cache.invalidate_tag(OTHER);
    fill(&mut port, TAG, page(3), small(3));
    assert!([0, 2, 3].iter().all(|&number| lookup(&mut port, TAG, page(number)).is_some()));
    assert_eq!(cache.statistics().evictions, 0);
}

#[test]
fn neighbouring_pages_fill_the_cache_without_evicting() {
    let (cache, mut port) = cache(3000);
    for number in 0..1024 {
        fill(&mut port, TAG, page(number), small(number));
    }
    assert!((0..1024).all(|number| lookup(&mut port, TAG, page(number)) == Some(small(number))));
    assert_eq!(cache.statistics().evictions, 0);
}

#[test]
fn a_cache_of_no_entries_is_off() {
    let (cache, mut port) = cache(0);
    assert_eq!(cache.capacity(), 0);
    assert!(!fill(&mut port, TAG, PAGE, small(1)));
    assert_eq!(lookup(&mut port, TAG, PAGE), None);
    cache.invalidate_page(TAG, PAGE);
    cache.invalidate_range(TAG, VirtRange::pages(PAGE, 8));
    cache.invalidate_tag(TAG);
    cache.invalidate_all();
    cache.drain();
}

#[test]
fn a_large_page_answers_for_all_of_it() {
    for size in [PageSize::Size2M, PageSize::Size1G] {
        let (_, mut port) = cache(64);
        let start = VirtAddr(PAGE.0 & !(size.bytes() - 1));
        fill(&mut port, TAG, PAGE, translation(0x40000, size));
        let last = start.offset(size.bytes() - 1);
        let found = lookup(&mut port, TAG, last).unwrap();
        assert_eq!(found, translation(0x40000, size));
        assert_eq!(found.physical(last), PhysAddr(0x4000_0000 + size.bytes() - 1));
        assert_eq!(lookup(&mut port, TAG, start.offset(size.bytes())), None);
    }
}

#[test]
fn invalidating_a_small_page_takes_the_large_ones_over_it() {
    let (cache, mut port) = cache(64);
    fill(&mut port, TAG, PAGE, translation(0x200, PageSize::Size2M));
    fill(&mut port, TAG, PAGE, translation(0x40000, PageSize::Size1G));
    fill(&mut port, OTHER, PAGE, translation(0x200, PageSize::Size2M));
    cache.invalidate_page(TAG, page(3));
    assert_eq!(lookup(&mut port, TAG, PAGE), None);
    assert!(lookup(&mut port, OTHER, PAGE).is_some());
}

#[test]
fn invalidating_a_page_takes_no_other_page_and_no_other_tag() {
    let (cache, mut port) = cache(64);
    fill(&mut port, TAG, page(0), small(1));
    fill(&mut port, TAG, page(1), small(2));
    fill(&mut port, OTHER, page(0), small(3));
    cache.invalidate_page(TAG, page(0).offset(0x123));
    assert_eq!(lookup(&mut port, TAG, page(0)), None);
    assert_eq!(lookup(&mut port, TAG, page(1)), Some(small(2)));
    assert_eq!(lookup(&mut port, OTHER, page(0)), Some(small(3)));
    assert_eq!(cache.statistics().page_invalidations, 1);
}

#[test]
fn a_range_takes_exactly_its_pages() {
    let (cache, mut port) = cache(4096);
    for number in 0..600 {
        fill(&mut port, TAG, page(number), small(number));
    }
    cache.invalidate_range(TAG, VirtRange::pages(page(10), RANGE_LIMIT_PAGES));
    let left = (0..600).filter(|&number| lookup(&mut port, TAG, page(number)).is_some()).count();
    assert_eq!(left, 600 - 512);
    assert!(lookup(&mut port, TAG, page(9)).is_some() && lookup(&mut port, TAG, page(522)).is_some());
    assert_eq!(cache.statistics().tag_invalidations, 0);
}

#[test]
fn an_unaligned_range_takes_the_pages_it_touches_and_an_empty_one_none() {
    let (cache, mut port) = cache(64);
    (0..4).for_each(|number| assert!(fill(&mut port, TAG, page(number), small(number))));
    let range = VirtRange { start: page(1).offset(0xfff), end: page(2).offset(1) };
    cache.invalidate_range(TAG, VirtRange { start: range.start, end: range.start });
    assert!(lookup(&mut port, TAG, page(1)).is_some());
    cache.invalidate_range(TAG, range);
    let left = (0..4).filter(|&number| lookup(&mut port, TAG, page(number)).is_some()).collect::<Vec<_>>();
    assert_eq!(left, [0, 3]);
}

#[test]
fn a_range_over_the_limit_takes_its_tag_and_no_other() {
    let (cache, mut port) = cache(64);
    fill(&mut port, TAG, PAGE, small(1));
    fill(&mut port, OTHER, PAGE, small(2));
    cache.invalidate_range(TAG, VirtRange::pages(page(1), RANGE_LIMIT_PAGES + 1));
    assert_eq!(lookup(&mut port, TAG, PAGE), None);
    assert_eq!(lookup(&mut port, OTHER, PAGE), Some(small(2)));
    assert_eq!(cache.statistics().tag_invalidations, 1);
}

#[test]
fn invalidating_all_takes_every_tag() {
    let (cache, mut port) = cache(64);
    fill(&mut port, TAG, PAGE, small(1));
    fill(&mut port, OTHER, PAGE, translation(0x200, PageSize::Size2M));
    cache.invalidate_all();
    assert_eq!(lookup(&mut port, TAG, PAGE), None);
    assert_eq!(lookup(&mut port, OTHER, PAGE), None);
    assert!(fill(&mut port, TAG, PAGE, small(3)));
    assert_eq!(lookup(&mut port, TAG, PAGE), Some(small(3)));
}

type Invalidation = fn(&TranslationCache);

const INVALIDATIONS: [(&str, Invalidation); 4] = [
    ("page", |cache| cache.invalidate_page(TAG, PAGE)),
    ("range", |cache| cache.invalidate_range(TAG, VirtRange::pages(PAGE, 4))),
    ("tag", |cache| cache.invalidate_tag(TAG)),
    ("all", TranslationCache::invalidate_all),
];

#[test]
fn a_walk_from_before_any_invalidation_is_not_filled() {
    for (kind, invalidate) in INVALIDATIONS {
        for size in [PageSize::Size4K, PageSize::Size2M, PageSize::Size1G] {
            let (cache, mut port) = cache(64);
            let section = port.enter();
            let ticket = section.begin_fill(TAG);
            invalidate(&cache);
            assert!(!section.fill(ticket, PAGE, translation(0x40000, size)), "{kind}, {size:?}");
            assert_eq!(section.lookup(TAG, PAGE), None, "{kind}, {size:?}");
            let again = section.begin_fill(TAG);
            assert!(section.fill(again, PAGE, translation(0x40000, size)), "{kind}, {size:?}");
            assert_eq!(cache.statistics().discarded_fills, 1);
        }
    }
}

#[test]
fn another_tags_invalidation_discards_no_fill() {
    let (cache, mut port) = cache(64);
    let section = port.enter();
    let ticket = section.begin_fill(TAG);
    cache.invalidate_page(OTHER, PAGE);
    cache.invalidate_tag(OTHER);
    assert!(section.fill(ticket, PAGE, small(1)));
}

/// Fills, then ends as many generations as an entry can tell apart.
fn after_a_wrap(cache: TranslationCache) -> (Arc<TranslationCache>, Option<Translation>) {
    let cache = Arc::new(cache);
    let mut port = cache.port();
    fill(&mut port, TAG, PAGE, small(1));
    (0..GENERATIONS / 2).for_each(|_| cache.invalidate_tag(TAG));
    (0..GENERATIONS / 2).for_each(|_| cache.invalidate_all());
    let found = lookup(&mut port, TAG, PAGE);
    (cache, found)
}

#[test]
fn a_dead_entry_stays_dead_when_generations_wrap() {
    let (cache, found) = after_a_wrap(TranslationCache::new(3));
    assert_eq!(found, None);
    assert_eq!(cache.statistics().scrubs, 2);
}

#[test]
fn control_without_the_scrub_a_dead_entry_comes_alive() {
    let mut cache = TranslationCache::new(3);
    cache.generations = Generations::with_scrub_interval(u64::MAX).unwrap();
    assert_eq!(after_a_wrap(cache).1, Some(small(1)));
}

#[test]
fn a_ticket_from_a_whole_wrap_ago_is_refused() {
    let (cache, mut port) = cache(3);
    let section = port.enter();
    let ticket = section.begin_fill(TAG);
    (0..GENERATIONS).for_each(|_| cache.invalidate_tag(TAG));
    assert!(!section.fill(ticket, PAGE, small(1)));
}

#[test]
fn a_lookup_beside_a_writer_that_holds_the_set_is_a_miss() {
    let (cache, mut port) = cache(3);
    fill(&mut port, TAG, PAGE, small(1));
    let locked = cache.sets.get(0).lock();
    assert_eq!(lookup(&mut port, TAG, PAGE), None);
    drop(locked);
    assert_eq!(lookup(&mut port, TAG, PAGE), Some(small(1)));
}

#[test]
fn an_exact_invalidation_of_a_long_range_leaves_what_lies_outside() {
    let (_, mut port) = cache(4096);
    let long = 4 * RANGE_LIMIT_PAGES;
    for number in 0..=long {
        fill(&mut port, TAG, page(number), small(number));
    }
    fill(&mut port, OTHER, page(1), small(1));
    let large = VirtAddr(PAGE.0 & !(PageSize::Size1G.bytes() - 1));
    fill(&mut port, TAG, large, translation(0, PageSize::Size1G));
    port.cache().invalidate_exactly(TAG, VirtRange::pages(page(1), long - 1));
    assert_eq!(lookup(&mut port, TAG, page(0)), Some(small(0)));
    assert_eq!(lookup(&mut port, TAG, page(long)), Some(small(long)));
    assert_eq!(lookup(&mut port, OTHER, page(1)), Some(small(1)));
    assert!(
        (1..long).all(|number| lookup(&mut port, TAG, page(number)).is_none()),
        "the large page went too"
    );
}

#[test]
fn an_exact_invalidation_discards_a_fill_whose_walk_it_overtook() {
    let (cache, mut port) = cache(64);
    let section = port.enter();
    let ticket = section.begin_fill(TAG);
    cache.invalidate_exactly(TAG, VirtRange::pages(page(0), 2 * RANGE_LIMIT_PAGES));
    assert!(!section.fill(ticket, page(3), small(3)));
}

#[test]
fn a_second_look_finds_what_was_filled_after_the_first_and_what_the_first_left() {
    let (cache, mut port) = cache(4096);
    let long = 2 * RANGE_LIMIT_PAGES;
    let [first, second] = [0, long].map(|number| VirtRange::pages(page(number), long));
    fill(&mut port, TAG, page(0), small(1));
    fill(&mut port, TAG, page(long), small(2));
    fill(&mut port, OTHER, page(long), small(3));
    cache.invalidate_exactly(TAG, first);
    fill(&mut port, TAG, page(1), small(4));
    cache.invalidate_exactly(OTHER, first);
    assert_eq!(
        [0, 1, long].map(|number| lookup(&mut port, TAG, page(number)).is_some()),
        [false, true, true]
    );
    cache.invalidate_exactly(TAG, first);
    assert_eq!(lookup(&mut port, TAG, page(1)), None, "filled between two looks");
    cache.invalidate_exactly(TAG, second);
    assert_eq!(lookup(&mut port, TAG, page(long)), None, "noted by the look before");
    assert_eq!(lookup(&mut port, OTHER, page(long)), Some(small(3)));
    cache.invalidate_exactly(OTHER, VirtRange { start: VirtAddr(0), end: VirtAddr(u64::MAX) });
    assert_eq!(lookup(&mut port, OTHER, page(long)), None);
}

#[test]
fn an_exact_invalidation_takes_the_pages_at_both_ends_of_the_addresses() {
    let (cache, mut port) = cache(64);
    let ends = [0, (1 << 56) - PAGE_SIZE, u64::MAX << 56, 0u64.wrapping_sub(PAGE_SIZE)].map(VirtAddr);
    for size in [PageSize::Size4K, PageSize::Size2M, PageSize::Size1G] {
        ends.iter().for_each(|end| assert!(fill(&mut port, TAG, *end, translation(0x40000, size))));
        cache.invalidate_exactly(TAG, VirtRange { start: VirtAddr(0), end: VirtAddr(u64::MAX) });
        assert_eq!(ends.map(|end| lookup(&mut port, TAG, end)), [None; 4], "{size:?}");
    }
}

#[test]
fn a_cache_that_the_host_has_no_room_for_is_an_error_that_says_how_much_and_what_to_do() {
    let error = TranslationCache::try_new(usize::MAX / 4).expect_err("no host has that");
    assert_eq!(error.len_bytes, usize::MAX);
    let told = error.to_string();
    assert!(told.contains("for a translation cache") && told.contains("raise `ulimit -v`"), "{told}");
}
