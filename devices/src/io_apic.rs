//! The I/O APIC: lines in, messages out.
//!
//! Invariant: a level-triggered input sends one message and then waits, with its remote IRR set, for the end of that
//! interrupt; if the line is still high then, it sends again. An edge is sent once; one that comes while its input is
//! masked or level triggered is ignored. Messages leave like any device's, so that a remapping unit can translate them.
//! Sources: Intel 82093AA, 3.2.4 (bit 16 for masked edges); VT-d 5.1.5.1 for the form of its messages.

mod entry;

use std::sync::Arc;

use parking_lot::Mutex;
use pcie::Msi;

use crate::bus::{Registers, Width};
use crate::interrupt::{Level, Pin, Pins};
use entry::{Entry, Half};

/// Where it is.
pub const ADDRESS: u64 = 0xfec0_0000;
/// Bytes of memory that it takes.
pub const LEN_BYTES: u64 = 0x1000;
/// Its inputs.
pub const PINS: u8 = 24;

/// Memory registers.
const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;
const END_OF_INTERRUPT: u64 = 0x40;
/// Registers behind the window.
const ID: u8 = 0x00;
const VERSION: u8 = 0x01;
const ARBITRATION: u8 = 0x02;
const FIRST_ENTRY: u8 = 0x10;
/// Version 0x20 (it has an end-of-interrupt register), and the number of the last entry.
const VERSION_VALUE: u32 = 0x20 | (PINS as u32 - 1) << 16;

/// Takes a message of input `pin` to the local APICs, or to the remapping unit before them.
pub trait Outlet: Send + Sync {
    /// Sends it. With [`Trigger::Level`] an end of interrupt is to come back.
    fn forward(&self, pin: Pin, message: Msi, trigger: Trigger);
}

/// How an input is triggered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// By a rising edge.
    Edge,
    /// By being high.
    Level,
}

/// The chip.
pub struct IoApic {
    outlet: Arc<dyn Outlet>,
    state: Mutex<State>,
}

struct State {
    select: u8,
    id: u32,
    inputs: [Input; PINS as usize],
}

#[derive(Clone, Copy)]
struct Input {
    entry: Entry,
    level: Level,
}

impl IoApic {
    /// All inputs masked.
    #[must_use]
    pub fn new(outlet: Arc<dyn Outlet>) -> Arc<Self> {
        let input = Input { entry: Entry::RESET, level: Level::Low };
        Arc::new(Self {
            outlet,
            state: Mutex::new(State { select: 0, id: 0, inputs: [input; PINS as usize] }),
        })
    }

    /// Whether an edge of `pin` would be sent on: software has unmasked it.
    #[must_use]
    pub fn listens(&self, pin: Pin) -> bool {
        let state = self.state.lock();
        state.inputs.get(usize::from(pin.0)).is_some_and(|input| !input.entry.is_masked())
    }

    /// A local APIC has ended an interrupt of `vector`.
    pub fn end_of_interrupt(&self, vector: u8) {
        let mut state = self.state.lock();
        let ended = |input: &&mut Input| input.entry.is_waiting() && input.entry.vector() == vector;
        for (input, pin) in state.inputs.iter_mut().zip(0..).filter(|(input, _)| ended(input)) {
            input.entry.set_waiting(false);
            self.serve(Pin(pin), input, input.level);
        }
    }

    /// Sends what is due, now that the line is as it is and was at `before`.
    fn serve(&self, pin: Pin, input: &mut Input, before: Level) {
        let due = input.level == Level::High
            && match input.entry.trigger() {
                Trigger::Edge => before == Level::Low,
                Trigger::Level => !input.entry.is_waiting(),
            };
        if due && !input.entry.is_masked() {
            input.entry.set_waiting(input.entry.trigger() == Trigger::Level);
            self.outlet.forward(pin, input.entry.message(), input.entry.trigger());
        }
    }

    fn read_selected(&self) -> u32 {
        let state = self.state.lock();
        match state.select {
            ID | ARBITRATION => state.id,
            VERSION => VERSION_VALUE,
            register => half(register).map_or(0, |(pin, half)| state.inputs[pin].entry.half(half)),
        }
    }

    fn write_selected(&self, value: u32) {
        let mut state = self.state.lock();
        if state.select == ID {
            state.id = value & 0x0f00_0000;
        }
        let Some((pin, half)) = half(state.select) else { return };
        let input = &mut state.inputs[pin];
        input.entry.set_half(half, value);
        if input.entry.trigger() == Trigger::Edge {
            input.entry.set_waiting(false);
        }
        // Fits: there are 24 pins.
        let Ok(pin) = u8::try_from(pin) else { return };
        self.serve(Pin(pin), input, input.level);
    }
}

/// Which half of which entry the register `register` is.
fn half(register: u8) -> Option<(usize, Half)> {
    let at = register.checked_sub(FIRST_ENTRY)?;
    let half = if at.is_multiple_of(2) { Half::Low } else { Half::High };
    Some((usize::from(at / 2), half)).filter(|(pin, _)| *pin < usize::from(PINS))
}

impl Pins for IoApic {
    fn set(&self, pin: Pin, level: Level) {
        let mut state = self.state.lock();
        let Some(input) = state.inputs.get_mut(usize::from(pin.0)) else { return };
        let before = std::mem::replace(&mut input.level, level);
        self.serve(pin, input, before);
    }
}

impl Registers for IoApic {
    fn read(&self, offset: u64, width: Width) -> u64 {
        match offset {
            SELECT => self.state.lock().select.into(),
            WINDOW => u64::from(self.read_selected()) & width.ones(),
            _ => 0,
        }
    }

    fn write(&self, offset: u64, _: Width, value: u64) {
        let [low, b, c, d, ..] = value.to_le_bytes();
        match offset {
            SELECT => self.state.lock().select = low,
            WINDOW => self.write_selected(u32::from_le_bytes([low, b, c, d])),
            END_OF_INTERRUPT => self.end_of_interrupt(low),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
