//! A virtio device before a unit that maps a part of memory, or before none.
//!
//! Invariant: behind the unit the device may write the first half of memory, read half of the rest, and reaches nothing
//! else; the tables that say so lie where it reaches nothing.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use devices::bus::Width;
use devices::interrupt::{Level, Pin, Pins, Wire};
use devices::link::bell::Bell;
use devices::link::{FRAME_BYTES, Link, Received, Sent as Frame};
use devices::pci::bus::BusFull;
use devices::pci::host_bridge::BridgeFunction;
use devices::pci::{Function, PciBus};
use devices::upstream::{Direct, Remapped, Upstream};
use devices::virtio::VirtioFunction;
use devices::virtio::blk::Blk;
use devices::virtio::blk::disk::{Access, Disk};
use devices::virtio::console::{Console, UserEnd};
use devices::virtio::identity::Identity;
use devices::virtio::model::Models;
use devices::virtio::net::Net;
use devices::virtio::net::address::MacAddress;
use devices::virtio::rng::Rng;
use devices::worker::Hooks;
use iommu::vtd::options::VtdOptions;
use iommu::vtd::{Vtd, Width as UnitWidth};
use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;
use pcie::{MsiSink, SourceId};

use crate::fuzz::rig::Sent;

/// Bytes of memory, where what the device may only read begins, and what it does not reach.
pub(super) const MEMORY_BYTES: u64 = 1 << 20;
pub(super) const READ_ONLY: u64 = MEMORY_BYTES / 2;
pub(super) const ABSENT: u64 = READ_ONLY + READ_ONLY / 2;
const PAGE: u64 = 0x1000;
/// The unit's tables: root, contexts, and four levels.
const TABLES: u64 = MEMORY_BYTES - 6 * PAGE;
const DISK_BYTES: u64 = 64 << 10;
const SOURCE: SourceId = SourceId::new(0, 1, 0);
/// In the command register: memory is decoded, and the function may reach it.
pub(super) const WORKING: u64 = 6;
const COMMAND: u16 = 4;
/// Longer than any machine needs, and shorter than the watch's patience.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Rng,
    Blk,
    Console,
    Net,
}

/// The device and what is around it.
pub(super) struct Rig {
    pub(super) memory: Arc<PhysicalMemory>,
    bus: PciBus,
    pub(super) device: Arc<VirtioFunction>,
    pub(super) user: Arc<UserEnd>,
    pub(super) sent: Arc<Sent>,
    is_mapped: bool,
}

/// The bus is full, or the host has no thread.
#[derive(Debug)]
struct Failed;

impl From<BusFull> for Failed {
    fn from(_: BusFull) -> Self {
        Self
    }
}

/// Nobody looks at the line.
struct Nowhere;

impl Pins for Nowhere {
    fn set(&self, _: Pin, _: Level) {}
}

/// A cable whose end sends back what came, a few frames of it.
#[derive(Default)]
struct Mirror(VecDeque<Vec<u8>>);

impl Link for Mirror {
    fn send(&mut self, frame: &[u8]) -> Frame {
        assert!(frame.len() <= FRAME_BYTES, "a frame of {} bytes", frame.len());
        if self.0.len() >= 4 {
            return Frame::Lost;
        }
        self.0.push_back(frame.to_vec());
        Frame::Taken
    }

    fn receive(&mut self, room: &mut [u8; FRAME_BYTES]) -> Received {
        let Some(frame) = self.0.pop_front() else { return Received::Nothing };
        room[..frame.len()].copy_from_slice(&frame);
        Received::Frame(frame.len())
    }

    fn lose(&mut self) -> u64 {
        self.0.drain(..).count() as u64
    }

    fn wait(&mut self, bell: &Bell) {
        bell.wait();
    }
}

impl Rig {
    pub(super) fn new(kind: Kind, is_mapped: bool) -> Self {
        let memory = Arc::new(PhysicalMemory::new(MEMORY_BYTES).expect("a MiB can be mapped"));
        let (sent, user) = (Arc::new(Sent::default()), UserEnd::new(Box::new(io::sink())));
        let (identity, models) = models(kind, &user);
        let config = VirtioFunction::config(&identity);
        let upstream = if is_mapped { behind_a_unit(&memory, &sent) } else { direct(&memory, &sent) };
        let wires = vec![Wire::new(Arc::new(Nowhere), Pin(17))];
        let mut bus = PciBus::new(upstream, wires, Vec::new());
        let bridge = bus.attach(BridgeFunction::config(), |_| Ok::<_, BusFull>(Arc::new(BridgeFunction)));
        bridge.expect("the bus has room");
        let mut made = None;
        let attached = bus.attach(config, |endpoint| {
            let own = Arc::clone(&memory);
            let device = VirtioFunction::start(endpoint, own, identity, models, &Hooks::default);
            let device = device.map_err(|_| Failed)?;
            made = Some(Arc::clone(&device));
            Ok::<_, Failed>(device)
        });
        attached.expect("the bus has room, and the host a thread");
        let device = made.expect("it is attached");
        user.connect(&device);
        let rig = Self { memory, bus, device, user, sent, is_mapped };
        rig.configure(COMMAND, Width::Word, WORKING);
        rig
    }

