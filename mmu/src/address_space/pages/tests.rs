//! A look-up without a lock, while the entry changes.

use std::sync::Arc;

use crate::address::{VirtAddr, VirtRange};
use crate::address_space::{AddressSpace, SpaceId, SpaceOptions};
use crate::area::{Backing, Merging};
use crate::cpu::Cpu;
use crate::frame::Frames;

const PAGE: VirtAddr = VirtAddr(0x4000_0000);

#[test]
fn a_frame_that_the_entry_left_while_it_was_taken_hold_of_is_not_the_pages() {
    let frames = Frames::new(2 << 20).unwrap();
    let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), SpaceOptions::default()).unwrap();
    space.map(VirtRange::page(PAGE), Backing::PrivateAnonymous, Merging::Off).unwrap();
    let mut cpu = Cpu::new(0, Arc::clone(&space));
    cpu.store(PAGE, 1).unwrap();
    let _child = space.fork(SpaceId(2)).unwrap();
    let (mut holds, mut first) = (0, None);
    let found = space.mapped_page_held_by(PAGE, |pfn| {
        holds += 1;
        first.get_or_insert(pfn);
        if holds == 1 {
            cpu.store(PAGE, 2).unwrap();
        }
        frames.try_reference(pfn)
    });
    let found = found.unwrap();
    assert_ne!(Some(found.frame.pfn()), first, "COW gave it a frame of its own meanwhile");
    assert_eq!((found.entry, holds), (space.entry(PAGE), 2));
    assert_eq!(found.frame.pfn(), found.entry.pfn());
}
