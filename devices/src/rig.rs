//! What the tests of a device put around it: memory, a remapping unit or none, a wire, and a record of its interrupts.
//!
//! Invariant: the device is bus master and its memory is decoded, as after a driver's first steps.

use std::sync::Arc;

use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;
use pcie::{Msi, MsiSink, SourceId};

use crate::bus::Width;
use crate::interrupt::{Level, Pin, Pins, Wire};
use crate::pci::config::{command, header};
use crate::pci::{ConfigSpace, Endpoint};
use crate::upstream::{Direct, Upstream};

/// A device and its surroundings.
pub(crate) struct Rig<D> {
    pub(crate) memory: Arc<PhysicalMemory>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) device: Arc<D>,
}

/// The interrupts that came.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) levels: Mutex<Vec<Level>>,
    pub(crate) messages: Mutex<Vec<Msi>>,
}

impl Pins for Seen {
    fn set(&self, _: Pin, level: Level) {
        self.levels.lock().push(level);
    }
}

impl MsiSink for Seen {
    fn send(&self, message: Msi) {
        self.messages.lock().push(message);
    }
}

impl<D> Rig<D> {
    pub(crate) fn new(
        config: ConfigSpace,
        make: impl FnOnce(Arc<Endpoint>, Arc<PhysicalMemory>) -> Arc<D>,
    ) -> Self {
        let direct = |memory, seen: Arc<Seen>| -> Arc<dyn Upstream> {
            Arc::new(Direct::new(memory, Arc::new(move |message| seen.send(message))))
        };
        Self::behind(direct, config, make)
    }

    /// A device behind what `upstream` makes of memory and the record of interrupts.
    pub(crate) fn behind(
        upstream: impl FnOnce(Arc<PhysicalMemory>, Arc<Seen>) -> Arc<dyn Upstream>,
        config: ConfigSpace,
        make: impl FnOnce(Arc<Endpoint>, Arc<PhysicalMemory>) -> Arc<D>,
    ) -> Self {
        let memory = Arc::new(PhysicalMemory::new(1 << 20).expect("a MiB can be mapped"));
        let seen = Arc::new(Seen::default());
        let upstream = upstream(Arc::clone(&memory), Arc::clone(&seen));
        let line = Wire::new(seen.clone(), Pin(17)).line();
        let endpoint = Arc::new(Endpoint::new(SourceId(8), config, upstream, line));
        endpoint.configure(header::COMMAND, Width::Word, (command::MEMORY | command::BUS_MASTER).into());
        let device = make(Arc::clone(&endpoint), Arc::clone(&memory));
        Self { memory, seen, endpoint, device }
    }
}
