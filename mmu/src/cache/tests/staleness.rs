//! The cache with real threads: who uses a page after it was freed.
//!
//! A page has two frames; one of them is mapped, the other one poisoned. A flip maps the other frame, and
//! poisons the old one once nobody can be using it. A user that finds poison behind its translation used it stale.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::{CachePort, PAGE, TAG, TranslationCache, cache, fill, small};

const FLIPS: u64 = 2000;
const USERS: usize = 2;

/// One page-table entry and the two frames it may name.
#[derive(Default)]
struct World {
    entry: AtomicU64,
    poisoned: [AtomicBool; 2],
    uses: [AtomicU64; USERS],
    stop: AtomicBool,
}

impl World {
    fn frame(&self, pfn: u64) -> &AtomicBool {
        &self.poisoned[usize::try_from(pfn).unwrap()]
    }

    /// Translates, by a walk after a miss, then uses: true if the frame had been freed.
    fn use_page(&self, port: &mut CachePort) -> bool {
        let section = port.enter();
        let pfn = section.lookup(TAG, PAGE).map_or_else(
            || {
                let ticket = section.begin_fill(TAG);
                let pfn = self.entry.load(Ordering::Acquire);
                section.fill(ticket, PAGE, small(pfn));
                pfn
            },
            |found| found.pfn.0,
        );
        self.frame(pfn).load(Ordering::Relaxed)
    }

    /// Maps the other frame, in the right order of steps.
    fn flip(&self, cache: &TranslationCache, invalidate: fn(&TranslationCache)) {
        let old = self.entry.load(Ordering::Relaxed);
        self.frame(1 - old).store(false, Ordering::Relaxed);
        self.entry.store(1 - old, Ordering::Release);
        invalidate(cache);
        cache.drain();
        self.frame(old).store(true, Ordering::Relaxed);
    }

    fn run_user(&self, port: &mut CachePort, uses: &AtomicU64) -> u64 {
        let mut stale = 0;
        while !self.stop.load(Ordering::Relaxed) {
            stale += u64::from(self.use_page(port));
            uses.fetch_add(1, Ordering::Relaxed);
        }
        stale
    }
}

/// Flips the page under running users; returns how many uses were stale.
fn stale_uses(invalidate: fn(&TranslationCache)) -> u64 {
    let (cache, _) = cache(3);
    let world = World::default();
    world.poisoned[1].store(true, Ordering::Relaxed);
    thread::scope(|scope| {
        let users = world.uses.each_ref().map(|uses| {
            let (world, mut port) = (&world, cache.port());
            scope.spawn(move || world.run_user(&mut port, uses))
        });
        while world.uses.iter().any(|uses| uses.load(Ordering::Relaxed) == 0) {
            thread::yield_now();
        }
        (0..FLIPS).for_each(|_| world.flip(&cache, invalidate));
        world.stop.store(true, Ordering::Relaxed);
        users.into_iter().map(|user| user.join().unwrap()).sum()
    })
}

#[test]
fn nobody_uses_a_page_after_a_page_invalidation_and_its_drain() {
    assert_eq!(stale_uses(|cache| cache.invalidate_page(TAG, PAGE)), 0);
}

#[test]
fn nobody_uses_a_page_after_a_tag_invalidation_and_its_drain() {
    assert_eq!(stale_uses(|cache| cache.invalidate_tag(TAG)), 0);
}

#[test]
fn nobody_uses_a_page_after_a_full_invalidation_and_its_drain() {
    assert_eq!(stale_uses(TranslationCache::invalidate_all), 0);
}

#[test]
fn control_without_the_invalidation_the_old_page_is_used() {
    let (cache, mut port) = cache(3);
    let world = World::default();
    assert!(!world.use_page(&mut port));
    world.flip(&cache, |_| ());
    assert!(world.use_page(&mut port), "the stale entry must hit");
}

#[test]
fn control_without_the_drain_the_old_page_is_used() {
    let (cache, mut port) = cache(3);
    fill(&mut port, TAG, PAGE, small(0));
    let section = port.enter();
    let found = section.lookup(TAG, PAGE).unwrap();
    let world = World::default();
    world.entry.store(1, Ordering::Release);
    cache.invalidate_page(TAG, PAGE);
    world.frame(0).store(true, Ordering::Relaxed);
    assert!(world.frame(found.pfn.0).load(Ordering::Relaxed), "the access in flight must see the free");
    assert_eq!(section.lookup(TAG, PAGE), None, "and a new lookup must not");
}

#[test]
fn a_drain_waits_for_an_open_section() {
    let (cache, mut port) = cache(3);
    let drained = AtomicBool::new(false);
    let section = port.enter();
    thread::scope(|scope| {
        scope.spawn(|| {
            cache.drain();
            drained.store(true, Ordering::SeqCst);
        });
        while cache.draining() == 0 {
            thread::yield_now();
        }
        assert!(!drained.load(Ordering::SeqCst));
        drop(section);
    });
    assert!(drained.load(Ordering::SeqCst));
}

#[test]
fn a_drain_does_not_wait_for_an_idle_or_paused_port() {
    let (cache, mut idle) = cache(3);
    let mut paused = Arc::clone(&cache).port();
    drop(idle.enter());
    drop(paused.enter());
    paused.pause();
    cache.drain();
    assert_eq!(cache.draining(), 0);
}
