//! Faults, COW, fork and what they leave in TLBs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use steps::operation::cow;
use steps::program::Program;

use super::{AddressSpace, FaultError, SpaceId, SpaceOptions};
use crate::address::{Access, PAGE_SIZE, VirtAddr, VirtRange};
use crate::area::{Backing, Merging, SharedObject};
use crate::cache::TranslationCache;
use crate::cpu::Cpu;
use crate::frame::Frames;
use crate::notifier::MmuNotifier;
use crate::port::{Context, Port};
use crate::table::Levels;
use crate::trace::{Agent, Unobserved};

const PAGE: VirtAddr = VirtAddr(0x4000_0000);

fn space_with(break_cow: Program) -> Arc<AddressSpace> {
    let frames = Frames::new(4 << 20).unwrap();
    let options = SpaceOptions { break_cow, ..SpaceOptions::default() };
    let space = AddressSpace::new(frames, SpaceId(1), options).unwrap();
    space.map(VirtRange::pages(PAGE, 8), Backing::PrivateAnonymous, Merging::Off).unwrap();
    space
}

fn space() -> Arc<AddressSpace> {
    space_with(cow::wp_page_copy())
}

#[test]
fn a_first_touch_finds_zeroes_and_keeps_what_is_stored() {
    let mut cpu = Cpu::new(0, space());
    assert_eq!(cpu.load(PAGE).unwrap().value, 0);
    cpu.store(PAGE.offset(8), 7).unwrap();
    assert_eq!(cpu.load(PAGE.offset(8)).unwrap().value, 7);
}

#[test]
fn an_address_outside_every_area_is_refused() {
    let space = space();
    let address = PAGE.offset(8 * PAGE_SIZE);
    let refused = space.handle_fault(address, Access::Read);
    assert_eq!(refused, Err(FaultError::NoArea { address }));
}

#[test]
fn parent_and_child_do_not_see_each_others_stores() {
    let parent = space();
    let mut cpu = Cpu::new(0, Arc::clone(&parent));
    cpu.store(PAGE, 1).unwrap();
    let child = parent.fork(SpaceId(2)).unwrap();
    let mut other = Cpu::new(1, Arc::clone(&child));
    let shared = cpu.load(PAGE).unwrap().frame;
    assert_eq!(other.load(PAGE).unwrap().frame, shared, "nobody wrote yet");
    cpu.store(PAGE, 2).unwrap();
    other.store(PAGE, 3).unwrap();
    assert_eq!((cpu.load(PAGE).unwrap().value, other.load(PAGE).unwrap().value), (2, 3));
}

#[test]
fn the_last_owner_of_a_page_writes_in_place() {
    let parent = space();
    let mut cpu = Cpu::new(0, Arc::clone(&parent));
    let before = cpu.store(PAGE, 1).unwrap().frame;
    drop(parent.fork(SpaceId(2)).unwrap());
    assert!(!parent.entry(PAGE).is_writable(), "fork write-protected it");
    assert_eq!(cpu.store(PAGE, 2).unwrap().frame, before);
}

#[test]
fn a_page_that_somebody_holds_is_copied_rather_than_written_in_place() {
    let parent = space();
    let mut cpu = Cpu::new(0, Arc::clone(&parent));
    cpu.store(PAGE, 1).unwrap();
    drop(parent.fork(SpaceId(2)).unwrap());
    let held = parent.mapped_page(PAGE).unwrap();
    assert_ne!(cpu.store(PAGE, 2).unwrap().frame, held.frame.pfn());
    assert_eq!(parent.frames().memory().load(held.frame.pfn().address()), 1);
}

#[test]
fn the_old_frame_is_freed_when_the_child_goes() {
    let parent = space();
    let mut cpu = Cpu::new(0, Arc::clone(&parent));
    let old = cpu.store(PAGE, 1).unwrap().frame;
    let child = parent.fork(SpaceId(2)).unwrap();
    let new = cpu.store(PAGE, 2).unwrap().frame;
    assert_ne!(old, new);
    assert!(!parent.frames().is_free(old));
    drop(child);
    assert!(parent.frames().is_free(old));
}

#[test]
fn shared_memory_is_shared_across_fork_and_not_copied() {
    let parent = space();
    let object = Backing::Shared(Arc::new(SharedObject::default()));
    let page = PAGE.offset(0x20_0000);
    parent.map(VirtRange::page(page), object, Merging::Off).unwrap();
    let child = parent.fork(SpaceId(2)).unwrap();
    Cpu::new(0, Arc::clone(&parent)).store(page, 5).unwrap();
    assert_eq!(Cpu::new(1, child).load(page).unwrap().value, 5);
}

/// A reader that filled its TLB before COW was broken, and what it reads afterwards.
fn read_after_cow(break_cow: Program) -> u64 {
    let space = space_with(break_cow);
    let (mut reader, mut writer) = (Cpu::new(0, Arc::clone(&space)), Cpu::new(1, Arc::clone(&space)));
    writer.store(PAGE, 1).unwrap();
    let _child = space.fork(SpaceId(2)).unwrap();
    assert_eq!(reader.load(PAGE).unwrap().value, 1);
    writer.store(PAGE, 2).unwrap();
    reader.load(PAGE).unwrap().value
}

