//! A zap against an access of a vCPU that is in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{GUEST, SoftwareShadow};
use crate::address::{Access, VirtAddr, VirtRange};
use crate::address_space::{AddressSpace, SpaceId, SpaceOptions};
use crate::area::{Backing, Merging};
use crate::frame::Frames;
use crate::notifier::MmuNotifier;
use crate::port::Context;
use crate::shadow::{Retry, ShadowMmu};
use crate::trace::Unobserved;

const PAGE: VirtAddr = VirtAddr(0x4000_0000);

#[test]
fn a_zap_waits_for_the_access_of_a_vcpu() {
    let frames = Frames::new(4 << 20).unwrap();
    let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), SpaceOptions::default()).unwrap();
    let window = VirtRange::pages(PAGE, 1);
    space.map(window, Backing::PrivateAnonymous, Merging::Off).unwrap();
    let hardware = SoftwareShadow::new(frames).unwrap();
    let slots = hardware.slots(window).unwrap();
    let shadow = ShadowMmu::new(&space, Arc::clone(&hardware) as _, window, slots, Retry::BySequence);
    space.notifiers().subscribe(Arc::clone(&shadow) as Arc<dyn MmuNotifier>);
    let mut vcpu = hardware.vcpu(0, Arc::clone(&shadow), Arc::new(Unobserved)).unwrap();
    while vcpu.load(PAGE).unwrap().is_none() {}

    let context = Context { tag: GUEST, root: hardware.table.root() };
    let in_flight = vcpu.port.translate(context, PAGE, Access::Read).unwrap();
    let tlb = Arc::clone(&hardware.tlbs.read()[0]);
    let zapped = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            shadow.clear_young(window);
            zapped.store(true, Ordering::SeqCst);
        });
        while tlb.draining() == 0 {
            assert!(!zapped.load(Ordering::SeqCst), "the vCPU still uses the page");
            thread::yield_now();
        }
        drop(in_flight);
    });
    assert_eq!(vcpu.cached(PAGE), None);
}
