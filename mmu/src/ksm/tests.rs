//! Merging, breaking, and what must not be merged.

use std::sync::{Arc, OnceLock};

use steps::one_page::{Condition, RANGE_START};
use steps::operation::ksm;
use steps::program::Line;

use super::{Ksm, Scanned};
use crate::address::{PAGE_SIZE, VirtAddr, VirtRange};
use crate::address_space::{AddressSpace, SpaceId, SpaceOptions};
use crate::area::{Backing, Merging};
use crate::cpu::Cpu;
use crate::frame::{FrameState, Frames};
use crate::live::{Execution, Outcome};
use crate::trace::{Event, Observer};

const PAGE: VirtAddr = VirtAddr(0x4000_0000);
const PAGES: u64 = 8;

struct Fixture {
    space: Arc<AddressSpace>,
    ksm: Ksm,
    cpu: Cpu,
}

fn page(number: u64) -> VirtAddr {
    PAGE.offset(number * PAGE_SIZE)
}

fn fixture() -> Fixture {
    let frames = Frames::new(4 << 20).unwrap();
    let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), SpaceOptions::default()).unwrap();
    space.map(VirtRange::pages(PAGE, PAGES), Backing::PrivateAnonymous, Merging::Mergeable).unwrap();
    let cpu = Cpu::new(0, Arc::clone(&space));
    Fixture { ksm: Ksm::new(frames), space, cpu }
}

impl Fixture {
    fn frame(&self, number: u64) -> crate::address::Pfn {
        self.space.entry(page(number)).pfn()
    }

    /// All pages hold `value`, and two rounds were made.
    fn merge_all(&mut self, value: u64) {
        for number in 0..PAGES {
            self.cpu.store(page(number), value).unwrap();
        }
        self.ksm.scan(&self.space).unwrap();
        self.ksm.scan(&self.space).unwrap();
    }
}

#[test]
fn pages_of_equal_contents_end_in_one_frame() {
    let mut fixture = fixture();
    let before = fixture.space.frames().free_count();
    fixture.merge_all(7);
    let frame = fixture.frame(0);
    assert!((1..PAGES).all(|number| fixture.frame(number) == frame));
    assert_eq!(fixture.space.frames().state(frame), FrameState::Ksm);
    assert_eq!(fixture.space.frames().mapcount(frame), 8);
    // One frame of data, and the tables above it.
    assert_eq!(before - fixture.space.frames().free_count(), 1 + 3);
    assert_eq!(fixture.ksm.statistics().merged, PAGES - 1);
}

#[test]
fn a_page_is_remembered_until_it_is_merged() {
    let mut fixture = fixture();
    for number in 0..PAGES {
        fixture.cpu.store(page(number), number.min(PAGES - 3)).unwrap();
    }
    let remembered = |fixture: &Fixture| {
        fixture.ksm.scan(&fixture.space).unwrap();
        fixture.ksm.indexes.lock().last.len() as u64
    };
    assert_eq!(remembered(&fixture), PAGES);
    // The last three are equal and merge; of the third nobody has taken the checksum again.
    assert_eq!(remembered(&fixture), PAGES - 1);
    assert_eq!(remembered(&fixture), PAGES - 3);
}

#[test]
fn a_store_breaks_one_page_out_and_leaves_the_others() {
    let mut fixture = fixture();
    fixture.merge_all(7);
    let merged = fixture.frame(0);
    fixture.cpu.store(page(3), 8).unwrap();
    assert_ne!(fixture.frame(3), merged);
    assert_eq!(fixture.cpu.load(page(3)).unwrap().value, 8);
    assert_eq!(fixture.cpu.load(page(2)).unwrap().value, 7);
    assert_eq!(fixture.space.frames().mapcount(merged), 7);
}

#[test]
fn even_the_last_mapping_of_a_ksm_page_is_copied_on_a_store() {
    let mut fixture = fixture();
    fixture.merge_all(7);
    let merged = fixture.frame(0);
    for number in 0..PAGES {
        fixture.cpu.store(page(number), number).unwrap();
        assert_ne!(fixture.frame(number), merged);
    }
    assert!(fixture.space.frames().is_free(merged));
}

#[test]
fn unmerge_gives_every_page_its_own_frame_again() {
    let mut fixture = fixture();
    fixture.merge_all(7);
    for number in 0..PAGES {
        fixture.ksm.unmerge(&fixture.space, page(number)).unwrap();
        assert_eq!(fixture.space.frames().state(fixture.frame(number)), FrameState::Anonymous);
        assert_eq!(fixture.cpu.load(page(number)).unwrap().value, 7);
    }
}

#[test]
fn a_page_that_changes_between_two_rounds_is_left_alone() {
    let mut fixture = fixture();
    for round in 0..4 {
        for number in 0..2 {
            fixture.cpu.store(page(number), round).unwrap();
            assert_eq!(fixture.ksm.scan_page(&fixture.space, page(number)).unwrap(), Scanned::Changing);
        }
    }
    assert_ne!(fixture.frame(0), fixture.frame(1));
}