#[test]
fn a_tlb_that_is_not_flushed_shows_the_old_page() {
    assert_eq!(read_after_cow(cow::wp_page_copy()), 2);
    let order = |name| cow::orders().into_iter().find(|order| order.name == name).unwrap().program;
    assert_eq!(read_after_cow(order("no-flush")), 1, "the positive control");
}

#[test]
fn a_flush_does_not_return_while_a_cpu_is_in_an_access_through_the_old_translation() {
    let space = space();
    Cpu::new(0, Arc::clone(&space)).store(PAGE, 1).unwrap();
    let tlb = Arc::new(TranslationCache::new(8));
    space.add_tlb(Arc::clone(&tlb));
    let mut port = Port::new(&tlb, Arc::clone(space.frames()), Agent::Cpu(1), Arc::new(Unobserved));
    let context = Context { tag: space.id().tag(), root: space.table().root() };
    let in_flight = port.translate(context, PAGE, Access::Read).unwrap();
    let returned = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            space.flush_tlb(VirtRange::page(PAGE));
            returned.store(true, Ordering::SeqCst);
        });
        while tlb.draining() == 0 {
            assert!(!returned.load(Ordering::SeqCst), "it returned without waiting");
            std::thread::yield_now();
        }
        assert!(!returned.load(Ordering::SeqCst));
        assert_eq!(in_flight.load().value, 1);
    });
    assert!(returned.load(Ordering::SeqCst));
}

#[test]
fn all_frames_come_back_when_the_last_space_goes() {
    let parent = space();
    let frames = Arc::clone(parent.frames());
    let mut cpu = Cpu::new(0, Arc::clone(&parent));
    for page in 0..8 {
        cpu.store(PAGE.offset(page * PAGE_SIZE), page).unwrap();
    }
    let child = parent.fork(SpaceId(2)).unwrap();
    cpu.store(PAGE, 9).unwrap();
    drop(cpu);
    drop(parent);
    drop(child);
    assert_eq!(frames.free_count(), frames.memory().frame_count() - 1, "frame 0 is never handed out");
}

#[test]
fn five_levels_reach_beyond_48_bits() {
    let frames = Frames::new(4 << 20).unwrap();
    let high = VirtAddr(0x00f0_0000_0000_0000);
    let map = |levels| {
        let options = SpaceOptions { levels, ..SpaceOptions::default() };
        let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), options).unwrap();
        let mapped = space.map(VirtRange::page(high), Backing::PrivateAnonymous, Merging::Off);
        (space, mapped.is_ok())
    };
    assert!(!map(Levels::Four).1);
    let (space, mapped) = map(Levels::Five);
    assert!(mapped);
    let mut cpu = Cpu::new(0, space);
    cpu.store(high, 4).unwrap();
    assert_eq!(cpu.load(high).unwrap().value, 4);
}

#[test]
fn overlapping_and_misaligned_areas_are_refused() {
    let space = space();
    for range in [
        VirtRange::page(PAGE),
        VirtRange { start: PAGE, end: PAGE },
        VirtRange { start: VirtAddr(0x1001), end: VirtAddr(0x2000) },
        VirtRange::page(VirtAddr(0x8000_0000_0000)),
    ] {
        assert!(space.map(range, Backing::PrivateAnonymous, Merging::Off).is_err(), "{range:?}");
    }
}

#[test]
fn two_cpus_that_break_the_same_page_lose_nothing() {
    let space = space();
    let mut first = Cpu::new(0, Arc::clone(&space));
    for round in 0..200_u64 {
        first.store(PAGE, round).unwrap();
        let child = space.fork(SpaceId(2)).unwrap();
        std::thread::scope(|scope| {
            for word in 1..3 {
                let space = &space;
                scope.spawn(move || {
                    Cpu::new(1, Arc::clone(space)).store(PAGE.offset(word * 8), round).unwrap();
                });
            }
        });
        for word in 0..3 {
            assert_eq!(first.load(PAGE.offset(word * 8)).unwrap().value, round);
        }
        drop(child);
    }
}

#[test]
fn secondaries_are_told_of_release_before_the_pages_go() {
    struct Watch {
        frames: Arc<Frames>,
        free_at_release: AtomicU64,
    }
    impl MmuNotifier for Watch {
        fn release(&self) {
            self.free_at_release.store(self.frames.free_count(), Ordering::SeqCst);
        }
    }
    let space = space();
    let frames = Arc::clone(space.frames());
    Cpu::new(0, Arc::clone(&space)).store(PAGE, 1).unwrap();
    let before = frames.free_count();
    let watch = Arc::new(Watch { frames, free_at_release: AtomicU64::new(0) });
    space.notifiers().subscribe(Arc::clone(&watch) as Arc<dyn MmuNotifier>);
    drop(space);
    assert_eq!(watch.free_at_release.load(Ordering::SeqCst), before);
}
