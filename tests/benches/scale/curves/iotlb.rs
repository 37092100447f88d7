//! The translation cache: with more pages, more address spaces, more devices that use it.
//!
//! Invariant: lookups that are timed hit.

use std::sync::Arc;

use mmu::address::{PAGE_SIZE, PageSize, Pfn, VirtAddr};
use mmu::cache::{CachePort, Permission, Tag, Translation, TranslationCache};
use tests_support::measure::fit::Law;
use tests_support::measure::round::turn;

use crate::curve::{Curve, Work};

const LOOKUPS: usize = 65536;
const MAPPINGS: &[u64] = &[64, 512, 4096, 32768, 262_144, 2_097_152, 16_777_216];

pub(crate) fn curves() -> Vec<Curve> {
    let mappings = |name, what, at| Curve {
        name,
        what,
        size: "pages",
        should_be: Law::Constant,
        sizes: MAPPINGS,
        small: 4,
        at,
    };
    vec![
        mappings("mappings-hit", "a hit of the IOTLB", hit_of_pages),
        mappings("mappings-invalidate", "one page invalidated and drained", invalidate_page),
        mappings("mappings-forget", "a whole tag invalidated and drained", invalidate_tag),
        Curve {
            name: "pasids-hit",
            what: "a hit of the IOTLB, with as many address spaces",
            size: "PASIDs",
            should_be: Law::Constant,
            sizes: &[1, 8, 64, 512, 4096, 65535],
            small: 4,
            at: hit_of_tags,
        },
        Curve {
            name: "devices-drain",
            what: "an invalidation drained, with as many devices that idle",
            size: "devices",
            should_be: Law::Linear,
            sizes: &[1, 2, 4, 8, 16, 32, 64],
            small: 5,
            at: drain_of_devices,
        },
    ]
}

fn fill(port: &mut CachePort, tag: Tag, page: u64) {
    let section = port.enter();
    let ticket = section.begin_fill(tag);
    let pfn = Pfn(page & 0xff_ffff);
    let translation =
        Translation { pfn, size: PageSize::Size4K, permission: Permission::READ_WRITE, dirty: true };
    section.fill(ticket, VirtAddr(page * PAGE_SIZE), translation);
}

/// (tag, page) of each lookup that hits.
fn hits(cache: &Arc<TranslationCache>, wanted: impl Fn(u64) -> (Tag, u64)) -> Vec<(Tag, VirtAddr)> {
    let mut random = fastrand::Rng::with_seed(1);
    let looked = (0..LOOKUPS).map(|_| wanted(random.u64(..)));
    let found: Vec<_> = looked
        .map(|(tag, page)| (tag, VirtAddr(page * PAGE_SIZE)))
        .filter(|(tag, at)| cache.contains(*tag, *at).is_some())
        .collect();
    // What lost its place to a conflict has to be walked for by anybody.
    assert!(found.len() * 10 > LOOKUPS * 7, "{} of {LOOKUPS} pages are in the cache", found.len());
    found
}

fn sweep(cache: &Arc<TranslationCache>, hits: Vec<(Tag, VirtAddr)>) -> Work {
    let mut port = cache.port();
    Box::new(move || {
        turn(hits.len(), || {
            let found = |(tag, address): &(Tag, VirtAddr)| {
                port.enter().lookup(*tag, *address).map_or(0, |found| found.pfn.0)
            };
            hits.iter().map(found).fold(0, u64::wrapping_add)
        })
    })
}

fn filled(pages: u64) -> Arc<TranslationCache> {
    // Twice as many places: a full cache loses entries to conflicts.
    let cache = Arc::new(TranslationCache::new(usize::try_from(pages * 2).unwrap_or(usize::MAX)));
    let mut port = cache.port();
    (0..pages).for_each(|page| fill(&mut port, Tag(5), page));
    cache
}

fn hit_of_pages(pages: u64) -> Work {
    let cache = filled(pages);
    let found = hits(&cache, |random| (Tag(5), random % pages));
    sweep(&cache, found)
}

fn hit_of_tags(tags: u64) -> Work {
    const PAGES: u64 = 65536 * 4;
    // As many pages in all, shared out; each address space begins at the same address.
    let each = PAGES / tags;
    let cache = Arc::new(TranslationCache::new(usize::try_from(PAGES * 2).unwrap_or(usize::MAX)));
    let mut port = cache.port();
    let place = move |number: u64| {
        let tag = u16::try_from(number / each % tags).unwrap_or_default();
        (Tag(tag), number % each)
    };
    for number in 0..each * tags {
        let (tag, page) = place(number);
        fill(&mut port, tag, page);
    }
    let found = hits(&cache, |random| place(random % (each * tags)));
    sweep(&cache, found)
}

fn invalidate_page(pages: u64) -> Work {
    let cache = filled(pages);
    let mut port = cache.port();
    port.pause();
    let mut page = 0;
    Box::new(move || {
        const TIMES: u64 = 64;
        (0..TIMES).for_each(|number| fill(&mut port, Tag(5), (page + number * 7919) % pages));
        port.pause();
        let turn = turn(64, || {
            for number in 0..TIMES {
                cache.invalidate_page(Tag(5), VirtAddr((page + number * 7919) % pages * PAGE_SIZE));
                cache.drain();
            }
            0
        });
        page += TIMES;
        turn
    })
}

fn invalidate_tag(pages: u64) -> Work {
    let cache = filled(pages);
    Box::new(move || {
        turn(1024, || {
            for _ in 0..1024 {
                cache.invalidate_tag(Tag(5));
                cache.drain();
            }
            0
        })
    })
}

fn drain_of_devices(devices: u64) -> Work {
    let cache = filled(64);
    let ports: Vec<CachePort> = (0..devices).map(|_| cache.port()).collect();
    Box::new(move || {
        assert_eq!(ports.len() as u64, devices, "they are registered as long as they live");
        turn(1024, || {
            (0..1024).for_each(|_| cache.drain());
            0
        })
    })
}
