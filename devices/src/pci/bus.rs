//! Bus 0: which function is where, in configuration space and in memory.
//!
//! Invariant: an address is decoded by one function at most. Where BARs overlap, the function with the lower number
//! decodes, and of its BARs the one with the lower number; memory and the fixed ranges of the machine go before any
//! BAR. Each overlap is logged once. Source: PCI 3.0, 3.2.2.3.2 (numbers), 6.2.5 (placing).

mod overlap;
mod window;

use std::sync::Arc;

use pcie::SourceId;
use thiserror::Error;

use super::bar::BarRange;
use super::config::{ConfigSpace, command, header};
use super::endpoint::{Configured, Endpoint};
use crate::bus::Width;
use crate::interrupt::Wire;
use crate::upstream::Upstream;
use overlap::Overlaps;
pub use overlap::Reserved;
pub use window::{NoRoom, Window};

/// The device part of a function: what its BARs do.
pub trait Function: Send + Sync {
    /// A load from BAR `bar`; all ones is what nothing answers.
    fn read(&self, bar: u8, offset: u64, width: Width) -> u64;
    /// A store to BAR `bar`.
    fn write(&self, bar: u8, offset: u64, width: Width, value: u64);
    /// Software is about to load from configuration space: what it is to find there can be put there now.
    fn looked_at(&self, _offset: u16, _width: Width) {}
    /// Software has written to configuration space.
    fn configured(&self, _offset: u16, _width: Width) {}
    /// The function was reset, its configuration space already: on return the device is as after power-on, and uses nothing
    /// of what it was told before.
    fn reset(&self) {}
}

/// Device numbers of a bus.
const DEVICES: u8 = 32;

/// A bus that has no place for another device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("bus 0 has room for 32 devices and no more; give fewer")]
pub struct BusFull;

/// A function in its place.
struct Slot {
    endpoint: Arc<Endpoint>,
    function: Arc<dyn Function>,
}

/// Bus 0 and its functions, one to a device number.
pub struct PciBus {
    slots: Vec<Slot>,
    upstream: Arc<dyn Upstream>,
    /// INTA# of device d is wire d modulo their number.
    wires: Vec<Wire>,
    overlaps: Overlaps,
}

impl PciBus {
    /// A bus whose functions reach memory through `upstream` and interrupt by `wires`; `reserved` are the ranges that
    /// go before any BAR.
    ///
    /// # Panics
    /// Without wires.
    #[must_use]
    pub fn new(upstream: Arc<dyn Upstream>, wires: Vec<Wire>, reserved: Vec<Reserved>) -> Self {
        assert!(!wires.is_empty(), "a bus needs at least one interrupt wire");
        Self { slots: Vec::new(), upstream, wires, overlaps: Overlaps::new(reserved) }
    }

    /// Where the next function is put.
    ///
    /// # Errors
    /// [`BusFull`] when there is no place.
    pub fn next_source(&self) -> Result<SourceId, BusFull> {
        let device = u8::try_from(self.slots.len()).ok().filter(|device| *device < DEVICES);
        Ok(SourceId::new(0, device.ok_or(BusFull)?, 0))
    }

    /// Puts a function at the next device number.
    ///
    /// # Errors
    /// [`BusFull`] when there is none, and what `make` says.
    pub fn attach<F: Function + 'static, E: From<BusFull>>(
        &mut self,
        config: ConfigSpace,
        make: impl FnOnce(Arc<Endpoint>) -> Result<Arc<F>, E>,
    ) -> Result<SourceId, E> {
        let source = self.next_source()?;
        let wire = &self.wires[self.slots.len() % self.wires.len()];
        let mut config = config;
        if config.get16(header::INTERRUPT_PIN - 1) >> 8 != 0 {
            config.set(header::INTERRUPT_LINE, &[wire.pin().0]);
        }
        let endpoint = Arc::new(Endpoint::new(source, config, Arc::clone(&self.upstream), wire.line()));
        let function = make(Arc::clone(&endpoint))?;
        self.slots.push(Slot { endpoint, function });
        Ok(source)
    }

    /// Gives every BAR a place in `window` and switches memory decoding on, as firmware does.
    ///
    /// # Errors
    /// [`NoRoom`] when the window is full.
    pub fn place_bars(&self, mut window: Window) -> Result<(), NoRoom> {
        for slot in &self.slots {
            let mut config = slot.endpoint.config();
            for bar in config.bars().to_vec() {
                let address = window.take(slot.endpoint.source(), bar.len_bytes())?;
                bar.place(&mut config, address);
            }
            let decoding = config.command() | command::MEMORY;
            config.set16(header::COMMAND, decoding);
        }
        Ok(())
    }

    /// A load from configuration space; all ones where there is no function.
    #[must_use]
    pub fn read_config(&self, source: SourceId, offset: u16, width: Width) -> u64 {
        let Some(slot) = self.slot(source) else { return width.ones() };
        look(&slot.endpoint, &*slot.function, offset, width)
    }

    /// A store to configuration space.
    pub fn write_config(&self, source: SourceId, offset: u16, width: Width, value: u64) {
        let Some(slot) = self.slot(source) else { return };
        configure(&slot.endpoint, &*slot.function, offset, width, value);
        self.overlaps.check(source, &self.decoded());
    }

    /// A load from memory space; none if no BAR decodes `address`.
    #[must_use]
    pub fn read(&self, address: u64, width: Width) -> Option<u64> {
        let (slot, bar, offset) = self.decode(address)?;
        Some(slot.function.read(bar, offset, width) & width.ones())
    }

    /// A store to memory space; none if no BAR decodes `address`.
    pub fn write(&self, address: u64, width: Width, value: u64) -> Option<()> {
        let (slot, bar, offset) = self.decode(address)?;
        slot.function.write(bar, offset, width, value & width.ones());
        Some(())
    }

    fn slot(&self, source: SourceId) -> Option<&Slot> {
        let (device, function) = (source.devfn() >> 3, source.devfn() & 7);
        let slot = self.slots.get(usize::from(device))?;
        (source.bus() == 0 && function == 0).then_some(slot)
    }

    /// In the order of precedence.
    fn decode(&self, address: u64) -> Option<(&Slot, u8, u64)> {
        self.slots.iter().find_map(|slot| {
            let config = slot.endpoint.config();
            let found = config.decoded().find_map(|bar| Some((bar.number, bar.offset_of(address)?)));
            drop(config);
            found.map(|(bar, offset)| (slot, bar, offset))
        })
    }

    fn decoded(&self) -> Vec<(SourceId, BarRange)> {
        let of = |slot: &Slot| {
            let source = slot.endpoint.source();
            slot.endpoint.config().decoded().map(|bar| (source, bar)).collect::<Vec<_>>()
        };
        self.slots.iter().flat_map(of).collect()
    }
}

/// A store to configuration space, and what the device has to be told of it.
pub(crate) fn configure(endpoint: &Endpoint, function: &dyn Function, offset: u16, width: Width, value: u64) {
    if endpoint.configure(offset, width, value) == Configured::Reset {
        function.reset();
        endpoint.end_reset();
    }
    function.configured(offset, width);
}

/// A load from configuration space, of which the device hears first.
pub(crate) fn look(endpoint: &Endpoint, function: &dyn Function, offset: u16, width: Width) -> u64 {
    function.looked_at(offset, width);
    endpoint.config().read(offset, width)
}

#[cfg(test)]
mod tests;
