//! A driver for tests: it negotiates, lays out rings, and offers chains that it wrote itself.
//!
//! Invariant: it puts into memory what a test says, right or wrong, and waits for nothing for ever.

use std::thread;
use std::time::{Duration, Instant};

use mmu::address::PhysAddr;
use pcie::Msi;

use super::VirtioFunction;
use super::identity::Identity;
use super::model::Models;
use crate::bus::Width;
use crate::pci::Function;
use crate::pci::capability::msix;
use crate::rig::Rig;
use crate::worker::Hooks;

/// Where the parts of the ring lie, and room for buffers.
pub(super) const TABLE: u64 = 0x1000;
pub(super) const AVAILABLE: u64 = 0x2000;
pub(super) const USED: u64 = 0x3000;
pub(super) const INDIRECT: u64 = 0x4000;
pub(super) const BUFFERS: u64 = 0x1_0000;
/// How far behind those of the first ring the parts of the next one lie.
pub(super) const RING_BYTES: u64 = 0x4000;
/// The same for a few of them.
const SHIFTS: [u64; 4] = [0, RING_BYTES, 2 * RING_BYTES, 3 * RING_BYTES];
/// Entries of the ring.
pub(super) const SIZE: u16 = 16;
/// VERSION_1, ACCESS_PLATFORM, INDIRECT_DESC.
pub(super) const FEATURES: u64 = 1 << 32 | 1 << 33 | 1 << 28;
pub(super) const EVENT_INDEX: u64 = 1 << 29;

pub(super) const NEXT: u16 = 1;
pub(super) const WRITE: u16 = 2;
pub(super) const TABLE_OF_ITS_OWN: u16 = 4;

pub(super) const DRIVER_OK: u64 = 4;
pub(super) const FEATURES_OK: u64 = 8;
pub(super) const NEEDS_RESET: u64 = 0x40;
/// The messages of the configuration and of the ring.
pub(super) const CONFIG: Msi = Msi { address: 0xfee0_0000, data: 0x40 };
pub(super) const RING: Msi = Msi { address: 0xfee0_0000, data: 0x41 };

/// A descriptor: where, how much, how, and what follows.
pub(super) type Descriptor = (u64, u32, u16, u16);

/// The device, its surroundings and what the driver knows of its rings.
pub(super) struct Driver {
    pub(super) rig: Rig<VirtioFunction>,
    rings: Vec<Side>,
    /// The ring that is used.
    on: usize,
}

/// The driver's side of a ring.
#[derive(Clone, Copy, Default)]
struct Side {
    queue: u64,
    offered: u16,
    taken: u16,
}

impl Driver {
    /// Before a driver.
    pub(super) fn new(identity: Identity, models: impl Into<Models>) -> Self {
        Self::with_hooks(identity, models.into(), &Hooks::default)
    }

    /// The same; the device's threads have `hooks`.
    pub(super) fn with_hooks(identity: Identity, models: Models, hooks: &dyn Fn() -> Hooks) -> Self {
        let rig = Rig::new(VirtioFunction::config(&identity), |endpoint, memory| {
            VirtioFunction::start(endpoint, memory, identity, models, hooks).expect("there is a thread")
        });
        Self { rig, rings: vec![Side::default()], on: 0 }
    }

    /// With a driver that has accepted `features`, and MSI-X.
    pub(super) fn ready(identity: Identity, models: impl Into<Models>, features: u64) -> Self {
        let mut driver = Self::new(identity, models);
        driver.use_msix();
        driver.begin(features);
        driver
    }

    pub(super) fn load(&self, offset: u64, width: Width) -> u64 {
        self.rig.device.read(0, offset, width)
    }

    pub(super) fn store(&self, offset: u64, width: Width, value: u64) {
        self.rig.device.write(0, offset, width, value);
    }

    pub(super) fn status(&self) -> u64 {
        self.load(0x14, Width::Byte)
    }

    pub(super) fn use_msix(&self) {
        let at = self.rig.endpoint.config().find(msix::ID).expect("the function has MSI-X");
        self.rig.endpoint.configure(at + 2, Width::Word, 0x8000);
        for (vector, message) in [CONFIG, RING].iter().enumerate() {
            let entry = 0x4000 + 16 * vector as u64;
            self.store(entry, Width::Qword, message.address);
            self.store(entry + 8, Width::Dword, message.data.into());
            self.store(entry + 12, Width::Dword, 0);
        }
    }

    /// Accepts those features; whether the device does.
    pub(super) fn negotiate(&self, features: u64) -> bool {
        self.store(0x14, Width::Byte, 3);
        for select in 0..2 {
            self.store(0x08, Width::Dword, select);
            self.store(0x0c, Width::Dword, features >> (32 * select) & 0xffff_ffff);
        }
        self.store(0x14, Width::Byte, 3 | FEATURES_OK);
        self.status() & FEATURES_OK != 0
    }

    pub(super) fn begin(&mut self, features: u64) {
        self.begin_queue(0, features);
    }

    /// The same with another queue, which alone is used.
    pub(super) fn begin_queue(&mut self, queue: u64, features: u64) {
        self.begin_queues(&[queue], features);
    }

