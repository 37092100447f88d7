//! The power button: an edge at an input of the I/O APIC, which ACPI's device for events turns into a notification.
//!
//! Invariant: it ends nothing. A guest that listens may power off, and may not. Source: ACPI 6.5, 4.8.2.2.1.2, 5.6.9.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use devices::interrupt::{Line, Pin};
use devices::io_apic::IoApic;

/// The input that it interrupts at, where a PC has its system control interrupt.
pub const PIN: Pin = Pin(9);

/// What a press was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pressed {
    /// The guest takes the interrupt.
    Heard,
    /// The guest has not asked for ACPI's events.
    Unheard,
}

/// The button of one machine.
pub struct PowerButton {
    line: Line,
    io_apic: Arc<IoApic>,
    was_heard: AtomicBool,
}

impl PowerButton {
    pub(super) fn new(line: Line, io_apic: Arc<IoApic>) -> Self {
        Self { line, io_apic, was_heard: AtomicBool::new(false) }
    }

    /// Presses it.
    pub fn press(&self) -> Pressed {
        // An edge at a masked input is lost; whoever asks has to know.
        if !self.io_apic.listens(PIN) {
            return Pressed::Unheard;
        }
        self.was_heard.store(true, Ordering::Release);
        self.line.pulse();
        Pressed::Heard
    }

    /// Whether a press was heard, so that the guest may be about to power off.
    #[must_use]
    pub fn was_heard(&self) -> bool {
        self.was_heard.load(Ordering::Acquire)
    }
}
