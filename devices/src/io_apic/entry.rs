//! A redirection entry: where an input's interrupts go.
//!
//! Invariant: delivery status and remote IRR are the chip's; software's writes leave them alone. Sources: Intel
//! 82093AA, 3.2.4; VT-d 5.1.2.1 (remappable format, bit 48).

use pcie::Msi;

use super::Trigger;

/// Messages are writes to this address and what is added to it.
const MESSAGE_BASE: u64 = 0xfee0_0000;
const DELIVERY_MODE: u64 = 0x7 << 8;
const LOGICAL: u64 = 1 << 11;
const DELIVERY_STATUS: u64 = 1 << 12;
const WAITING: u64 = 1 << 14;
const LEVEL: u64 = 1 << 15;
const MASKED: u64 = 1 << 16;
/// The bits from 48 on, which a message carries in its address from bit 4 on: in the compatibility format the
/// destination, in the remappable format the format bit and the handle.
const ADDRESS_SHIFT: u32 = 48;
/// In a message's data.
const DATA_ASSERT: u32 = 1 << 14;
const DATA_LEVEL: u32 = 1 << 15;

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry(u64);

/// A half of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Half {
    Low,
    High,
}

impl Entry {
    pub(super) const RESET: Self = Self(MASKED);

    pub(super) const fn vector(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    pub(super) const fn is_masked(self) -> bool {
        self.0 & MASKED != 0
    }

    pub(super) const fn trigger(self) -> Trigger {
        if self.0 & LEVEL == 0 { Trigger::Edge } else { Trigger::Level }
    }

    /// Whether an end of interrupt is outstanding (remote IRR).
    pub(super) const fn is_waiting(self) -> bool {
        self.0 & WAITING != 0
    }

    pub(super) const fn set_waiting(&mut self, waiting: bool) {
        self.0 = if waiting { self.0 | WAITING } else { self.0 & !WAITING };
    }

    pub(super) const fn half(self, half: Half) -> u32 {
        let [a, b, c, d, e, f, g, h] = self.0.to_le_bytes();
        match half {
            Half::Low => u32::from_le_bytes([a, b, c, d]),
            Half::High => u32::from_le_bytes([e, f, g, h]),
        }
    }

    pub(super) fn set_half(&mut self, half: Half, value: u32) {
        let own = DELIVERY_STATUS | WAITING;
        self.0 = match half {
            Half::Low => self.0 & (own | !0 << 32) | u64::from(value) & !own & 0x1_ffff,
            Half::High => self.0 & 0xffff_ffff | u64::from(value) << 32,
        };
    }

    /// The message that stands for this input, in the format that the entry is in.
    pub(super) fn message(self) -> Msi {
        let above = self.0 >> ADDRESS_SHIFT;
        // Destination in 19:12 and mode in bit 2; or handle in 19:5, format in bit 4 and the handle's bit 15 in 2.
        let address = MESSAGE_BASE | above << 4 | (self.0 & LOGICAL) >> 9;
        let [vector, ..] = self.0.to_le_bytes();
        let mode = ((self.0 & DELIVERY_MODE) >> 8).to_le_bytes()[0];
        let level = if self.trigger() == Trigger::Level { DATA_LEVEL | DATA_ASSERT } else { 0 };
        let data = u32::from(vector) | u32::from(mode) << 8 | level;
        Msi { address, data }
    }
}
