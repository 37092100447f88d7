//! That the machine's state is held against the model's place by place: what is changed behind the back of both is found.

use std::sync::atomic::Ordering;

use iommu::vtd::Vtd;
use mmu::address::{Access, PhysAddr};
use mmu::pte::Pte;
use ordering::lowering::{FrameId, Hop, PageId, PasidId, PmdId, Target, UserId, load};
use steps::{LockMode, Section};

use super::*;
use crate::unit::requests::{SOURCE, domain, of_domain};

const D: UserId = UserId(0);
const A: PageId = PageId(0);

/// Everything is used once, so that the model has a variable for it.
const DEVICE: &str = "scenario s\nmm P, Q\npage A in P under M\nframe f = 0, g = 1\ntable T\npmd M -> T\nmap A -> f rw\n\
                      device D ats context E\ncontext E -> P\nagent d on D\n  dma_read A; page_request A\n\
                      agent k\n  set_context_low E -> Q; set_context_high E -> Q; set_pmd M -> none; context_inv E\n  \
                      iotlb_inv A post; devtlb_inv A; page_response A; inv_wait\n";
const PASID: &str = "scenario s\nmm P, Q\npage A in P\nframe f\nmap A -> f rw\ndevice D pasid X\npasid X -> P\n\
                     agent d on D\n  dma_read A\nagent k\n  set_pasid X -> Q\n  pasid_inv X\n";
const KERNEL: &str = "scenario s\npage A\nframe f = 1, g = 2 free\nmap A -> f rw\ncpu C\nvar x = 0..3\nagent a on C\n  load A; irq_off; irq_on\n\
                      agent k\n  lock L; pte_clear A; put f; alloc g; unlock L; gup_fast A => h; put h; x = 1; synchronize_rcu\n  \
                      write f = 2; lock L shared; unlock L\n";
const VCPU: &str = "scenario s\npage A\nframe f\nmap A -> f rw\nvcpu V\nagent v on V\n  load A\n\
                    agent k\n  notify_start A; set_pte A -> none; notify_end A\n";

/// Whether the change is found, at the place of that name.
#[track_caller]
fn is_found(text: &str, place: &str, change: impl Fn(&Machine)) {
    let loaded = load(text).unwrap_or_else(|wrong| panic!("{wrong:?} in\n{text}"));
    let lowered = &loaded[0].1;
    let steered = Steered::new(lowered, machine(lowered));
    steered.reset().expect("the machine is like the model at the start");
    let state = State::initial(&lowered.model);
    assert_eq!(steered.compare(&state), Ok(()));
    change(steered.machine());
    match steered.compare(&state) {
        Err(Difference::State { place: found, .. }) => assert_eq!(found, place),
        other => panic!("{place} is changed, and nobody notices: {other:?}"),
    }
}

/// Sets or clears bits of a word in memory.
fn flip(machine: &Machine, place: PhysAddr, bits: u64) {
    machine.memory.store(place, machine.memory.load(place) ^ bits);
}

fn unit(machine: &Machine) -> &Vtd {
    &machine.users[0].unit.as_ref().expect("the device has a unit").unit
}

fn hop(machine: &Machine, target: Target, hop: Hop) {
    machine.hop((UserId(0), A), target, hop, Access::Read).expect("the hop can be taken");
}

#[test]
fn a_bit_of_an_entry_that_the_scenario_does_not_mention_is_found() {
    for bits in [Pte::SPECIAL, Pte::UFFD_WP, Pte::NO_EXECUTE, Pte::USER, Pte::WRITE, 1 << 20] {
        is_found(KERNEL, "pte[A]", |machine| flip(machine, machine.layout.page(A).slot, bits));
    }
    is_found(DEVICE, "pmd[M]", |machine| flip(machine, machine.layout.pmd(PmdId(0)), Pte::NO_EXECUTE));
}

