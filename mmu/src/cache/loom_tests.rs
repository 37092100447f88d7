//! The cache under loom: no interleaving and no reordering that C11 allows lets an old translation in again; and each
//! part of the protocol, left out, is missed.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::entry::{Key, Value};
use super::set::Set;
use super::{CachePort, Permission, RANGE_LIMIT_PAGES, Tag, Translation, TranslationCache};
use crate::address::{PageSize, Pfn, VirtAddr, VirtRange};

const TAG: Tag = Tag(1);
const PAGE: VirtAddr = VirtAddr(0x20_3000);
const OLD: u64 = 1;
const NEW: u64 = 2;

/// A part of the protocol left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Weakness {
    /// A fill does not compare its ticket.
    NoRecheck,
    /// An invalidation is taken for complete when it is issued.
    NoDrain,
}

type Invalidate = fn(&TranslationCache);

fn page(cache: &TranslationCache) {
    cache.invalidate_page(TAG, PAGE);
}

fn long_range(cache: &TranslationCache) {
    cache.invalidate_exactly(TAG, VirtRange::pages(VirtAddr(0), 2 * RANGE_LIMIT_PAGES));
}

fn tag(cache: &TranslationCache) {
    cache.invalidate_tag(TAG);
}

fn model(check: impl Fn() + Sync + Send + 'static) {
    model_with(2, check);
}

fn model_with(preemptions: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(check);
}

fn translation(pfn: u64, size: PageSize) -> Translation {
    Translation { pfn: Pfn(pfn), size, permission: Permission::READ_ONLY, dirty: false }
}

/// One page-table entry, its old frame and a cache of one set.
struct World {
    cache: Arc<TranslationCache>,
    entry: AtomicU64,
    /// loom reports a use of the frame that does not happen before its free.
    old_frame: UnsafeCell<()>,
}

impl World {
    fn new(weakness: Option<Weakness>) -> Arc<Self> {
        let cache = TranslationCache { weakness, ..TranslationCache::new(3) };
        let entry = AtomicU64::new(OLD);
        Arc::new(Self { cache: Arc::new(cache), entry, old_frame: UnsafeCell::new(()) })
    }

    /// Walks and fills; returns the frame found.
    fn walk(&self, port: &mut CachePort, size: PageSize) -> u64 {
        let section = port.enter();
        let ticket = section.begin_fill(TAG);
        let pfn = self.entry.load(Ordering::Relaxed);
        section.fill(ticket, PAGE, translation(pfn, size));
        pfn
    }

    /// Uses the page if it is cached.
    fn use_cached(&self, port: &mut CachePort) {
        let section = port.enter();
        if section.lookup(TAG, PAGE).is_some_and(|found| found.pfn == Pfn(OLD)) {
            self.old_frame.with(|_| ());
        }
    }

    /// Uses the page through a walk, as a miss does.
    fn use_walked(&self, port: &mut CachePort) {
        let section = port.enter();
        let ticket = section.begin_fill(TAG);
        let pfn = self.entry.load(Ordering::Relaxed);
        section.fill(ticket, PAGE, translation(pfn, PageSize::Size4K));
        if pfn == OLD {
            self.old_frame.with(|_| ());
        }
    }
}

/// A walk races with a change of the entry; afterwards the old frame must not be cached.
fn fill_against(invalidate: Invalidate, size: PageSize, weakness: Option<Weakness>) {
    model(move || {
        let world = World::new(weakness);
        let mut port = world.cache.port();
        let other = Arc::clone(&world);
        let walker = thread::spawn(move || {
            other.walk(&mut port, size);
            port
        });
        world.entry.store(NEW, Ordering::Relaxed);
        invalidate(&world.cache);
        drop(walker.join());
        let found = world.cache.contains(TAG, PAGE);
        assert!(found.is_none_or(|found| found.pfn != Pfn(OLD)), "the old frame was filled after all");
    });
}

#[test]
fn a_fill_cannot_outlive_a_page_invalidation() {
    fill_against(page, PageSize::Size4K, None);
}

#[test]
fn the_first_fill_of_a_large_page_cannot_outlive_a_page_invalidation() {
    fill_against(page, PageSize::Size2M, None);
}

#[test]
fn a_fill_cannot_outlive_a_tag_invalidation() {
    fill_against(tag, PageSize::Size4K, None);
}

