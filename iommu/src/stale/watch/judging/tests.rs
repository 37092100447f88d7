//! What is locked while a case is judged: nothing that software may be holding; what ends the waiting, and what came before.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use mmu::address::{Access, PAGE_SIZE, PageSize, Pfn, PhysAddr, VirtAddr};
use mmu::cache::{Tag, Translation};
use mmu::memory::PhysicalMemory;
use pcie::{Request, Requester, SourceId};

use super::Frames;
use crate::spec::descriptor::{Descriptor, EntryScope, Wait};
use crate::spec::fault::FaultReason;
use crate::spec::id::DomainId;
use crate::stale::watch::{Judging, Look, MOST_QUEUED, MOST_REPORTS, StaleOptions, Watch, Watching};
use crate::stale::{Change, Kind, Moment};
use crate::vtd::witness::{HeldIn, InterruptUse, Origin, Use, Walked};
use crate::vtd::{Path, SpaceKey, StageKind, Table, Trail, identity};

const START: Moment = Moment { event: 0, elapsed: Duration::ZERO };

/// A watch with a case that is due.
fn watch() -> Watch {
    let watch = watch_for(Duration::ZERO);
    watch.meet_interrupt(&used(START), &[]);
    watch
}

/// A watch whose cases are due when they were there for `patience`.
fn watch_for(patience: Duration) -> Watch {
    watch_with(Judging::Late(patience))
}

fn watch_with(judging: Judging) -> Watch {
    let memory = Arc::new(PhysicalMemory::new(2 << 20).unwrap());
    Watch::new(StaleOptions { watching: Watching::EveryUse, judging }, &memory).unwrap()
}

/// The use of an interrupt entry that was cached then, and is clear by now.
fn used(filled: Moment) -> InterruptUse {
    let (source, place) = (SourceId::new(0, 3, 0), PhysAddr(0));
    InterruptUse { source, index: 0, cached: [1, 0], filled, place, now: Some([0, 0]) }
}

const REQUESTER: Requester = Requester { source: SourceId::new(0, 3, 0), pasid: None };
const READ: Request = Request { pasid: None, address: VirtAddr(0), access: Access::Read };
const DENIED: Result<Translation, FaultReason> = Err(FaultReason::ReadNotAllowed);

/// A leaf that was cleared.
const CHANGE: Change = Change {
    table: Table::SecondStage { level: 1 },
    place: PhysAddr(0),
    leaf: true,
    was: 1,
    is: Some(0),
    read_at: 0,
};

fn origin() -> Origin {
    let space = SpaceKey { domain: DomainId(1), pasid: None, stage: StageKind::Second };
    Origin { requester: REQUESTER, space, route: Trail::default(), path: Path::identity() }
}

/// The same of a translation, which a walk found.
fn meet_walk(watch: &Watch) {
    meet_walk_at(watch, READ.address, &[]);
}

fn meet_walk_at(watch: &Watch, address: VirtAddr, queued: &[Descriptor]) {
    let (request, origin) = (&Request { address, ..READ }, origin());
    let (tag, outcome) = (Tag(1), Ok(identity(address)));
    let walked = Walked { requester: REQUESTER, request, tag, began: 1, origin, outcome };
    watch.meet_walk(&walked, Kind::Translation, CHANGE, DENIED, queued);
}

#[test]
fn the_queue_is_looked_at_with_nothing_locked() {
    for is_end in [false, true] {
        let watch = watch();
        let mut was_free = None;
        watch.judge(is_end, || {
            was_free = Some(watch.state.try_lock().is_some());
            Vec::new()
        });
        assert_eq!(
            (was_free, watch.count()),
            (Some(true), 1),
            "whoever writes a register may wait for the state"
        );
    }
}

#[test]
fn the_queue_is_not_looked_at_for_nothing() {
    let watch = watch();
    watch.judge(false, Vec::new);
    watch.judge(false, || panic!("nothing is due"));
    watch.judge(true, || panic!("nothing is left"));
}

