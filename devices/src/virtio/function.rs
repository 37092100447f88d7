//! The transport: a virtio device as a PCI function.
//!
//! Invariant: all that a driver reaches of a device lies in one BAR, a page for each part, where the vendor capabilities say
//! it does, and, for who cannot map that, behind the window in configuration space; what is behind them waits for a
//! device's thread at a reset alone, and else for the copy of one piece at most. Source: VIRTIO 1.2, 4.1.

mod window;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mmu::memory::PhysicalMemory;

use super::core::Core;
use super::identity::Identity;
use super::model::{Model, Models};
use super::register::{self, Asked};
use super::service;
use crate::bus::Width;
use crate::link::bell::Bell;
use crate::pci::bar::{Bar, BarWidth};
use crate::pci::bus::OwnDoorbell;
use crate::pci::capability::msix::{self, Place};
use crate::pci::capability::{Capability, CapabilityId, express};
use crate::pci::config;
use crate::pci::{ConfigSpace, Endpoint, Function};
use crate::worker::{Hooks, Worker, end_together};
use window::View;

/// Red Hat's, by which drivers know virtio; a device's own id is its number above the other.
const VENDOR: u16 = 0x1af4;
const FIRST_DEVICE: u16 = 0x1040;
/// Modern devices have this revision or a later one.
const REVISION: u8 = 1;

/// Parts of BAR 0, a page each.
const PAGE: u32 = 0x1000;
const COMMON: u32 = 0;
const REASONS: u32 = PAGE;
const DEVICE: u32 = 2 * PAGE;
const NOTIFY: u32 = 3 * PAGE;
const TABLE: u32 = 4 * PAGE;
const PENDING: u32 = 5 * PAGE;
const BAR_BYTES: u64 = 8 * PAGE as u64;
/// Between the doorbells of two queues.
const DOORBELL_BYTES: u32 = 4;

/// What a vendor capability is about.
#[derive(Clone, Copy)]
enum Part {
    Common = 1,
    Notify = 2,
    Reasons = 3,
    Device = 4,
    Window = 5,
}

/// The vendor's capabilities, one for each part.
const VENDOR_CAPABILITY: CapabilityId = CapabilityId::Standard(0x09);

/// How long a driver that resets is held up; a device that needs longer shows it.
const RESET_LIMIT: Duration = Duration::from_millis(100);

/// A virtio device on the bus.
pub struct VirtioFunction {
    core: Arc<Core>,
    workers: Vec<Worker<()>>,
    /// A driver has begun, of which the bus does not know yet.
    has_begun: AtomicBool,
    /// Stores to doorbells for which a processor has left the guest.
    exits: AtomicU64,
}

impl VirtioFunction {
    /// The configuration space of a device.
    #[must_use]
    pub fn config(identity: &Identity) -> ConfigSpace {
        let place = Place { bar: 0, table: TABLE, pending: PENDING };
        let pci = config::Identity {
            vendor: VENDOR,
            device: FIRST_DEVICE + identity.device,
            class: identity.class,
            revision: REVISION,
        };
        let mut space = ConfigSpace::new(pci)
            .with_bar(Bar::new(0, BAR_BYTES, BarWidth::Bits32))
            .with_interrupt_pin()
            .with(&express::integrated_endpoint())
            .with(&msix::capability(vectors(identity), place))
            .with(&part(Part::Common, COMMON, 16))
            .with(&part(Part::Notify, NOTIFY, 20).constant(16, DOORBELL_BYTES.to_le_bytes()))
            .with(&part(Part::Reasons, REASONS, 16))
            .with(&window::capability());
        if !identity.config.is_empty() {
            space = space.with(&part(Part::Device, DEVICE, 16));
        }
        space
    }

    /// The function at `endpoint`, in front of `memory`, and what it does, on threads each of which gets `hooks` of its own.
    ///
    /// # Errors
    /// What the host says if it has no thread or no descriptor left.
    pub fn start(
        endpoint: Arc<Endpoint>,
        memory: Arc<PhysicalMemory>,
        identity: Identity,
        models: Models,
        hooks: &dyn Fn() -> Hooks,
    ) -> io::Result<Arc<Self>> {
        let name = format!("{} {}", identity.name, endpoint.source());
        let vectors = vectors(&identity);
        let models = models.of(identity.queues.len());
        let bell = |model: &dyn Model| model.bell().map_or_else(|| Bell::new().map(Arc::new), Ok);
        let bells = models.iter().map(|model| bell(&**model)).collect::<io::Result<Vec<_>>>()?;
        let core = Arc::new(Core::new(endpoint, memory, identity, vectors, bells.clone()));
        let start = |(number, (mut model, bell)): (usize, (Box<dyn Model>, Arc<Bell>))| {
            let (own, hooks) = (Arc::clone(&core), hooks().waking(move || bell.ring()));
            Worker::start(name.clone(), hooks, move |stop| service::run(&own, number, stop, &mut *model))
        };
        let workers = models.into_iter().zip(bells).enumerate().map(start).collect::<io::Result<_>>()?;
        let (has_begun, exits) = (AtomicBool::new(false), AtomicU64::new(0));
        Ok(Arc::new(Self { core, workers, has_begun, exits }))
    }