#[test]
fn a_fill_cannot_outlive_the_invalidation_of_a_long_range() {
    fill_against(long_range, PageSize::Size4K, None);
}

/// A walk begins while the cache is looked at, which is full of fills: the next look must know of its fill.
#[test]
fn a_fill_cannot_outlive_a_second_look_at_the_cache() {
    model_with(3, || {
        let world = World::new(None);
        let mut port = world.cache.port();
        world.walk(&mut port, PageSize::Size4K);
        let other = Arc::clone(&world);
        let walker = thread::spawn(move || {
            other.walk(&mut port, PageSize::Size4K);
            port
        });
        long_range(&world.cache);
        world.entry.store(NEW, Ordering::Relaxed);
        long_range(&world.cache);
        drop(walker.join());
        let found = world.cache.contains(TAG, PAGE);
        assert!(found.is_none_or(|found| found.pfn != Pfn(OLD)), "the second look missed a fill");
    });
}

#[test]
#[should_panic(expected = "the old frame was filled after all")]
fn control_a_fill_without_the_comparison_is_found_out() {
    fill_against(page, PageSize::Size4K, Some(Weakness::NoRecheck));
}

#[test]
#[should_panic(expected = "the old frame was filled after all")]
fn control_a_large_fill_without_the_comparison_is_found_out() {
    fill_against(page, PageSize::Size2M, Some(Weakness::NoRecheck));
}

/// A user with the page cached races with a free of the old frame.
fn use_against(invalidate: Invalidate, weakness: Option<Weakness>, access: fn(&World, &mut CachePort)) {
    model(move || {
        let world = World::new(weakness);
        let mut port = world.cache.port();
        world.walk(&mut port, PageSize::Size4K);
        let other = Arc::clone(&world);
        let user = thread::spawn(move || {
            access(&other, &mut port);
            port
        });
        world.entry.store(NEW, Ordering::Relaxed);
        invalidate(&world.cache);
        world.cache.drain();
        world.old_frame.with_mut(|_| ());
        drop(user.join());
    });
}

#[test]
fn a_hit_never_uses_a_frame_freed_after_page_invalidation_and_drain() {
    use_against(page, None, World::use_cached);
}

#[test]
fn a_hit_never_uses_a_frame_freed_after_tag_invalidation_and_drain() {
    use_against(tag, None, World::use_cached);
}

#[test]
fn a_walk_never_uses_a_frame_freed_after_page_invalidation_and_drain() {
    use_against(page, None, World::use_walked);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn control_without_the_drain_a_use_is_found_out() {
    use_against(page, Some(Weakness::NoDrain), World::use_cached);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn control_without_the_drain_a_walk_is_found_out() {
    use_against(page, Some(Weakness::NoDrain), World::use_walked);
}

/// Two pages take turns in the ways of one set, while a reader looks for both.
fn read_against_replacement(unchecked: bool) {
    model(move || {
        let set = Arc::new(Set::default());
        set.unchecked.store(unchecked, Ordering::Relaxed);
        let store = |set: &Set, pfn: u64| {
            let value = Value::new(translation(pfn, PageSize::Size4K), 0);
            if let (Some(key), Some(value)) = (key(pfn), value) {
                set.lock().install(key, value, |_, _| true);
            }
        };
        store(&set, OLD);
        let other = Arc::clone(&set);
        let reader = thread::spawn(move || {
            for pfn in [OLD, NEW] {
                let Some(key) = key(pfn) else { return };
                let value = other.read(key);
                let right = value.translation(PageSize::Size4K).pfn == Pfn(pfn);
                assert!(value == Value::NOTHING || right, "key and value of two fills");
            }
        });
        if let Some(key) = key(OLD) {
            set.lock().remove(key);
        }
        store(&set, NEW);
        if let Err(panic) = reader.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn key(pfn: u64) -> Option<Key> {
    Key::new(TAG, VirtAddr(pfn * 0x1000), PageSize::Size4K)
}

#[test]
fn a_read_never_mixes_two_fills() {
    read_against_replacement(false);
}

#[test]
#[should_panic(expected = "key and value of two fills")]
fn control_a_read_that_ignores_the_sequence_is_found_out() {
    read_against_replacement(true);
}
