//! Steps that the live machine has, and steps that it has not.

use steps::one_page::{ALLOCATE, CHANGE_PTE, CLEAR_PTE, OnePage, Page, RESTORE_PTE, Role, Step, put};
use steps::{
    Count, Depth, Emptied, EntryAt, EntryOf, Invalidation, Pages, Range, Scope, Section, Unanswered, Waited,
};

use super::{Execution, Stuck};
use crate::address::{Access, VirtAddr, VirtRange};
use crate::address_space::{AddressSpace, SpaceId, SpaceOptions};
use crate::area::{Backing, Merging};
use crate::frame::Frames;

const PAGE: VirtAddr = VirtAddr(0x4000_0000);

/// Takes one step of an operation on a page that is mapped.
fn take(step: Step) -> Result<(), Stuck> {
    let frames = Frames::new(4 << 20).unwrap();
    let space = AddressSpace::new(frames, SpaceId(1), SpaceOptions::default()).unwrap();
    space.map(VirtRange::pages(PAGE, 1), Backing::PrivateAnonymous, Merging::Off).unwrap();
    space.handle_fault(PAGE, Access::Write).unwrap();
    let slot = space.table().slot(PAGE).unwrap();
    let found = space.mapped_page(PAGE).unwrap();
    Execution::new(&space, PAGE, slot, found.entry, found.frame).step(step)
}

fn invalidate(emptied: Emptied<OnePage>, posted: bool) -> Step {
    Step::Invalidate(Invalidation { emptied, scope: Scope::All, posted })
}

#[test]
fn what_this_machine_has_not_is_refused_with_its_reason() {
    let page = Range::Page(Page, Depth::All);
    let absent = [
        Step::Enter(Section::Interrupts),
        Step::Leave(Section::Rcu),
        Step::IpiSync,
        Step::SynchronizeRcu,
        Step::InvWait(Waited::Own, Unanswered::Waits),
        Step::PageRequest(Page),
        Step::PageResponse(Page),
        Step::DrainRequests,
        Step::NotifyStart(Pages::To(Page, Page)),
        Step::NotifyEnd(Pages::To(Page, Page)),
        invalidate(Emptied::Cpus(Range::Pages(Page, Page, Depth::All)), false),
        Step::ZapSpte(Page),
        Step::Walk(Page),
        Step::Load(Page),
        Step::DmaRead(Page),
        Step::Read(Role::Old),
        invalidate(Emptied::Cpus(page), true),
        invalidate(Emptied::Vcpus(Pages::One(Page)), false),
        Step::Invalidate(Invalidation { emptied: Emptied::Cpus(page), scope: Scope::Own, posted: false }),
        invalidate(Emptied::Iotlbs(Page, Depth::All), false),
        invalidate(Emptied::DeviceTlbs(Page), false),
        Step::Count(Count::Alloc, Role::Old),
        Step::Count(Count::Get, Role::Old),
        Step::Count(Count::Free, Role::Old),
    ];
    for step in absent {
        let refused = take(step).expect_err("it is not live").to_string();
        assert!(refused.starts_with(&format!("`{step}` is not on the live machine: ")), "{refused}");
    }
}

#[test]
fn what_it_has_is_taken() {
    let read = Step::Entry(EntryAt::Pte(Page), EntryOf::Read);
    for step in [ALLOCATE, CHANGE_PTE, CLEAR_PTE, RESTORE_PTE, put(Role::Old), read, Step::Fence] {
        assert_eq!(take(step), Ok(()), "{step}");
    }
}
