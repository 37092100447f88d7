//! Bus 0 and the buses behind its root ports: which function is where, in configuration space and in memory.
//!
//! Invariant: a function behind a port is reached as far as the port forwards: by the number that software gave its bus, and
//! within the port's window. An address is decoded by one function at most. Where BARs overlap, the function with the lower number
//! decodes, and of its BARs the one with the lower number; memory and the fixed ranges of the machine go before any
//! BAR. Each overlap is logged once. Source: PCI 3.0, 3.2.2.3.2 (numbers), 6.2.5 (placing).

mod doorbells;
mod overlap;
mod window;

use std::sync::Arc;

use pcie::SourceId;
use thiserror::Error;

use super::bar::BarRange;
use super::capability::express;
use super::config::{ConfigSpace, command, header};
use super::endpoint::{Configured, Endpoint};
use super::root_port::{self, RootPort};
use crate::bus::Width;
use crate::interrupt::Wire;
use crate::upstream::Upstream;
use doorbells::Doorbells;
pub use doorbells::{Doorbell, OwnDoorbell, Ringer};
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
    /// Its doorbells: where a store rings and does nothing else.
    fn doorbells(&self) -> Vec<OwnDoorbell> {
        Vec::new()
    }
    /// Whether a driver has begun that rings them, since this was asked last.
    fn has_begun(&self) -> bool {
        false
    }
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
    /// What is behind it, if it is a root port.
    behind: Option<Box<Slot>>,
}

