//! One virtio device over PCI, with one ring or two, driven by looking at memory.
//!
//! Invariant: layouts are this driver's own, from the specification. Source: VIRTIO 1.2, 2.7 (split rings), 3.1.1 (order),
//! 4.1.4 (capabilities).

use super::unit::Remapping;
use crate::hardware::{load8, load16, load32, load64, store8, store16, store32};
use crate::id::Iova;
use crate::memory::Frame;
use crate::patience::{wait_asking, wait_until};
use crate::pci::Function;
use crate::policy::Policy;
use crate::space::Space;

const VENDOR: u16 = 0x1af4;
/// Entries of the ring.
pub(super) const SIZE: u16 = 16;
/// VERSION_1, ACCESS_PLATFORM.
const FEATURES: u64 = 1 << 32 | 1 << 33;
const ACKNOWLEDGED: u8 = 3;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
pub(super) const NEEDS_RESET: u8 = 0x40;
/// In a descriptor's flags.
pub(super) const NEXT: u16 = 1;
const WRITE: u16 = 2;
pub(super) const INDIRECT: u16 = 4;
/// Where the device finds its ring, and the page of a request.
pub(super) const RING: Iova = Iova(0x1_0000_0000);
/// Where in the pages of the first ring the second lies.
const SECOND: u64 = 0x800;
pub(super) const PAGE: Iova = Iova(0x1_4000_0000);

/// The device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) function: Function,
    pub(super) common: u64,
    pub(super) doorbell: u64,
    pub(super) config: u64,
    pub(super) space: Space,
    pub(super) table: Frame,
    pub(super) available: Frame,
    pub(super) used: Frame,
    /// For headers and states of requests.
    pub(super) own: Frame,
    offered: u16,
    taken: u16,
    /// Of the second ring.
    rooms: u16,
    filled: u16,
}

/// A buffer of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    at: Iova,
    len: u32,
    flags: u16,
}

impl Piece {
    /// One that the device reads.
    pub(super) const fn read(at: Iova, len: u32) -> Self {
        Self { at, len, flags: 0 }
    }

    /// One that it writes.
    pub(super) const fn written(at: Iova, len: u32) -> Self {
        Self { at, len, flags: WRITE }
    }
}

impl Device {
    /// The device with that number and index, attached to a space of its own in which its ring is mapped.
    pub(super) fn find(unit: &mut Remapping, device: u16, index: usize) -> Option<Self> {
        let function = Function::all(VENDOR, device).nth(index)?;
        function.enable();
        let space = unit.attach(function.source());
        let [table, available, used, own] = core::array::from_fn(|_| unit.memory.frame());
        for (frame, at) in [table, available, used, own].into_iter().zip(0..) {
            unit.map(&space, Iova(RING.0 + 0x1000 * at), frame);
        }
        let place = |kind| part(function, kind);
        Some(Self {
            function,
            common: place(1)?,
            doorbell: place(2)?,
            config: place(4).unwrap_or_default(),
            space,
            table,
            available,
            used,
            own,
            offered: 0,
            taken: 0,
            rooms: 0,
            filled: 0,
        })
    }

    /// Where the device finds its own page.
    pub(super) const fn own_at(offset: u64) -> Iova {
        Iova(RING.0 + 0x3000 + offset)
    }

    /// Resets it, and begins with those features of its own that it offers too: which they are.
    pub(super) fn begin(&mut self, features: u64) -> u64 {
        self.begin_queue(0, features)
    }

    /// The same with another queue, which alone is used.
    pub(super) fn begin_queue(&mut self, queue: u16, features: u64) -> u64 {
        self.begin_with(queue, features, Iova(RING.0 + 0x1000))
    }

    /// The same; the device finds there what the driver writes into its half of the ring.
    pub(super) fn begin_with(&mut self, queue: u16, features: u64, available: Iova) -> u64 {
        self.begin_all(features, &[(queue, available, 0)])
    }

    /// The same with queue `queue`, and `second` for what the device writes unasked.
    pub(super) fn begin_pair(&mut self, queue: u16, second: u16, features: u64) -> u64 {
        let available = Iova(RING.0 + 0x1000);
        let behind = Iova(available.0 + SECOND);
        self.begin_all(features, &[(queue, available, 0), (second, behind, SECOND)])
    }

    /// Each queue with where the driver's half of its ring lies, and how far into their pages the others.
    fn begin_all(&mut self, features: u64, queues: &[(u16, Iova, u64)]) -> u64 {
        self.reset();
        let accepted = self.negotiate(features);
        for (queue, available, offset) in queues {
            self.place_queue(*queue, SIZE, [RING.0 + offset, available.0, RING.0 + 0x2000 + offset]);
            self.enable_queue();
        }
        self.start_device();
        accepted
    }

    /// Accepts what is needed, and those features of its own that it offers too.
    pub(super) fn negotiate(&self, features: u64) -> u64 {
        self.set_status(ACKNOWLEDGED);
        let mut accepted = 0;
        for half in 0..2 {
            store32(self.common, half);
            let offered = u64::from(load32(self.common + 4)) << (32 * half);
            let wanted = offered & (features | FEATURES);
            accepted |= wanted;
            store32(self.common + 8, half);
            store32(
                self.common + 0xc,
                u32::try_from(wanted >> (32 * half) & 0xffff_ffff).unwrap_or_default(),
            );
        }
        self.set_status(ACKNOWLEDGED | FEATURES_OK);
        assert!(self.status() & FEATURES_OK != 0, "the device does not accept {accepted:#x}");
        accepted
    }

