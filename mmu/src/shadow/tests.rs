//! The shadow page table against its primary.

use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use super::{Retry, ShadowError, ShadowHardware, ShadowMmu, ShadowPage, SoftwareShadow};
use crate::address::{Access, PAGE_SIZE, VirtAddr, VirtRange};
use crate::address_space::{AddressSpace, SpaceId, SpaceOptions};
use crate::area::{Backing, Merging};
use crate::cpu::Cpu;
use crate::frame::Frames;
use crate::notifier::{Blocking, Invalidation, InvalidationKind, MmuNotifier, SubscriptionId};
use crate::pte::Pte;
use crate::shadow::SoftwareVcpu;
use crate::trace::{Agent, Unobserved};

const PAGE: VirtAddr = VirtAddr(0x4000_0000);

struct Guest {
    space: Arc<AddressSpace>,
    shadow: Arc<ShadowMmu>,
    hardware: Arc<SoftwareShadow>,
    subscription: SubscriptionId,
    cpu: Cpu,
}

fn guest(retry: Retry) -> Guest {
    let frames = Frames::new(4 << 20).unwrap();
    let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), SpaceOptions::default()).unwrap();
    let window = VirtRange::pages(PAGE, 8);
    space.map(window, Backing::PrivateAnonymous, Merging::Off).unwrap();
    let hardware = SoftwareShadow::new(frames).unwrap();
    let slots = hardware.slots(window).unwrap();
    let shadow = ShadowMmu::new(&space, Arc::clone(&hardware) as _, window, slots, retry);
    let subscription = space.notifiers().subscribe(Arc::clone(&shadow) as Arc<dyn MmuNotifier>);
    let cpu = Cpu::new(0, Arc::clone(&space));
    Guest { space, shadow, hardware, subscription, cpu }
}

impl Guest {
    fn vcpu(&self) -> SoftwareVcpu {
        self.hardware.vcpu(0, Arc::clone(&self.shadow), Arc::new(Unobserved)).unwrap()
    }
}

fn load(vcpu: &mut SoftwareVcpu, address: VirtAddr) -> u64 {
    loop {
        if let Some(accessed) = vcpu.load(address).unwrap() {
            return accessed.value;
        }
    }
}

fn store(vcpu: &mut SoftwareVcpu, address: VirtAddr, value: u64) {
    while vcpu.store(address, value).unwrap().is_none() {}
}

#[test]
fn a_guest_sees_what_the_host_writes_and_the_other_way_round() {
    let mut guest = guest(Retry::BySequence);
    let mut vcpu = guest.vcpu();
    guest.cpu.store(PAGE, 3).unwrap();
    assert_eq!(load(&mut vcpu, PAGE), 3);
    store(&mut vcpu, PAGE, 4);
    assert_eq!(guest.cpu.load(PAGE).unwrap().value, 4);
}

#[test]
fn the_shadow_is_never_more_permissive_than_the_primary() {
    let mut guest = guest(Retry::BySequence);
    let mut vcpu = guest.vcpu();
    guest.cpu.store(PAGE, 1).unwrap();
    store(&mut vcpu, PAGE, 2);
    assert!(guest.shadow.installed(PAGE).is_writable());
    let _child = guest.space.fork(SpaceId(2)).unwrap();
    assert_eq!(guest.shadow.installed(PAGE), Pte::NONE, "fork zapped it");
    assert_eq!(load(&mut vcpu, PAGE), 2);
    assert!(!guest.shadow.installed(PAGE).is_writable());
}

#[test]
fn a_guests_store_leaves_the_primary_entry_dirty() {
    let mut guest = guest(Retry::BySequence);
    let mut vcpu = guest.vcpu();
    guest.cpu.load(PAGE).unwrap();
    assert_eq!(load(&mut vcpu, PAGE), 0);
    let entry = guest.space.entry(PAGE);
    assert!(entry.is_writable() && !entry.is_dirty(), "nobody stored yet");
    assert!(!guest.shadow.installed(PAGE).is_writable(), "else the store would pass unseen");
    store(&mut vcpu, PAGE, 1);
    assert!(guest.space.entry(PAGE).is_dirty());
    assert!(guest.shadow.installed(PAGE).is_writable());
}