    /// The same with several, the first of which is used until [`turn_to`](Self::turn_to).
    pub(super) fn begin_queues(&mut self, queues: &[u64], features: u64) {
        assert!(self.negotiate(features), "the device accepts {features:#x}");
        self.store(0x10, Width::Word, 0);
        for (queue, shift) in queues.iter().zip(SHIFTS) {
            self.store(0x16, Width::Word, *queue);
            self.store(0x18, Width::Word, SIZE.into());
            self.store(0x1a, Width::Word, 1);
            for (offset, address) in [(0x20, TABLE), (0x28, AVAILABLE), (0x30, USED)] {
                self.store(offset, Width::Dword, address + shift);
                self.store(offset + 4, Width::Dword, 0);
            }
            self.store(0x1c, Width::Word, 1);
        }
        self.store(0x14, Width::Byte, 3 | FEATURES_OK | DRIVER_OK);
        self.rings = queues.iter().map(|queue| Side { queue: *queue, ..Side::default() }).collect();
        self.on = 0;
    }

    /// Uses the ring of that place among those that were laid out.
    pub(super) fn turn_to(&mut self, ring: usize) {
        assert!(ring < self.rings.len(), "there is such a ring");
        self.on = ring;
    }

    /// How far behind the first ring's the parts of the one that is used lie.
    fn shift(&self) -> u64 {
        SHIFTS[self.on]
    }

    /// Resets the device, as a driver does.
    pub(super) fn reset(&self) {
        self.store(0x14, Width::Byte, 0);
        self.until("a reset", || self.status() == 0);
        for shift in &SHIFTS[..self.rings.len()] {
            self.rig.memory.write_bytes(PhysAddr(AVAILABLE + shift), &[0; 4]);
            self.rig.memory.write_bytes(PhysAddr(USED + shift), &[0; 4]);
        }
    }

    pub(super) fn put(&self, at: u64, bytes: &[u8]) {
        self.rig.memory.write_bytes(PhysAddr(at), bytes);
    }

    pub(super) fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.rig.memory.read_bytes(PhysAddr(at), &mut bytes);
        bytes
    }

    pub(super) fn word(&self, at: u64) -> u16 {
        u16::from_le_bytes(self.bytes(at, 2).try_into().expect("two bytes"))
    }

    /// Writes descriptors into the table at `table`, from its first entry on.
    pub(super) fn describe(&self, table: u64, descriptors: &[Descriptor]) {
        for (index, (address, len, flags, next)) in (0..).zip(descriptors) {
            let mut entry = address.to_le_bytes().to_vec();
            entry.extend(len.to_le_bytes());
            entry.extend(flags.to_le_bytes());
            entry.extend(next.to_le_bytes());
            self.put(table + 16 * index, &entry);
        }
    }

    /// Offers the chain that begins with entry `head`, and rings.
    pub(super) fn offer(&mut self, head: u16) {
        let (shift, side) = (self.shift(), &mut self.rings[self.on]);
        let slot = u64::from(side.offered % SIZE);
        side.offered = side.offered.wrapping_add(1);
        let offered = side.offered;
        self.put(AVAILABLE + shift + 4 + 2 * slot, &head.to_le_bytes());
        self.put(AVAILABLE + shift + 2, &offered.to_le_bytes());
        self.ring();
    }

    pub(super) fn ring(&self) {
        self.store(0x3000 + 4 * self.rings[self.on].queue, Width::Word, 0);
    }

    /// Offers these descriptors, one leading to the next, and waits until they are used: how many bytes were written.
    pub(super) fn request(&mut self, pieces: &[(u64, u32, u16)]) -> u32 {
        let last = pieces.len() - 1;
        let chained: Vec<_> = (0..)
            .zip(pieces)
            .map(|(index, (at, len, flags)): (u16, _)| {
                let flags = if usize::from(index) < last { flags | NEXT } else { *flags };
                (*at, *len, flags, index + 1)
            })
            .collect();
        self.describe(TABLE + self.shift(), &chained);
        self.offer(0);
        self.used().1
    }

    /// How many chains were used, modulo 65,536.
    pub(super) fn used_index(&self) -> u16 {
        self.word(USED + self.shift() + 2)
    }

    /// The next entry that was used: which chain, and how many bytes.
    pub(super) fn used(&mut self) -> (u32, u32) {
        let (shift, taken) = (self.shift(), self.rings[self.on].taken);
        self.until("a used entry", || self.used_index() != taken);
        let entry = self.bytes(USED + shift + 4 + 8 * u64::from(taken % SIZE), 8);
        self.rings[self.on].taken = taken.wrapping_add(1);
        let word = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().expect("four bytes"));
        (word(0), word(4))
    }

    /// Waits until the device asks to be reset, and sees that it has said so and has used nothing.
    pub(super) fn breaks(&self) {
        self.until("the device to break", || self.status() & NEEDS_RESET != 0);
        self.until("its interrupt", || self.rig.seen.messages.lock().contains(&CONFIG));
        assert_eq!(self.used_index(), self.rings[self.on].taken, "a chain that is none is not used");
    }

    pub(super) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(60), "waited for {what} in vain");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
