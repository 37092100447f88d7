//! What the unit interrupts for.
//!
//! Invariant: an event's message is never remapped. Source: VT-d 7.3 and 7.4, 11.4.7 (FECTL), 11.4.9 (ICS, IECTL), 11.4.10
//! (PECTL).

use super::{BASE, Unit};
use crate::hardware::{load32, store32};
use crate::interrupt_entry::Message;

const ICS: u64 = 0x9c;
/// In ICS: a wait that asked for it is over.
const WAIT_OVER: u32 = 1;
/// In an event's control register: it is masked; it waits for the mask to go.
const MASKED: u32 = 1 << 31;
const WAITING: u32 = 1 << 30;
/// An event's registers, from the first.
const DATA: u64 = 4;
const ADDRESS: u64 = 8;
const UPPER_ADDRESS: u64 = 12;

/// One of them, by its first register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A fault was recorded.
    Fault = 0x38,
    /// A wait is over.
    Completion = 0xa0,
    /// A page was asked for.
    Request = 0xe0,
}

impl Event {
    const fn register(self, offset: u64) -> u64 {
        BASE + self as u64 + offset
    }
}

impl Unit {
    /// Which message an event sends.
    pub fn set_event(&self, event: Event, message: Message) {
        let [a, b, c, d, e, f, g, h] = message.address.to_le_bytes();
        store32(event.register(DATA), message.data);
        store32(event.register(ADDRESS), u32::from_le_bytes([a, b, c, d]));
        store32(event.register(UPPER_ADDRESS), u32::from_le_bytes([e, f, g, h]));
    }

    /// Lets an event send, or keeps it back.
    pub fn unmask_event(&self, event: Event, on: bool) {
        store32(event.register(0), if on { 0 } else { MASKED });
    }

    /// Whether an event waits for its mask to go.
    #[must_use]
    pub fn event_waits(&self, event: Event) -> bool {
        load32(event.register(0)) & WAITING != 0
    }

    /// Whether a wait that interrupts is over; forgets that.
    pub fn take_completion(&self) -> bool {
        let is_over = load32(BASE + ICS) & WAIT_OVER != 0;
        store32(BASE + ICS, WAIT_OVER);
        is_over
    }
}
