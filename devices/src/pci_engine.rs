//! `dma-engine`: a DMA engine as a PCI function, with a ring of descriptors in memory.
//!
//! Invariant: descriptors are executed one after the other, in the order of the ring, on the engine's own thread; while
//! it works, software reads and writes its registers freely. Whatever a ring holds ends as a completion, a fault or a
//! halt. The data sheet is `docs/dma-engine.md`.
//!
//! Read in this order: [`register`] and [`descriptor`] (layouts), `state` (the registers between software and thread),
//! `execute` (one descriptor), `run` (the thread).

pub mod descriptor;
pub mod register;

mod execute;
mod run;
mod state;

use std::io;
use std::sync::Arc;

use crate::bus::Width;
use crate::pci::bar::{Bar, BarWidth};
use crate::pci::capability::msix::{self, Place};
use crate::pci::capability::{address_translation, express, msi};
use crate::pci::config::Identity;
use crate::pci::{ConfigSpace, Endpoint, Function};
use crate::worker::{Hooks, Worker};
use run::Engine;

/// Vectors of MSI-X.
pub const VECTORS: u16 = 8;
/// Page requests that it can have outstanding.
const PAGE_REQUESTS: u32 = 1;
const BAR_BYTES: u64 = 0x4000;
const TABLE: u64 = 0x1000;
const PENDING: u64 = 0x2000;

/// Which capabilities of shared virtual addressing the engine has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PciEngineOptions {
    /// Address Translation Services: the engine may keep translations of its own.
    pub ats: Offer,
    /// Page Request Interface: the engine may ask for pages.
    pub pri: Offer,
    /// Process Address Space IDs: descriptors may name a process.
    pub pasid: Offer,
}

/// Whether a function has something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offer {
    /// It has it, and software may enable it.
    Present,
    /// It has it not.
    Absent,
}

impl Default for PciEngineOptions {
    fn default() -> Self {
        Self { ats: Offer::Present, pri: Offer::Present, pasid: Offer::Present }
    }
}

/// The function.
pub struct PciEngine {
    engine: Arc<Engine>,
    worker: Worker<()>,
}

impl PciEngine {
    /// Its configuration space.
    #[must_use]
    pub fn config(options: PciEngineOptions) -> ConfigSpace {
        let identity = Identity { vendor: 0x1234, device: 0x0a17, class: [8, 1, 0], revision: 1 };
        let place = |offset: u64| u32::try_from(offset).unwrap_or_default();
        let table = Place { bar: 0, table: place(TABLE), pending: place(PENDING) };
        let mut config = ConfigSpace::new(identity)
            .with_bar(Bar::new(0, BAR_BYTES, BarWidth::Bits64))
            .with_interrupt_pin()
            .with(&express::integrated_endpoint())
            .with(&msi::capability())
            .with(&msix::capability(VECTORS, table));
        for (offer, capability) in [
            (options.ats, address_translation::ats()),
            (options.pri, address_translation::pri(PAGE_REQUESTS)),
            (options.pasid, address_translation::pasid()),
        ] {
            if offer == Offer::Present {
                config = config.with(&capability);
            }
        }
        config
    }

    /// The function at `endpoint`, idle, with a thread that has `hooks`.
    ///
    /// # Errors
    /// What the host says if it has no thread left.
    pub fn start(endpoint: Arc<Endpoint>, hooks: Hooks) -> io::Result<Arc<Self>> {
        let name = format!("dma-engine {}", endpoint.source());
        let engine = Arc::new(Engine::new(endpoint));
        let own = Arc::clone(&engine);
        let worker = Worker::start(name, hooks, move |stop| own.run(stop))?;
        Ok(Arc::new(Self { engine, worker }))
    }
}

impl Function for PciEngine {
    fn read(&self, _: u8, offset: u64, width: Width) -> u64 {
        match offset {
            ..register::LEN_BYTES => self.engine.state().read(offset, width),
            TABLE..PENDING => self.engine.table().read(offset - TABLE, width),
            PENDING.. => self.engine.table().pending(offset - PENDING),
            _ => width.ones(),
        }
    }

    fn write(&self, _: u8, offset: u64, width: Width, value: u64) {
        match offset {
            ..register::LEN_BYTES => {
                self.engine.state().write(offset, width, value);
                self.engine.drive_interrupt();
                self.worker.wake();
            }
            TABLE..PENDING => {
                self.engine.table().write(offset - TABLE, width, value);
                self.engine.endpoint().send_unmasked(self.engine.table());
            }
            _ => {}
        }
    }

    fn reset(&self) {
        self.engine.reset(&self.worker);
    }

    fn configured(&self, _: u16, _: Width) {
        self.engine.endpoint().send_unmasked(self.engine.table());
        self.worker.wake();
    }
}

#[cfg(test)]
mod tests;
