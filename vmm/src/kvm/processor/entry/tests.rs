//! What KVM has taken of a processor's CPUID. Without /dev/kvm it says "skipped: ..." and passes.

use std::io::{Write, stdout};
use std::sync::Arc;

use kvm_bindings::KVM_MAX_CPUID_ENTRIES;
use mmu::memory::PhysicalMemory;

use super::Entry;
use crate::kvm::vm::IoApicPins;
use crate::kvm::{Count, CpuFlags, Processor, System, VcpuId, Vm};

#[test]
fn kvm_takes_a_mask_and_tells_three_processors_apart() {
    let system = match System::open() {
        Ok(system) => system,
        Err(error) => return writeln!(stdout(), "skipped: {error}").expect("a test can be read"),
    };
    let memory = Arc::new(PhysicalMemory::new(2 << 20).expect("2 MiB are there"));
    let vm = Vm::with_io_apic(&system, memory, IoApicPins(24)).expect("there is a machine");
    let masked: CpuFlags = "-x2apic".parse().expect("they are flags");
    for id in VcpuId::first(3) {
        let processor =
            Processor::new(&system, &vm, id, Count(3), &masked, &Entry::default()).expect("and it");
        let taken = processor.fd.get_cpuid2(KVM_MAX_CPUID_ENTRIES).expect("KVM tells");
        let leaf = |function, index| {
            let is =
                |leaf: &&kvm_bindings::kvm_cpuid_entry2| (leaf.function, leaf.index) == (function, index);
            taken.as_slice().iter().find(is)
        };
        let number = u32::try_from(id.index()).expect("it is small");
        let features = leaf(1, 0).expect("every processor has it");
        assert_eq!((features.ebx >> 24, features.ebx >> 16 & 0xff), (number, 3));
        // Others than KVM's own some KVMs cannot mask, which is told.
        assert_eq!(features.ecx & 1 << 21, 0, "x2apic");
        assert_eq!(masked.left_in(taken.as_slice()), [""; 0]);
        assert_eq!("-fpu".parse::<CpuFlags>().expect("it is one").left_in(taken.as_slice()), ["fpu"]);
        if leaf(0, 0).expect("it is the first").eax >= 0xb {
            let cores = leaf(0xb, 1).expect("there are levels");
            assert_eq!((cores.eax, cores.ebx & 0xffff, cores.edx), (2, 3, number));
        }
    }
}
