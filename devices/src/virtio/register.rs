//! The registers between driver and device: what is negotiated, and where the rings lie.
//!
//! Invariant: what is negotiated does not change while the driver uses the device, and a ring that is enabled stays where it
//! is. Nothing that is written is trusted here: a ring that is none is found when it is used. Source: VIRTIO 1.2, 3.1.1
//! (order), 4.1.4.3 (layout).

use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET,
    VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1,
};
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};

use super::ring::{EventIndex, Place};
use crate::bus::Width;
use crate::pci::capability::msix::Vector;

/// Bytes of the common configuration.
pub(super) const LEN_BYTES: usize = 0x40;
/// No vector.
const NO_VECTOR: u16 = 0xffff;
/// Without these no driver gets on: with an older layout, or with addresses that are not the bus's.
const DEMANDED: u64 = 1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_F_ACCESS_PLATFORM;
/// What every device here offers.
const OFFERED: u64 = DEMANDED | 1 << VIRTIO_RING_F_EVENT_IDX | 1 << VIRTIO_RING_F_INDIRECT_DESC;

const DRIVER_OK: u8 = status(VIRTIO_CONFIG_S_DRIVER_OK);
const FEATURES_OK: u8 = status(VIRTIO_CONFIG_S_FEATURES_OK);
const NEEDS_RESET: u8 = status(VIRTIO_CONFIG_S_NEEDS_RESET);

const fn status(bit: u32) -> u8 {
    assert!(bit <= 0xff, "the status has 8 bits");
    bit.to_le_bytes()[0]
}

/// What a store asks for beyond what it stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// Nothing.
    Nothing,
    /// The driver begins.
    Start,
    /// The device is to be as after power-on.
    Reset,
}

/// The registers.
#[derive(Debug)]
pub(super) struct Registers {
    offered: u64,
    accepted: u64,
    offered_select: u32,
    accepted_select: u32,
    config_vector: u16,
    status: u8,
    select: u16,
    vectors: u16,
    queues: Vec<QueueRegisters>,
}

#[derive(Clone, Copy, Debug)]
struct QueueRegisters {
    most: u16,
    size: u16,
    vector: u16,
    is_enabled: bool,
    /// By any driver since power-on.
    was_enabled: bool,
    descriptors: u64,
    available: u64,
    used: u64,
}

/// What a device begins with.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The features that were accepted.
    pub(super) features: u64,
    /// Each queue that is enabled, and the most entries that it could have.
    pub(super) rings: Vec<Option<(Place, u16)>>,
    pub(super) events: EventIndex,
}

impl Registers {
    /// After power-on, of a device with those features and queues.
    pub(super) fn new(features: u64, queues: &[u16], vectors: u16) -> Self {
        let queue = |most: &u16| QueueRegisters {
            most: *most,
            size: *most,
            vector: NO_VECTOR,
            is_enabled: false,
            was_enabled: false,
            descriptors: 0,
            available: 0,
            used: 0,
        };
        Self {
            offered: features | OFFERED,
            accepted: 0,
            offered_select: 0,
            accepted_select: 0,
            config_vector: NO_VECTOR,
            status: 0,
            select: 0,
            vectors,
            queues: queues.iter().map(queue).collect(),
        }
    }

    /// As after power-on, for a driver.
    pub(super) fn reset(&mut self) {
        let most: Vec<u16> = self.queues.iter().map(|queue| queue.most).collect();
        let before = std::mem::replace(self, Self::new(self.offered, &most, self.vectors));
        for (queue, before) in self.queues.iter_mut().zip(before.queues) {
            queue.was_enabled = before.was_enabled;
        }
    }

    /// The queues that a driver has enabled since power-on, whatever resets came.
    pub(super) fn enabled_so_far(&self) -> Vec<usize> {
        let queues = self.queues.iter().enumerate();
        queues.filter(|(_, queue)| queue.was_enabled).map(|(number, _)| number).collect()
    }

    /// Whether a driver uses the device.
    pub(super) const fn is_live(&self) -> bool {
        self.status & (DRIVER_OK | NEEDS_RESET) == DRIVER_OK
    }

    /// The device cannot go on.
    pub(super) fn break_down(&mut self) {
        self.status |= NEEDS_RESET;
    }

    /// What tells the driver of that, and of changes.
    pub(super) fn config_vector(&self) -> Option<Vector> {
        vector(self.config_vector)
    }

    /// What tells the driver of what was used of a queue. It may be another at any time.
    pub(super) fn queue_vector(&self, queue: usize) -> Option<Vector> {
        self.queues.get(queue).and_then(|queue| vector(queue.vector))
    }

    pub(super) fn settings(&self) -> Settings {
        let place = |queue: &QueueRegisters| {
            let QueueRegisters { most, size, descriptors, available, used, .. } = *queue;
            let place = Place { size, descriptors, available, used };
            queue.is_enabled.then_some((place, most))
        };
        let is_on = self.accepted >> VIRTIO_RING_F_EVENT_IDX & 1 != 0;
        Settings {
            features: self.accepted,
            rings: self.queues.iter().map(place).collect(),
            events: if is_on { EventIndex::On } else { EventIndex::Off },
        }
    }

    /// A load; `generation` is that of the device's configuration.
    pub(super) fn read(&self, offset: usize, width: Width, generation: u8) -> u64 {
        let bytes = self.bytes(generation);
        let byte = |at: u8| bytes.get(offset + usize::from(at)).copied().map_or(0, u64::from);
        (0..width.bytes()).rev().fold(0, |value, at| value << 8 | byte(at))
    }