#[test]
fn a_page_somebody_else_holds_is_not_merged_and_stays_writable() {
    let mut fixture = fixture();
    for number in 0..2 {
        fixture.cpu.store(page(number), 7).unwrap();
    }
    let held = fixture.space.mapped_page(page(1)).unwrap();
    for _ in 0..3 {
        fixture.ksm.scan(&fixture.space).unwrap();
    }
    assert_ne!(fixture.frame(0), fixture.frame(1));
    assert!(fixture.space.entry(page(1)).is_writable(), "the entry was put back");
    assert!(fixture.ksm.statistics().abandoned > 0);
    drop(held);
    fixture.ksm.scan(&fixture.space).unwrap();
    assert_eq!(fixture.frame(0), fixture.frame(1));
}

#[test]
fn pages_of_two_address_spaces_merge() {
    let mut fixture = fixture();
    let frames = Arc::clone(fixture.space.frames());
    let other = AddressSpace::new(frames, SpaceId(2), SpaceOptions::default()).unwrap();
    other.map(VirtRange::page(PAGE), Backing::PrivateAnonymous, Merging::Mergeable).unwrap();
    fixture.cpu.store(PAGE, 9).unwrap();
    Cpu::new(1, Arc::clone(&other)).store(PAGE, 9).unwrap();
    for _ in 0..2 {
        for space in [&fixture.space, &other] {
            fixture.ksm.scan_page(space, PAGE).unwrap();
        }
    }
    assert_eq!(fixture.frame(0), other.entry(PAGE).pfn());
}

#[test]
fn pages_that_differ_are_not_merged_whatever_their_checksums_say() {
    let mut fixture = fixture();
    fixture.cpu.store(page(0), 1).unwrap();
    fixture.cpu.store(page(1), 2).unwrap();
    let [target, found] = [0, 1].map(|number| fixture.space.mapped_page(page(number)).unwrap());
    let slot = fixture.space.table().slot(page(1)).unwrap();
    let execution = Execution::new(&fixture.space, page(1), slot, found.entry, found.frame);
    let outcome = execution.with_new(target.frame).run(&ksm::merge()).unwrap();
    assert_eq!(outcome, Outcome::Abandoned(Condition::SameContent));
    assert_eq!(fixture.cpu.load(page(1)).unwrap().value, 2);
}

/// Somebody who stores to a page when its merge has compared the contents and not yet replaced it.
#[derive(Default)]
struct Intruder {
    space: OnceLock<std::sync::Weak<AddressSpace>>,
    compared: std::sync::atomic::AtomicBool,
}

impl Observer for Intruder {
    fn record(&self, event: Event) {
        use crate::trace::Action::Line as Did;
        if matches!(event.action, Did { line: Line::Check(Condition::SameContent, _), held: true, .. }) {
            self.compared.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }

    fn before(&self, page: VirtAddr, line: &Line) {
        let after = self.compared.swap(false, std::sync::atomic::Ordering::SeqCst);
        if after && *line == Line::Step(RANGE_START) {
            let space = self.space.get().and_then(std::sync::Weak::upgrade).unwrap();
            Cpu::new(1, space).store(page, 9).unwrap();
        }
    }
}

#[test]
fn a_store_between_the_compare_and_the_replacement_is_not_lost() {
    let frames = Frames::new(4 << 20).unwrap();
    let intruder = Arc::new(Intruder::default());
    let options = SpaceOptions { observer: Arc::clone(&intruder) as _, ..SpaceOptions::default() };
    let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), options).unwrap();
    space.map(VirtRange::pages(PAGE, 2), Backing::PrivateAnonymous, Merging::Mergeable).unwrap();
    let _set = intruder.space.set(Arc::downgrade(&space));
    let mut cpu = Cpu::new(0, Arc::clone(&space));
    let ksm = Ksm::new(frames);
    for number in 0..2 {
        cpu.store(page(number), 7).unwrap();
    }
    ksm.scan(&space).unwrap();
    ksm.scan(&space).unwrap();
    assert_eq!(ksm.statistics().merged, 0, "the store came in between");
    assert_eq!(cpu.load(page(1)).unwrap().value, 9);
}

#[test]
fn a_ksm_page_of_the_same_checksum_and_other_contents_is_passed_over() {
    let mut fixture = fixture();
    fixture.merge_all(7);
    let (like, frames) = (fixture.frame(0), Arc::clone(fixture.space.frames()));
    // As if contents had collided: a KSM page that is another one comes first under that checksum.
    let unlike = frames.allocate(FrameState::Ksm).unwrap();
    let checksum = frames.memory().checksum(like);
    fixture.ksm.indexes.lock().stable.get_mut(&checksum).unwrap().insert(0, unlike.pfn());
    fixture.cpu.store(page(3), 8).unwrap();
    fixture.cpu.store(page(3), 7).unwrap();
    assert_eq!(fixture.ksm.scan_page(&fixture.space, page(3)), Ok(Scanned::Merged(like)));
}

#[test]
fn a_page_that_two_spaces_share_already_is_no_candidate_for_itself() {
    let mut fixture = fixture();
    fixture.cpu.store(PAGE, 7).unwrap();
    let child = fixture.space.fork(SpaceId(2)).unwrap();
    for _ in 0..2 {
        for space in [&fixture.space, &child] {
            let seen = fixture.ksm.scan_page(space, PAGE).unwrap();
            assert!(matches!(seen, Scanned::Changing | Scanned::Alone), "{seen:?}");
        }
    }
    assert_eq!(fixture.space.frames().state(fixture.frame(0)), FrameState::Anonymous);
}
