//! A bus with every device on it, and one of three ways to memory.

use std::sync::Arc;

use devices::edu::{Edu, EduOptions};
use devices::interrupt::{Level, Pin, Pins, Wire};
use devices::iommu_testdev::IommuTestdev;
use devices::pci::PciBus;
use devices::pci::bus::{BusFull, Window};
use devices::pci::host_bridge::{BridgeFunction, HostBridge};
use devices::pci_engine::{PciEngine, PciEngineOptions};
use devices::upstream::{Direct, Remapped, Upstream};
use devices::worker::Hooks;
use iommu::vtd::options::VtdOptions;
use iommu::vtd::{Vtd, Width};
use mmu::address::PhysAddr;
use mmu::memory::{MIN_MEMORY_BYTES, PhysicalMemory};
use pcie::MsiSink;

use crate::fuzz::Census;
use crate::fuzz::rig::Sent;

/// Bytes of memory.
pub(super) const MEMORY_BYTES: u64 = MIN_MEMORY_BYTES;

/// What stands between devices and memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Nothing.
    Direct,
    /// A unit whose translation is off.
    Passing,
    /// A unit whose root table is empty: nothing passes.
    Walled,
}

/// The bus, and what is behind it.
pub(super) struct Rig {
    pub(super) way: Way,
    pub(super) memory: Arc<PhysicalMemory>,
    pub(super) bus: Arc<PciBus>,
    pub(super) bridge: HostBridge,
    pub(super) sent: Arc<Sent>,
}

/// Nobody looks at the lines.
struct Nowhere;

impl Pins for Nowhere {
    fn set(&self, _: Pin, _: Level) {}
}

impl Rig {
    pub(super) fn new(way: Way) -> Self {
        let memory = Arc::new(PhysicalMemory::new(MEMORY_BYTES).expect("a MiB can be mapped"));
        let sent = Arc::new(Sent::default());
        let wires = vec![Wire::new(Arc::new(Nowhere), Pin(16)), Wire::new(Arc::new(Nowhere), Pin(17))];
        let mut bus = PciBus::new(upstream(way, &memory, &sent), wires, Vec::new());
        let attached = attach_all(&mut bus, &memory);
        attached.expect("the bus has room, and the host a thread");
        bus.place_bars(Window { start: 0xc000_0000, end: 0xe000_0000 }).expect("the window has room");
        let bus = Arc::new(bus);
        let bridge = HostBridge::new(Arc::clone(&bus));
        Self { way, memory, bus, bridge, sent }
    }

    /// All of memory.
    pub(super) fn memory_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(MEMORY_BYTES).unwrap_or(0)];
        self.memory.read_bytes(PhysAddr(0), &mut bytes);
        bytes
    }

    /// Looks what the devices have left.
    pub(super) fn finish(&self, census: &mut Census) {
        self.sent.check(census);
        if self.way == Way::Walled {
            let is_zero = self.memory_bytes().iter().all(|byte| *byte == 0);
            assert!(is_zero, "a device has written through a unit that blocks it");
            census.note("walled off");
        }
    }
}

fn upstream(way: Way, memory: &Arc<PhysicalMemory>, sent: &Arc<Sent>) -> Arc<dyn Upstream> {
    if way == Way::Direct {
        let sent = Arc::clone(sent);
        return Arc::new(Direct::new(Arc::clone(memory), Arc::new(move |message| sent.send(message))));
    }
    let unit = Vtd::new(Arc::clone(memory), VtdOptions::default(), sent.clone());
    if way == Way::Walled {
        unit.write(0x20, Width::Bits64, 0x1000);
        unit.write(0x18, Width::Bits32, 1 << 30);
        unit.write(0x18, Width::Bits32, 1 << 31);
    }
    Arc::new(Remapped::new(unit, 8))
}

fn attach_all(bus: &mut PciBus, memory: &Arc<PhysicalMemory>) -> Result<(), Failed> {
    bus.attach(BridgeFunction::config(), |_| Ok::<_, BusFull>(Arc::new(BridgeFunction)))?;
    bus.attach(Edu::config(), |endpoint| Ok::<_, BusFull>(Edu::new(endpoint, EduOptions::default())))?;
    bus.attach(IommuTestdev::config(), |endpoint| {
        Ok::<_, BusFull>(IommuTestdev::new(endpoint, Arc::clone(memory)))
    })?;
    let config = PciEngine::config(PciEngineOptions::default());
    bus.attach(config, |endpoint| PciEngine::start(endpoint, Hooks::default()).map_err(|_| Failed))?;
    Ok(())
}

/// The bus is full, or the host has no thread.
#[derive(Debug)]
struct Failed;

impl From<BusFull> for Failed {
    fn from(_: BusFull) -> Self {
        Self
    }
}
