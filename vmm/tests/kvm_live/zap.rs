//! Translations taken from vCPUs that run.

use std::sync::atomic::Ordering;
use std::time::Duration;

use guest_images::Program;
use guest_images::layout::{coherence_stats as stats, control, frame, probe_stats};
use vmm::kvm::{Exit, Hypercall, PageSet, Vcpu, VcpuId, VcpuSet, ZapError};

use super::rig::{Rig, leaf_entry, page, system, wait_until};

#[test]
fn a_zapped_page_faults_again_and_shows_the_new_frame() {
    let Some(system) = system() else { return };
    let rig = Rig::start(&system, Program::Probe, 1, &[1]);
    let port = rig.port();
    for word in 2..20 {
        assert_eq!(rig.shared.value_after(VcpuId::FIRST, 1), word - 1);
        rig.shared.map(0, rig.shared.frame_with(word));
        rig.zap(&port, 0);
        // Two: one read may have been under way when the count was looked at.
        assert_eq!(rig.shared.value_after(VcpuId::FIRST, 2), word);
    }
    assert_eq!(rig.shared.stats(VcpuId::FIRST, probe_stats::CHANGES), 18, "a value came twice");
}

#[test]
fn a_kick_without_pages_is_acknowledged_and_disturbs_nothing() {
    let Some(system) = system() else { return };
    let rig = Rig::start(&system, Program::Probe, 2, &[5]);
    let port = rig.port();
    rig.shared.wait_for_reads(2, 1);
    let faults = rig.shared.faults.load(Ordering::Relaxed);
    for _ in 0..50 {
        let ticket = port.request(port.vcpus(), &PageSet::default()).unwrap();
        port.wait(&ticket).unwrap();
    }
    for vcpu in VcpuId::first(2) {
        let word = |offset| rig.shared.memory.load(rig.shared.space.mailbox(vcpu).offset(offset));
        wait_until("the kick is acknowledged", || word(frame::ZAP_ACK) == 50);
        assert_eq!(rig.shared.stats(vcpu, probe_stats::CHANGES), 0);
    }
    assert_eq!(rig.shared.faults.load(Ordering::Relaxed), faults);
}

#[test]
fn two_vcpus_are_both_moved_and_neither_reads_the_old_frame_again() {
    let Some(system) = system() else { return };
    let rig = Rig::start(&system, Program::Probe, 2, &[1]);
    let port = rig.port();
    for word in 2..12 {
        rig.shared.map(0, rig.shared.frame_with(word));
        rig.zap(&port, 0);
        for vcpu in VcpuId::first(2) {
            assert_eq!(rig.shared.value_after(vcpu, 2), word);
        }
    }
    for vcpu in VcpuId::first(2) {
        let changes = rig.shared.stats(vcpu, probe_stats::CHANGES);
        assert!(changes <= 10, "{changes} changes of 10 values: an old one came back");
    }
}

#[test]
fn a_zap_reaches_every_page_of_the_set_and_no_other() {
    let Some(system) = system() else { return };
    let (rig, mut vcpus) = Rig::build(&system, Program::Coherence, 1);
    rig.shared.set_control(control::PAGE_COUNT, 32);
    rig.shared.set_control(control::YIELD_EVERY, 1);
    (0..32).for_each(|number| rig.shared.map(number, rig.shared.frame_with(number)));
    run_to_yield(&rig, &mut vcpus[0]);
    let unmapped = || (0..32).filter(|number| rig.shared.memory.load(leaf_entry(&rig.shared, *number)) == 0);
    assert_eq!(unmapped().count(), 0);

    let mut set = PageSet::of(page(3));
    set.insert(page(31));
    let port = rig.port();
    let ticket = port.request(VcpuSet::of(VcpuId::FIRST), &set).unwrap();
    port.wait(&ticket).unwrap();
    rig.shared.set_control(control::PAGE_COUNT, 0);
    rig.shared.set_control(control::STOP, 1);
    assert_eq!(vcpus[0].run().unwrap(), Exit::Hypercall(Hypercall::Stopped));
    assert_eq!(unmapped().collect::<Vec<_>>(), [3, 31]);
}

#[test]
fn a_zap_requested_while_the_vcpu_is_outside_comes_before_its_next_instruction() {
    let Some(system) = system() else { return };
    let (rig, mut vcpus) = Rig::build(&system, Program::Coherence, 1);
    let (old, new) = (rig.shared.frame_with(1), rig.shared.frame_with(2));
    rig.shared.set_control(control::PAGE_COUNT, 1);
    rig.shared.set_control(control::YIELD_EVERY, 1);
    let (port, vcpu) = (rig.port(), &mut vcpus[0]);
    let mut frame = old;
    for _ in 0..20 {
        rig.shared.map(0, frame);
        run_to_yield(&rig, vcpu);
        frame = if frame == old { new } else { old };
        let ticket = port.request(port.vcpus(), &PageSet::of(page(0))).unwrap();
        port.wait(&ticket).unwrap();
        let exit = vcpu.run().unwrap();
        assert!(matches!(exit, Exit::PageFault { address, .. } if address == page(0)), "{exit:?}");
        rig.shared.map(0, frame);
        rig.shared.answer(vcpu, page(0));
    }
}

