//! Programs that start, fault, are answered, ask for services and stop.

use guest_images::Program;
use guest_images::layout::{CODE_VA, coherence_stats, control, probe_stats};
use mmu::address::{Access, VirtAddr};
use mmu::pte::Pte;
use vmm::kvm::{Exit, Hypercall, Install, VcpuError, VcpuHandle, VcpuId};

use super::rig::{Rig, page, system, wait_until};

#[test]
fn the_first_output_comes_and_then_the_program_stops() {
    let Some(system) = system() else { return };
    let (_rig, mut vcpus) = Rig::build(&system, Program::FirstOutput, 1);
    assert_eq!(vcpus[0].run().unwrap(), Exit::Hypercall(Hypercall::Output(b'A')));
    assert_eq!(vcpus[0].run().unwrap(), Exit::Hypercall(Hypercall::Stopped));
}

#[test]
fn an_access_faults_is_answered_and_reads_the_frame() {
    let Some(system) = system() else { return };
    let rig = Rig::start(&system, Program::Probe, 1, &[0x1234_5678_9abc_def0]);
    assert_eq!(rig.shared.value_after(VcpuId::FIRST, 1000), 0x1234_5678_9abc_def0);
    assert_eq!(rig.shared.stats(VcpuId::FIRST, probe_stats::CHANGES), 0);
    let ends = rig.finish();
    assert_eq!(ends[0].as_ref().unwrap(), &[Exit::Hypercall(Hypercall::Stopped)]);
}

#[test]
fn a_fault_without_an_answer_is_raised_again() {
    let Some(system) = system() else { return };
    let (_rig, mut vcpus) = Rig::build(&system, Program::Probe, 1);
    let fault = Exit::PageFault { address: page(0), access: Access::Read };
    assert_eq!(vcpus[0].run().unwrap(), fault);
    vcpus[0].answer(None);
    assert_eq!(vcpus[0].run().unwrap(), fault);
    assert_eq!(vcpus[0].run().unwrap(), fault, "an answer that was forgotten counts as none");
}

#[test]
fn two_vcpus_run_in_parallel_each_with_its_own_statistics() {
    let Some(system) = system() else { return };
    let rig = Rig::start(&system, Program::Probe, 2, &[7]);
    for vcpu in VcpuId::first(2) {
        assert_eq!(rig.shared.value_after(vcpu, 1000), 7);
    }
    assert!(rig.finish().iter().all(Result::is_ok));
}

#[test]
fn a_write_is_a_write_fault_on_a_read_only_entry() {
    let Some(system) = system() else { return };
    let (rig, mut vcpus) = Rig::build(&system, Program::Coherence, 1);
    let frame = rig.shared.frame_with(0);
    rig.shared.set_control(control::PAGE_COUNT, 1);
    rig.shared.set_control(control::TURN, VcpuId::FIRST.user_id());
    let vcpu = &mut vcpus[0];
    assert_eq!(vcpu.run().unwrap(), Exit::PageFault { address: page(0), access: Access::Read });
    let entry = rig.shared.space.leaf_entry(page(0)).unwrap();
    vcpu.answer(Some(Install { entry, value: Pte::leaf(frame).0, address: page(0) }));
    assert_eq!(vcpu.run().unwrap(), Exit::PageFault { address: page(0), access: Access::Write });
}

#[test]
fn vcpus_pass_the_turn_and_nobody_reads_a_value_older_than_the_published() {
    let Some(system) = system() else { return };
    let rig = Rig::start(&system, Program::Coherence, 2, &[0]);
    for turn in 0..200 {
        let writer = VcpuId::new(turn % 2).unwrap();
        rig.shared.set_control(control::TURN, writer.user_id());
        let turn_word = rig.shared.space.control().offset(control::TURN);
        wait_until("the turn is taken", || rig.shared.memory.load(turn_word) == 0);
    }
    assert_eq!(rig.shared.memory.load(rig.shared.space.control().offset(control::PUBLISHED)), 200);
    for vcpu in VcpuId::first(2) {
        assert_eq!(rig.shared.stats(vcpu, coherence_stats::WRITES), 100);
        assert_eq!(rig.shared.stats(vcpu, coherence_stats::STALE), 0);
    }
    let ends = rig.finish();
    assert!(ends.iter().all(|end| end.as_ref().unwrap() == &[Exit::Hypercall(Hypercall::Stopped)]));
}

#[test]
fn a_page_that_is_older_than_what_was_published_is_reported_once_by_hypercall() {
    let Some(system) = system() else { return };
    let rig = Rig::start(&system, Program::Coherence, 1, &[3]);
    rig.shared.set_control(control::PUBLISHED, 4);
    let stale = || rig.shared.stats(VcpuId::FIRST, coherence_stats::STALE);
    wait_until("stale reads are counted", || stale() > 1000);
    let first = |offset| rig.shared.stats(VcpuId::FIRST, offset);
    assert_eq!(first(coherence_stats::FIRST_KIND), coherence_stats::KIND_STALE);
    assert_eq!((first(coherence_stats::FIRST_VALUE), first(coherence_stats::FIRST_PUBLISHED)), (3, 4));
    let reported = Exit::Hypercall(Hypercall::FirstViolation { page: 0 });
    let ends = rig.finish();
    assert_eq!(ends[0].as_ref().unwrap(), &[reported, Exit::Hypercall(Hypercall::Stopped)]);
}

