//! What a port fills in of a walk.

use std::sync::Arc;

use super::filled;
use crate::address::{PageSize, Pfn, VirtAddr, VirtRange};
use crate::address_space::{AddressSpace, SpaceId, SpaceOptions};
use crate::area::{Backing, Merging};
use crate::cache::{Permission, Tag, Translation, TranslationCache};
use crate::cpu::Cpu;
use crate::frame::Frames;

const TAG: Tag = Tag(1);
const PAGE: VirtAddr = VirtAddr(0x4000);
const FOUND: Translation =
    Translation { pfn: Pfn(7), size: PageSize::Size4K, permission: Permission::READ_WRITE, dirty: true };

/// What is cached of a walk during which `happens`.
fn cached_after(happens: fn(&TranslationCache)) -> Option<Translation> {
    let cache = Arc::new(TranslationCache::new(64));
    let mut port = cache.port();
    let section = port.enter();
    let walked = filled(&section, TAG, PAGE, || {
        happens(&cache);
        Ok(FOUND)
    });
    assert_eq!(walked, Ok(FOUND), "it may be used all the same");
    section.lookup(TAG, PAGE)
}

#[test]
fn what_is_invalidated_during_a_walk_is_not_filled_in() {
    assert_eq!(cached_after(|_| ()), Some(FOUND));
    assert_eq!(cached_after(|cache| cache.invalidate_page(TAG, PAGE)), None);
    assert_eq!(cached_after(|cache| cache.invalidate_tag(TAG)), None);
    assert_eq!(cached_after(TranslationCache::invalidate_all), None);
}

#[test]
fn a_store_through_a_translation_that_is_not_dirty_walks_again() {
    let frames = Frames::new(1 << 20).unwrap();
    let space = AddressSpace::new(frames, SpaceId(1), SpaceOptions::default()).unwrap();
    space.map(VirtRange::page(PAGE), Backing::PrivateAnonymous, Merging::Off).unwrap();
    let mut cpu = Cpu::new(0, Arc::clone(&space));
    cpu.load(PAGE).unwrap();
    let cached = cpu.cached(PAGE).unwrap();
    assert!(cached.permission.write && !cached.dirty, "{cached:?}");
    cpu.store(PAGE, 1).unwrap();
    assert!(space.entry(PAGE).is_dirty());
    assert!(cpu.cached(PAGE).unwrap().dirty);
}
