//! What a device model holds of its own function: configuration, the way to memory, interrupts.
//!
//! Invariant: a request leaves only while the command register makes the function a bus master, and when a write to
//! configuration space is over, no request is in flight that it forbids; behind a root port that port must forward it, too. An interrupt leaves as
//! MSI-X or MSI if that is enabled, else by the line, and the line is low while INTx is disabled. A message is a write
//! like any other: by a bus master, and to memory if its address is no interrupt's. Source: PCI 3.0, 6.2.2 and 6.8.

pub(crate) mod page_requests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use mmu::address::VirtAddr;
use parking_lot::{Mutex, MutexGuard};
use pcie::{Ats, Msi, Pasid, SourceId};

use self::page_requests::PageGroup;
use super::capability::msix::{self, Vector};
use super::capability::{address_translation, advanced, express, msi};
use super::config::{ConfigSpace, command};
use super::root_port;
use crate::bus::Width;
use crate::interrupt::{Level, Line};
use crate::upstream::{Atomic, DmaFault, Port, Upstream};

/// A function's own end of the bus.
pub struct Endpoint {
    /// A [`SourceId`]: its bus is the one that the last write to configuration space named (PCI Express 4.0, 2.2.6.2).
    source: AtomicU16,
    /// The port that it is behind.
    behind: Option<Arc<Endpoint>>,
    config: Mutex<ConfigSpace>,
    upstream: Arc<dyn Upstream>,
    port: Mutex<Box<dyn Port>>,
    line: Line,
    /// Whether the device asks for its interrupt by the line.
    asked: Mutex<Level>,
    /// The page request that waits for its answer.
    outstanding: Mutex<Option<PageGroup>>,
    /// The device does not know yet that the function was reset.
    is_resetting: AtomicBool,
}

/// What a store to configuration space has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Configured {
    /// What stands there.
    Stored,
    /// It has begun a reset of the function, of which the device has to be told before
    /// [`end_reset`](Endpoint::end_reset).
    Reset,
}

impl Endpoint {
    /// The function at `source`.
    #[must_use]
    pub fn new(source: SourceId, config: ConfigSpace, upstream: Arc<dyn Upstream>, line: Line) -> Self {
        let port = Mutex::new(upstream.port(source));
        Self {
            source: AtomicU16::new(source.0),
            behind: None,
            config: Mutex::new(config),
            upstream,
            port,
            line,
            asked: Mutex::new(Level::Low),
            outstanding: Mutex::default(),
            is_resetting: AtomicBool::new(false),
        }
    }