    /// Whether a driver uses it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.core.registers().is_live()
    }

    /// There may be something to do that no driver has told of.
    pub fn look(&self) {
        (0..self.workers.len()).for_each(|number| self.look_by(number));
    }

    /// The same, for one of its threads.
    fn look_by(&self, number: usize) {
        if let (Some(thread), Some(worker)) = (self.core.threads().get(number), self.workers.get(number)) {
            thread.ring();
            worker.wake();
        }
    }

    /// The doorbell at that offset was rung.
    fn rung(&self, within: usize) {
        self.exits.fetch_add(1, Ordering::Relaxed);
        if let Some(number) = self.core.thread_of(within / DOORBELL_BYTES as usize) {
            self.look_by(number);
        }
    }

    /// Its own configuration is this from now on, and the driver is told.
    pub fn change_config(&self, bytes: &[u8]) {
        self.core.change_config(bytes);
    }

    fn write_common(&self, offset: usize, width: Width, value: u64) {
        if self.core.is_resetting() {
            return;
        }
        let asked = self.core.registers().write(offset, width, value);
        match asked {
            Asked::Nothing => {}
            Asked::Start => {
                self.has_begun.store(true, Ordering::Release);
                self.workers.iter().for_each(Worker::wake);
            }
            Asked::Reset => self.core.reset(&self.workers, Some(RESET_LIMIT)),
        }
    }
}

/// One for each queue, and one for the configuration.
fn vectors(identity: &Identity) -> u16 {
    u16::try_from(identity.queues.len() + 1).unwrap_or(u16::MAX)
}

fn part(part: Part, offset: u32, len_bytes: u16) -> Capability {
    let [len, _] = len_bytes.to_le_bytes();
    Capability::new(VENDOR_CAPABILITY, len_bytes)
        .constant(2, [len, part as u8, 0, 0])
        .constant(8, offset.to_le_bytes())
        .constant(12, PAGE.to_le_bytes())
}

/// Which part an offset belongs to, and where in it it lies.
fn split(offset: u64) -> (u32, usize) {
    let (page, within) = (offset / u64::from(PAGE), offset % u64::from(PAGE));
    // Both are below the BAR's length.
    (
        u32::try_from(page).unwrap_or(u32::MAX).saturating_mul(PAGE),
        usize::try_from(within).unwrap_or(usize::MAX),
    )
}

impl Function for VirtioFunction {
    fn read(&self, _: u8, offset: u64, width: Width) -> u64 {
        let (part, within) = split(offset);
        match part {
            COMMON if within < register::LEN_BYTES => {
                let generation = self.core.config().1;
                self.core.registers().read(within, width, generation)
            }
            REASONS if within == 0 => self.core.take_reasons().into(),
            DEVICE => bytes(&self.core.config().0, within, width),
            TABLE => self.core.table().read(within as u64, width),
            PENDING => self.core.table().pending(within as u64),
            _ => 0,
        }
    }

    fn write(&self, _: u8, offset: u64, width: Width, value: u64) {
        let (part, within) = split(offset);
        match part {
            COMMON => self.write_common(within, width, value),
            NOTIFY => self.rung(within),
            TABLE => {
                self.core.table().write(within as u64, width, value);
                self.core.endpoint().send_unmasked(self.core.table());
            }
            _ => {}
        }
    }

    /// Those of the queues that a driver has enabled so far: each that is handed over costs milliseconds.
    fn doorbells(&self) -> Vec<OwnDoorbell> {
        let enabled = self.core.registers().enabled_so_far();
        let doorbell = |queue: usize| {
            let thread = self.core.threads().get(self.core.thread_of(queue)?)?;
            let offset = u64::from(NOTIFY) + queue as u64 * u64::from(DOORBELL_BYTES);
            Some(OwnDoorbell { bar: 0, offset, bell: Arc::clone(thread.bell()) })
        };
        enabled.into_iter().filter_map(doorbell).collect()
    }

    fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed) && self.has_begun.swap(false, Ordering::AcqRel)
    }

    fn reset(&self) {
        self.core.reset(&self.workers, None);
        self.core.table().reset();
    }

    fn looked_at(&self, offset: u16, width: Width) {
        let Some(view) = View::of(&self.core.endpoint().config(), offset, width) else { return };
        let (width, found) = view.target.map_or((Width::Dword, u64::MAX), |target| {
            (target.width, self.read(target.bar, target.offset.into(), target.width))
        });
        let bytes = &found.to_le_bytes()[..usize::from(width.bytes())];
        self.core.endpoint().config().set(view.data, bytes);
    }

    fn configured(&self, offset: u16, width: Width) {
        self.core.endpoint().send_unmasked(self.core.table());
        let written = {
            let config = self.core.endpoint().config();
            View::of(&config, offset, width).map(|view| (view.target, config.get32(view.data)))
        };
        if let Some((Some(target), data)) = written {
            self.write(target.bar, target.offset.into(), target.width, u64::from(data) & target.width.ones());
        }
    }
}

impl Drop for VirtioFunction {
    fn drop(&mut self) {
        end_together(&mut self.workers);
        let exits = self.exits.load(Ordering::Relaxed);
        log::info!("{}: {exits} stores to its doorbells were exits", self.core.endpoint().source());
    }
}

/// What stands there, 0 beyond the end.
fn bytes(from: &[u8], offset: usize, width: Width) -> u64 {
    let byte = |at: u8| from.get(offset + usize::from(at)).copied().map_or(0, u64::from);
    (0..width.bytes()).rev().fold(0, |value, at| value << 8 | byte(at))
}

#[cfg(test)]
mod tests;