/// Bus 0 and its functions, one to a device number, and behind each root port one on a bus of its own.
pub struct PciBus {
    slots: Vec<Slot>,
    upstream: Arc<dyn Upstream>,
    /// INTA# of device d is wire d modulo their number.
    wires: Vec<Wire>,
    overlaps: Overlaps,
    doorbells: Doorbells,
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
        Self {
            slots: Vec::new(),
            upstream,
            wires,
            overlaps: Overlaps::new(reserved),
            doorbells: Doorbells::default(),
        }
    }

    /// `ringer` rings doorbells, from the next driver that begins on.
    pub fn ring_by(&self, ringer: Box<dyn Ringer>) {
        self.doorbells.ring_by(ringer);
    }

    /// Where the next function is put: behind the last port, if nothing is there yet.
    ///
    /// # Errors
    /// [`BusFull`] when there is no place.
    pub fn next_source(&self) -> Result<SourceId, BusFull> {
        if self.empty_port().is_some() {
            return Ok(SourceId::new(self.last_bus(), 0, 0));
        }
        let device = u8::try_from(self.slots.len()).ok().filter(|device| *device < DEVICES);
        Ok(SourceId::new(0, device.ok_or(BusFull)?, 0))
    }

    /// The number of the last bus: they begin with 0, and each root port has one.
    #[must_use]
    pub fn last_bus(&self) -> u8 {
        let ports = self.slots.iter().filter(|slot| slot.is_port()).count();
        u8::try_from(ports).unwrap_or_else(|_| unreachable!("there are 32 functions at most"))
    }

    /// The last port, if nothing is behind it.
    fn empty_port(&self) -> Option<&Slot> {
        self.slots.last().filter(|slot| slot.is_port() && slot.behind.is_none())
    }

    /// Puts a root port at the next device number, and what is attached next behind it.
    ///
    /// # Errors
    /// [`BusFull`] when there is none.
    pub fn attach_port(&mut self) -> Result<SourceId, BusFull> {
        self.attach(RootPort::config(), |_| Ok(Arc::new(RootPort)))
    }

    /// Puts a function at the next place.
    ///
    /// # Errors
    /// [`BusFull`] when there is none, and what `make` says.
    pub fn attach<F: Function + 'static, E: From<BusFull>>(
        &mut self,
        config: ConfigSpace,
        make: impl FnOnce(Arc<Endpoint>) -> Result<Arc<F>, E>,
    ) -> Result<SourceId, E> {
        self.attach_any(config, |endpoint| Ok(make(endpoint)? as Arc<dyn Function>))
    }

    /// The same, of a function whose type nobody knows here.
    ///
    /// # Errors
    /// The same.
    pub fn attach_any<E: From<BusFull>>(
        &mut self,
        config: ConfigSpace,
        make: impl FnOnce(Arc<Endpoint>) -> Result<Arc<dyn Function>, E>,
    ) -> Result<SourceId, E> {
        let source = self.next_source()?;
        let port = self.empty_port().map(|slot| Arc::clone(&slot.endpoint));
        // The pins of what is behind a port come out at the port's own.
        let device = self.slots.len() - usize::from(port.is_some());
        let wire = &self.wires[device % self.wires.len()];
        let mut config = config;
        if port.is_some() {
            express::put_behind_port(&mut config);
        }
        if config.get16(header::INTERRUPT_PIN - 1) >> 8 != 0 {
            config.set(header::INTERRUPT_LINE, &[wire.pin().0]);
        }
        let endpoint = Endpoint::new(source, config, Arc::clone(&self.upstream), wire.line());
        let endpoint = Arc::new(match &port {
            Some(port) => endpoint.behind(Arc::clone(port)),
            None => endpoint,
        });
        let function = make(Arc::clone(&endpoint))?;
        let slot = Slot { endpoint, function, behind: None };
        match self.slots.last_mut().filter(|_| port.is_some()) {
            Some(port) => port.behind = Some(Box::new(slot)),
            None => self.slots.push(slot),
        }
        Ok(source)
    }

    /// Gives every BAR a place in `window` and switches memory decoding on, numbers the buses behind ports and opens these, as
    /// firmware does.
    ///
    /// # Errors
    /// [`NoRoom`] when the window is full.
    pub fn place_bars(&self, mut window: Window) -> Result<(), NoRoom> {
        let mut bus = 0;
        for slot in &self.slots {
            slot.place_bars(&mut window)?;
            if slot.is_port() {
                bus += 1;
                let start = window.align(root_port::GRAIN);
                slot.behind.as_ref().map_or(Ok(()), |behind| behind.place_bars(&mut window))?;
                let end = window.align(root_port::GRAIN);
                root_port::place(&mut slot.endpoint.config(), bus, start, end);
            }
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
        slot.endpoint.capture(source);
        configure(&slot.endpoint, &*slot.function, offset, width, value);
        if let Some(behind) = &slot.behind {
            behind.follow(&slot.endpoint);
        }
        self.overlaps.check(source, &self.decoded());
        self.doorbells.keep(|| self.doorbells());
        self.hand_over(slot);
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
        self.hand_over(slot);
        Some(())
    }

    /// Hands the doorbells of a driver that has begun to whoever rings them.
    fn hand_over(&self, slot: &Slot) {
        if slot.function.has_begun() {
            self.doorbells.add(|| self.doorbells_of(slot));
        }
    }

    fn doorbells(&self) -> Vec<Doorbell> {
        let slots = self.slots.iter().flat_map(|slot| [Some(slot), slot.behind.as_deref()]).flatten();
        slots.flat_map(|slot| self.doorbells_of(slot)).collect()
    }

    /// Those that a store reaches, which no fixed range, no other BAR and no port keeps from it.
    fn doorbells_of(&self, slot: &Slot) -> Vec<Doorbell> {
        let is_reached = |doorbell: &Doorbell| {
            let decoder = self.decode(doorbell.address).map(|(slot, ..)| slot);
            decoder.is_some_and(|decoder| std::ptr::eq(decoder, slot))
                && !self.overlaps.is_reserved(doorbell.address)
        };
        slot.doorbells().into_iter().filter(is_reached).collect()
    }

    fn slot(&self, source: SourceId) -> Option<&Slot> {
        if source.bus() > 0 {
            return self.behind_port(source);
        }
        let (device, function) = (source.devfn() >> 3, source.devfn() & 7);
        self.slots.get(usize::from(device)).filter(|_| function == 0)
    }

    /// A bus has a number up to [`last_bus`](Self::last_bus), whatever software gives it: the host bridge leads to no other.
    fn behind_port(&self, source: SourceId) -> Option<&Slot> {
        let port = self.slots.iter().find(|slot| {
            slot.is_port() && root_port::secondary_bus(&slot.endpoint.config()) == source.bus()
        })?;
        let is_there = source.bus() <= self.last_bus() && source.devfn() == 0;
        let slot = port.behind.as_deref().filter(|_| is_there)?;
        (!root_port::resets(&port.endpoint.config())).then_some(slot)
    }

    /// In the order of precedence.
    fn decode(&self, address: u64) -> Option<(&Slot, u8, u64)> {
        self.slots.iter().find_map(|slot| slot.decode(address).or_else(|| slot.decode_behind(address)))
    }

    fn decoded(&self) -> Vec<(SourceId, BarRange)> {
        self.slots.iter().flat_map(|slot| slot.decoded().chain(slot.decoded_behind())).collect()
    }
}

