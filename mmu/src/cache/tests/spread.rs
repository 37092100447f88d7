//! Where pages go: those of several tags, and those that lie far apart, keep what a cache of their number can keep.
//!
//! Invariant: a share is of all pages that were filled, counted behind the last fill. A cache of 1,024 pages has 512
//! sets of three: by chance alone 0.89 of as many pages would be kept.

use super::{PAGE_SIZE, Tag, TranslationCache, VirtAddr, cache, fill, small};

const TAGS: u64 = 16;
const PAGES_EACH: u64 = 64;
/// Distances in pages.
const STRIDES: [u64; 4] = [1, 2, 8, 512];

/// Which page of a tag is its `number`th.
type Layout = fn(tag: u64, number: u64) -> u64;

/// Every tag has the same pages.
fn alike(_: u64, number: u64) -> u64 {
    number
}

/// A page of one tag follows one of another.
fn interleaved(tag: u64, number: u64) -> u64 {
    number * TAGS + tag
}

/// How many of the pages are there when all were filled.
fn kept(layout: Layout, stride: u64) -> u64 {
    let (cache, mut port) = cache(usize::try_from(TAGS * PAGES_EACH).unwrap());
    let pages = (0..PAGES_EACH).flat_map(|number| (0..TAGS).map(move |tag| (tag, number)));
    let place = |(tag, number): (u64, u64)| {
        (Tag(u16::try_from(tag).unwrap()), VirtAddr(layout(tag, number) * stride * PAGE_SIZE))
    };
    for page in pages.clone() {
        let (tag, address) = place(page);
        assert!(fill(&mut port, tag, address, small(page.0 * PAGES_EACH + page.1)));
    }
    let is_kept = |cache: &TranslationCache, (tag, address)| cache.contains(tag, address).is_some();
    pages.filter(|page| is_kept(&cache, place(*page))).count() as u64
}

#[test]
fn pages_of_many_tags_keep_their_places_at_every_stride() {
    for (name, layout) in [("alike", alike as Layout), ("interleaved", interleaved)] {
        for stride in STRIDES {
            let kept = kept(layout, stride);
            assert!(kept * 20 >= TAGS * PAGES_EACH * 19, "{name}, {stride} pages apart: {kept} of 1024");
        }
    }
}

#[test]
fn neighbouring_pages_of_one_tag_all_have_a_place() {
    let (cache, mut port) = cache(1024);
    (0..1024)
        .for_each(|number| assert!(fill(&mut port, Tag(1), VirtAddr(number * PAGE_SIZE), small(number))));
    assert!((0..1024).all(|number| cache.contains(Tag(1), VirtAddr(number * PAGE_SIZE)).is_some()));
}
