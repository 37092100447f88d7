//! Two faults on one page: the second finds the entry filled.

use std::sync::Arc;

use crate::address::{Access, VirtAddr, VirtRange};
use crate::address_space::{AddressSpace, SpaceId, SpaceOptions};
use crate::area::{Backing, Merging};
use crate::frame::{FrameState, Frames};

const PAGE: VirtAddr = VirtAddr(0x4000_0000);

#[test]
fn whoever_is_slower_drops_his_frame() {
    let frames = Frames::new(2 << 20).unwrap();
    let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), SpaceOptions::default()).unwrap();
    space.map(VirtRange::page(PAGE), Backing::PrivateAnonymous, Merging::Off).unwrap();
    let slot = space.table().ensure_slot(PAGE).unwrap();
    let free = frames.free_count();
    let [faster, slower] = [(); 2].map(|()| frames.allocate(FrameState::Anonymous).unwrap());
    let mapped = faster.pfn();
    space.map_first(slot, faster, Access::Write);
    space.map_first(slot, slower, Access::Write);
    assert_eq!(space.entry(PAGE).pfn(), mapped);
    assert_eq!((frames.mapcount(mapped), frames.free_count()), (1, free - 1));
}
