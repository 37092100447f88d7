//! The bits of CAP and ECAP.
//!
//! Invariant: a mask stands for a feature that is either there or not; what carries a number is a function.
//! Source: VT-d 11.4.2 and 11.4.3; Linux, drivers/iommu/intel/iommu.h `cap_*`, `ecap_*`.

use super::register::Register;

/// VER: version 1.0.
pub const VERSION_1_0: u32 = 0x10;

/// CAP.ND: 16-bit domain ids.
pub const CAP_DOMAINS_16_BIT: u64 = 6;
/// CAP.CM: entries that are not present may be cached too.
pub const CAP_CACHING_MODE: u64 = 1 << 7;
/// CAP.SAGAW: second-stage tables of 3 levels, 39 bits.
pub const CAP_SAGAW_39: u64 = 1 << 9;
/// CAP.SAGAW: second-stage tables of 4 levels, 48 bits.
pub const CAP_SAGAW_48: u64 = 1 << 10;
/// CAP.SLLPS: second-stage pages of 2 MiB.
pub const CAP_SECOND_STAGE_2M: u64 = 1 << 34;
/// CAP.SLLPS: second-stage pages of 1 GiB.
pub const CAP_SECOND_STAGE_1G: u64 = 1 << 35;
/// CAP.PSI: page-selective invalidation.
pub const CAP_PAGE_SELECTIVE: u64 = 1 << 39;
/// CAP.DWD: an IOTLB invalidation can drain writes.
pub const CAP_DRAIN_WRITES: u64 = 1 << 54;
/// CAP.DRD: an IOTLB invalidation can drain reads.
pub const CAP_DRAIN_READS: u64 = 1 << 55;
/// CAP.FL1GP: first-stage pages of 1 GiB.
pub const CAP_FIRST_STAGE_1G: u64 = 1 << 56;
/// CAP.FL5LP: first-stage tables of 5 levels.
pub const CAP_FIRST_STAGE_5_LEVELS: u64 = 1 << 60;

/// ECAP.C: the unit's walks are coherent with the CPU's caches.
pub const ECAP_COHERENT: u64 = 1;
/// ECAP.QI: queued invalidation.
pub const ECAP_QUEUED_INVALIDATION: u64 = 1 << 1;
/// ECAP.DT: device TLBs.
pub const ECAP_DEVICE_TLB: u64 = 1 << 2;
/// ECAP.IR: interrupt remapping.
pub const ECAP_INTERRUPT_REMAPPING: u64 = 1 << 3;
/// ECAP.EIM: 32-bit APIC ids.
pub const ECAP_X2APIC: u64 = 1 << 4;
/// ECAP.PT: pass-through.
pub const ECAP_PASS_THROUGH: u64 = 1 << 6;
/// ECAP.SC: snoop control.
pub const ECAP_SNOOP_CONTROL: u64 = 1 << 7;
/// ECAP.NEST: nested translation.
pub const ECAP_NESTED: u64 = 1 << 26;
/// ECAP.PRS: page requests.
pub const ECAP_PAGE_REQUESTS: u64 = 1 << 29;
/// ECAP.PASID: requests with PASID.
pub const ECAP_PASID: u64 = 1 << 40;
/// ECAP.PDS: wait descriptors can drain page requests.
pub const ECAP_PAGE_REQUEST_DRAIN: u64 = 1 << 42;
/// ECAP.SMTS: scalable mode.
pub const ECAP_SCALABLE_MODE: u64 = 1 << 43;
/// ECAP.SLTS: second stage in scalable mode.
pub const ECAP_SECOND_STAGE: u64 = 1 << 46;
/// ECAP.FLTS: first stage in scalable mode.
pub const ECAP_FIRST_STAGE: u64 = 1 << 47;
/// ECAP.SMPWC: page walks in scalable mode are coherent.
pub const ECAP_SCALABLE_COHERENT: u64 = 1 << 48;

/// ECAP.RPS: context entries in scalable mode have `RID_PASID`.
pub const ECAP_REQUESTER_PASID: u64 = 1 << 49;

/// CAP.MGAW: device addresses have `bits` bits.
#[must_use]
pub const fn cap_address_width(bits: u32) -> u64 {
    ((bits - 1) as u64) << 16
}

/// CAP.FRO and CAP.NFR: `count` fault records at [`Register::FAULT_RECORDS`].
#[must_use]
pub const fn cap_fault_records(count: u16) -> u64 {
    ((Register::FAULT_RECORDS.0 as u64) >> 4) << 24 | ((count - 1) as u64) << 40
}

/// CAP.MAMV: an invalidation covers at most 2^`log2_pages` pages.
#[must_use]
pub const fn cap_address_mask(log2_pages: u32) -> u64 {
    (log2_pages as u64) << 48
}

/// ECAP.IRO: [`Register::INVALIDATE_ADDRESS`].
#[must_use]
pub const fn ecap_invalidate_offset() -> u64 {
    ((Register::INVALIDATE_ADDRESS.0 as u64) >> 4) << 8
}

/// ECAP.MHMV: an interrupt-entry invalidation covers at most 2^`log2_entries` entries.
#[must_use]
pub const fn ecap_handle_mask(log2_entries: u32) -> u64 {
    (log2_entries as u64) << 20
}

/// ECAP.PSS: PASIDs have `bits` bits.
#[must_use]
pub const fn ecap_pasid_bits(bits: u32) -> u64 {
    ((bits - 1) as u64) << 35
}
