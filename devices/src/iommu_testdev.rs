//! `iommu-testdev`: a device that writes through the remapping unit and looks behind it whether the bytes arrived.
//!
//! Invariant: a trigger runs one transfer if one was armed, and the result register says how it went; it is over when
//! the load that triggered it returns. Source: the published header of the device of this name (1b36:0005), whose
//! registers and results this one reproduces.

use std::sync::Arc;

use mmu::address::{PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;

use crate::bus::Width;
use crate::pci::bar::{Bar, BarWidth};
use crate::pci::config::Identity;
use crate::pci::{ConfigSpace, Endpoint, Function};

/// Offsets in BAR 0; each register has 32 bits and is accessed as such.
mod register {
    /// A load runs the transfer.
    pub(super) const TRIGGER: u64 = 0x00;
    /// The address to write to, as the device says it.
    pub(super) const ADDRESS_LOW: u64 = 0x04;
    pub(super) const ADDRESS_HIGH: u64 = 0x08;
    /// How many bytes.
    pub(super) const LENGTH: u64 = 0x0c;
    /// How it went.
    pub(super) const RESULT: u64 = 0x10;
    /// Bit 0 arms.
    pub(super) const DOORBELL: u64 = 0x14;
    /// Attributes of another architecture's requests.
    pub(super) const ATTRIBUTES: u64 = 0x18;
    /// The guest-physical address where the bytes are to arrive.
    pub(super) const PHYSICAL_LOW: u64 = 0x1c;
    pub(super) const PHYSICAL_HIGH: u64 = 0x20;
}

/// What the result register says.
mod outcome {
    pub(super) const PASSED: u32 = 0;
    pub(super) const IDLE: u32 = 0xffff_ffff;
    pub(super) const ARMED: u32 = 0xffff_fffe;
    pub(super) const BAD_LENGTH: u32 = 0xdead_0001;
    pub(super) const WRITE_FAILED: u32 = 0xdead_0002;
    pub(super) const READ_FAILED: u32 = 0xdead_0003;
    pub(super) const MISMATCH: u32 = 0xdead_0004;
    pub(super) const NOT_ARMED: u32 = 0xdead_0005;
    pub(super) const BAD_ATTRIBUTES: u32 = 0xdead_0006;
}

/// The bytes of this are written again and again.
const PATTERN: [u8; 4] = 0x1234_5678_u32.to_le_bytes();
/// A transfer is bounded, because a processor waits for it.
const MOST_BYTES: u32 = 1 << 20;
const ARM: u32 = 1;
/// Attributes: secure; the address space in two bits (0 secure, 1 not); whether these two say anything.
const SECURE: u32 = 1 << 0;
const SPACE: u32 = 3 << 1;
const SPACE_SECURE: u32 = 0;
const SPACE_NOT_SECURE: u32 = 1 << 1;
const SPACE_VALID: u32 = 1 << 3;

/// The device.
pub struct IommuTestdev {
    endpoint: Arc<Endpoint>,
    /// For the look behind the remapping unit, which is what this device is there for.
    memory: Arc<PhysicalMemory>,
    state: Mutex<State>,
}

struct State {
    address: u64,
    physical: u64,
    length: u32,
    attributes: u32,
    result: u32,
    armed: bool,
}

impl IommuTestdev {
    /// Its configuration space.
    #[must_use]
    pub fn config() -> ConfigSpace {
        ConfigSpace::new(Identity { vendor: 0x1b36, device: 0x0005, class: [0, 0xff, 0], revision: 0 })
            .with_bar(Bar::new(0, 0x1000, BarWidth::Bits32))
    }

    /// The device at `endpoint`, which checks its writes in `memory`.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, memory: Arc<PhysicalMemory>) -> Arc<Self> {
        let state = State {
            address: 0,
            physical: 0,
            length: 0,
            attributes: SPACE_NOT_SECURE,
            result: outcome::IDLE,
            armed: false,
        };
        Arc::new(Self { endpoint, memory, state: Mutex::new(state) })
    }

    fn trigger(&self, state: &mut State) {
        state.result = match std::mem::take(&mut state.armed) {
            false => outcome::NOT_ARMED,
            true if !(1..=MOST_BYTES).contains(&state.length) => outcome::BAD_LENGTH,
            true if contradicts_itself(state.attributes) => outcome::BAD_ATTRIBUTES,
            true => self.transfer(state),
        };
    }

    fn transfer(&self, state: &State) -> u32 {
        let len = usize::try_from(state.length).unwrap_or_default();
        let written: Vec<u8> = PATTERN.into_iter().cycle().take(len).collect();
        if let Err(fault) = self.endpoint.write(None, VirtAddr(state.address), &written) {
            log::info!("{} iommu-testdev: {fault}", self.endpoint.source());
            return outcome::WRITE_FAILED;
        }
        let mut found = vec![0; len];
        if !self.memory.try_read_bytes(PhysAddr(state.physical), &mut found) {
            return outcome::READ_FAILED;
        }
        if found == written { outcome::PASSED } else { outcome::MISMATCH }
    }
}

/// Two fields that say the same thing say different things.
const fn contradicts_itself(attributes: u32) -> bool {
    let space = attributes & SPACE;
    let secure = attributes & SECURE != 0;
    attributes & SPACE_VALID != 0
        && matches!(space, SPACE_SECURE | SPACE_NOT_SECURE)
        && secure != (space == SPACE_SECURE)
}

fn low(address: u64) -> u64 {
    address & u64::from(u32::MAX)
}

impl Function for IommuTestdev {
    fn read(&self, _: u8, offset: u64, width: Width) -> u64 {
        if width != Width::Dword {
            return 0;
        }
        let mut state = self.state.lock();
        match offset {
            register::TRIGGER => {
                self.trigger(&mut state);
                0
            }
            register::ADDRESS_LOW => low(state.address),
            register::ADDRESS_HIGH => state.address >> 32,
            register::PHYSICAL_LOW => low(state.physical),
            register::PHYSICAL_HIGH => state.physical >> 32,
            register::LENGTH => state.length.into(),
            register::RESULT => state.result.into(),
            register::ATTRIBUTES => state.attributes.into(),
            _ => 0,
        }
    }

    fn write(&self, _: u8, offset: u64, width: Width, value: u64) {
        if width != Width::Dword {
            return;
        }
        let mut state = self.state.lock();
        let [a, b, c, d, ..] = value.to_le_bytes();
        let word = u32::from_le_bytes([a, b, c, d]);
        match offset {
            register::ADDRESS_LOW => state.address = state.address >> 32 << 32 | u64::from(word),
            register::ADDRESS_HIGH => state.address = low(state.address) | u64::from(word) << 32,
            register::PHYSICAL_LOW => state.physical = state.physical >> 32 << 32 | u64::from(word),
            register::PHYSICAL_HIGH => state.physical = low(state.physical) | u64::from(word) << 32,
            register::LENGTH => state.length = word,
            register::RESULT => state.result = word,
            register::ATTRIBUTES => state.attributes = word,
            register::DOORBELL => {
                state.armed = word & ARM != 0;
                state.result = if state.armed { outcome::ARMED } else { outcome::IDLE };
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
