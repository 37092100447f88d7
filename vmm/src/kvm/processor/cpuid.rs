//! What a processor's CPUID says: what this KVM supports, less what is masked, with its own number and place in it.
//!
//! Invariant: it is told nothing that KVM does not support. Processors differ in their numbers alone. Source: Intel SDM vol. 2,
//! CPUID; AMD APM vol. 3, appendix E.

pub mod flags;
mod topology;

use kvm_bindings::kvm_cpuid_entry2;

use flags::CpuFlags;

/// The leaf of features.
const FEATURES: u32 = 1;

/// How many processors a machine has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count(pub u8);

/// The leaves `supported`, as they are for the processor of `count` whose local APIC has the number `id`.
pub(super) fn describe(
    supported: Vec<kvm_cpuid_entry2>,
    id: u32,
    count: Count,
    masked: &CpuFlags,
) -> Vec<kvm_cpuid_entry2> {
    let mut leaves = topology::of(supported, id, count);
    leaves.iter_mut().for_each(|leaf| masked.clear(leaf));
    leaves
}

#[cfg(test)]
mod tests;
