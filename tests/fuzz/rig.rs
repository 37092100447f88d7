//! A unit in front of memory, and whoever takes its interrupts.
//!
//! Invariant: memory is zero, the unit is after reset, and a message that does not go to the local APICs is counted as
//! stray.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use iommu::stale::watch::{Judging, StaleOptions, Watching};
use iommu::vtd::options::{CacheSizes, CachingMode, LargePages, VtdOptions};
use iommu::vtd::{Vtd, Width};
use mmu::memory::PhysicalMemory;
use pcie::{Msi, MsiSink};

use super::{Census, Choices};

/// Bytes of memory.
pub(super) const MEMORY_BYTES: u64 = 4 << 20;

/// Caches so small that every fill evicts.
const TINY: CacheSizes = CacheSizes { iotlb: 3, paging: 2, context: 1, pasid: 2, interrupt: 2 };

/// The unit, and what came out of it.
pub(super) struct Rig {
    pub(super) memory: Arc<PhysicalMemory>,
    pub(super) unit: Arc<Vtd>,
    pub(super) sent: Arc<Sent>,
}

/// The messages that arrived at the local APICs.
#[derive(Default)]
pub(super) struct Sent {
    count: AtomicU64,
    stray: AtomicU64,
}

impl MsiSink for Sent {
    fn send(&self, message: Msi) {
        self.count.fetch_add(1, Ordering::Relaxed);
        // Bits 63:40 hold the rest of a long destination.
        if message.address << 24 >> 44 != 0xfee {
            self.stray.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Sent {
    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Asserts that all of them were messages, and notes whether there were any.
    pub(super) fn check(&self, census: &mut Census) {
        assert_eq!(self.stray.load(Ordering::Relaxed), 0, "a message went where no local APIC is");
        if self.count() > 0 {
            census.note("interrupt");
        }
    }
}

impl Rig {
    pub(super) fn new(options: VtdOptions) -> Self {
        let memory = Arc::new(PhysicalMemory::new(MEMORY_BYTES).expect("some MiB can be mapped"));
        let sent = Arc::new(Sent::default());
        let unit = Vtd::new(Arc::clone(&memory), options, sent.clone());
        Self { memory, unit, sent }
    }

    /// A register of 32 bits.
    pub(super) fn word(&self, offset: u64) -> u64 {
        self.unit.read(offset, Width::Bits32)
    }

    /// A register of 64 bits.
    pub(super) fn long(&self, offset: u64) -> u64 {
        self.unit.read(offset, Width::Bits64)
    }
}

/// How the unit is built.
pub(super) fn options(choices: &mut Choices<'_>) -> VtdOptions {
    VtdOptions {
        caching_mode: choices.of(&[CachingMode::PresentOnly, CachingMode::AlsoAbsent]),
        scalable_mode: !choices.one_in(8),
        five_levels: !choices.one_in(4),
        device_tlb: true,
        page_requests: true,
        interrupt_remapping: true,
        caches: choices.of(&[CacheSizes::default(), TINY, CacheSizes::OFF]),
        stale: StaleOptions {
            watching: choices.of(&[Watching::Off, Watching::EveryUse]),
            judging: choices.of(&[Judging::AtOnce, Judging::Late(Duration::ZERO), Judging::default()]),
        },
        answer_time_out: None,
        large_pages: choices.of(&[LargePages::Whole, LargePages::InPieces]),
    }
}
