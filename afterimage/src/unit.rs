//! A VT-d unit over anybody's guest memory, and the report of stale uses.
//!
//! Invariant: a [`Unit`] watches; there is none that is silent because nobody switched watching on. Registers, tables and
//! descriptors are those of the specification, and whatever a driver or a device does is answered as it says: a table in a hole
//! of memory is the fault that it has for that. Source: Intel VT-d 4.1; `vm_memory`.

use std::sync::Arc;

use iommu::vtd::Vtd;
use mmu::cache::CacheError;
use mmu::memory::{MemoryError, PhysicalMemory};
use thiserror::Error;
use vm_memory::GuestAddressSpace;

pub use iommu::spec::fault::FaultReason;
pub use iommu::stale::{Mistake, StaleUse};
pub use iommu::vtd::Width;
pub use iommu::vtd::options::{
    CacheSizes, CachingMode, Judging, LargePages, StaleOptions, VtdOptions, Watching,
};
pub use iommu::vtd::port::shared::SharedPort;
pub use iommu::vtd::port::{Blocked, Port};
pub use mmu::address::{Access, PhysAddr, VirtAddr};
pub use pcie::{Ats, Msi, MsiSink, Pasid, Request, SourceId};

/// A unit that watches for stale uses.
#[derive(Clone, Debug)]
pub struct Unit(Arc<Vtd>);

/// Why there is no unit.
#[derive(Debug, Error)]
pub enum UnitError {
    /// The host has no room for a page of addresses.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The host has no room for its IOTLB.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// For a unit whose interrupts nobody takes.
struct Nobody;

impl MsiSink for Nobody {
    fn send(&self, _: Msi) {}
}

impl Unit {
    /// A unit after reset in front of `memory`, such as an `Arc` of a `GuestMemoryMmap` or a `GuestMemoryAtomic`. Its interrupts
    /// go nowhere.
    ///
    /// # Errors
    /// [`UnitError`] if the host has no room for it.
    pub fn new<S>(memory: S) -> Result<Self, UnitError>
    where
        S: GuestAddressSpace + Send + Sync + 'static,
    {
        Self::with(memory, VtdOptions::default(), Arc::new(Nobody))
    }

    /// The same, built as `options` say, with interrupts that go to `sink`. If the options watch for nothing, it watches every
    /// use.
    ///
    /// # Errors
    /// [`UnitError`] if the host has no room for it.
    pub fn with<S>(memory: S, options: VtdOptions, sink: Arc<dyn MsiSink>) -> Result<Self, UnitError>
    where
        S: GuestAddressSpace + Send + Sync + 'static,
    {
        let watching = match options.stale.watching {
            Watching::Off => Watching::EveryUse,
            chosen @ (Watching::EveryUse | Watching::Sampled(_)) => chosen,
        };
        let options = VtdOptions { stale: StaleOptions { watching, ..options.stale }, ..options };
        Ok(Self(Vtd::try_new(Arc::new(PhysicalMemory::lent(memory)?), options, sink)?))
    }

    /// Loads the register at `offset` bytes, as a driver does.
    #[must_use]
    pub fn read(&self, offset: u64, width: Width) -> u64 {
        self.0.read(offset, width)
    }

    /// Stores to the register at `offset` bytes, as a driver does. A doorbell has rung when this returns.
    pub fn write(&self, offset: u64, width: Width, value: u64) {
        self.0.write(offset, width, value);
    }

    /// A port of the function `device` for one thread; the function has no TLB of its own.
    ///
    /// # Panics
    /// If the host has no room for it.
    #[must_use]
    pub fn port(&self, device: SourceId) -> Port {
        self.0.port(device, 0)
    }

    /// A port for devices that reach memory through `vm_memory::IommuMemory`, from any thread.
    ///
    /// # Panics
    /// If the host has no room for it.
    #[must_use]
    pub fn shared_port(&self, device: SourceId) -> SharedPort {
        self.0.shared_port(device, 0)
    }

    /// The stale uses that count by now and were not taken before, oldest first. A use that may yet be covered by an
    /// invalidation waits, for a quarter of a second if the options say nothing else ([`Judging`]).
    #[must_use]
    pub fn reports(&self) -> Vec<StaleUse> {
        self.0.take_stale_uses()
    }

    /// The same, and those that wait: no invalidation comes any more.
    #[must_use]
    pub fn finish(&self) -> Vec<StaleUse> {
        self.0.judge_the_rest();
        self.0.take_stale_uses()
    }

    /// The unit with everything else that it can do, of the crate `afterimage-iommu`, whose items may change.
    #[must_use]
    pub fn vtd(&self) -> &Arc<Vtd> {
        &self.0
    }
}
