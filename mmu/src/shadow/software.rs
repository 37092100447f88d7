//! Software vCPUs: the shadow page table without KVM, run by threads with TLBs of their own.
//!
//! Invariant: a zap empties the entry, then flushes every vCPU's TLB, then waits for the accesses in flight; what a
//! walk read before cannot come back, because a fill is refused after an invalidation.

use std::sync::Arc;

use parking_lot::RwLock;

use super::{Install, ShadowError, ShadowHardware, ShadowMmu, ShadowPage};
use crate::address::{Access, VirtAddr, VirtRange};
use crate::cache::{CacheError, Tag, Translation, TranslationCache};
use crate::cpu::CPU_TLB_ENTRIES;
use crate::frame::{Frames, OutOfFrames};
use crate::port::{Accessed, Context, Port};
use crate::pte::Pte;
use crate::table::{Levels, PageTable, Slot};
use crate::trace::{Agent, Observer};

/// There is one guest, so one tag.
const GUEST: Tag = Tag(0);

/// The page table and the TLBs of software vCPUs.
pub struct SoftwareShadow {
    frames: Arc<Frames>,
    table: PageTable,
    tlbs: RwLock<Vec<Arc<TranslationCache>>>,
}

/// One vCPU in software.
pub struct SoftwareVcpu {
    shadow: Arc<ShadowMmu>,
    hardware: Arc<SoftwareShadow>,
    port: Port,
}

impl SoftwareShadow {
    /// An empty table.
    ///
    /// # Errors
    /// [`OutOfFrames`] if there is no frame for its root.
    pub fn new(frames: Arc<Frames>) -> Result<Arc<Self>, OutOfFrames> {
        let table = PageTable::new(Arc::clone(&frames), Levels::Four)?;
        Ok(Arc::new(Self { frames, table, tlbs: RwLock::default() }))
    }

    /// The entries of `window`, page by page, with the tables above them.
    ///
    /// # Errors
    /// [`OutOfFrames`] if a table cannot be had.
    pub fn slots(&self, window: VirtRange) -> Result<Vec<Slot>, OutOfFrames> {
        window.iter_pages().map(|page| self.table.ensure_slot(page)).collect()
    }

    /// The entry for `address` as vCPUs walk it.
    #[must_use]
    pub fn entry(&self, address: VirtAddr) -> Pte {
        self.table.slot(address).map_or(Pte::NONE, |slot| self.table.load(slot))
    }

    /// Adds vCPU `number`, which runs on `shadow`.
    ///
    /// # Errors
    /// [`CacheError`] if the host has no room for its TLB.
    pub fn vcpu(
        self: &Arc<Self>,
        number: u16,
        shadow: Arc<ShadowMmu>,
        observer: Arc<dyn Observer>,
    ) -> Result<SoftwareVcpu, CacheError> {
        let tlb = Arc::new(TranslationCache::try_new(CPU_TLB_ENTRIES)?);
        self.tlbs.write().push(Arc::clone(&tlb));
        let port = Port::new(&tlb, Arc::clone(&self.frames), Agent::Vcpu(number), observer);
        Ok(SoftwareVcpu { shadow, hardware: Arc::clone(self), port })
    }
}

impl ShadowHardware for SoftwareShadow {
    fn zap(&self, pages: &[ShadowPage]) {
        for page in pages {
            self.table.store(page.slot, Pte::NONE);
        }
        let tlbs = self.tlbs.read();
        for tlb in tlbs.iter() {
            pages.iter().for_each(|page| tlb.invalidate_page(GUEST, page.address));
        }
        tlbs.iter().for_each(|tlb| tlb.drain());
    }
}

impl SoftwareVcpu {
    /// Loads the aligned word at `address`; none if the fault must be tried again, for the caller to see whether
    /// it should stop first.
    ///
    /// # Errors
    /// [`ShadowError`] if there is nothing at the address.
    pub fn load(&mut self, address: VirtAddr) -> Result<Option<Accessed>, ShadowError> {
        self.access(address, Access::Read, None)
    }

    /// Stores the aligned word at `address`; none as for [`load`](Self::load).
    ///
    /// # Errors
    /// [`ShadowError`] if there is nothing at the address.
    pub fn store(&mut self, address: VirtAddr, value: u64) -> Result<Option<Accessed>, ShadowError> {
        self.access(address, Access::Write, Some(value))
    }

    /// What its TLB holds for `address`.
    #[must_use]
    pub fn cached(&self, address: VirtAddr) -> Option<Translation> {
        self.port.cached(GUEST, address)
    }

    /// Tells zaps that this vCPU idles.
    pub fn pause(&mut self) {
        self.port.pause();
    }

    fn access(
        &mut self,
        address: VirtAddr,
        access: Access,
        store: Option<u64>,
    ) -> Result<Option<Accessed>, ShadowError> {
        let context = Context { tag: GUEST, root: self.hardware.table.root() };
        let agent = self.port.agent();
        if let Ok(in_flight) = self.port.translate(context, address, access) {
            return Ok(Some(match store {
                Some(value) => in_flight.store(value),
                None => in_flight.load(),
            }));
        }
        self.port.pause();
        let pending = self.shadow.begin_fault(address, access)?;
        let write = |install: Install| self.hardware.table.store(install.page.slot, install.pte);
        self.shadow.finish_fault(&pending, agent, write);
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
