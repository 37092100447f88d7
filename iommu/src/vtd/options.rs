//! How a unit is built: what it offers, and how large its caches are.
//!
//! Invariant: CAP and ECAP say exactly what the rest of the unit does with these options.

mod watching;

use std::time::Duration;

use crate::spec::capability as bits;
use crate::spec::descriptor::MAX_ADDRESS_MASK;

pub use self::watching::{Judging, PATIENCE, StaleOptions, Watching};

/// Fault records of a unit.
pub(crate) const FAULT_RECORDS: u16 = 8;
/// ECAP.MHMV: interrupt entries that one descriptor invalidates at most, as a power of two.
const HANDLE_MASK: u32 = 15;
const ADDRESS_BITS: u32 = 48;
/// [`PASID_COUNT`](crate::pasid::PASID_COUNT) as a power of two.
const PASID_BITS: u32 = 12;

/// Whether software must flush when it makes an entry present (CAP.CM).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CachingMode {
    /// 0: what is not present or faults is never cached.
    #[default]
    PresentOnly,
    /// 1: it is, and stays so until it is invalidated.
    AlsoAbsent,
}

/// How a page that is larger than 4 KiB is cached, by the unit and by devices that ask it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LargePages {
    /// As one entry, which goes if an invalidation touches any of it.
    #[default]
    Whole,
    /// Each 4 KiB of it when they are used, as hardware may: what an invalidation does not name stays.
    InPieces,
}

/// Entries of each cache; 0 switches one off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheSizes {
    /// Translations.
    pub iotlb: usize,
    /// Entries above the leaves.
    pub paging: usize,
    /// Context entries.
    pub context: usize,
    /// PASID entries.
    pub pasid: usize,
    /// Interrupt remapping entries.
    pub interrupt: usize,
}

/// How a unit is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VtdOptions {
    /// Whether entries that are not present are cached (CAP.CM).
    pub caching_mode: CachingMode,
    /// Scalable mode is offered, with first stage, second stage, nesting and PASIDs.
    pub scalable_mode: bool,
    /// First-stage tables may have five levels.
    pub five_levels: bool,
    /// Device TLBs are offered.
    pub device_tlb: bool,
    /// Page requests are offered (in scalable mode, with device TLBs).
    pub page_requests: bool,
    /// Interrupt remapping is offered.
    pub interrupt_remapping: bool,
    /// How long a device may take to answer an invalidation of its TLB; for ever if there is none.
    pub answer_time_out: Option<Duration>,
    /// How a large page is cached.
    pub large_pages: LargePages,
    /// How many entries each cache has.
    pub caches: CacheSizes,
    /// Whether stale uses are watched for.
    pub stale: StaleOptions,
}

impl CacheSizes {
    /// Caches so large that next to nothing is ever evicted: what was not invalidated is still there. The strictest
    /// test of a driver.
    pub const NEVER_EVICT: Self =
        Self { iotlb: 1 << 20, paging: 1 << 18, context: 1 << 16, pasid: 1 << 16, interrupt: 1 << 16 };
    /// No cache at all: nothing is ever stale.
    pub const OFF: Self = Self { iotlb: 0, paging: 0, context: 0, pasid: 0, interrupt: 0 };
}

impl Default for CacheSizes {
    fn default() -> Self {
        Self { iotlb: 1024, paging: 256, context: 64, pasid: 64, interrupt: 64 }
    }
}

impl Default for VtdOptions {
    fn default() -> Self {
        Self {
            caching_mode: CachingMode::default(),
            scalable_mode: true,
            five_levels: true,
            device_tlb: true,
            page_requests: true,
            interrupt_remapping: true,
            answer_time_out: None,
            large_pages: LargePages::default(),
            caches: CacheSizes::default(),
            stale: StaleOptions::default(),
        }
    }
}

impl VtdOptions {
    /// CAP.
    pub(crate) fn capability(&self) -> u64 {
        let first_stage = if self.scalable_mode { bits::CAP_FIRST_STAGE_1G } else { 0 };
        bits::CAP_DOMAINS_16_BIT
            | flag(self.caching_mode == CachingMode::AlsoAbsent, bits::CAP_CACHING_MODE)
            | bits::CAP_SAGAW_39
            | bits::CAP_SAGAW_48
            | bits::cap_address_width(ADDRESS_BITS)
            | bits::cap_fault_records(FAULT_RECORDS)
            | bits::CAP_SECOND_STAGE_2M
            | bits::CAP_SECOND_STAGE_1G
            | bits::CAP_PAGE_SELECTIVE
            | bits::cap_address_mask(MAX_ADDRESS_MASK)
            | bits::CAP_DRAIN_WRITES
            | bits::CAP_DRAIN_READS
            | first_stage
            | flag(self.scalable_mode && self.five_levels, bits::CAP_FIRST_STAGE_5_LEVELS)
    }

    /// ECAP.
    pub(crate) fn extended_capability(&self) -> u64 {
        let scalable = bits::ECAP_SCALABLE_MODE
            | bits::ECAP_FIRST_STAGE
            | bits::ECAP_SECOND_STAGE
            | bits::ECAP_NESTED
            | bits::ECAP_PASID
            | bits::ECAP_SCALABLE_COHERENT
            | bits::ECAP_REQUESTER_PASID
            | bits::ecap_pasid_bits(PASID_BITS);
        let interrupts =
            bits::ECAP_INTERRUPT_REMAPPING | bits::ECAP_X2APIC | bits::ecap_handle_mask(HANDLE_MASK);
        let requests = bits::ECAP_PAGE_REQUESTS | bits::ECAP_PAGE_REQUEST_DRAIN;
        bits::ECAP_COHERENT
            | bits::ECAP_QUEUED_INVALIDATION
            | bits::ECAP_PASS_THROUGH
            | bits::ECAP_SNOOP_CONTROL
            | bits::ecap_invalidate_offset()
            | flag(self.device_tlb, bits::ECAP_DEVICE_TLB)
            | flag(self.interrupt_remapping, interrupts)
            | flag(self.scalable_mode, scalable)
            | flag(self.has_page_requests(), requests)
    }

    pub(crate) fn has_page_requests(&self) -> bool {
        self.page_requests && self.device_tlb && self.scalable_mode
    }
}

const fn flag(set: bool, bits: u64) -> u64 {
    if set { bits } else { 0 }
}
