//! The three events that the unit interrupts software with: fault, invalidation completion, page request.
//!
//! Invariant: an event that happens while its mask is set waits as IP and is sent when the mask goes; one that is
//! settled before, because software cleared its status, is not sent. Source: VT-d 7.4, 11.4.7.

use pcie::Msi;

use crate::spec::register::Register;
use crate::spec::status::{EVENT_MASKED, EVENT_PENDING};
use crate::vtd::registers::Registers;

/// One of them, by its control register; data and address lie behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Event(Register);

impl Event {
    pub(crate) const FAULT: Self = Self(Register::FAULT_EVENT);
    pub(crate) const COMPLETION: Self = Self(Register::COMPLETION_EVENT);
    pub(crate) const REQUEST: Self = Self(Register::REQUEST_EVENT);

    /// The event whose control register is `register`.
    pub(crate) fn controlled_by(register: Register) -> Option<Self> {
        [Self::FAULT, Self::COMPLETION, Self::REQUEST].into_iter().find(|event| event.0 == register)
    }

    /// It happened. Returns what must be sent now.
    pub(crate) fn happen(self, registers: &mut Registers) -> Option<Msi> {
        registers.raise(self.0, EVENT_PENDING);
        self.send_unmasked(registers)
    }

    /// Its control register was written.
    pub(crate) fn send_unmasked(self, registers: &mut Registers) -> Option<Msi> {
        let control = registers.word(self.0);
        if control & EVENT_PENDING == 0 || control & EVENT_MASKED != 0 {
            return None;
        }
        self.settle(registers);
        let address =
            u64::from(registers.word(self.0.plus(12))) << 32 | u64::from(registers.word(self.0.plus(8)));
        Some(Msi { address, data: registers.word(self.0.plus(4)) })
    }

    /// Software saw it by itself.
    pub(crate) fn settle(self, registers: &mut Registers) {
        registers.set(self.0, registers.word(self.0) & !EVENT_PENDING);
    }
}
