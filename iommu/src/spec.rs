//! What the VT-d specification fixes: where bits lie in registers and in memory. Layouts only, no behaviour.
//!
//! Invariant: nothing outside this module knows a bit number of VT-d; above it a value is a type. Whatever a guest
//! wrote can be decoded: the answer is a value, "not present", or a named error.
//! Source: Intel Virtualization Technology for Directed I/O, architecture specification, the section named in each
//! file; held against those who read or write the same bits: Linux (drivers/iommu/intel: iommu.h, dmar.c, pasid.c,
//! prq.c), QEMU (hw/i386/intel_iommu_internal.h, intel_iommu.c), VirtualBox (include/VBox/iommu-intel.h) and the tests
//! of KVM (lib/x86/intel-iommu.c), which run unchanged.
//!
//! Read in this order: [`id`], [`register`] with [`capability`], [`command`] and [`status`]; then what lies in memory:
//! [`context`], [`pasid_entry`], [`paging`]; then what is exchanged: [`descriptor`], [`fault`], [`page_request`],
//! [`interrupt`].

pub mod capability;
pub mod command;
pub mod context;
pub mod descriptor;
pub mod fault;
pub mod id;
pub mod interrupt;
pub mod page_request;
pub mod paging;
pub mod pasid_entry;
pub mod register;
pub mod status;

/// The `bits` bits of `word` from bit `low` on.
pub(crate) const fn field(word: u64, low: u32, bits: u32) -> u64 {
    (word >> low) & ((1 << bits) - 1)
}

/// The 16 bits of `word` from bit `low` on.
#[expect(clippy::cast_possible_truncation, reason = "16 bits are cut out")]
pub(crate) const fn field16(word: u64, low: u32) -> u16 {
    field(word, low, 16) as u16
}

/// At most 32 bits of `word` from bit `low` on.
#[expect(clippy::cast_possible_truncation, reason = "at most 32 bits are cut out")]
pub(crate) const fn field32(word: u64, low: u32, bits: u32) -> u32 {
    field(word, low, bits) as u32
}

/// Whether bit `number` of `word` is set.
pub(crate) const fn bit(word: u64, number: u32) -> bool {
    word >> number & 1 != 0
}

#[cfg(test)]
mod tests;