#[test]
fn a_guests_store_breaks_cow_and_nobody_keeps_the_old_page() {
    let mut guest = guest(Retry::BySequence);
    let (mut writer, mut reader) = (guest.vcpu(), guest.vcpu());
    guest.cpu.store(PAGE, 1).unwrap();
    let _child = guest.space.fork(SpaceId(2)).unwrap();
    let old = guest.cpu.load(PAGE).unwrap().frame;
    assert_eq!(load(&mut reader, PAGE), 1);
    store(&mut writer, PAGE, 2);
    assert_eq!(load(&mut reader, PAGE), 2);
    let now = guest.cpu.load(PAGE).unwrap();
    assert_eq!(now.value, 2);
    assert_ne!(now.frame, old);
}

/// COW is broken between the two halves of a guest's fault. What is installed afterwards, and what is mapped?
fn fault_across_a_cow_break(retry: Retry) -> (Pte, Pte) {
    let mut guest = guest(retry);
    guest.cpu.store(PAGE, 1).unwrap();
    let _child = guest.space.fork(SpaceId(2)).unwrap();
    let pending = guest.shadow.begin_fault(PAGE, Access::Read).unwrap();
    guest.cpu.store(PAGE, 2).unwrap();
    let installed = guest.shadow.finish_fault(&pending, Agent::Vcpu(0), |_| {});
    assert_eq!(installed, retry == Retry::Never);
    (guest.shadow.installed(PAGE), guest.space.entry(PAGE))
}

#[test]
fn without_the_sequence_retry_a_fault_installs_a_stale_mapping() {
    let (installed, _) = fault_across_a_cow_break(Retry::BySequence);
    assert_eq!(installed, Pte::NONE);
    let (stale, mapped) = fault_across_a_cow_break(Retry::Never);
    assert!(stale.is_present());
    assert_ne!(stale.pfn(), mapped.pfn(), "the shadow shows the old frame for good");
}

/// COW is broken after a guest's fault has looked the page up, and before it has anything in hand. Whether it may
/// install what it found, and what is mapped by then.
fn fault_whose_page_goes_behind_its_look_up(retry: Retry) -> (bool, Pte, Pte) {
    let mut guest = guest(retry);
    guest.cpu.store(PAGE, 1).unwrap();
    let _child = guest.space.fork(SpaceId(2)).unwrap();
    let cpu = &mut guest.cpu;
    let pending = guest.shadow.begin_fault_by(PAGE, |space| {
        let found = space.page(PAGE, Access::Read)?;
        cpu.store(PAGE, 2)?;
        Ok(found)
    });
    let installs = guest.shadow.finish_fault(&pending.unwrap(), Agent::Vcpu(0), |_| {});
    (installs, guest.shadow.installed(PAGE), guest.space.entry(PAGE))
}

#[test]
fn what_is_invalidated_behind_the_look_up_is_not_installed() {
    let (installs, installed, _) = fault_whose_page_goes_behind_its_look_up(Retry::BySequence);
    assert_eq!((installs, installed), (false, Pte::NONE));
    let (installs, stale, mapped) = fault_whose_page_goes_behind_its_look_up(Retry::Never);
    assert!(installs);
    assert_ne!(stale.pfn(), mapped.pfn(), "the old frame, for good");
}

#[test]
fn a_fault_whose_own_look_up_breaks_cow_is_tried_again() {
    let mut guest = guest(Retry::BySequence);
    guest.cpu.store(PAGE, 1).unwrap();
    let _child = guest.space.fork(SpaceId(2)).unwrap();
    for installs in [false, true] {
        let pending = guest.shadow.begin_fault(PAGE, Access::Write).unwrap();
        assert_eq!(guest.shadow.finish_fault(&pending, Agent::Vcpu(0), |_| {}), installs);
    }
}

