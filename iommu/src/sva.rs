//! Shared virtual addressing: the driver of a VT-d unit that lets devices use the address spaces of `mmu`.
//!
//! Invariant: the unit knows nothing of this driver, and the driver of the unit only registers and memory, as a
//! kernel does. A binding hears of every change of its address space before its PASID entry is present; and when
//! [`SvaDriver::unbind`] or the address space's release returns, no request with the PASID is in flight, none will be
//! translated, and no page request of it is unanswered. The driver does not listen to range_start and range_end: a
//! device may walk at any time, also between them.
//! Source: drivers/iommu/intel/svm.c, pasid.c, prq.c and dmar.c (`qi_submit_sync`).
//!
//! Read in this order: this file (how the unit is set up), `tables` (what it reads), `queue` (how it is told),
//! `binding` (which address spaces, and what they report), `requests` (what devices ask for), [`port`] (a device).

mod binding;
mod mmio;
pub mod port;
mod queue;
mod requests;
mod tables;

use std::sync::Arc;

use mmu::cache::CacheError;
use mmu::frame::{Frames, OutOfFrames};
use parking_lot::{Mutex, RwLock};
use pcie::{Ats, Msi, MsiSink, SourceId};
use thiserror::Error;

pub use self::binding::BindError;
use self::binding::Bindings;
use self::queue::InvalidationQueue;
pub use self::requests::RequestCounts;
use self::requests::Requests;
use self::tables::Tables;
use crate::spec::command::{MODE_SHIFT, QUEUE, ROOT_TABLE, TRANSLATION};
use crate::spec::context::Admissions;
use crate::spec::id::DomainId;
use crate::spec::register::Register;
use crate::vtd::Vtd;
use crate::vtd::options::VtdOptions;

/// The domain of every process: they differ in their PASIDs (`FLPT_DEFAULT_DID`).
const DOMAIN: DomainId = DomainId(1);

/// In which order a changed range leaves the caches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FlushOrder {
    /// The right one.
    #[default]
    IotlbThenDevices,
    /// A wrong one: a device fills its TLB again from the IOTLB, which still has what changed.
    DevicesThenIotlb,
    /// A wrong one: devices keep what they have.
    IotlbOnly,
}

/// How the unit is built, and driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SvaOptions {
    /// The unit. Scalable mode, device TLBs and page requests it has in any case.
    pub unit: VtdOptions,
    /// In which order caches are emptied when a range changes.
    pub flush_order: FlushOrder,
}

/// Why there is no unit, or no device.
#[derive(Debug, Error)]
pub enum SvaError {
    /// No frame for its tables and rings.
    #[error(transparent)]
    OutOfFrames(#[from] OutOfFrames),
    /// No room for its caches.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A function that may use what is bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SvaDevice {
    source: SourceId,
    number: u16,
    device_tlb_entries: usize,
}

/// The driver of one unit, and the unit.
pub struct SvaDriver {
    unit: Arc<Vtd>,
    frames: Arc<Frames>,
    flush_order: FlushOrder,
    tables: Mutex<Tables>,
    queue: InvalidationQueue,
    requests: Requests,
    bindings: Bindings,
    /// Devices with a TLB.
    caching_devices: RwLock<Vec<SourceId>>,
}

/// Nobody is interrupted: whoever waits looks by himself.
struct Polled;

impl MsiSink for Polled {
    fn send(&self, _: Msi) {}
}

impl SvaDevice {
    /// Its requester id.
    #[must_use]
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// Its number among the devices.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Whether it translates ahead.
    fn ats(&self) -> Ats {
        if self.device_tlb_entries == 0 { Ats::Disabled } else { Ats::Enabled }
    }
}

impl SvaDriver {
    /// A unit in front of `frames`, translating, with nothing bound.
    ///
    /// # Errors
    /// [`SvaError`] if there is no room for its tables, rings and caches.
    pub fn new(frames: Arc<Frames>, options: SvaOptions) -> Result<Arc<Self>, SvaError> {
        let options_of_unit =
            VtdOptions { scalable_mode: true, device_tlb: true, page_requests: true, ..options.unit };
        let unit = Vtd::try_new(Arc::clone(frames.memory()), options_of_unit, Arc::new(Polled))?;
        let tables = Tables::new(&frames)?;
        let queue = InvalidationQueue::new(&unit, &frames)?;
        let requests = Requests::new(&unit, &frames)?;
        switch_on(&unit, &tables);
        Ok(Arc::new(Self {
            unit,
            frames,
            flush_order: options.flush_order,
            tables: Mutex::new(tables),
            queue,
            requests,
            bindings: Bindings::default(),
            caching_devices: RwLock::default(),
        }))
    }

    /// Lets device `number` use what is bound. With entries in a TLB of its own it translates ahead (ATS); 0 is none.
    ///
    /// # Errors
    /// [`SvaError`] if there is no frame for its context table, or no room for its TLB.
    pub fn attach(&self, number: u16, device_tlb_entries: usize) -> Result<SvaDevice, SvaError> {
        let device = SvaDevice { source: SourceId(number), number, device_tlb_entries };
        self.unit.admit(device.source, device_tlb_entries)?;
        let caches = device.ats() == Ats::Enabled;
        self.tables.lock().attach(
            device.source,
            // What a device without TLB is refused it asks for as a page: that is no fault to record.
            Admissions { device_tlb: caches, page_requests: true, hides_faults: !caches },
        )?;
        let mut caching = self.caching_devices.write();
        if caches && !caching.contains(&device.source) {
            caching.push(device.source);
        }
        Ok(device)
    }

    /// The unit.
    #[must_use]
    pub fn unit(&self) -> &Arc<Vtd> {
        &self.unit
    }

    /// What the unit stands in front of.
    #[must_use]
    pub fn frames(&self) -> &Arc<Frames> {
        &self.frames
    }
}

/// Root table, queue, translation. The unit is new: there is nothing that its caches would have to forget.
fn switch_on(unit: &Vtd, tables: &Tables) {
    let scalable = 1 << MODE_SHIFT;
    mmio::set_long(unit, Register::ROOT_TABLE, tables.root().0 | scalable);
    mmio::set_word(unit, Register::GLOBAL_COMMAND, ROOT_TABLE);
    mmio::set_word(unit, Register::GLOBAL_COMMAND, QUEUE);
    mmio::set_word(unit, Register::GLOBAL_COMMAND, QUEUE | TRANSLATION);
}

#[cfg(test)]
mod tests;