    /// The same function behind `port`.
    #[must_use]
    pub(super) fn behind(self, port: Arc<Self>) -> Self {
        Self { behind: Some(port), ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn source(&self) -> SourceId {
        SourceId(self.source.load(Ordering::Acquire))
    }

    /// A write to configuration space has come to it as `source`: its requests carry that from now on. What it kept as
    /// another is gone.
    pub(super) fn capture(&self, source: SourceId) {
        let mut port = self.port.lock();
        if self.source() == source {
            return;
        }
        port.reset();
        *port = self.upstream.port(source);
        self.source.store(source.0, Ordering::Release);
    }

    /// Waits until no request is in flight that was admitted before.
    pub(super) fn drain(&self) {
        drop(self.port.lock());
    }

    /// Its configuration space. Held only for as long as it takes to look.
    pub fn config(&self) -> MutexGuard<'_, ConfigSpace> {
        self.config.lock()
    }

    /// Reads any bytes anywhere, page by page.
    ///
    /// # Errors
    /// [`DmaFault`] of the first page that faults.
    pub fn read(&self, pasid: Option<Pasid>, address: VirtAddr, bytes: &mut [u8]) -> Result<(), DmaFault> {
        self.way(pasid)?.read(pasid, address, bytes)
    }

    /// Writes any bytes anywhere, page by page.
    ///
    /// # Errors
    /// [`DmaFault`] of the first page that faults.
    pub fn write(&self, pasid: Option<Pasid>, address: VirtAddr, bytes: &[u8]) -> Result<(), DmaFault> {
        self.way(pasid)?.write(pasid, address, bytes)
    }

    /// One atomic operation; what stood there before.
    ///
    /// # Errors
    /// [`DmaFault`], also for an address that is no multiple of 8.
    pub fn atomic(&self, pasid: Option<Pasid>, at: VirtAddr, operation: Atomic) -> Result<u64, DmaFault> {
        self.way(pasid)?.atomic(pasid, at, operation)
    }

    /// Interrupts: by a message if MSI is enabled, else the line is high until [`lower`](Self::lower).
    pub fn raise(&self) {
        let message = msi::message(&self.config());
        match message {
            Some(message) => self.send(message),
            None => self.ask(Level::High),
        }
    }

    /// Lets go of the line.
    pub fn lower(&self) {
        self.ask(Level::Low);
    }

    /// Holds the line, if interrupts go by it; sends nothing.
    pub fn hold_line(&self) {
        self.ask(Level::High);
    }

    /// Whether interrupts go by MSI-X.
    #[must_use]
    pub fn uses_msix(&self) -> bool {
        msix::is_enabled(&self.config())
    }

    /// Interrupts with `vector` of `table`, now or when it is unmasked.
    pub fn raise_vector(&self, table: &msix::Table, vector: Vector) {
        let message = table.take(vector, &self.config());
        message.into_iter().for_each(|message| self.send(message));
    }

    /// Sends what `table` held back while it was masked.
    pub fn send_unmasked(&self, table: &msix::Table) {
        let ready = table.unmasked(&self.config());
        ready.into_iter().for_each(|message| self.send(message));
    }

    /// A store of configuration software, with what follows for the line.
    pub(crate) fn configure(&self, offset: u16, width: Width, value: u64) -> Configured {
        let (gives_up, resets) = {
            let mut config = self.config();
            config.write(offset, width, value);
            let resets = express::take_reset(&mut config) || advanced::take_reset(&mut config);
            (address_translation::take_pri_reset(&mut config), resets)
        };
        if resets {
            self.begin_reset(express::reset);
            return Configured::Reset;
        }
        self.follow_ats();
        if gives_up {
            self.give_up_page_requests();
        }
        self.show_page_requests();
        self.drive_line();
        Configured::Stored
    }

    /// The port translates ahead if configuration space says so. It is asked with the port held, which also whoever was
    /// admitted before holds to the end of his request: so of two processors that write, the port follows the last.
    fn follow_ats(&self) {
        let mut port = self.port.lock();
        let ahead = address_translation::ats_is_enabled(&self.config());
        port.set_ats(if ahead { Ats::Enabled } else { Ats::Disabled });
    }

    /// Configuration space is as after power-on, nothing is in flight and nothing is kept. Whatever the device does in
    /// ignorance of that reaches nobody.
    fn begin_reset(&self, put_back: fn(&mut ConfigSpace)) {
        self.is_resetting.store(true, Ordering::Release);
        put_back(&mut self.config());
        self.port.lock().reset();
        self.give_up_page_requests();
        self.drive_line();
    }

    /// The bus that it is on is reset. [`end_reset`](Self::end_reset) must follow.
    pub(super) fn begin_hot_reset(&self) {
        self.begin_reset(ConfigSpace::reset);
    }

    /// The device is as after power-on, too.
    pub(crate) fn end_reset(&self) {
        let mut asked = self.asked.lock();
        *asked = Level::Low;
        self.is_resetting.store(false, Ordering::Release);
        drop(asked);
        self.drive_line();
    }

    /// The way to memory, for a request that may leave. Looked at with the port held, so that whoever forbids requests can
    /// wait for those that were admitted.
    pub(crate) fn way(&self, pasid: Option<Pasid>) -> Result<MutexGuard<'_, Box<dyn Port>>, DmaFault> {
        let port = self.port.lock();
        self.admit(pasid)?;
        Ok(port)
    }

    /// Whether a request of the function may leave.
    fn admit(&self, pasid: Option<Pasid>) -> Result<(), DmaFault> {
        if self.behind.as_ref().is_some_and(|port| !root_port::forwards_requests(&port.config())) {
            return Err(DmaFault::NotBusMaster);
        }
        let config = self.config();
        if config.command() & command::BUS_MASTER == 0 {
            return Err(DmaFault::NotBusMaster);
        }
        match pasid {
            Some(pasid) if !address_translation::pasid_is_enabled(&config) => {
                Err(DmaFault::PasidDisabled(pasid))
            }
            _ => Ok(()),
        }
    }

    fn send(&self, message: Msi) {
        let sent = if Msi::is_address(message.address) {
            self.way(None).map(|_held| self.upstream.send(self.source(), message))
        } else {
            self.write(None, VirtAddr(message.address), &message.data.to_le_bytes())
        };
        if let Err(fault) = sent {
            log::debug!("{}: {message:x?} is lost: {fault}", self.source());
        }
    }

    fn ask(&self, level: Level) {
        *self.asked.lock() = level;
        self.drive_line();
    }

    fn drive_line(&self) {
        // Held throughout, so that the line ends at the level of the last change.
        let asked = self.asked.lock();
        let mut config = self.config();
        let is_resetting = self.is_resetting.load(Ordering::Acquire);
        config.set_interrupt_status(*asked == Level::High && !is_resetting);
        let off = is_resetting
            || config.command() & command::INTX_DISABLE != 0
            || msi::message(&config).is_some()
            || msix::is_enabled(&config);
        drop(config);
        self.line.set(if off { Level::Low } else { *asked });
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("source", &self.source()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