/// Whoever stops the whole program stops software, too, which may be about to invalidate.
#[test]
fn time_in_which_nobody_looked_counts_half_the_patience_at_most() {
    const PATIENCE: Duration = Duration::from_millis(20);
    let interrupt = |watch: &Watch| watch.meet_interrupt(&used(START), &[]);
    for meet in [interrupt, meet_walk] {
        let watch = watch_for(PATIENCE);
        meet(&watch);
        sleep(PATIENCE * 2);
        watch.judge(false, || panic!("nothing is due"));
        assert_eq!(watch.count(), 0, "stopped");
        sleep(PATIENCE * 2);
        watch.judge(false, Vec::new);
        assert_eq!(watch.count(), 1, "looked at twice, half the patience apart");
    }
}

/// Between the look at an entry and the case the queue may run.
#[test]
fn what_was_invalidated_since_an_interrupt_entry_was_cached_counts_and_nothing_before() {
    let receive = |watch: &Watch| watch.received_of_entries(EntryScope::Global, true, 1, |_| None);
    let watch = watch_for(Duration::MAX);
    receive(&watch);
    watch.waited();
    watch.meet_interrupt(&used(START), &[]);
    assert_eq!(watch.tally().kept, 0, "it is over");

    let watch = watch_for(Duration::MAX);
    receive(&watch);
    watch.meet_interrupt(&used(START), &[]);
    assert_eq!(watch.tally().open, 1, "nobody has waited for it");
    watch.waited();
    assert_eq!(watch.tally().dropped, 1);

    let watch = watch_for(Duration::MAX);
    receive(&watch);
    watch.waited();
    watch.meet_interrupt(&used(watch.next_event()), &[]);
    watch.waited();
    assert_eq!(watch.tally().open, 1, "it was cached since");
}

#[test]
fn a_use_of_what_another_has_the_place_of_by_now_is_not_looked_at() {
    let [old, new] = [0, PAGE_SIZE].map(|address| identity(VirtAddr(address)));
    for (hit, is_known) in [(old, false), (new, true)] {
        let watch = watch_for(Duration::MAX);
        watch.filled_iotlb(Tag(1), READ.address, new, origin());
        let (route, stages) = (&Trail::default(), Path::identity().stages);
        let used =
            Use { requester: REQUESTER, request: &READ, held_in: HeldIn::Iotlb(Tag(1)), hit, route, stages };
        assert_eq!(matches!(watch.look(&used), Look::Unchanged(_)), is_known);
        watch.meet_use(&used, CHANGE, DENIED, &[]);
        assert_eq!(watch.tally().kept, u64::from(is_known));
    }
}

#[test]
fn reports_that_nobody_takes_are_bounded_and_so_is_what_they_list_as_queued() {
    let watch = watch_with(Judging::AtOnce);
    let queued = [Descriptor::Wait(Wait::default()); MOST_QUEUED + 5];
    let uses = u16::try_from(MOST_REPORTS).unwrap() + 5;
    for index in 0..uses {
        meet_walk_at(&watch, VirtAddr(u64::from(index) * PAGE_SIZE), &queued);
        watch.meet_interrupt(&InterruptUse { index, ..used(START) }, &queued);
    }
    assert_eq!(watch.count(), u64::from(uses) * 2);
    let (walks, interrupts) = (watch.take(), watch.take_interrupts());
    assert_eq!((walks.len(), interrupts.len()), (MOST_REPORTS, MOST_REPORTS));
    assert!(walks.iter().all(|report| report.queued.len() == MOST_QUEUED));
    assert!(interrupts.iter().all(|report| report.queued.len() == MOST_QUEUED));
}

#[test]
fn the_last_frame_of_all_is_a_frame_like_others() {
    let of = |pfn, size| Frames::of(Translation { pfn: Pfn(pfn), size, ..identity(VirtAddr(0)) });
    let (last, large) = (of((1 << 52) - 1, PageSize::Size4K), of((1 << 52) - 512, PageSize::Size2M));
    assert_eq!((last.first, last.last), (Pfn((1 << 52) - 1), Pfn((1 << 52) - 1)));
    assert!(last.overlap(large) && large.overlap(last) && large.contain(PhysAddr(u64::MAX)));
    assert!(!last.overlap(of(0, PageSize::Size4K)) && !large.contain(PhysAddr(0)));
}
