//! Two root ports with a device behind each, as software finds and programs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mmu::address::VirtAddr;
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;
use pcie::{Msi, SourceId};

use crate::bus::Width;
use crate::interrupt::{Level, Pin, Pins, Wire};
use crate::pci::bar::{Bar, BarWidth};
use crate::pci::bus::{BusFull, Window};
use crate::pci::capability::express;
use crate::pci::config::{Identity, command, header};
use crate::pci::{ConfigSpace, Endpoint, Function, PciBus};
use crate::upstream::{Direct, DmaFault, Port, Upstream};

const BUSES: u16 = 0x18;
const BRIDGE_CONTROL: u16 = 0x3e;
const BASE_AND_LIMIT: u16 = 0x20;
const PORT: SourceId = SourceId::new(0, 1, 0);
const OTHER_PORT: SourceId = SourceId::new(0, 2, 0);
const DEVICE: SourceId = SourceId::new(1, 0, 0);
const OTHER_DEVICE: SourceId = SourceId::new(2, 0, 0);
const START: u64 = 0xc000_0000;

struct Nowhere;

impl Pins for Nowhere {
    fn set(&self, _: Pin, _: Level) {}
}

/// Memory, and who has asked for a way to it.
struct Asked {
    direct: Direct,
    sources: Mutex<Vec<SourceId>>,
}

impl Upstream for Asked {
    fn port(&self, source: SourceId) -> Box<dyn Port> {
        self.sources.lock().push(source);
        self.direct.port(source)
    }

    fn send(&self, _: SourceId, _: Msi) {}
}