#[test]
fn every_word_of_an_entry_in_front_of_the_tables_is_looked_at() {
    let places = |machine: &Machine| machine.layout.entries.places(PasidId(0)).collect::<Vec<_>>();
    // P, TT, SLPTPTR; AW, DID.
    for bits in [1, 1 << 2, 1 << 12] {
        is_found(DEVICE, "context[E]", |machine| flip(machine, places(machine)[0], bits));
    }
    for bits in [1, 1 << 8] {
        is_found(DEVICE, "context_high[E]", |machine| flip(machine, places(machine)[1], bits));
    }
    for word in 0..3 {
        is_found(PASID, "pasid[X]", |machine| flip(machine, places(machine)[word], 1 << 12));
    }
}

#[test]
fn what_hardware_has_cached_is_found() {
    is_found(KERNEL, "tlb[C][A]", |machine| hop(machine, Target::First, Hop::Read));
    is_found(PASID, "pasidc[D]", |machine| hop(machine, Target::First, Hop::Pasid));
    is_found(DEVICE, "contextc[D]", |machine| hop(machine, Target::First, Hop::Pasid));
    is_found(DEVICE, "context_read[D]", |machine| {
        machine.half_hop(D, Hop::PasidLow).unwrap();
    });
    let came_to_the_table = |machine: &Machine| {
        hop(machine, Target::First, Hop::Pasid);
        hop(machine, Target::First, Hop::Upper);
    };
    let forgets_the_entry = |machine: &Machine| unit(machine).evict_context(SOURCE);
    is_found(DEVICE, "pwc[D][M]", |machine| {
        came_to_the_table(machine);
        forgets_the_entry(machine);
    });
    let walked = |machine: &Machine| {
        came_to_the_table(machine);
        hop(machine, Target::First, Hop::Read);
        forgets_the_entry(machine);
        unit(machine).evict_paging(of_domain(domain(0)), machine.layout.page(A).address, 1);
    };
    is_found(DEVICE, "tlb[D][A]", walked);
    let has_asked = |machine: &Machine| {
        walked(machine);
        hop(machine, Target::Device, Hop::Read);
        unit(machine).evict_iotlb(of_domain(domain(0)), machine.layout.page(A).address);
    };
    is_found(DEVICE, "devtlb[D][A]", has_asked);
}

#[test]
fn a_shadow_entry_and_an_open_range_are_found() {
    is_found(VCPU, "spte[A]", |machine| hop(machine, Target::First, Hop::Read));
    // It allows nothing, and keeps the vCPU from faulting all the same.
    is_found(VCPU, "spte[A]", |machine| machine.memory.store(machine.shadow_place(A), Pte::DIRTY));
    is_found(VCPU, "in_progress[A]", |machine| machine.shared.ranges[0].lock().open += 1);
}

#[test]
fn what_becomes_of_a_frame_is_found() {
    let f = FrameId(0);
    is_found(KERNEL, "f", |machine| machine.memory.store(machine.content(f), 2));
    is_found(KERNEL, "g", |machine| machine.memory.store(machine.content(FrameId(1)), 2));
    is_found(KERNEL, "g", |machine| machine.frames[1].kept.store(1, Ordering::Release));
    is_found(KERNEL, "refs[f]", |machine| machine.frames[0].refs.store(2, Ordering::Release));
}

#[test]
fn what_programs_hold_is_found() {
    let lock = |mode| {
        move |machine: &Machine| {
            machine.shared.locks.lock().entry("L".to_owned()).or_default().take(1, mode);
        }
    };
    is_found(KERNEL, "L", lock(LockMode::Exclusive));
    is_found(KERNEL, "k.L", lock(LockMode::Shared));
    is_found(KERNEL, "x", |machine| machine.shared.variables[0].store(1, Ordering::Release));
    is_found(KERNEL, "a.irq_off", |machine| {
        machine.held[0].sections.lock().insert(Section::Interrupts);
    });
    is_found(KERNEL, "k.h", |machine| {
        machine.held[1].handles.lock().insert("h".to_owned(), FrameId(0));
    });
    is_found(DEVICE, "requested[A]", |machine| machine.shared.requested[0].store(1, Ordering::Release));
    is_found(DEVICE, "queue[0]", |machine| machine.shared.queue.lock().push_back(0));
}