#[test]
fn a_fault_waits_for_an_invalidation_of_its_own_page_only() {
    let mut guest = guest(Retry::BySequence);
    guest.cpu.store(PAGE, 1).unwrap();
    let other = PAGE.offset(PAGE_SIZE);
    guest.cpu.store(other, 1).unwrap();
    let open = guest.space.notifiers().start(clearing(VirtRange::page(PAGE))).unwrap();
    let concerned = guest.shadow.begin_fault(PAGE, Access::Read).unwrap();
    let unconcerned = guest.shadow.begin_fault(other, Access::Read).unwrap();
    assert!(!guest.shadow.finish_fault(&concerned, Agent::Vcpu(0), |_| {}));
    assert!(guest.shadow.finish_fault(&unconcerned, Agent::Vcpu(0), |_| {}));
    open.end();
    assert!(!guest.shadow.finish_fault(&concerned, Agent::Vcpu(0), |_| {}), "the sequence moved");
    let again = guest.shadow.begin_fault(PAGE, Access::Read).unwrap();
    assert!(guest.shadow.finish_fault(&again, Agent::Vcpu(0), |_| {}));
}

#[test]
fn an_entry_of_another_frame_is_taken_away_from_all_vcpus_before_it_is_replaced() {
    let mut guest = guest(Retry::BySequence);
    let (mut one, mut other) = (guest.vcpu(), guest.vcpu());
    guest.cpu.store(PAGE, 1).unwrap();
    let _child = guest.space.fork(SpaceId(2)).unwrap();
    assert_eq!((load(&mut one, PAGE), load(&mut other, PAGE)), (1, 1));
    // Nobody tells the shadow of this break.
    guest.space.notifiers().unsubscribe(guest.subscription);
    guest.cpu.store(PAGE, 2).unwrap();
    assert_eq!(load(&mut other, PAGE), 1, "stale, as nobody has told it");
    store(&mut one, PAGE, 3);
    assert_eq!(load(&mut other, PAGE), 3, "one shadow entry stands for both");
}

fn clearing(pages: VirtRange) -> Invalidation {
    Invalidation { range: pages, kind: InvalidationKind::Clear, blocking: Blocking::Allowed }
}

#[test]
fn a_fault_waits_for_every_invalidation_of_its_page_that_is_in_progress() {
    let guest = guest(Retry::BySequence);
    let chain = guest.space.notifiers();
    let [first, last] = [VirtRange::page(PAGE), VirtRange::pages(PAGE.offset(4 * PAGE_SIZE), 4)];
    let installs = |page: u64| {
        let pending = guest.shadow.begin_fault(PAGE.offset(page * PAGE_SIZE), Access::Read).unwrap();
        guest.shadow.finish_fault(&pending, Agent::Vcpu(0), |_| {})
    };
    for (outer, inner) in [(first, last), (last, first)] {
        let outer = chain.start(clearing(outer)).unwrap();
        let inner = chain.start(clearing(inner)).unwrap();
        assert_eq!([0, 4, 7].map(installs), [false; 3]);
        inner.end();
        assert_eq!([0, 4, 7].map(installs), [false; 3], "one is still open, which of them is not known");
        outer.end();
        assert_eq!([0, 4, 7].map(installs), [true; 3]);
        guest.shadow.release();
    }
}

#[test]
fn an_entry_that_is_replaced_in_place_overtakes_a_fault() {
    let mut guest = guest(Retry::BySequence);
    guest.cpu.store(PAGE, 1).unwrap();
    let pending = guest.shadow.begin_fault(PAGE, Access::Read).unwrap();
    guest.space.notifiers().change_pte(PAGE, guest.space.entry(PAGE));
    assert!(!guest.shadow.finish_fault(&pending, Agent::Vcpu(0), |_| {}));
    assert_eq!(guest.shadow.installed(PAGE), Pte::NONE);
}