/// Counts its resets.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Function for Counting {
    fn read(&self, _: u8, offset: u64, _: Width) -> u64 {
        0x5a00 | offset
    }

    fn write(&self, _: u8, _: u64, _: Width, _: u64) {}

    fn reset(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Scene {
    bus: PciBus,
    upstream: Arc<Asked>,
    endpoints: Vec<Arc<Endpoint>>,
    functions: Vec<Arc<Counting>>,
}

fn scene() -> Scene {
    let memory = Arc::new(PhysicalMemory::new(1 << 20).unwrap());
    let direct = Direct::new(memory, Arc::new(|_| {}));
    let upstream = Arc::new(Asked { direct, sources: Mutex::default() });
    let wires = (16..24).map(|pin| Wire::new(Arc::new(Nowhere), Pin(pin))).collect();
    let mut bus = PciBus::new(upstream.clone(), wires, Vec::new());
    let config = || {
        ConfigSpace::new(Identity { vendor: 1, device: 2, class: [0; 3], revision: 0 })
            .with_bar(Bar::new(0, 0x1000, BarWidth::Bits32))
            .with_interrupt_pin()
            .with(&express::integrated_endpoint())
    };
    let (mut endpoints, mut functions) = (Vec::new(), Vec::new());
    let mut attach = |bus: &mut PciBus| {
        bus.attach(config(), |endpoint| {
            endpoints.push(endpoint);
            let function = Arc::new(Counting::default());
            functions.push(Arc::clone(&function));
            Ok::<_, BusFull>(function)
        })
    };
    assert_eq!(attach(&mut bus), Ok(SourceId::new(0, 0, 0)));
    for (port, device) in [(PORT, DEVICE), (OTHER_PORT, OTHER_DEVICE)] {
        assert_eq!(bus.attach_port(), Ok(port));
        assert_eq!((bus.next_source(), attach(&mut bus)), (Ok(device), Ok(device)));
    }
    bus.place_bars(Window { start: START, end: START + (8 << 20) }).unwrap();
    Scene { bus, upstream, endpoints, functions }
}

impl Scene {
    fn read(&self, source: SourceId, offset: u16, width: Width) -> u64 {
        self.bus.read_config(source, offset, width)
    }

    fn number(&self, port: SourceId, secondary: u8) {
        let buses = u64::from(secondary) << 8 | u64::from(secondary) << 16;
        self.bus.write_config(port, BUSES, Width::Dword, buses);
    }

    fn write_as_master(&self, number: usize) -> Result<(), DmaFault> {
        self.endpoints[number].write(None, VirtAddr(0x1000), &[1])
    }
}

#[test]
fn a_device_behind_a_port_is_found_on_the_ports_bus_alone() {
    let scene = scene();
    let vendor = |source| scene.read(source, header::VENDOR, Width::Word);
    assert_eq!([DEVICE, OTHER_DEVICE].map(vendor), [1, 1]);
    assert_eq!(
        [SourceId::new(1, 1, 0), SourceId::new(1, 0, 1), SourceId::new(3, 0, 0)].map(vendor),
        [0xffff; 3]
    );
    assert_eq!(scene.read(PORT, header::TYPE, Width::Byte), 1);
    assert_eq!(scene.read(PORT, BUSES, Width::Dword), 0x0001_0100);
    let kind = |source| {
        let at = u16::try_from(scene.read(source, header::CAPABILITIES, Width::Byte)).unwrap();
        scene.read(source, at + 2, Width::Word) >> 4 & 0xf
    };
    assert_eq!([SourceId::new(0, 0, 0), PORT, DEVICE].map(kind), [0b1001, 0b0100, 0]);
    let line = |source| scene.read(source, header::INTERRUPT_LINE, Width::Byte);
    assert_eq!([PORT, DEVICE, OTHER_DEVICE].map(line), [17, 17, 18], "the port's own pin");
}

#[test]
fn requests_carry_the_bus_number_of_the_last_write_to_configuration_space() {
    let scene = scene();
    scene.number(PORT, 2);
    scene.number(OTHER_PORT, 1);
    assert_eq!(scene.endpoints[1].source(), DEVICE, "nobody has written to it");
    assert_eq!(scene.read(OTHER_DEVICE, header::VENDOR, Width::Word), 1);
    assert_eq!(scene.endpoints[1].source(), DEVICE, "a read does not tell it");
    scene.upstream.sources.lock().clear();
    scene.bus.write_config(OTHER_DEVICE, header::COMMAND, Width::Word, command::MEMORY.into());
    assert_eq!(scene.endpoints[1].source(), OTHER_DEVICE);
    assert_eq!(*scene.upstream.sources.lock(), [OTHER_DEVICE], "a way of its own");
    for beyond in [0, 3, 255] {
        scene.number(PORT, beyond);
        assert_eq!(scene.read(SourceId::new(beyond, 3, 0), header::VENDOR, Width::Word), 0xffff);
        scene.bus.write_config(SourceId::new(beyond, 0, 0), header::COMMAND, Width::Word, 0);
        assert_eq!(scene.endpoints[1].source(), OTHER_DEVICE, "no bus {beyond} behind a port");
    }
}

#[test]
fn a_port_forwards_its_window_and_nothing_else() {
    let scene = scene();
    let bar = scene.read(DEVICE, header::BARS, Width::Dword);
    assert_eq!(bar, START + (1 << 20));
    assert_eq!(scene.read(PORT, BASE_AND_LIMIT, Width::Dword), 0xc010_c010);
    assert_eq!(scene.bus.read(bar + 4, Width::Dword), Some(0x5a04));
    scene.bus.write_config(DEVICE, header::BARS, Width::Dword, START + (6 << 20));
    assert_eq!(scene.bus.read(START + (6 << 20), Width::Dword), None, "beside the window");
    scene.bus.write_config(PORT, BASE_AND_LIMIT, Width::Dword, 0xc060_c060);
    assert_eq!(scene.bus.read(START + (6 << 20), Width::Dword), Some(0x5a00));
    scene.bus.write_config(PORT, header::COMMAND, Width::Word, command::BUS_MASTER.into());
    assert_eq!(scene.bus.read(START + (6 << 20), Width::Dword), None, "the port decodes no memory");
}

#[test]
fn a_port_that_is_no_bus_master_forwards_no_request() {
    let scene = scene();
    let master = u64::from(command::MEMORY | command::BUS_MASTER);
    scene.bus.write_config(DEVICE, header::COMMAND, Width::Word, master);
    scene.write_as_master(1).unwrap();
    scene.bus.write_config(PORT, header::COMMAND, Width::Word, command::MEMORY.into());
    assert!(matches!(scene.write_as_master(1), Err(DmaFault::NotBusMaster)));
    scene.bus.write_config(PORT, header::COMMAND, Width::Word, master);
    scene.write_as_master(1).unwrap();
}

#[test]
fn a_reset_of_the_bus_resets_what_is_on_it_and_nothing_else() {
    let scene = scene();
    let master = u64::from(command::MEMORY | command::BUS_MASTER);
    for device in [DEVICE, OTHER_DEVICE] {
        scene.bus.write_config(device, header::COMMAND, Width::Word, master);
    }
    scene.bus.write_config(PORT, BRIDGE_CONTROL, Width::Word, 1 << 6);
    assert_eq!(scene.read(DEVICE, header::VENDOR, Width::Word), 0xffff, "it is held in reset");
    scene.bus.write_config(PORT, BRIDGE_CONTROL, Width::Word, 0);
    assert_eq!(scene.read(DEVICE, header::COMMAND, Width::Word), 0);
    assert_eq!(scene.read(DEVICE, header::BARS, Width::Dword), 0);
    assert!(matches!(scene.write_as_master(1), Err(DmaFault::NotBusMaster)));
    scene.write_as_master(2).unwrap();
    let resets = scene.functions.iter().map(|function| function.0.load(Ordering::Relaxed));
    assert_eq!(resets.collect::<Vec<_>>(), [0, 1, 0]);
}