    /// Says how many entries the queue has, and where its table, the driver's half and the device's lie.
    pub(super) fn place_queue(&self, queue: u16, size: u16, places: [u64; 3]) {
        store16(self.common + 0x16, queue);
        store16(self.common + 0x18, size);
        for (register, at) in [0x20, 0x28, 0x30].into_iter().zip(places) {
            store32(self.common + register, u32::try_from(at & 0xffff_ffff).unwrap_or_default());
            store32(self.common + register + 4, u32::try_from(at >> 32).unwrap_or_default());
        }
    }

    /// Enables the queue that was placed last.
    pub(super) fn enable_queue(&self) {
        store16(self.common + 0x1c, 1);
    }

    /// The driver begins.
    pub(super) fn start_device(&self) {
        self.set_status(ACKNOWLEDGED | FEATURES_OK | DRIVER_OK);
    }

    /// Resets it; its rings are empty.
    pub(super) fn reset(&mut self) {
        self.set_status(0);
        wait_until("the reset of a virtio device", || self.status() == 0);
        (self.offered, self.taken, self.rooms, self.filled) = (0, 0, 0, 0);
        for word in [0, SECOND / 8] {
            self.available.store(word, 0);
            self.used.store(word, 0);
        }
    }

    pub(super) fn status(&self) -> u8 {
        load8(self.common + 0x14)
    }

    pub(super) fn set_status(&self, status: u8) {
        store8(self.common + 0x14, status);
    }

    /// Maps the page of a request: where the device finds it.
    pub(super) fn map(&self, unit: &mut Remapping, frame: Frame) -> Iova {
        unit.map(&self.space, PAGE, frame);
        PAGE
    }

    /// Takes it back.
    pub(super) fn unmap(&self, unit: &mut Remapping) {
        unit.unmap(&self.space, PAGE, Policy::Right);
    }

    /// Writes a descriptor.
    pub(super) fn describe(table: Frame, index: u16, piece: Piece, flags: u16, next: u16) {
        let slot = 2 * u64::from(index);
        table.store(slot, piece.at.0);
        let flags = u64::from(piece.flags | flags);
        table.store(slot + 1, u64::from(piece.len) | flags << 32 | u64::from(next) << 48);
    }

    /// Offers the chain that begins there, and rings.
    pub(super) fn offer(&mut self, head: u16) {
        store16(self.available.address() + 4 + 2 * u64::from(self.offered % SIZE), head);
        self.offered = self.offered.wrapping_add(1);
        self.jump(self.offered);
    }

    /// Says how many were offered, and rings.
    pub(super) fn jump(&self, offered: u16) {
        store16(self.available.address() + 2, offered);
        self.ring();
    }

    /// Tells the device to look.
    pub(super) fn ring(&self) {
        store32(self.doorbell, 0);
    }

    /// Offers these buffers and waits until they are used: how many bytes the device says it wrote.
    pub(super) fn request(&mut self, pieces: &[Piece]) -> u32 {
        self.start(pieces);
        self.finish()
    }

    /// Offers them.
    pub(super) fn start(&mut self, pieces: &[Piece]) {
        for (index, piece) in (0..).zip(pieces) {
            let is_last = usize::from(index) + 1 == pieces.len();
            Self::describe(self.table, index, *piece, if is_last { 0 } else { NEXT }, index + 1);
        }
        self.offer(0);
    }

    /// Waits until what was offered is used.
    pub(super) fn finish(&mut self) -> u32 {
        let is_over = || load16(self.used.address() + 2) != self.taken;
        wait_asking("a virtio device", is_over, || {
            assert!(self.status() & NEEDS_RESET == 0, "the device is broken");
        });
        let slot = u64::from(self.taken % SIZE);
        self.taken = self.taken.wrapping_add(1);
        load32(self.used.address() + 4 + 8 * slot + 4)
    }

    /// Offers room on the second ring.
    pub(super) fn offer_room(&mut self, room: Piece) {
        let first = u16::try_from(SECOND / 16).unwrap_or_default();
        Self::describe(self.table, first, room, 0, 0);
        let half = self.available.address() + SECOND;
        store16(half + 4 + 2 * u64::from(self.rooms % SIZE), 0);
        self.rooms = self.rooms.wrapping_add(1);
        store16(half + 2, self.rooms);
        self.ring();
    }

    /// Waits until the room is used: how many bytes the device wrote.
    pub(super) fn wait_for_room(&mut self) -> u32 {
        let half = self.used.address() + SECOND;
        let is_over = || load16(half + 2) != self.filled;
        wait_asking("what a virtio device receives", is_over, || {
            assert!(self.status() & NEEDS_RESET == 0, "the device is broken");
        });
        let slot = u64::from(self.filled % SIZE);
        self.filled = self.filled.wrapping_add(1);
        load32(half + 4 + 8 * slot + 4)
    }

    /// A word of its configuration.
    pub(super) fn config_word(&self, offset: u64) -> u64 {
        load64(self.config + offset)
    }
}

/// Where the part of that kind lies, by its vendor capability.
fn part(function: Function, kind: u8) -> Option<u64> {
    let mut at = u16::from(function.read8(0x34));
    while at != 0 {
        let (header, found) = (function.read16(at), function.read8(at + 3));
        if header & 0xff == 9 && found == kind {
            return Some(function.bar() + u64::from(function.read32(at + 8)));
        }
        at = header >> 8;
    }
    None
}
