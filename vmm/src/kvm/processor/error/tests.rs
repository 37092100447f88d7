//! What a report says of the registers.

use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};

use super::*;

fn report(rip: u64, base: u64, when: When) -> String {
    let general = kvm_regs { rip, ..Default::default() };
    let special = kvm_sregs { cs: kvm_segment { base, ..Default::default() }, ..Default::default() };
    let registers = Some(Registers { general, special });
    Report { exit: "shutdown (triple fault)".to_owned(), registers, code: Some(vec![0xf4]), when }.to_string()
}

#[test]
fn registers_after_the_reset_of_a_triple_fault_are_said_to_be_that() {
    let after = report(RESET_RIP, RESET_CODE_BASE, When::TripleFault);
    let first = "shutdown (triple fault); KVM has reset the processor: these are its registers after that, and where \
                 the guest was is not known\n";
    assert!(after.starts_with(first), "{after}");
    assert!(after.ends_with("  code at rip: not known") && after.contains("rip 000000000000fff0"), "{after}");
}

#[test]
fn other_registers_are_where_the_guest_was() {
    for (rip, base, when) in [
        (0x10_0000, 0, When::TripleFault),
        (RESET_RIP, 0, When::TripleFault),
        (0x10_0000, RESET_CODE_BASE, When::TripleFault),
        (RESET_RIP, RESET_CODE_BASE, When::Guest),
    ] {
        let told = report(rip, base, when);
        assert!(told.starts_with(&format!("shutdown (triple fault) at rip {rip:#x}\n")), "{told}");
        assert!(!told.contains("reset") && told.ends_with("  code at rip: [f4]"), "{told}");
    }
}

#[test]
fn who_is_to_blame_is_told_by_what_is_said() {
    let run = |errno| ProcessorError::Run { vcpu: VcpuId::FIRST, source: kvm_ioctls::Error::new(errno) };
    let of_host = run(libc::ENOMEM);
    assert!(
        of_host.is_of_host() && of_host.to_string().contains("raise `ulimit -v` or the control"),
        "{of_host}"
    );
    let open = run(libc::EINVAL);
    assert!(!open.is_of_host() && !open.to_string().contains("raise"), "{open}");
    let report = Report { exit: "it".to_owned(), registers: None, code: None, when: When::Guest };
    let of_guest = ProcessorError::Guest { vcpu: VcpuId::FIRST, report: Box::new(report) };
    let told = of_guest.to_string();
    assert!(!of_guest.is_of_host() && !told.contains("host") && !told.contains("program"), "{told}");
}