#[test]
fn poison_is_a_use_of_a_freed_frame_whatever_was_published() {
    let Some(system) = system() else { return };
    let rig = Rig::start(&system, Program::Coherence, 1, &[coherence_stats::POISON]);
    let freed = || rig.shared.stats(VcpuId::FIRST, coherence_stats::FREED_USES);
    wait_until("uses of the freed frame are counted", || freed() > 1000);
    assert_eq!(rig.shared.stats(VcpuId::FIRST, coherence_stats::STALE), 0);
    let kind = rig.shared.stats(VcpuId::FIRST, coherence_stats::FIRST_KIND);
    assert_eq!(kind, coherence_stats::KIND_FREED);
}

#[test]
fn an_unexpected_exception_is_reported_with_registers_and_code() {
    let Some(system) = system() else { return };
    let (rig, mut vcpus) = Rig::build(&system, Program::FirstOutput, 1);
    // hlt is not CPL3's: #GP at the program's first instruction.
    let code = rig.shared.space.resolve(&rig.shared.memory, VirtAddr(CODE_VA)).unwrap();
    rig.shared.memory.write_bytes(code, &[0xf4]);
    let error = vcpus[0].run().unwrap_err();
    let VcpuError::Guest { report, .. } = &error else { panic!("{error}") };
    assert_eq!(report.rip, VirtAddr(CODE_VA));
    assert_eq!(report.code.unwrap()[0], 0xf4);
    let text = error.to_string();
    for part in ["vCPU 0 cannot go on: unexpected exception 13", "rsi 0000000040000000", "cr3 0000", "[f4, "]
    {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn an_invalid_instruction_is_reported_as_a_hypercall_that_nobody_knows() {
    let Some(system) = system() else { return };
    let (rig, mut vcpus) = Rig::build(&system, Program::FirstOutput, 1);
    let code = rig.shared.space.resolve(&rig.shared.memory, VirtAddr(CODE_VA)).unwrap();
    rig.shared.memory.write_bytes(code, &[0x0f, 0x0b]);
    let text = vcpus[0].run().unwrap_err().to_string();
    assert!(text.contains("unknown hypercall 0x0 with argument 0x0") && text.contains("[0f, 0b, "), "{text}");
}

#[test]
fn a_guest_without_a_usable_idt_ends_in_a_report_too() {
    let Some(system) = system() else { return };
    let (rig, mut vcpus) = Rig::build(&system, Program::Probe, 1);
    // Without tables the first instruction faults, and so does the fault's handler.
    let root = rig.shared.space.root();
    (0..512).for_each(|entry| rig.shared.memory.store(root.offset(8 * entry), 0));
    let text = vcpus[0].run().unwrap_err().to_string();
    assert!(text.contains("vCPU 0") && text.contains("rip"), "{text}");
}

#[test]
fn a_stop_brings_a_running_vcpu_out_and_it_stays_out() {
    let Some(system) = system() else { return };
    let (mut rig, vcpus) = Rig::build(&system, Program::Probe, 2);
    rig.shared.map(0, rig.shared.frame_with(1));
    rig.run(vcpus);
    rig.shared.wait_for_reads(2, 1000);
    rig.handles.iter().for_each(VcpuHandle::request_stop);
    for end in rig.join() {
        assert_eq!(end.unwrap(), [Exit::Interrupted]);
    }
}

#[test]
fn a_stop_before_the_first_run_is_honoured() {
    let Some(system) = system() else { return };
    let (rig, mut vcpus) = Rig::build(&system, Program::Probe, 1);
    rig.handles[0].request_stop();
    assert_eq!(vcpus[0].run().unwrap(), Exit::Interrupted);
    assert_eq!(vcpus[0].run().unwrap(), Exit::Interrupted);
}

#[test]
fn an_access_outside_the_windows_is_reported() {
    let Some(system) = system() else { return };
    let (rig, mut vcpus) = Rig::build(&system, Program::FirstOutput, 1);
    let code = rig.shared.space.resolve(&rig.shared.memory, VirtAddr(CODE_VA)).unwrap();
    // mov eax, [0x1230]
    rig.shared.memory.write_bytes(code, &[0x8b, 0x04, 0x25, 0x30, 0x12, 0, 0]);
    let text = vcpus[0].run().unwrap_err().to_string();
    assert!(text.contains("page fault at 0x1230, outside the shadow window"), "{text}");
    assert!(text.contains("at rip 0x40300000") && text.contains("[8b, 04, 25, "), "{text}");
}
