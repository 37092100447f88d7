//! `edu`: the educational device that driver courses and bare-metal tests know, register for register.
//!
//! Invariant: a transfer touches the device's buffer of 4 KiB and nothing else of it; while one runs, its registers
//! hold. A reset of the function waits for its end. Source: the device's published register description, as listed in
//! `register`; the capability to be reset is an addition, behind what drivers know.

mod transfer;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::bus::Width;
use crate::pci::bar::{Bar, BarWidth};
use crate::pci::capability::{advanced, msi};
use crate::pci::config::Identity;
use crate::pci::{ConfigSpace, Endpoint, Function};
use transfer::Transfer;

/// Offsets in BAR 0. Those below 0x80 take 4 bytes, the others 4 or 8.
mod register {
    /// Says which device this is.
    pub(super) const IDENTIFICATION: u64 = 0x00;
    /// Gives back the complement of what was written.
    pub(super) const LIVENESS: u64 = 0x04;
    /// Becomes the factorial of what was written.
    pub(super) const FACTORIAL: u64 = 0x08;
    /// Whether a factorial is being computed, and whether its end interrupts.
    pub(super) const STATUS: u64 = 0x20;
    /// Why it interrupts.
    pub(super) const INTERRUPT_STATUS: u64 = 0x24;
    /// Interrupts for the reasons written.
    pub(super) const RAISE: u64 = 0x60;
    /// Takes the reasons written away.
    pub(super) const ACKNOWLEDGE: u64 = 0x64;
    /// A transfer: from where, to where, how many bytes, how.
    pub(super) const SOURCE: u64 = 0x80;
    pub(super) const DESTINATION: u64 = 0x88;
    pub(super) const COUNT: u64 = 0x90;
    pub(super) const COMMAND: u64 = 0x98;
    /// The first that may be accessed by 8 bytes.
    pub(super) const FIRST_WIDE: u64 = SOURCE;
}

const BAR_BYTES: u64 = 1 << 20;
/// Version 1.0, and the device's mark.
const IDENTIFICATION: u64 = 0x0100_00ed;
/// In the status: the factorial's end interrupts.
const STATUS_INTERRUPT: u32 = 0x80;
/// Reasons to interrupt.
const FACTORIAL_DONE: u32 = 0x1;
const TRANSFER_DONE: u32 = 0x100;

/// How an `edu` device is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EduOptions {
    /// The address bits that the device drives; the others it puts out as 0.
    pub dma_mask: u64,
}

impl Default for EduOptions {
    fn default() -> Self {
        Self { dma_mask: (1 << 28) - 1 }
    }
}

/// The device.
pub struct Edu {
    endpoint: Arc<Endpoint>,
    options: EduOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    liveness: u32,
    factorial: u32,
    status: u32,
    interrupt_status: u32,
    transfer: Transfer,
}

impl Edu {
    /// Its configuration space.
    #[must_use]
    pub fn config() -> ConfigSpace {
        ConfigSpace::new(Identity { vendor: 0x1234, device: 0x11e8, class: [0, 0xff, 0], revision: 0x10 })
            .with_bar(Bar::new(0, BAR_BYTES, BarWidth::Bits32))
            .with_interrupt_pin()
            .with(&msi::capability())
            .with(&advanced::capability())
    }

    /// The device at `endpoint`.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, options: EduOptions) -> Arc<Self> {
        Arc::new(Self { endpoint, options, state: Mutex::default() })
    }

    fn store(&self, offset: u64, value: u64) {
        let mut state = self.state.lock();
        let [a, b, c, d, ..] = value.to_le_bytes();
        let low = u32::from_le_bytes([a, b, c, d]);
        match offset {
            register::LIVENESS => state.liveness = !low,
            register::FACTORIAL => {
                state.factorial = factorial(low);
                if state.status & STATUS_INTERRUPT != 0 {
                    self.raise(&mut state, FACTORIAL_DONE);
                }
            }
            register::STATUS => state.status = low & STATUS_INTERRUPT,
            register::RAISE => self.raise(&mut state, low),
            register::ACKNOWLEDGE => self.acknowledge(&mut state, low),
            register::SOURCE => state.transfer.source = value,
            register::DESTINATION => state.transfer.destination = value,
            register::COUNT => state.transfer.count = value,
            register::COMMAND => self.command(&mut state, value),
            _ => {}
        }
    }

    fn command(&self, state: &mut State, command: u64) {
        if command & transfer::START == 0 {
            return;
        }
        state.transfer.run(&self.endpoint, command, self.options.dma_mask);
        if command & transfer::INTERRUPT != 0 {
            self.raise(state, TRANSFER_DONE);
        }
    }

    fn raise(&self, state: &mut State, reasons: u32) {
        state.interrupt_status |= reasons;
        if state.interrupt_status != 0 {
            self.endpoint.raise();
        }
    }

    fn acknowledge(&self, state: &mut State, reasons: u32) {
        state.interrupt_status &= !reasons;
        if state.interrupt_status == 0 {
            self.endpoint.lower();
        }
    }
}

/// Whether the device answers an access there at all.
fn answers(offset: u64, width: Width) -> bool {
    match width {
        Width::Dword => true,
        Width::Qword => offset >= register::FIRST_WIDE,
        Width::Byte | Width::Word => false,
    }
}

impl Function for Edu {
    fn read(&self, _: u8, offset: u64, width: Width) -> u64 {
        if !answers(offset, width) {
            return width.ones();
        }
        let state = self.state.lock();
        match offset {
            register::IDENTIFICATION => IDENTIFICATION,
            register::LIVENESS => state.liveness.into(),
            register::FACTORIAL => state.factorial.into(),
            register::STATUS => state.status.into(),
            register::INTERRUPT_STATUS => state.interrupt_status.into(),
            register::SOURCE => state.transfer.source,
            register::DESTINATION => state.transfer.destination,
            register::COUNT => state.transfer.count,
            register::COMMAND => state.transfer.command,
            _ => width.ones(),
        }
    }

    fn write(&self, _: u8, offset: u64, width: Width, value: u64) {
        if answers(offset, width) {
            self.store(offset, value);
        }
    }

    fn reset(&self) {
        *self.state.lock() = State::default();
    }
}

/// n! modulo 2^32. From 34 on it has 32 factors of two, so that nothing is left of it.
fn factorial(n: u32) -> u32 {
    if n < 34 { (1..=n).fold(1, u32::wrapping_mul) } else { 0 }
}

#[cfg(test)]
mod tests;