/// Runs the coherence program to its next yield, answering faults.
fn run_to_yield(rig: &Rig, vcpu: &mut Vcpu) {
    loop {
        match vcpu.run().unwrap() {
            Exit::PageFault { address, .. } => rig.shared.answer(vcpu, address),
            exit => break assert_eq!(exit, Exit::Hypercall(Hypercall::Yield)),
        }
    }
}

#[test]
fn a_zap_takes_back_an_answer_that_was_not_written_yet() {
    let Some(system) = system() else { return };
    let (rig, mut vcpus) = Rig::build(&system, Program::Coherence, 2);
    rig.shared.set_control(control::PAGE_COUNT, 1);
    rig.shared.map(0, rig.shared.frame_with(1));
    let port = rig.port();
    let posted =
        || rig.shared.memory.load(rig.shared.space.mailbox(VcpuId::FIRST).offset(frame::ANSWER_ENTRY));

    let exit = vcpus[0].run().unwrap();
    assert!(matches!(exit, Exit::PageFault { address, .. } if address == page(0)), "{exit:?}");
    rig.shared.answer(&vcpus[0], page(0));
    let _other = port.request(port.vcpus(), &PageSet::of(page(1))).unwrap();
    assert_ne!(posted(), 0, "another page's zap leaves it");
    let _same = port.request(port.vcpus(), &PageSet::of(page(0))).unwrap();
    assert_eq!(posted(), 0, "written later, it would bring the old frame back for the other vCPU");
    let exit = vcpus[0].run().unwrap();
    assert!(matches!(exit, Exit::PageFault { address, .. } if address == page(0)), "{exit:?}");
}

#[test]
fn a_zap_waits_for_an_answer_that_is_being_written() {
    let Some(system) = system() else { return };
    let (rig, _vcpus) = Rig::build(&system, Program::Coherence, 1);
    let answer = rig.shared.space.mailbox(VcpuId::FIRST).offset(frame::ANSWER_ENTRY);
    let port = rig.port().with_timeout(Duration::from_millis(30));
    rig.shared.memory.store(answer, frame::ANSWER_TAKEN);
    let refused = port.request(port.vcpus(), &PageSet::of(page(0)));
    assert!(matches!(refused, Err(ZapError::NoProgress { .. })), "{refused:?}");
    rig.shared.memory.store(answer, 0);
    let _ticket = port.request(port.vcpus(), &PageSet::of(page(0))).unwrap();
}

#[test]
fn a_cancelled_zap_leaves_the_entry_that_is_installed_then() {
    let Some(system) = system() else { return };
    let (mut rig, mut vcpus) = Rig::build(&system, Program::Probe, 1);
    rig.shared.map(0, rig.shared.frame_with(9));
    let (port, vcpu) = (rig.port(), &mut vcpus[0]);
    vcpu.run().unwrap();
    let ticket = port.request(port.vcpus(), &PageSet::of(page(0))).unwrap();
    port.wait(&ticket).unwrap();
    port.cancel(VcpuId::FIRST, page(0));
    rig.shared.answer(vcpu, page(0));
    rig.run(vcpus);
    assert_eq!(rig.shared.value_after(VcpuId::FIRST, 1000), 9);
    assert_eq!(rig.shared.faults.load(Ordering::Relaxed), 1);
}

#[test]
fn requests_of_many_threads_are_all_applied() {
    let Some(system) = system() else { return };
    let words: Vec<u64> = (0..32).collect();
    let rig = Rig::start(&system, Program::Coherence, 2, &words);
    let port = rig.port();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (port, rig) = (&port, &rig);
            scope.spawn(move || (0..100).for_each(|i| rig.zap(port, (i * 3 + thread) % 32)));
        }
    });
    for vcpu in VcpuId::first(2) {
        let word = |offset| rig.shared.memory.load(rig.shared.space.mailbox(vcpu).offset(offset));
        wait_until("every request is acknowledged", || word(frame::ZAP_ACK) == 300);
        assert!((0..frame::ZAP_WORDS as u64).all(|i| word(frame::ZAP_BITS + 8 * i) == 0), "a bit was left");
    }
    assert!(rig.finish().iter().all(Result::is_ok));
}

#[test]
fn a_frame_that_is_freed_after_the_wait_is_used_by_nobody_even_under_signals() {
    let Some(system) = system() else { return };
    let rig = Rig::start(&system, Program::Coherence, 2, &[7, 7, 7, 7]);
    let port = rig.port();
    let mut frames: Vec<_> = (0..4).map(|number| rig.shared.mapped_at(number)).collect();
    for round in 0..200 {
        let number = round % 4;
        let old = std::mem::replace(&mut frames[number], rig.shared.frame_with(7));
        if round % 3 == 0 {
            rig.disturb();
        }
        rig.move_page(&port, number as u64, frames[number]);
        rig.shared.memory.fill_frame(old, stats::POISON);
    }
    for vcpu in VcpuId::first(2) {
        let accesses = || rig.shared.stats(vcpu, stats::ACCESSES);
        let before = accesses();
        wait_until("the programs read on", || accesses() > before + 1000);
        assert_eq!(rig.shared.stats(vcpu, stats::FREED_USES), 0);
    }
    let stopped = [Exit::Hypercall(Hypercall::Stopped)];
    assert!(rig.finish().iter().all(|end| end.as_ref().unwrap() == &stopped));
}