    /// A store into configuration space, as the bus has it.
    pub(super) fn configure(&self, offset: u16, width: Width, value: u64) {
        self.bus.write_config(SOURCE, offset, width, value);
    }

    /// A load from it.
    pub(super) fn configured(&self, offset: u16, width: Width) -> u64 {
        self.bus.read_config(SOURCE, offset, width)
    }

    /// Where its capability of that kind lies.
    pub(super) fn capability(&self, kind: u64) -> u16 {
        let mut at = self.configured(0x34, Width::Byte);
        while at != 0 {
            let place = u16::try_from(at).unwrap_or(u16::MAX);
            if self.configured(place, Width::Byte) == kind {
                return place;
            }
            at = self.configured(place + 1, Width::Byte);
        }
        panic!("there is no capability {kind:#x}")
    }

    pub(super) fn load(&self, offset: u64, width: Width) -> u64 {
        let read = self.device.read(0, offset, width);
        assert_eq!(read & !width.ones(), 0, "{read:#x} has more than {width:?}");
        read
    }

    pub(super) fn store(&self, offset: u64, width: Width, value: u64) {
        self.device.write(0, offset, width, value & width.ones());
    }

    /// What the device may not write.
    pub(super) fn kept(&self) -> Vec<u8> {
        let start = if self.is_mapped { READ_ONLY } else { MEMORY_BYTES };
        let mut bytes = vec![0; usize::try_from(MEMORY_BYTES - start).unwrap_or(0)];
        self.memory.read_bytes(PhysAddr(start), &mut bytes);
        bytes
    }

    pub(super) fn half(&self, at: u64) -> u16 {
        let mut bytes = [0; 2];
        self.memory.read_bytes(PhysAddr(at), &mut bytes);
        u16::from_le_bytes(bytes)
    }

    pub(super) fn put(&self, at: u64, bytes: &[u8]) {
        // What does not lie in memory is nobody's.
        let _is_there = self.memory.try_write_bytes(PhysAddr(at), bytes);
    }

    /// Waits for what must come.
    pub(super) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(
                begun.elapsed() < PATIENCE,
                "waited for {what} in vain, status {:#x}",
                self.load(0x14, Width::Byte)
            );
            std::thread::yield_now();
        }
    }
}

fn models(kind: Kind, user: &Arc<UserEnd>) -> (Identity, Models) {
    match kind {
        Kind::Rng => (Rng::identity(), Box::new(Rng).into()),
        Kind::Blk => {
            let disk = Arc::new(disk());
            (Blk::identity(&disk), Blk::models(disk))
        }
        Kind::Console => (Console::identity(), Box::new(Console::new(Arc::clone(user))).into()),
        Kind::Net => {
            let bell = Bell::new().expect("the host has a descriptor");
            let net = Box::new(Net::new(Box::new(Mirror::default()), bell));
            (Net::identity(MacAddress::local(1)), net.into())
        }
    }
}

fn disk() -> Disk {
    let file = rustix::fs::memfd_create("disk", rustix::fs::MemfdFlags::CLOEXEC).map(File::from);
    let file = file.expect("the host has a file in memory");
    file.set_len(DISK_BYTES).expect("a file can be long");
    Disk::new(file, DISK_BYTES, "disk".to_owned(), Access::ReadWrite, "fuzz").expect("whole sectors")
}

fn direct(memory: &Arc<PhysicalMemory>, sent: &Arc<Sent>) -> Arc<dyn Upstream> {
    let sent = Arc::clone(sent);
    Arc::new(Direct::new(Arc::clone(memory), Arc::new(move |message| sent.send(message))))
}

/// Legacy mode, a second stage of four levels (VT-d 9.1, 9.3, 9.8).
fn behind_a_unit(memory: &Arc<PhysicalMemory>, sent: &Arc<Sent>) -> Arc<dyn Upstream> {
    let [root, contexts, level_4, level_3, level_2, level_1] =
        [0, 1, 2, 3, 4, 5].map(|number| TABLES + number * PAGE);
    let store = |at, word| memory.store(PhysAddr(at), word);
    store(root, contexts | 1);
    let context = contexts + 16 * u64::from(SOURCE.0 & 0xff);
    store(context + 8, 1 << 8 | 2);
    store(context, level_4 | 1);
    for (table, next) in [(level_4, level_3), (level_3, level_2), (level_2, level_1)] {
        store(table, next | 3);
    }
    for page in (0..ABSENT).step_by(0x1000) {
        store(level_1 + page / PAGE * 8, page | if page < READ_ONLY { 3 } else { 1 });
    }
    let unit = Vtd::new(Arc::clone(memory), VtdOptions::default(), sent.clone());
    unit.write(0x20, UnitWidth::Bits64, root);
    unit.write(0x18, UnitWidth::Bits32, 1 << 30);
    unit.write(0x18, UnitWidth::Bits32, 1 << 31);
    Arc::new(Remapped::new(unit, 8))
}
