//! A vCPU that never comes.

use guest_images::Program;
use mmu::address::Pfn;
use mmu::memory::PhysicalMemory;

use super::*;
use crate::kvm::{System, Vcpu};

#[test]
fn a_vcpu_that_takes_no_kick_is_named_and_not_waited_for_for_ever() {
    let system = match System::open() {
        Ok(system) => system,
        Err(error) => return println!("skipped: {error}"),
    };
    let memory = Arc::new(PhysicalMemory::new(4 << 20).unwrap());
    let mut frames = (1..).map(Pfn);
    let space = GuestSpace::build(&memory, &mut || frames.next().unwrap(), Program::Probe, 1);
    let vm = Arc::new(Vm::new(&system, memory).unwrap());
    let handle = Vcpu::new(&vm, &space, VcpuId::FIRST).unwrap().handle();
    let port = ZapPort::new(vm, &space, [handle.clone()]).with_timeout(Duration::from_millis(30));

    // Announced as inside, but nobody runs it.
    let entered = handle.enter();
    let ticket = port.request(port.vcpus(), &PageSet::default()).unwrap();
    let error = port.wait(&ticket).unwrap_err();
    let ZapError::NoProgress { vcpu, requested, acknowledged, .. } = &error else { panic!("{error}") };
    assert_eq!((*vcpu, *requested, *acknowledged), (VcpuId::FIRST, 1, 0));
    assert!(error.to_string().starts_with("vCPU 0 made no progress for "), "{error}");
    assert!(error.to_string().contains("inside the guest, entered 1 times"), "{error}");

    drop(entered);
    port.wait(&ticket).unwrap();
    // Outside it uses nothing, but it will empty the entries when it comes back.
    let error = port.wait_until_applied(&ticket).unwrap_err();
    assert!(matches!(error, ZapError::NoProgress { acknowledged: 0, .. }), "{error}");
}