    /// A store of a field, by its own width; 64 bits may also come in halves. Others do nothing.
    pub(super) fn write(&mut self, offset: usize, width: Width, value: u64) -> Asked {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        let (byte, word, low) = (a, u16::from_le_bytes([a, b]), u32::from_le_bytes([a, b, c, d]));
        match (offset, width) {
            (0x00, Width::Dword) => self.offered_select = low,
            (0x08, Width::Dword) => self.accepted_select = low,
            (0x0c, Width::Dword) => self.accept(low),
            (0x10, Width::Word) => self.config_vector = self.known_vector(word),
            (0x14, Width::Byte) => return self.write_status(byte),
            (0x16, Width::Word) => self.select = word,
            (0x20..0x38, Width::Qword) if offset.is_multiple_of(8) => {
                self.write_address(offset, low);
                self.write_address(offset + 4, u32::from_le_bytes([e, f, g, h]));
            }
            (0x20..0x38, Width::Dword) => self.write_address(offset, low),
            (0x18 | 0x1a | 0x1c, Width::Word) => self.write_queue(offset, word),
            _ => {}
        }
        Asked::Nothing
    }

    fn accept(&mut self, word: u32) {
        let shift = match self.accepted_select {
            0 => 0,
            1 => 32,
            _ => return,
        };
        if self.status & FEATURES_OK == 0 {
            self.accepted = self.accepted & !(u64::from(u32::MAX) << shift) | u64::from(word) << shift;
        }
    }

    fn write_status(&mut self, value: u8) -> Asked {
        if value == 0 {
            return Asked::Reset;
        }
        let was_live = self.is_live();
        let is_acceptable = self.accepted & !self.offered == 0 && self.accepted & DEMANDED == DEMANDED;
        // Bits are added, never taken away; what the device says itself stays.
        let added = if is_acceptable { value } else { value & !FEATURES_OK } & !NEEDS_RESET;
        self.status |= added;
        if self.status & FEATURES_OK == 0 {
            self.status &= !DRIVER_OK;
        }
        if self.is_live() && !was_live { Asked::Start } else { Asked::Nothing }
    }

    fn write_queue(&mut self, offset: usize, value: u16) {
        let (known, has_begun) = (self.known_vector(value), self.status & DRIVER_OK != 0);
        let Some(queue) = self.queues.get_mut(usize::from(self.select)) else { return };
        match offset {
            0x1a => queue.vector = known,
            // What is no size reads back as none, and a ring without entries breaks its device.
            0x18 if !queue.is_enabled => {
                queue.size = if value.is_power_of_two() && value <= queue.most { value } else { 0 };
            }
            0x1c if value == 1 && !has_begun => (queue.is_enabled, queue.was_enabled) = (true, true),
            _ => {}
        }
    }

    fn write_address(&mut self, offset: usize, value: u32) {
        let queue = self.queues.get_mut(usize::from(self.select)).filter(|queue| !queue.is_enabled);
        let Some(queue) = queue else { return };
        let address = match offset & !7 {
            0x20 => &mut queue.descriptors,
            0x28 => &mut queue.available,
            _ => &mut queue.used,
        };
        let shift = if offset & 4 == 0 { 0 } else { 32 };
        *address = *address & !(u64::from(u32::MAX) << shift) | u64::from(value) << shift;
    }

    /// A vector that the device does not have is none, which the driver reads back.
    const fn known_vector(&self, number: u16) -> u16 {
        if number < self.vectors { number } else { NO_VECTOR }
    }

    fn bytes(&self, generation: u8) -> [u8; LEN_BYTES] {
        let mut bytes = [0; LEN_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0x00, &self.offered_select.to_le_bytes());
        put(0x04, &half(self.offered, self.offered_select).to_le_bytes());
        put(0x08, &self.accepted_select.to_le_bytes());
        put(0x0c, &half(self.accepted, self.accepted_select).to_le_bytes());
        put(0x10, &self.config_vector.to_le_bytes());
        put(0x12, &u16::try_from(self.queues.len()).unwrap_or(u16::MAX).to_le_bytes());
        put(0x14, &[self.status, generation]);
        put(0x16, &self.select.to_le_bytes());
        if let Some(queue) = self.queues.get(usize::from(self.select)) {
            put(0x18, &queue.size.to_le_bytes());
            put(0x1a, &queue.vector.to_le_bytes());
            put(0x1c, &u16::from(queue.is_enabled).to_le_bytes());
            put(0x1e, &self.select.to_le_bytes());
            put(0x20, &queue.descriptors.to_le_bytes());
            put(0x28, &queue.available.to_le_bytes());
            put(0x30, &queue.used.to_le_bytes());
        } else {
            put(0x1a, &NO_VECTOR.to_le_bytes());
        }
        bytes
    }
}

fn vector(number: u16) -> Option<Vector> {
    (number != NO_VECTOR).then_some(Vector(number))
}

/// 32 features; there are none from 64 on.
fn half(features: u64, select: u32) -> u32 {
    let [a, b, c, d, e, f, g, h] = features.to_le_bytes();
    match select {
        0 => u32::from_le_bytes([a, b, c, d]),
        1 => u32::from_le_bytes([e, f, g, h]),
        _ => 0,
    }
}