impl Slot {
    fn is_port(&self) -> bool {
        self.endpoint.config().is_bridge()
    }

    fn place_bars(&self, window: &mut Window) -> Result<(), NoRoom> {
        let mut config = self.endpoint.config();
        for bar in config.bars().to_vec() {
            let address = window.take(self.endpoint.source(), bar.len_bytes())?;
            bar.place(&mut config, address);
        }
        let decoding = config.command() | command::MEMORY;
        config.set16(header::COMMAND, decoding);
        Ok(())
    }

    fn decode(&self, address: u64) -> Option<(&Self, u8, u64)> {
        let config = self.endpoint.config();
        let found = config.decoded().find_map(|bar| Some((bar.number, bar.offset_of(address)?)));
        drop(config);
        found.map(|(bar, offset)| (self, bar, offset))
    }

    fn decode_behind(&self, address: u64) -> Option<(&Self, u8, u64)> {
        let behind = self.behind.as_deref()?;
        let forwards = root_port::window(&self.endpoint.config()).contains(&address);
        behind.decode(address).filter(|_| forwards)
    }

    /// Where its doorbells are at the moment.
    fn doorbells(&self) -> Vec<Doorbell> {
        let bars: Vec<_> = self.endpoint.config().decoded().collect();
        let place = |OwnDoorbell { bar, offset, bell }: OwnDoorbell| {
            let bar = bars.iter().find(|range| range.number == bar)?;
            Some(Doorbell { address: bar.start + offset, bell })
        };
        self.function.doorbells().into_iter().filter_map(place).collect()
    }

    fn decoded(&self) -> impl Iterator<Item = (SourceId, BarRange)> + use<> {
        let source = self.endpoint.source();
        let bars: Vec<_> = self.endpoint.config().decoded().collect();
        bars.into_iter().map(move |bar| (source, bar))
    }

    /// As far as the port forwards any of it.
    fn decoded_behind(&self) -> impl Iterator<Item = (SourceId, BarRange)> + use<> {
        let window = root_port::window(&self.endpoint.config());
        let len_bytes = window.end.saturating_sub(window.start);
        let all = self.behind.as_deref().map(Self::decoded).into_iter().flatten();
        all.filter(move |(_, bar)| len_bytes > 0 && bar.overlaps(window.start, len_bytes))
    }

    /// Software has written to the port in front of it: what that forbids is over when this returns, and what it resets is
    /// as after power-on.
    fn follow(&self, port: &Endpoint) {
        self.endpoint.drain();
        if root_port::resets(&port.config()) {
            self.endpoint.begin_hot_reset();
            self.function.reset();
            self.endpoint.end_reset();
        }
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
