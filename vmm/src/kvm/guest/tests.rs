//! The layout holds in the tables, without KVM.

use guest_images::layout::{CODE_VA, CONTROL_VA, DIRECT_VA};

use super::*;

fn built(vcpu_count: usize) -> (PhysicalMemory, GuestSpace) {
    let memory = PhysicalMemory::new(8 << 20).unwrap();
    let mut next = 16;
    let mut allocate = || {
        next += 3;
        Pfn(next)
    };
    let space = GuestSpace::build(&memory, &mut allocate, Program::Probe, vcpu_count);
    (memory, space)
}

#[test]
fn the_shadow_window_starts_with_nothing_mapped() {
    let (memory, space) = built(1);
    for page in VirtRange::pages(VirtAddr(AREA_VA), layout::AREA_PAGES).iter_pages() {
        assert_eq!(memory.load(space.leaf_entry(page).unwrap()), 0);
        assert_eq!(space.resolve(&memory, page), None);
    }
}

#[test]
fn a_leaf_entry_is_the_one_that_the_walk_uses() {
    let (memory, space) = built(1);
    let page = VirtAddr(AREA_VA + 5 * 0x1000);
    memory.store(space.leaf_entry(page).unwrap(), Pfn(7).address().0 | 1);
    assert_eq!(space.resolve(&memory, page.offset(0x18)), Some(Pfn(7).address().offset(0x18)));
}

#[test]
fn no_leaf_entry_lies_outside_the_window() {
    let (_, space) = built(1);
    assert_eq!(space.leaf_entry(VirtAddr(AREA_VA - 1)), None);
    assert_eq!(space.leaf_entry(VirtAddr(layout::FIXED_VA)), None);
    assert_eq!(area_page(VirtAddr(layout::FIXED_VA)), None);
    assert_eq!(area_page(VirtAddr(layout::FIXED_VA - 1)), Some(511));
}

#[test]
fn every_part_is_found_at_its_address() {
    let (memory, space) = built(2);
    assert_eq!(space.resolve(&memory, VirtAddr(CONTROL_VA)), Some(space.control()));
    for vcpu in VcpuId::first(2) {
        let stats = VirtAddr(layout::stats_va(vcpu.index() as u64));
        assert_eq!(space.resolve(&memory, stats), Some(space.stats(vcpu)));
        assert_eq!(space.resolve(&memory, direct(space.mailbox(vcpu))), Some(space.mailbox(vcpu)));
    }
    let end = memory.len_bytes() - 8;
    assert_eq!(space.resolve(&memory, VirtAddr(DIRECT_VA + end)), Some(PhysAddr(end)));
}

#[test]
fn the_program_lies_where_execution_starts() {
    let (memory, space) = built(1);
    let mut start = [0; 16];
    memory.read_bytes(space.resolve(&memory, VirtAddr(CODE_VA)).unwrap(), &mut start);
    assert_eq!(start, Program::Probe.code()[..16]);
}