/// Looks at each zap whether faults are held up by then.
#[derive(Default)]
struct Looking {
    shadow: OnceLock<Weak<ShadowMmu>>,
    seen: Mutex<Vec<bool>>,
}

impl ShadowHardware for Looking {
    fn zap(&self, _: &[ShadowPage]) {
        let shadow = self.shadow.get().and_then(Weak::upgrade).unwrap();
        self.seen.lock().push(shadow.is_invalidating());
    }
}

#[test]
fn a_start_counts_itself_in_before_it_zaps() {
    let mut guest = guest(Retry::BySequence);
    let window = VirtRange::pages(PAGE, 8);
    let hardware = Arc::new(Looking::default());
    let slots = guest.hardware.slots(window).unwrap();
    let shadow = ShadowMmu::new(&guest.space, Arc::clone(&hardware) as _, window, slots, Retry::BySequence);
    hardware.shadow.set(Arc::downgrade(&shadow)).unwrap();
    guest.cpu.store(PAGE, 1).unwrap();
    let pending = shadow.begin_fault(PAGE, Access::Read).unwrap();
    assert!(shadow.finish_fault(&pending, Agent::Vcpu(0), |_| {}));
    let invalidation = clearing(VirtRange::page(PAGE));
    shadow.invalidate_range_start(&invalidation).unwrap();
    assert_eq!(*hardware.seen.lock(), [true], "else a fault gets in behind the zap");
    shadow.invalidate_range_end(&invalidation);
}

#[test]
fn change_pte_finds_nothing_between_start_and_end() {
    let mut guest = guest(Retry::BySequence);
    let mut vcpu = guest.vcpu();
    guest.cpu.store(PAGE, 1).unwrap();
    load(&mut vcpu, PAGE);
    let entry = guest.space.entry(PAGE);
    guest.space.notifiers().change_pte(PAGE, entry);
    assert_eq!(guest.shadow.installed(PAGE), Pte::NONE, "outside of a range it drops the entry");
    assert_eq!(load(&mut vcpu, PAGE), 1);
}

#[test]
fn young_is_what_was_used_since_it_was_cleared() {
    let mut guest = guest(Retry::BySequence);
    let mut vcpu = guest.vcpu();
    guest.cpu.store(PAGE, 1).unwrap();
    let chain = guest.space.notifiers();
    assert!(!chain.test_young(PAGE));
    load(&mut vcpu, PAGE);
    assert!(chain.test_young(PAGE));
    assert!(chain.clear_young(VirtRange::page(PAGE)));
    assert!(!chain.test_young(PAGE));
    load(&mut vcpu, PAGE);
    assert!(chain.clear_flush_young(VirtRange::page(PAGE)));
    assert!(!chain.clear_flush_young(VirtRange::page(PAGE)));
}

#[test]
fn leaving_the_window_is_an_error_with_both() {
    let guest = guest(Retry::BySequence);
    let outside = PAGE.offset(8 * PAGE_SIZE);
    let error = guest.shadow.begin_fault(outside, Access::Read).unwrap_err();
    assert!(matches!(error, ShadowError::OutsideWindow { address, .. } if address == outside));
}

#[test]
fn the_end_of_the_address_space_ends_the_guests_use_of_it() {
    let Guest { space, shadow, hardware, mut cpu, .. } = guest(Retry::BySequence);
    let mut vcpu = hardware.vcpu(0, Arc::clone(&shadow), Arc::new(Unobserved)).unwrap();
    cpu.store(PAGE, 1).unwrap();
    load(&mut vcpu, PAGE);
    drop(cpu);
    drop(space);
    assert_eq!(shadow.installed(PAGE), Pte::NONE);
    assert_eq!(vcpu.load(PAGE), Err(ShadowError::Ended));
}
