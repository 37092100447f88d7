//! Where a processor is: each is a core of one package, without threads.
//!
//! Invariant: the local APIC's id is the core's number, in every leaf that names one; caches of the third level and above are the package's,
//! others a core's. Source: Intel SDM vol. 3, 10.9.1 (levels of topology); vol. 2, CPUID 1, 4, 0xb, 0x1f; AMD APM vol. 3,
//! CPUID 0x80000008, 0x8000001d, 0x8000001e.

use kvm_bindings::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

use super::{Count, FEATURES};

/// Which leaf is the last of the basic ones.
const BASIC: u32 = 0;
/// Leaf 1, EDX: processors of one package.
const MULTITHREADED: u32 = 1 << 28;
/// Leaves of caches, by either vendor.
const CACHES: [u32; 2] = [4, 0x8000_001d];
/// Leaves of levels.
const LEVELS: [u32; 2] = [0xb, 0x1f];
const AMD_SIZES: u32 = 0x8000_0008;
const AMD_PLACE: u32 = 0x8000_001e;

/// Types of levels: none, threads of a core, cores.
const NO_LEVEL: u32 = 0;
const THREADS: u32 = 1;
const CORES: u32 = 2;

/// `leaves` of the processor whose local APIC has the number `id`.
pub(super) fn of(mut leaves: Vec<kvm_cpuid_entry2>, id: u32, count: Count) -> Vec<kvm_cpuid_entry2> {
    leaves.retain(|leaf| !LEVELS.contains(&leaf.function));
    leaves.iter_mut().for_each(|leaf| place(leaf, id, count));
    let last = leaves.iter().find(|leaf| leaf.function == BASIC).map_or(0, |leaf| leaf.eax);
    for function in LEVELS.into_iter().filter(|function| *function <= last) {
        leaves.extend(levels(function, id, count));
    }
    leaves
}

/// Bits of an id that number the cores.
fn bits(count: Count) -> u32 {
    u32::from(count.0).next_power_of_two().trailing_zeros()
}

fn place(leaf: &mut kvm_cpuid_entry2, id: u32, count: Count) {
    let cores = u32::from(count.0);
    // As ids have room for, less one.
    let room = (1 << bits(count)) - 1;
    match leaf.function {
        FEATURES => {
            leaf.ebx = leaf.ebx & 0xffff | cores << 16 | id << 24;
            leaf.edx = if cores > 1 { leaf.edx | MULTITHREADED } else { leaf.edx & !MULTITHREADED };
        }
        function if CACHES.contains(&function) => {
            let (kind, level) = (leaf.eax & 0x1f, leaf.eax >> 5 & 7);
            if kind == 0 {
                return;
            }
            let sharing = if level >= 3 { room } else { 0 };
            leaf.eax = leaf.eax & 0x3fff | sharing << 14 | if function == CACHES[0] { room << 26 } else { 0 };
        }
        AMD_SIZES => leaf.ecx = leaf.ecx & !0xf0ff | (cores - 1) | bits(count) << 12,
        AMD_PLACE => (leaf.eax, leaf.ebx, leaf.ecx) = (id, id, 0),
        _ => {}
    }
}

fn levels(function: u32, id: u32, count: Count) -> impl Iterator<Item = kvm_cpuid_entry2> {
    let levels = [(THREADS, 0, 1), (CORES, bits(count), u32::from(count.0)), (NO_LEVEL, 0, 0)];
    (0..).zip(levels).map(move |(index, (kind, shift, processors))| kvm_cpuid_entry2 {
        function,
        index,
        flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
        eax: shift,
        ebx: processors,
        ecx: index | kind << 8,
        edx: id,
        ..Default::default()
    })
}
